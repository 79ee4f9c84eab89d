"""The mathematics at its edges: what must hold for every input, drawn by hypothesis.

Properties of one function stand with its other tests (test_objectives, test_multipliers,
test_metrics, test_theory; tests/README.md says where); here are those at extreme sizes, those that
join several functions, and whether intervals cover what they promise to.

Conventions: n images, m classes, float64 unless it says otherwise. A simulated share of R
repetitions is within 4 standard errors, ``4 sqrt(p (1 - p) / R)``, of its expectation p.
"""

import math
import tempfile
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from rdlite.data import from_arrays, from_folder
from rdlite.metrics import (
    class_calibration,
    hypervolume,
    pareto,
    per_class_accuracy,
    smallest_of_equals,
    summary,
)
from rdlite.multipliers import hedge_step
from rdlite.objectives import Objective, class_risks, margin_loss, reweighted_loss
from rdlite.studies.comparison import Estimate
from rdlite.theory import Population, add_noise, bias, temper

PROPERTY = settings(max_examples=60, deadline=None, derandomize=True)
SEEDS = st.integers(0, 2**32 - 1)
SIZES = st.sampled_from([1e-3, 1.0, 30.0, 1e4])  # of logits


def case(seed, n, m, size, hard):
    """Logits (n, m) up to about ``size`` and targets (n, m), float64; a class may have no mass."""
    rng = np.random.default_rng(seed)
    logits = size * rng.uniform(-1, 1, (n, m))
    targets = np.eye(m)[rng.integers(0, m, n)] if hard else rng.dirichlet(np.full(m, 0.3), n)
    return torch.tensor(logits), torch.tensor(targets)


CASES = (SEEDS, st.integers(1, 20), st.integers(2, 12), SIZES, st.booleans())


# ---------------------------------------------------------------- risks and losses


@PROPERTY
@given(*CASES)
def test_class_risks_are_not_negative_and_average_to_the_cross_entropy(seed, n, m, size, hard):
    logits, targets = case(seed, n, m, size, hard)
    risks, prior = class_risks(logits, targets), targets.mean(0)
    assert torch.equal(risks.isnan(), prior == 0), "NaN for a class without mass, and only there"
    assert (risks[prior > 0] >= 0).all()
    wanted = torch.nn.functional.cross_entropy(logits, targets).item()
    weighted = (prior * risks.nan_to_num(0)).sum().item()
    assert weighted == pytest.approx(wanted, rel=1e-9, abs=1e-12)


@PROPERTY
@given(*CASES, st.floats(1e-6, 1e6))
def test_margin_loss_at_equal_weights_is_the_cross_entropy(seed, n, m, size, hard, level):
    logits, targets = case(seed, n, m, size, hard)
    wanted = torch.nn.functional.cross_entropy(logits, targets).item()
    equal = torch.full((m,), level, dtype=torch.float64)
    assert margin_loss(logits, targets, equal).item() == pytest.approx(wanted, rel=1e-9, abs=1e-9)
    scaled = reweighted_loss(logits, targets, equal).item() / level
    assert scaled == pytest.approx(wanted, rel=1e-9, abs=1e-12)


@PROPERTY
@given(*CASES, st.floats(1e-6, 1e6), st.floats(-1e4, 1e4))
def test_margin_loss_ignores_a_shift_of_each_row_and_the_scale_of_c(
    seed, n, m, size, hard, scale, shift
):
    logits, targets = case(seed, n, m, size, hard)
    rng = np.random.default_rng(seed)
    c = torch.tensor(10 ** rng.uniform(-8, 8, m))
    moved = logits + shift * torch.tensor(rng.uniform(size=(n, 1)))
    before, after = margin_loss(logits, targets, c), margin_loss(moved, targets, scale * c)
    assert before >= 0
    assert after.item() == pytest.approx(before.item(), rel=1e-8, abs=1e-8)


@PROPERTY
@given(SEEDS, st.integers(2, 12), st.sampled_from(["standard", "balanced"]), st.floats(0, 1))
def test_value_of_an_objective_grows_from_its_average_to_the_worst_class(seed, m, anchor, alpha):
    rng = np.random.default_rng(seed)
    risks, prior = (
        torch.tensor(10 ** rng.uniform(-3, 3, m)),
        torch.tensor(rng.dirichlet(np.full(m, 0.2))),
    )
    average, value, more, worst = (
        Objective(a, anchor).value(risks, prior) for a in (0, alpha, (1 + alpha) / 2, 1)
    )
    slack = 1e-9 * worst
    assert average <= value + slack and value <= more + slack and more <= worst + slack
    wanted = (prior if anchor == "standard" else torch.full_like(prior, 1 / m)) @ risks
    assert average == pytest.approx(wanted.item()) and worst == risks.max().item()


# ---------------------------------------------------------------- Hedge

STEPS = st.sampled_from([0.0, 1e-6, 0.2, 1.0, 1e3, 1e6])
RISKS = st.sampled_from([1e-6, 1.0, 1e6])


@PROPERTY
@given(SEEDS, st.integers(2, 30), STEPS, RISKS, st.booleans(), st.booleans())
def test_hedge_step_stays_on_the_simplex_and_follows_a_relabelling(
    seed, m, step, size, negative, single
):
    """At a step size of 1e6, risks of 1e6 and both, of either sign and in either precision."""
    rng = np.random.default_rng(seed)
    dtype = torch.float32 if single else torch.float64
    multipliers = torch.tensor(rng.dirichlet(np.full(m, 0.2)), dtype=dtype)
    risks = torch.tensor(size * rng.uniform(-1 if negative else 0, 1, m), dtype=dtype)
    got = hedge_step(multipliers, risks, step)
    assert torch.isfinite(got).all() and (got >= 0).all()
    assert got.sum().item() == pytest.approx(1, abs=1e-5 if single else 1e-12)
    order = torch.tensor(rng.permutation(m))
    moved = hedge_step(multipliers[order], risks[order], step)
    torch.testing.assert_close(moved, got[order], rtol=1e-4 if single else 1e-9, atol=1e-12)
    assert (got[multipliers == 0] == 0).all()


# ---------------------------------------------------------------- eq. (11)


@PROPERTY
@given(
    SEEDS,
    st.integers(1, 25),
    st.integers(2, 6),
    st.sampled_from(["noise", "temperature", "bias", "unrelated"]),
    st.floats(0.05, 6),
    st.sampled_from([1.0, 100.0, 1e8]),
    SIZES,
)
def test_the_bound_of_eq_11_is_never_violated(seed, n, m, kind, strength, imbalance, size):
    """Teachers that are off in every way, populations with a prior of 1e-8, scorers of any size."""
    population = Population.random(n, m, seed % 10**6, imbalance=imbalance)
    rng = np.random.default_rng(seed)
    p = {
        "noise": lambda: add_noise(population.eta, strength, seed),
        "temperature": lambda: temper(population.eta, strength),
        "bias": lambda: bias(population.eta, 10 ** rng.uniform(-strength, strength, m)),
        "unrelated": lambda: torch.tensor(rng.dirichlet(np.ones(m), n)),
    }[kind]()
    f = torch.tensor(size * rng.uniform(-1, 1, (n, m)))
    distilled, true = population.class_risks(f, p).max(), population.class_risks(f).max()
    bound = population.gap_bound(p, f)
    assert float((distilled - true).abs()) <= bound + 1e-9 * (1 + size)
    assert population.teacher_gap(population.eta) < 1e-12
    assert 0 <= population.teacher_gap(p) <= 2 + 1e-12


# ---------------------------------------------------------------- metrics


@PROPERTY
@given(SEEDS, st.integers(1, 40), st.integers(2, 8), st.integers(1, 12))
def test_accuracy_calibration_and_frontier_do_not_depend_on_the_order(seed, n, m, bins):
    """`summary`'s own is in test_metrics."""
    rng = np.random.default_rng(seed)
    p, labels = torch.tensor(rng.dirichlet(np.ones(m), n)), torch.tensor(rng.integers(0, m, n))
    order = torch.tensor(rng.permutation(n))
    accuracy, calibration = (
        (per_class_accuracy(q.argmax(1), y, m), class_calibration(q, y, bins))
        for q, y in ((p, labels), (p[order], labels[order]))
    )
    for before, after in zip(accuracy, calibration, strict=True):
        torch.testing.assert_close(after, before, rtol=1e-12, atol=1e-12, equal_nan=True)
    points = torch.tensor(rng.integers(0, 5, (n, 2)) / 4)
    assert torch.equal(pareto(points[order]), pareto(points)[order])
    assert hypervolume(points[order]) == pytest.approx(hypervolume(points), abs=1e-12)


# ---------------------------------------------------------------- own images

PARTS = ("train", "heldout", "selection", "test")
ASKED = st.one_of(st.integers(0, 4), st.sampled_from([0.0, 0.05, 0.2]))


@PROPERTY
@given(
    SEEDS,
    st.lists(st.integers(12, 40), min_size=2, max_size=5),
    st.sampled_from([None, 1, 3.5, 100]),
    st.sampled_from([None, 1, 7]),
    ASKED,
    ASKED,
    st.sampled_from([None, 2, 0.1]),
    st.sampled_from([0, 1, 2, 4]),
)
def test_no_image_that_is_given_goes_unmentioned(
    seed, sizes, imbalance, head, heldout, selection, test, group
):
    """Each is in one split or counted as left out, unless an error names a class."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    pixels = np.arange(len(labels), dtype="<u4").view(np.uint8).reshape(-1, 1, 2, 2)
    how = {"imbalance": imbalance, "head": head, "heldout": heldout, "selection": selection}
    if group:
        how["groups"] = rng.permutation(len(labels)) // group
    try:
        splits = from_arrays(pixels, labels, test=test, seed=seed, **how)
    except ValueError as error:
        assert "images of class" in str(error)
        return
    parts = [getattr(splits, part) for part in PARTS if getattr(splits, part) is not None]
    seen = [image.numpy().tobytes() for part in parts for image in part.images]
    assert len({*seen}) == len(seen) and {*seen} <= {image.tobytes() for image in pixels}
    counts = sum(part.class_counts for part in parts) + splits.left_out
    assert counts.tolist() == sizes
    assert imbalance or head or splits.left_out.sum() == 0


FOLDERS = st.sampled_from(["a", "a/x", "b/x/y", ".", "a/train"])
ENDINGS = st.sampled_from([".png", ".BMP", ".txt", ""])
FILES = st.sets(st.builds("{}/{}{}".format, FOLDERS, st.integers(0, 2), ENDINGS), max_size=12)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(FILES)
def test_no_file_that_is_given_goes_unmentioned(files):
    """Each is an image of the class of its folder, or counted in a warning."""
    usual = {f"{name}/usual{i}.png" for name in "ab" for i in range(5)}
    with tempfile.TemporaryDirectory() as root, warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        for file in files | usual:
            path = Path(root, file)
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (4, 4)).save(path, "PNG")
        splits = from_folder(root, size=4)
    read = {f for f in files | usual if f[0] in "ab" and f.lower().endswith(("png", "bmp"))}
    parts = (splits.train, splits.heldout, splits.test)
    counts = sum(part.class_counts for part in parts) + splits.left_out
    assert counts.tolist() == [sum(file[0] == name for file in read) for name in "ab"]
    others = len(files | usual) - len(read)
    assert [str(one.message).split()[0] for one in told] == [str(others)] * (others > 0)


# ---------------------------------------------------------------- what intervals cover

REPETITIONS = 400
NOMINAL = 0.95


def margin(p, repetitions=REPETITIONS):
    """4 standard errors of a simulated share."""
    return 4 * math.sqrt(p * (1 - p) / repetitions)


def simulated(truth, images, name):
    """(REPETITIONS, 2): intervals of `summary` on test sets drawn at these accuracies."""
    rng, m = np.random.default_rng(0), len(truth)
    labels = np.repeat(np.arange(m), images)
    ends = []
    for seed in range(REPETITIONS):
        right = rng.uniform(size=len(labels)) < np.repeat(truth, images)
        logits = torch.eye(m)[torch.tensor(np.where(right, labels, (labels + 1) % m))]
        got = summary(logits, torch.tensor(labels), k=2, bootstrap=300, seed=seed)
        ends.append(got["intervals"][name])
    return np.array(ends)


def covered(ends, truth):
    return ((ends[:, 0] <= truth) & (truth <= ends[:, 1])).mean()


APART = np.array([0.3, 0.6, 0.7, 0.8, 0.9])  # the worst class stands 6 standard errors apart
EQUAL = np.full(10, 0.7)


@pytest.mark.parametrize("truth", [APART, EQUAL], ids=["apart", "equal"])
def test_the_interval_of_the_average_covers_it_at_the_nominal_rate(truth):
    share = covered(simulated(truth, 100, "average"), truth.mean())
    assert abs(share - NOMINAL) <= margin(NOMINAL)


def test_the_interval_of_a_worst_class_that_stands_apart_covers_it_at_the_nominal_rate():
    share = covered(simulated(APART, 100, "worst"), APART.min())
    assert abs(share - NOMINAL) <= margin(NOMINAL)


@pytest.mark.parametrize("name, k", [("worst", 1), ("worst_k", 2)])
@pytest.mark.parametrize("truth", [APART, EQUAL], ids=["apart", "equal"])
def test_intervals_of_the_worst_classes_seldom_lie_above_them(truth, name, k):
    """The promise that holds whatever the accuracies are: the worst class is not flattered."""
    low = simulated(truth, 100, name)[:, 0]
    assert (low <= np.sort(truth)[:k].mean()).mean() >= 0.975 - margin(0.975)


def test_where_all_classes_are_equal_the_interval_of_the_worst_lies_too_low():
    """What it cannot do, as its docstring says: the smallest of noisy numbers is biased, and the
    smallest of resampled noisy numbers twice. The floor to compare with is `smallest_of_equals`."""
    ends = simulated(EQUAL, 100, "worst")
    assert covered(ends, 0.7) < 0.1
    assert (ends[:, 1] < 0.7).mean() > 0.9
    assert ends.mean() < smallest_of_equals(10, 0.7, 100) < 0.7


@pytest.mark.parametrize("seeds", [40, 3])
def test_the_interval_over_seeds_covers_with_many_seeds_and_with_few(seeds):
    """Student's t knows how little three numbers say about their own spread."""
    rng, hits = np.random.default_rng(0), []
    for _ in range(REPETITIONS):
        one = Estimate.of(rng.normal(0.1, 0.02, seeds))
        hits.append(one.low <= 0.1 <= one.high)
    assert abs(np.mean(hits) - 0.95) <= margin(0.95)
