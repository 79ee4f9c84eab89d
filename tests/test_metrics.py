"""Accuracies, bootstrap intervals and calibration: hand tables, NumPy loops and simulations."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rdlite.metrics import (
    class_calibration,
    hypervolume,
    pareto,
    per_class_accuracy,
    smallest_of_equals,
    summary,
)

PROPERTY = settings(max_examples=40, deadline=None, derandomize=True)
SEEDS = st.integers(0, 2**32 - 1)
NAN = float("nan")


def one_hot(predictions, m):
    """Logits (n, m) whose largest entry is at ``predictions``."""
    return torch.eye(m)[torch.as_tensor(predictions)]


def simulate(rng, accuracies, per_class):
    """Labels and predictions of ``per_class`` images (each), right with the given chances."""
    m = len(accuracies)
    labels = np.repeat(np.arange(m), per_class)
    right = rng.uniform(size=len(labels)) < np.repeat(accuracies, per_class)
    return torch.tensor(labels), torch.tensor(np.where(right, labels, (labels + 1) % m))


# ---------------------------------------------------------------- accuracy


@pytest.mark.parametrize(
    ("predictions", "labels", "m", "wanted"),
    [
        ([0, 1], [0, 1], 2, [1, 1]),
        ([1, 0], [0, 1], 2, [0, 0]),
        ([0, 1, 1], [0, 0, 1], 2, [0.5, 1]),
        ([0, 0, 0, 2], [0, 0, 2, 2], 4, [1, NAN, 0.5, NAN]),
        ([3], [2], 4, [NAN, NAN, 0, NAN]),
    ],
)
def test_per_class_accuracy_by_hand(predictions, labels, m, wanted):
    got = per_class_accuracy(torch.tensor(predictions), torch.tensor(labels), m)
    assert got.dtype == torch.float64
    np.testing.assert_array_equal(got, wanted)


@PROPERTY
@given(SEEDS, st.integers(2, 12), st.integers(1, 60))
def test_per_class_accuracy_equals_a_loop_over_classes(seed, m, n):
    labels, predictions = np.random.default_rng(seed).integers(0, m, (2, n))
    wanted = np.full(m, NAN)
    for y in range(m):
        if (labels == y).any():
            wanted[y] = np.mean(predictions[labels == y] == y)
    got = per_class_accuracy(torch.tensor(predictions), torch.tensor(labels), m)
    np.testing.assert_allclose(got, wanted, rtol=1e-12)


# class 0: 1 of 2, class 1: absent, class 2: 3 of 4, class 3: 0 of 1
LABELS = [0, 0, 2, 2, 2, 2, 3]
PREDICTIONS = [0, 1, 2, 2, 2, 0, 1]


@pytest.mark.parametrize(
    ("k", "worst_k"), [(None, 0), (1, 0), (2, 0.25), (3, 1.25 / 3), (4, 1.25 / 3)]
)
def test_summary_by_hand_leaves_out_a_class_without_images(k, worst_k):
    got = summary(one_hot(PREDICTIONS, 4), torch.tensor(LABELS), k=k)
    assert got["average"] == pytest.approx(1.25 / 3)
    assert (got["worst"], got["worst_class"]) == (0, 3)
    assert got["worst_k"] == pytest.approx(worst_k)
    np.testing.assert_array_equal(got["per_class"], [0.5, NAN, 0.75, 0])
    assert got["intervals"] == {}


@pytest.mark.parametrize(("m", "wanted"), [(99, 0.0), (100, 0.3), (120, 0.3)])
def test_worst_k_averages_10_classes_from_100_classes_on_and_1_below(m, wanted):
    labels = torch.arange(m)
    wrong = labels < 7  # 7 classes at 0, the others at 1
    got = summary(one_hot(torch.where(wrong, m - 1, labels), m), labels)
    assert got["worst_k"] == pytest.approx(wanted)


@PROPERTY
@given(SEEDS, st.integers(2, 8), st.integers(1, 60))
def test_summary_is_ordered_and_does_not_depend_on_the_order_of_images(seed, m, n):
    rng = np.random.default_rng(seed)
    logits, labels = torch.tensor(rng.normal(size=(n, m))), torch.tensor(rng.integers(0, m, n))
    order = rng.permutation(n)
    k = int(rng.integers(1, m + 1))
    got = summary(logits, labels, k=k, bootstrap=20)
    moved = summary(logits[order], labels[order], k=k, bootstrap=20)
    np.testing.assert_array_equal(moved.pop("per_class"), got.pop("per_class"))
    assert moved == got
    assert got["worst"] <= got["worst_k"] + 1e-12
    assert got["worst_k"] <= got["average"] + 1e-12


@PROPERTY
@given(SEEDS, st.integers(2, 8))
def test_relabelling_the_classes_permutes_the_accuracies(seed, m):
    rng = np.random.default_rng(seed)
    logits, labels = torch.tensor(rng.normal(size=(50, m))), torch.tensor(rng.integers(0, m, 50))
    order = rng.permutation(m)
    new_name = torch.tensor(np.argsort(order))
    got, moved = summary(logits, labels), summary(logits[:, order], new_name[labels])
    np.testing.assert_array_equal(moved["per_class"], np.array(got["per_class"])[order])
    assert moved["average"] == pytest.approx(got["average"])
    assert moved["worst"] == got["worst"]


# ---------------------------------------------------------------- intervals and bias

UNEVEN = np.array([0.5, 0.6, 0.7, 0.8, 0.9])


@pytest.mark.parametrize("seed", range(10))
def test_interval_of_the_average_contains_it(seed):
    labels, predictions = simulate(np.random.default_rng(seed), UNEVEN, 15)
    got = summary(one_hot(predictions, 5), labels, bootstrap=200, seed=seed)
    low, high = got["intervals"]["average"]
    assert low <= got["average"] <= high
    assert low < high


def test_intervals_are_named_ordered_and_within_0_and_1():
    labels, predictions = simulate(np.random.default_rng(0), UNEVEN, 15)
    got = summary(one_hot(predictions, 5), labels, k=2, bootstrap=100)["intervals"]
    assert set(got) == {"average", "worst", "worst_k"}
    assert all(0 <= low < high <= 1 for low, high in got.values())
    ends = np.array([got[name] for name in ("worst", "worst_k", "average")])
    assert (np.diff(ends, axis=0) >= 0).all()


def test_interval_of_the_average_has_the_width_of_a_normal_approximation():
    per_class = np.array([400, 40, 200, 100, 40])
    labels, predictions = simulate(np.random.default_rng(1), UNEVEN, per_class)
    got = summary(one_hot(predictions, 5), labels, bootstrap=4000)
    p = np.array(got["per_class"])
    wanted = 2 * 1.96 * math.sqrt((p * (1 - p) / per_class).sum()) / 5
    low, high = got["intervals"]["average"]
    assert high - low == pytest.approx(wanted, rel=0.06)


def test_interval_of_the_average_covers_the_truth_at_about_its_nominal_rate():
    rng, covered = np.random.default_rng(0), 0
    for repetition in range(300):
        labels, predictions = simulate(rng, UNEVEN, 20)
        got = summary(one_hot(predictions, 5), labels, bootstrap=200, seed=repetition)
        low, high = got["intervals"]["average"]
        covered += low <= UNEVEN.mean() <= high
    assert 0.90 <= covered / 300 <= 0.99


def test_same_seed_gives_the_same_intervals_and_another_seed_others():
    labels, predictions = simulate(np.random.default_rng(2), UNEVEN, 20)
    first, same, other = (
        summary(one_hot(predictions, 5), labels, bootstrap=50, seed=seed)["intervals"]
        for seed in (3, 3, 4)
    )
    assert first == same
    assert first["average"] != other["average"]


def test_bootstrap_leaves_the_global_random_state_alone():
    labels, predictions = simulate(np.random.default_rng(2), UNEVEN, 20)
    np.random.seed(0)
    torch.manual_seed(0)
    before = np.random.get_state()[1].copy(), torch.get_rng_state()
    summary(one_hot(predictions, 5), labels, bootstrap=50)
    assert (np.random.get_state()[1] == before[0]).all()
    assert torch.equal(torch.get_rng_state(), before[1])


def test_intervals_leave_out_a_class_without_images():
    got = summary(one_hot(PREDICTIONS, 4), torch.tensor(LABELS), k=4, bootstrap=50)["intervals"]
    assert np.isfinite(list(got.values())).all()
    assert got["worst"] == (0, 0)  # class 3 is never right


def test_minimum_of_100_equal_classes_at_45_percent_is_about_33_percent():
    mass = np.array([math.comb(100, k) * 0.45**k * 0.55 ** (100 - k) for k in range(101)])
    at_least = mass[::-1].cumsum()[::-1]  # P(k or more of 100 right)
    exact = (at_least[1:] ** 100).sum() / 100  # E[min] = sum_k P(all classes have k or more)
    assert exact == pytest.approx(0.33, abs=0.005)
    rng, worst, average = np.random.default_rng(0), [], []
    for _ in range(100):
        labels, predictions = simulate(rng, np.full(100, 0.45), 100)
        accuracy = per_class_accuracy(predictions, labels, 100)
        worst.append(accuracy.min().item())
        average.append(accuracy.mean().item())
    assert np.mean(worst) == pytest.approx(exact, abs=0.008)
    assert np.mean(average) == pytest.approx(0.45, abs=0.003)


# ---------------------------------------------------------------- calibration


def calibration_by_loop(p, labels, bins):
    n, m = p.shape
    errors = np.zeros(m)
    for y in range(m):
        members = {}
        for i in range(n):
            members.setdefault(min(int(p[i, y] * bins), bins - 1), []).append(i)
        for inside in members.values():
            gap = np.mean(p[inside, y]) - np.mean(labels[inside] == y)
            errors[y] += len(inside) / n * abs(gap)
    return errors


@PROPERTY
@given(SEEDS, st.integers(2, 6), st.integers(1, 40), st.integers(1, 15))
def test_calibration_equals_a_loop_over_images(seed, m, n, bins):
    rng = np.random.default_rng(seed)
    p, labels = rng.dirichlet(np.ones(m), n), rng.integers(0, m, n)
    got = class_calibration(torch.tensor(p), torch.tensor(labels), bins)
    np.testing.assert_allclose(got, calibration_by_loop(p, labels, bins), atol=1e-12)
    assert ((got >= 0) & (got <= 1)).all()


@pytest.mark.parametrize("bins", [1, 10])
@pytest.mark.parametrize(
    ("row", "labels", "wanted"),
    [
        ([0.75, 0.25], [0, 0, 0, 1], [0, 0]),
        ([0.5, 0.25, 0.25], [0, 0, 1, 2], [0, 0, 0]),
        ([0.75, 0.25], [0, 0, 1, 1], [0.25, 0.25]),
        ([1.0, 0.0], [1, 1, 1, 1], [1, 1]),
        ([0.5, 0.5, 0.0], [0, 0, 0, 2], [0.25, 0.5, 0.25]),
    ],
)
def test_calibration_of_a_constant_predictor_is_its_distance_from_the_frequency(
    row, labels, wanted, bins
):
    got = class_calibration(torch.tensor([row] * 4), torch.tensor(labels), bins)
    assert got.dtype == torch.float64
    np.testing.assert_allclose(got, wanted, atol=1e-12)


def test_calibration_errors_of_opposite_sign_cancel_within_a_bin_only():
    p, labels = torch.tensor([[0.9, 0.1], [0.1, 0.9]]), torch.tensor([1, 0])
    np.testing.assert_allclose(class_calibration(p, labels, 10), [0.9, 0.9], rtol=1e-6)
    np.testing.assert_allclose(class_calibration(p, labels, 1), [0, 0], atol=1e-6)


def test_calibration_of_labels_drawn_from_the_probabilities_is_small():
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.ones(3), 20000)
    labels = (rng.uniform(size=(20000, 1)) > p.cumsum(1)[:, :2]).sum(1)
    assert class_calibration(torch.tensor(p), torch.tensor(labels)).max() < 0.02
    assert class_calibration(torch.tensor(p[:, ::-1].copy()), torch.tensor(labels)).max() > 0.1


# ---------------------------------------------------------------- bad arguments

TWO = torch.tensor([0, 1])


@pytest.mark.parametrize(
    ("predictions", "labels", "m", "message"),
    [
        (TWO, TWO, 1, r"num_classes must be a whole number of at least 2, got 1"),
        (TWO, TWO[:1], 2, r"predictions and labels .* got \(2,\) and \(1,\)"),
        (TWO[:0], TWO[:0], 2, r"with n >= 1, got \(0,\)"),
        (TWO[None], TWO[None], 2, r"shape \(n,\) .* got \(1, 2\)"),
        (TWO.float(), TWO, 2, r"predictions must be class indices, got torch\.float32"),
        (TWO, TWO.float(), 2, r"labels must be class indices, got torch\.float32"),
        (TWO + 1, TWO, 2, r"predictions must be in 0\.\.1, got 1\.\.2"),
        (TWO, TWO - 1, 2, r"labels must be in 0\.\.1, got -1\.\.0"),
    ],
)
def test_per_class_accuracy_names_the_bad_argument(predictions, labels, m, message):
    with pytest.raises(ValueError, match=message):
        per_class_accuracy(predictions, labels, m)


@pytest.mark.parametrize(
    ("logits", "labels", "arguments", "message"),
    [
        (torch.zeros(2), TWO, {}, r"logits must be \(n, m\) and labels \(n,\), got \(2,\)"),
        (torch.zeros(3, 2), TWO, {}, r"logits must be .* got \(3, 2\) and \(2,\)"),
        (torch.full((2, 2), NAN), TWO, {}, r"logits must be finite, got 4"),
        (torch.zeros(2, 2), TWO, {"k": 0}, r"k must be .* at least 1 and at most 2, got 0"),
        (torch.zeros(2, 2), TWO, {"k": 3}, r"k must be .* at most 2, got 3"),
        (torch.zeros(2, 2), TWO, {"bootstrap": -1}, r"bootstrap .* at least 0, got -1"),
        (torch.zeros(2, 2), TWO, {"bootstrap": 1.5}, r"bootstrap .* got 1\.5"),
        (torch.zeros(2, 2), TWO + 1, {}, r"labels must be in 0\.\.1, got 1\.\.2"),
    ],
)
def test_summary_names_the_bad_argument(logits, labels, arguments, message):
    with pytest.raises(ValueError, match=message):
        summary(logits, labels, **arguments)


HALF = torch.full((2, 2), 0.5)


@pytest.mark.parametrize(
    ("probabilities", "labels", "bins", "message"),
    [
        (HALF[0], TWO, 10, r"probabilities must be \(n, m\) .* got \(2,\)"),
        (HALF, TWO[:1], 10, r"labels \(n,\), got \(2, 2\) and \(1,\)"),
        (HALF, TWO, 0, r"bins must be a whole number of at least 1, got 0"),
        (HALF * 2, TWO, 10, r"probabilities .* sum to 1"),
        (HALF * NAN, TWO, 10, r"probabilities must be finite"),
        (HALF, TWO + 1, 10, r"labels must be in 0\.\.1, got 1\.\.2"),
        (HALF, TWO - 1, 10, r"labels must be in 0\.\.1, got -1\.\.0"),
        (HALF, TWO.float(), 10, r"labels"),
        (HALF[:0], TWO[:0], 10, r"probabilities|labels"),
    ],
)
def test_class_calibration_names_the_bad_argument(probabilities, labels, bins, message):
    with pytest.raises(ValueError, match=message):
        class_calibration(probabilities, labels, bins)


@pytest.mark.parametrize(("m", "truth", "n"), [(1, 0.3, 7), (3, 0.5, 4), (10, 0.8, 1000)])
def test_the_smallest_of_equals_agrees_with_a_simulation(m, truth, n):
    draws = np.random.default_rng(0).binomial(n, truth, (20_000, m)).min(1) / n
    error = draws.std() / np.sqrt(len(draws))
    assert abs(smallest_of_equals(m, truth, n) - draws.mean()) < 5 * error


@pytest.mark.parametrize("truth", [0, 1])
def test_the_smallest_of_equals_is_certain_where_every_answer_is(truth):
    assert smallest_of_equals(10, truth, 50) == truth


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ((0, 0.5, 1), "num_classes"),
        ((2, 1.5, 1), "truth"),
        ((2, -0.5, 1), "truth"),
        ((2, 0.5, 0), "images"),
    ],
)
def test_the_smallest_of_equals_names_the_bad_argument(arguments, name):
    with pytest.raises(ValueError, match=f"^{name} must be a"):
        smallest_of_equals(*arguments)


def test_the_smallest_of_equals_of_one_image_is_that_all_are_right():
    assert smallest_of_equals(3, 0.5, 1) == 0.125


POINTS = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=12)


@PROPERTY
@given(POINTS)
def test_pareto_and_hypervolume_agree_with_counting_squares(points):
    """On a 6 x 6 board: a square is reached if some point is above and right of it."""
    beaten = [
        any(q[0] >= p[0] and q[1] >= p[1] and q != p for q in points)
        for p in points  # equal points do not beat each other
    ]
    assert pareto(torch.tensor(points)).tolist() == [not b for b in beaten]
    reached = sum(any(x < p[0] and y < p[1] for p in points) for x in range(6) for y in range(6))
    assert hypervolume(torch.tensor(points) / 6) == pytest.approx(reached / 36)


@pytest.mark.parametrize("function", [pareto, hypervolume])
@pytest.mark.parametrize("points", [torch.ones(2), torch.ones(0, 2), torch.ones(1, 3), [[NAN, 0]]])
def test_points_that_are_not_points_are_named(function, points):
    with pytest.raises(ValueError, match=r"^points must"):
        function(points)


def test_hypervolume_takes_fractions_only():
    with pytest.raises(ValueError, match=r"points must be in 0\.\.1"):
        hypervolume(torch.tensor([[80.0, 10.0]]))


def test_hypervolume_is_double_precision_and_one_accuracy_above_1_is_refused():
    assert hypervolume([[0.1, 0.3]]) == pytest.approx(0.03, rel=1e-14)
    with pytest.raises(ValueError, match=r"^points must be in 0\.\.1"):
        hypervolume([[1.5, 0.5]])


def test_the_whole_set_of_worst_classes_is_the_average_with_its_interval():
    labels = torch.arange(4).repeat_interleave(20)
    logits = torch.randn(80, 4, generator=torch.Generator().manual_seed(0))
    got = summary(logits, labels, k=4, bootstrap=200)
    assert got["worst_k"] == pytest.approx(got["average"])
    assert got["intervals"]["worst_k"] == pytest.approx(got["intervals"]["average"])
    worst_two = summary(logits, labels, k=2, bootstrap=200)["intervals"]["worst_k"]
    assert got["intervals"]["worst"][0] < worst_two[0] < got["intervals"]["average"][0]


def test_defaults_are_those_that_the_docstrings_name():
    labels = torch.arange(4).repeat_interleave(20)
    logits = torch.randn(80, 4, generator=torch.Generator().manual_seed(0))
    first, again, other = (
        summary(logits, labels, bootstrap=50, **seed)["intervals"]
        for seed in ({}, {"seed": 0}, {"seed": 1})
    )
    assert first == again != other
    p = torch.softmax(logits, 1)
    assert torch.equal(class_calibration(p, labels), class_calibration(p, labels, 10))
    assert not torch.equal(class_calibration(p, labels), class_calibration(p, labels, 11))
