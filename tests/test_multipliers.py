"""Eq. (6): hand numbers, NumPy, invariances and the regret bound behind eq. (9)."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rdlite.multipliers import guaranteed_step_size, hedge_step, uniform

PROPERTY = settings(max_examples=40, deadline=None, derandomize=True)
SEEDS = st.integers(0, 2**32 - 1)


def case(seed, m):
    """Multipliers on the simplex and risks, (m,) float64 each."""
    rng = np.random.default_rng(seed)
    return torch.tensor(rng.dirichlet(np.ones(m))), torch.tensor(rng.exponential(size=m))


@pytest.mark.parametrize(
    ("multipliers", "risks", "step_size", "wanted"),
    [
        ([0.5, 0.5], [0.0, math.log(3)], 1.0, [0.25, 0.75]),
        ([0.5, 0.5], [0.0, math.log(3)], 2.0, [0.1, 0.9]),
        ([0.75, 0.25], [0.0, math.log(3)], 1.0, [0.5, 0.5]),
        ([0.2, 0.3, 0.5], [7.0, 7.0, 7.0], 1.0, [0.2, 0.3, 0.5]),
        ([1.0, 0.0], [0.0, 5.0], 1.0, [1.0, 0.0]),
    ],
)
def test_hand_numbers(multipliers, risks, step_size, wanted):
    got = hedge_step(torch.tensor(multipliers), torch.tensor(risks), step_size)
    np.testing.assert_allclose(got, wanted, rtol=1e-6)


@PROPERTY
@given(SEEDS, st.integers(2, 20), st.floats(0, 20))
def test_step_equals_eq_6_in_numpy(seed, m, step_size):
    multipliers, risks = case(seed, m)
    raised = multipliers.numpy() * np.exp(step_size * risks.numpy())
    got = hedge_step(multipliers, risks, step_size)
    np.testing.assert_allclose(got, raised / raised.sum(), rtol=1e-9)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("scale", [1e6, -1e6])
@pytest.mark.parametrize("step_size", [1e-6, 1.0, 1e6])
def test_result_is_on_the_simplex_at_any_scale(dtype, scale, step_size):
    multipliers, risks = case(0, 5)
    got = hedge_step(multipliers.to(dtype), (scale * risks).to(dtype), step_size)
    assert got.dtype == dtype
    assert (got >= 0).all()
    assert got.sum().item() == pytest.approx(1, rel=1e-5)


@pytest.mark.parametrize(("dtype", "huge"), [(torch.float32, 1e30), (torch.float64, 1e200)])
def test_no_step_size_and_risk_overflow_together(dtype, huge):
    halves, risks = torch.tensor([[0.5, 0.5], [huge, 0.0]], dtype=dtype)
    assert hedge_step(halves, risks, huge).tolist() == [1.0, 0.0]


@PROPERTY
@given(SEEDS, st.integers(2, 20), st.floats(0, 20))
def test_relabelling_the_classes_permutes_the_result(seed, m, step_size):
    multipliers, risks = case(seed, m)
    order = np.random.default_rng(seed).permutation(m)
    np.testing.assert_allclose(
        hedge_step(multipliers[order], risks[order], step_size),
        hedge_step(multipliers, risks, step_size)[order],
        rtol=1e-9,
    )


@PROPERTY
@given(SEEDS, st.integers(2, 20), st.floats(-100, 100))
def test_a_constant_added_to_all_risks_changes_nothing(seed, m, constant):
    multipliers, risks = case(seed, m)
    np.testing.assert_allclose(
        hedge_step(multipliers, risks + constant, 0.7),
        hedge_step(multipliers, risks, 0.7),
        rtol=1e-9,
    )


def test_result_is_a_new_tensor_and_the_arguments_are_unchanged():
    multipliers, risks = case(1, 4)
    before = multipliers.clone(), risks.clone()
    got = hedge_step(multipliers, risks, 0.5)
    got.zero_()
    assert torch.equal(multipliers, before[0])
    assert torch.equal(risks, before[1])


@PROPERTY
@given(SEEDS, st.integers(2, 20))
def test_zero_step_size_keeps_the_multipliers(seed, m):
    multipliers, risks = case(seed, m)
    np.testing.assert_allclose(hedge_step(multipliers, risks, 0), multipliers, rtol=1e-12)


@PROPERTY
@given(SEEDS, st.integers(2, 20), st.floats(0.01, 5))
def test_larger_risk_gets_the_larger_multiplier(seed, m, step_size):
    _, risks = case(seed, m)
    got = hedge_step(uniform(m), risks, step_size)
    assert (got[risks.argsort()].diff() > 0).all()


def test_zero_multiplier_stays_zero_at_the_largest_risk():
    got = hedge_step(torch.tensor([0.0, 0.5, 0.5]), torch.tensor([100.0, 1.0, 2.0]), 3.0)
    assert got[0] == 0
    assert got[1:].sum().item() == pytest.approx(1)


def test_risks_of_another_float_type_are_taken():
    got = hedge_step(uniform(2), torch.tensor([0.0, math.log(3)], dtype=torch.float32), 1.0)
    assert got.dtype == torch.float64
    np.testing.assert_allclose(got, [0.25, 0.75], rtol=1e-6)


@pytest.mark.parametrize("m", [2, 3, 100])
def test_uniform_gives_each_class_one_over_m(m):
    assert uniform(m).tolist() == [1 / m] * m


@pytest.mark.parametrize(
    ("m", "rounds", "bound", "wanted"),
    [
        (2, 8, 1.0, math.sqrt(math.log(2))),
        (2, 8, 2.0, math.sqrt(math.log(2)) / 2),
        (10, 60, 2.0, 0.27704),
        (10, 240, 2.0, 0.13852),
    ],
)
def test_guaranteed_step_size_is_that_of_eq_9(m, rounds, bound, wanted):
    assert guaranteed_step_size(m, rounds, bound) == pytest.approx(wanted, rel=1e-4)


def play(m, rounds, bound, payoff):
    """Average regret of `hedge_step` against ``payoff(k, multipliers) -> (m,)`` in [0, bound]."""
    step_size = guaranteed_step_size(m, rounds, bound)
    multipliers, total, earned = uniform(m), np.zeros(m), 0.0
    for k in range(rounds):
        risks = payoff(k, multipliers.numpy())
        total += risks
        earned += multipliers.numpy() @ risks
        multipliers = hedge_step(multipliers, torch.tensor(risks), step_size)
    return (total.max() - earned) / rounds, bound * math.sqrt(math.log(m) / (2 * rounds))


@PROPERTY
@given(SEEDS, st.integers(2, 8), st.integers(1, 60), st.floats(0.1, 10))
def test_regret_is_within_the_bound_for_random_payoffs(seed, m, rounds, bound):
    rng = np.random.default_rng(seed)
    regret, allowed = play(m, rounds, bound, lambda k, multipliers: rng.uniform(0, bound, m))
    assert regret <= allowed + 1e-9


@pytest.mark.parametrize("m", [2, 5])
@pytest.mark.parametrize(
    "name", ["one class always", "the class with the least", "taking turns", "a late change"]
)
def test_regret_is_within_the_bound_for_payoffs_against_the_player(name, m):
    rounds, bound = 200, 2.0
    chosen = {
        "one class always": lambda k, multipliers: 0,
        "the class with the least": lambda k, multipliers: multipliers.argmin(),
        "taking turns": lambda k, multipliers: k % m,
        "a late change": lambda k, multipliers: int(k > rounds / 3),
    }[name]
    regret, allowed = play(m, rounds, bound, lambda k, x: bound * np.eye(m)[chosen(k, x)])
    assert regret <= allowed + 1e-9


def test_regret_bound_is_not_idle():
    regret, allowed = play(2, 200, 2.0, lambda k, multipliers: np.array([2.0, 0.0]))
    assert regret > allowed / 3


HALVES = [0.5, 0.5]


@pytest.mark.parametrize(
    ("multipliers", "risks", "step_size", "message"),
    [
        (HALVES, [1.0, 2.0, 3.0], 1.0, r"risks must have shape \(2,\).* got \(3,\)"),
        (HALVES, [[1.0, 2.0]], 1.0, r"risks must have shape \(2,\).* got \(1, 2\)"),
        ([HALVES], [1.0, 2.0], 1.0, r"multipliers must have shape \(m,\), got \(1, 2\)"),
        (HALVES, [1.0, float("nan")], 1.0, r"risks must be finite, got 1 NaN"),
        (HALVES, [1.0, float("inf")], 1.0, r"risks must be finite"),
        (HALVES, [1.0, 2.0], -0.1, r"step_size must be a number in \[0, inf\], got -0\.1"),
        (HALVES, [1.0, 2.0], float("nan"), r"step_size .* got nan"),
        (HALVES, [1.0, 2.0], float("inf"), r"step_size .* got inf"),
        (HALVES, [1.0, 2.0], "1", r"step_size .* got '1'"),
        ([0.5, 0.6], [1.0, 2.0], 1.0, r"multipliers .* sum to 1.* a sum of 1\.1"),
        ([1.5, -0.5], [1.0, 2.0], 1.0, r"multipliers must be non-negative.* -0\.5"),
        ([float("nan"), 1.0], [1.0, 2.0], 1.0, r"multipliers must be finite"),
    ],
)
def test_hedge_step_names_the_bad_argument(multipliers, risks, step_size, message):
    with pytest.raises(ValueError, match=message):
        hedge_step(torch.tensor(multipliers), torch.tensor(risks), step_size)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((1, 10, 1.0), r"num_classes must be a whole number of at least 2, got 1"),
        ((2.0, 10, 1.0), r"num_classes .* got 2\.0"),
        ((2, 0, 1.0), r"rounds must be a whole number of at least 1, got 0"),
        ((2, 10, 0.0), r"bound must be a number in \(0, inf\], got 0\.0"),
        ((2, 10, -1), r"bound .* got -1"),
        ((2, 10, float("inf")), r"bound .* got inf"),
    ],
)
def test_guaranteed_step_size_names_the_bad_argument(arguments, message):
    with pytest.raises(ValueError, match=message):
        guaranteed_step_size(*arguments)


@pytest.mark.parametrize("m", [1, 0, 2.5])
def test_uniform_names_a_bad_number_of_classes(m):
    with pytest.raises(ValueError, match=rf"num_classes must be a whole number .* got {m}"):
        uniform(m)


def test_hedge_step_keeps_the_precision_of_the_multipliers():
    half = torch.tensor(HALVES)
    assert hedge_step(half, torch.ones(2).double(), 1.0).dtype == half.dtype == torch.float32
    assert hedge_step(half.double(), torch.ones(2), 1.0).dtype == torch.float64


def test_the_largest_risk_of_a_class_without_a_multiplier_does_not_count():
    """Gains are below the largest that counts, or those of the others would be minus infinity."""
    multipliers, risks = torch.tensor([0.0, 0.5, 0.5]), torch.tensor([1e38, 0.0, 0.0])
    assert hedge_step(multipliers, risks, 1e38).tolist() == [0.0, 0.5, 0.5]
