"""rdlite.theory against numpy, hand values and the statements of the method.

Conventions: n points, m classes, nats. ``reference_*`` functions are plain numpy loops that share
no code with the library. P is a population, f a scorer, p a teacher.
"""

import math
import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rdlite.objectives import BALANCED, ROBUST, STANDARD, Objective
from rdlite.theory import Population, add_noise, bias, hedge_curve, regret_bound, temper
from rdlite.theory.game import bounded
from rdlite.theory.mixture import GaussianMixture
from rdlite.theory.teachers import distort

SEEDS = range(4)
CHECKED = settings(max_examples=15, deadline=None, derandomize=True)


def reference_losses(f):
    f = np.asarray(f, dtype=np.float64)
    top = f.max(1, keepdims=True)
    return top + np.log(np.exp(f - top).sum(1, keepdims=True)) - f


def reference_risks(weights, p, f):
    q, p, loss = np.asarray(weights), np.asarray(p), reference_losses(f)
    n, m = p.shape
    risks = []
    for y in range(m):
        mass = sum(q[i] * p[i, y] for i in range(n))
        risks.append(sum(q[i] * p[i, y] * loss[i, y] for i in range(n)) / mass)
    return np.array(risks)


def reference_value(objective, anchor, risks):
    return (1 - objective.alpha) * float(anchor @ risks) + objective.alpha * float(risks.max())


def random_teacher(population, generator, scale=1.5):
    noise = torch.randn(population.eta.shape, generator=generator, dtype=torch.float64)
    return torch.softmax(population.eta.log() + scale * noise, 1)


def worst(population, scorer):
    return float(population.class_risks(scorer).max())


# Populations and risks


def test_a_population_rescales_to_the_simplex_and_keeps_no_alias_of_its_arguments():
    weights, eta = torch.tensor([0.5, 0.5]), torch.tensor([[0.9, 0.1], [0.3, 0.7]])
    population = Population(weights, eta)
    eta[0] = torch.tensor([0.0, 1.0])
    assert population.eta.dtype == torch.float64
    assert torch.allclose(population.prior, torch.tensor([0.6, 0.4], dtype=torch.float64))
    assert torch.allclose(population.eta.sum(1), torch.ones(2, dtype=torch.float64), atol=1e-15)
    with pytest.raises(AttributeError):
        population.eta = eta


def test_what_is_nearly_on_the_simplex_is_divided_by_its_sum():
    """As softmax in float32 leaves it; `allclose` without a relative tolerance."""
    weights, eta = np.array([0.5004, 0.5]), np.array([[0.9, 0.1005], [0.3, 0.6992]])
    population = Population(torch.tensor(weights), torch.tensor(eta))
    rows = eta / eta.sum(1, keepdims=True)
    np.testing.assert_allclose(population.weights, weights / 1.0004, rtol=1e-15)
    np.testing.assert_allclose(population.eta, rows, rtol=1e-15)
    p = eta[::-1].copy()
    same = [population.class_risks(torch.eye(2), torch.tensor(q)) for q in (p, rows[::-1].copy())]
    np.testing.assert_allclose(*same, rtol=1e-15)


@pytest.mark.parametrize("seed", SEEDS)
def test_class_risks_equal_a_numpy_loop_for_labels_and_for_a_teacher(seed):
    population = Population.random(15, 4, seed)
    generator = torch.Generator().manual_seed(seed)
    f = 3 * torch.randn(15, 4, generator=generator, dtype=torch.float64)
    p = random_teacher(population, generator)
    for targets in (None, p):
        expected = reference_risks(population.weights, population.eta if targets is None else p, f)
        np.testing.assert_allclose(population.class_risks(f, targets), expected, rtol=1e-12)


def test_class_risks_are_a_sample_mean_for_one_hot_rows():
    labels = torch.tensor([0, 0, 1, 2])
    eta = torch.nn.functional.one_hot(labels).double()
    f = torch.arange(12.0, dtype=torch.float64).reshape(4, 3).sin()
    loss = torch.nn.functional.cross_entropy(f, labels, reduction="none")
    expected = torch.stack([loss[labels == y].mean() for y in range(3)])
    risks = Population(torch.full((4,), 0.25), eta).class_risks(f)
    assert torch.allclose(risks, expected, atol=1e-14)


def test_a_random_population_is_drawn_as_its_docstring_says():
    """In float64, by NumPy from the same draws: seed 0, imbalance 10 and spread 2 by default."""
    generator = torch.Generator().manual_seed(0)
    weights = 0.1 + torch.rand(7, generator=generator, dtype=torch.float64).numpy()
    noise = torch.randn(7, 4, generator=generator, dtype=torch.float64).numpy()
    joint = np.exp(2 * noise) / 10 ** (np.arange(4) / 3)
    population = Population.random(7, 4)
    np.testing.assert_allclose(population.weights, weights / weights.sum(), rtol=1e-14)
    np.testing.assert_allclose(population.eta, joint / joint.sum(1, keepdims=True), rtol=1e-12)
    assert Population.random(1, 2, sharpness=0).eta.shape == (1, 2)


def test_bounded_probabilities_have_mass_1_in_float64():
    p, above = bounded(Population.random(50, 6).eta, 0.1)
    np.testing.assert_allclose(p.sum(1), 1, rtol=1e-14)
    assert (p[~above] == 0.1).all() and (~above).any() and (p[above] > 0.1).all()


def test_a_random_population_is_fixed_by_its_seed_and_has_the_long_tail_asked_for():
    assert torch.equal(Population.random(9, 3, 4).eta, Population.random(9, 3, 4).eta)
    assert not torch.equal(Population.random(9, 3, 4).eta, Population.random(9, 3, 5).eta)
    prior = Population.random(3000, 3, 0, imbalance=100.0).prior
    assert prior[0] > 2 * prior[1] > 4 * prior[2]
    flat = Population.random(3000, 3, 0, imbalance=1.0).prior
    assert float((flat - 1 / 3).abs().max()) < 0.03


# Best responses, eq. (5)


@pytest.mark.parametrize("seed", SEEDS)
def test_bayes_is_in_proportion_to_class_weights_times_eta(seed):
    population = Population.random(12, 3, seed)
    c = torch.tensor([0.5, 1.0, 7.0], dtype=torch.float64)
    p = temper(population.eta, 2.0)
    for targets in (None, p):
        product = np.asarray(c) * np.asarray(population.eta if targets is None else p)
        expected = np.log(product / product.sum(1, keepdims=True))
        np.testing.assert_allclose(population.bayes(c, targets), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("seed", SEEDS)
def test_bayes_with_a_loss_bound_keeps_it_and_beats_random_scorers_that_keep_it(seed):
    population = Population.random(10, 4, seed, sharpness=4.0)
    c = torch.tensor([1.0, 0.3, 2.0, 4.0], dtype=torch.float64)
    weights, bound = np.asarray(population.prior * c), 2.5
    best = population.bayes(c, loss_bound=bound)
    assert float(-best.min()) <= bound + 1e-12
    assert float(-best.min()) >= bound - 1e-12  # the bound binds here
    np.testing.assert_allclose(best.exp().sum(1), 1, atol=1e-14)
    lowest = weights @ reference_risks(population.weights, population.eta, best)
    random = np.random.default_rng(seed)
    floor = math.exp(-bound)
    for mix in random.uniform(0, 1, 100):
        other = (1 - mix) * best.exp().numpy() + mix * (
            floor + (1 - 4 * floor) * random.dirichlet([0.5] * 4, 10)
        )
        risks = reference_risks(population.weights, population.eta, np.log(other))
        assert weights @ risks >= lowest - 1e-12


@pytest.mark.parametrize("scale", [1e-300, 1e200])
def test_only_the_ratios_of_class_weights_matter_at_any_scale(scale):
    population, c = Population.random(5, 3), torch.tensor([0.5, 1.0, 7.0], dtype=torch.float64)
    torch.testing.assert_close(population.bayes(c * scale), population.bayes(c))


def test_bayes_is_finite_where_eta_is_zero():
    population = Population([0.5, 0.5], torch.eye(2))
    scorer = population.bayes(torch.ones(2))
    assert bool(torch.isfinite(scorer).all())
    assert float(population.class_risks(scorer).max()) < 1e-12


@pytest.mark.parametrize("bound", [2.0, 30.0])
def test_the_slope_of_the_risks_in_the_multipliers_equals_finite_differences(bound):
    population = Population.random(10, 3, 1, sharpness=4.0)
    game = population.game(Objective(0.6), loss_bound=bound)
    multipliers = torch.tensor([0.2, 0.5, 0.3], dtype=torch.float64)
    _, _, slope = game.respond(multipliers)
    for move in ([1.0, -1.0, 0.0], [0.0, 1.0, -1.0]):
        step = 1e-6 * torch.tensor(move, dtype=torch.float64)
        change = (game.respond(multipliers + step)[1] - game.respond(multipliers - step)[1]) / 2e-6
        np.testing.assert_allclose(slope @ step / 1e-6, change, atol=1e-7)


# Exact solutions, eqs (3) and (5)


@pytest.mark.parametrize("seed", SEEDS)
def test_alpha_zero_gives_the_bayes_scorers_of_the_anchor(seed):
    population = Population.random(20, 4, seed)
    eta, prior = np.asarray(population.eta), np.asarray(population.prior)
    for objective, product in ((STANDARD, eta), (BALANCED, eta / prior)):
        scorer, _ = population.solve(objective)
        np.testing.assert_allclose(
            scorer.exp(), product / product.sum(1, keepdims=True), rtol=1e-9, atol=1e-12
        )


@CHECKED
@given(
    seed=st.integers(0, 10**6),
    m=st.integers(2, 6),
    imbalance=st.sampled_from([1.0, 10.0, 1000.0]),
    distilled=st.booleans(),
)
def test_the_robust_solution_equalises_all_class_risks(seed, m, imbalance, distilled):
    population = Population.random(40, m, seed, imbalance=imbalance)
    targets = add_noise(population.eta, 1.0, seed) if distilled else None
    scorer, multipliers = population.solve(ROBUST, targets)
    risks = reference_risks(population.weights, targets if distilled else population.eta, scorer)
    assert float(multipliers.min()) > 0 and float(multipliers.sum()) == pytest.approx(1)
    counted = np.asarray(multipliers) > 1e-4
    assert counted.sum() >= 2
    assert np.ptp(risks[counted]) < 1e-6
    assert (risks[~counted] <= risks.max() + 1e-9).all()


@CHECKED
@given(
    seed=st.integers(0, 10**6),
    alpha=st.floats(0, 1),
    anchor=st.sampled_from(["standard", "balanced", (0.0, 3.0, 1.0)]),
    bound=st.sampled_from([2.0, 30.0]),
)
def test_the_solution_attains_its_dual_value_and_is_the_best_response_to_it(
    seed, alpha, anchor, bound
):
    population = Population.random(12, 3, seed)
    objective = Objective(alpha, anchor)
    scorer, multipliers = population.solve(objective, loss_bound=bound)
    prior = np.asarray(population.prior)
    a = np.asarray(objective.anchor_weights(population.prior))
    risks = reference_risks(population.weights, population.eta, scorer)
    w = (1 - alpha) * a + alpha * np.asarray(multipliers)
    assert reference_value(objective, a, risks) == pytest.approx(w @ risks, abs=2e-8)
    again = population.bayes(torch.tensor(np.maximum(w / prior, 1e-200)), loss_bound=bound)
    np.testing.assert_allclose(again, scorer, atol=1e-9)


@pytest.mark.parametrize("seed", SEEDS)
def test_two_classes_agree_with_bisection_on_the_multiplier(seed):
    population = Population.random(25, 2, seed)
    eta, prior = np.asarray(population.eta), np.asarray(population.prior)
    low, high = 0.0, 1.0  # multiplier of class 1; its risk falls as it grows
    for _ in range(80):
        middle = (low + high) / 2
        product = np.array([1 - middle, middle]) / prior * eta
        risks = reference_risks(population.weights, eta, np.log(product))
        low, high = (middle, high) if risks[1] > risks[0] else (low, middle)
    scorer, multipliers = population.solve(ROBUST)
    assert float(multipliers[1]) == pytest.approx(middle, abs=1e-7)
    assert worst(population, scorer) == pytest.approx(risks.max(), abs=1e-8)


@pytest.mark.parametrize("alpha", [0.3, 1.0])
def test_no_multipliers_on_a_fine_grid_have_a_larger_dual_value(alpha):
    population = Population.random(20, 3, 3)
    objective = Objective(alpha, "standard")
    eta, prior = np.asarray(population.eta), np.asarray(population.prior)
    q = np.asarray(population.weights)
    steps = np.arange(1, 100) / 100
    grid = np.array([(u, v, 1 - u - v) for u in steps for v in steps if u + v < 0.995])
    w = (1 - alpha) * prior + alpha * grid  # (g, 3)
    joint = w[:, None] / prior * eta  # (g, n, 3)
    dual = (-(joint * np.log(joint / joint.sum(2, keepdims=True))).sum(2) * q).sum(1)
    scorer, _ = population.solve(objective)
    optimum = reference_value(objective, prior, reference_risks(q, eta, scorer))
    assert dual.max() <= optimum + 1e-9
    assert dual.max() >= optimum - 1e-3


@pytest.mark.parametrize("objective", [STANDARD, BALANCED, ROBUST, Objective(0.5, "standard")])
def test_the_solution_beats_200_random_scorers_and_perturbations(objective):
    population = Population.random(20, 4, 1)
    anchor = np.asarray(objective.anchor_weights(population.prior))
    best, _ = population.solve(objective)
    q, eta = population.weights, population.eta
    optimum = reference_value(objective, anchor, reference_risks(q, eta, best))
    generator = torch.Generator().manual_seed(0)
    for k in range(200):
        noise = torch.randn(best.shape, generator=generator, dtype=torch.float64)
        other = 2 * noise if k % 2 else best + 10.0 ** -(k % 7) * noise
        assert reference_value(objective, anchor, reference_risks(q, eta, other)) > optimum


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("anchor", ["standard", "balanced"])
def test_alpha_between_trades_the_anchor_risk_for_the_worst_risk(seed, anchor):
    population = Population.random(30, 4, seed)
    a = Objective(0.0, anchor).anchor_weights(population.prior)
    risks = [
        population.class_risks(population.solve(Objective(alpha, anchor))[0])
        for alpha in (0.0, 0.25, 0.5, 0.75, 1.0)
    ]
    anchored, largest = [float(a @ r) for r in risks], [float(r.max()) for r in risks]
    assert all(x <= y + 1e-8 for x, y in pairwise(anchored))
    assert all(x >= y - 1e-8 for x, y in pairwise(largest))
    assert anchored[0] < anchored[1] - 1e-4 and largest[0] > largest[1] + 1e-4


def test_a_class_with_an_easier_problem_of_its_own_gets_no_multiplier_that_counts():
    eta = torch.zeros(4, 4, dtype=torch.float64)
    eta[:2, :2] = torch.tensor([[0.6, 0.4], [0.4, 0.6]])  # hard
    eta[2:, 2:] = torch.tensor([[0.95, 0.05], [0.05, 0.95]])  # easy, and on points of its own
    population = Population([0.3, 0.3, 0.2, 0.2], eta)
    scorer, multipliers = population.solve(ROBUST)
    risks = population.class_risks(scorer)
    hard = -0.6 * math.log(0.6) - 0.4 * math.log(0.4)
    assert torch.allclose(risks[:2], torch.full((2,), hard, dtype=torch.float64), atol=1e-7)
    assert float(multipliers[2:].max()) < 1e-6
    assert float(risks[2:].max()) < hard


def test_a_class_without_overlap_costs_nothing_and_is_solved():
    population = Population([0.5, 0.3, 0.2], torch.eye(3))
    scorer, _ = population.solve(ROBUST)
    assert worst(population, scorer) < 1e-11


def test_solve_says_so_when_it_cannot_prove_its_answer(monkeypatch):
    start = torch.full((4,), 0.25, dtype=torch.float64)
    monkeypatch.setattr("rdlite.theory.game.Game.maximise", lambda self: start)
    with pytest.raises(RuntimeError, match="nats from the optimum"):
        Population.random(10, 4).solve(ROBUST)


# Teachers, eqs (10) and (11)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_teacher_gap_equals_a_numpy_sum_and_is_zero_for_eta_alone(seed):
    population = Population.random(15, 3, seed)
    q, eta = np.asarray(population.weights), np.asarray(population.eta)
    p = random_teacher(population, torch.Generator().manual_seed(seed)).numpy()
    expected = max(
        sum(q * abs(p[:, y] / (q @ p[:, y]) - eta[:, y] / (q @ eta[:, y]))) for y in range(3)
    )
    assert population.teacher_gap(torch.tensor(p)) == pytest.approx(expected, rel=1e-12)
    assert population.teacher_gap(population.eta) < 1e-15


def test_the_worst_risk_bound_of_a_teacher_holds_in_500_random_cases_and_is_not_idle():
    generator = torch.Generator().manual_seed(0)
    shares = []
    for case in range(500):
        m = 2 + case % 5
        population = Population.random(3 + case % 30, m, case, imbalance=1.0 + case % 90)
        p = random_teacher(population, generator, scale=0.1 + case % 4)
        noise = torch.randn(population.eta.shape, generator=generator, dtype=torch.float64)
        f = population.bayes(1 / population.prior) if case % 3 == 0 else (1 + case % 5) * noise
        distilled = float(population.class_risks(f, p).max())
        gap, bound = abs(distilled - worst(population, f)), population.gap_bound(p, f)
        assert gap <= bound + 1e-12
        shares.append(gap / bound)
    assert max(shares) > 0.25


def test_the_bound_uses_the_largest_loss_of_the_scorer_over_points_that_occur():
    population = Population([0.5, 0.5, 0.0], [[0.9, 0.1], [0.2, 0.8], [0.5, 0.5]])
    f = torch.tensor([[0.0, 1.0], [2.0, 0.0], [0.0, 50.0]])
    p = torch.tensor([[0.7, 0.3], [0.2, 0.8], [0.5, 0.5]], dtype=torch.float64)
    expected = reference_losses(f)[:2].max() * population.teacher_gap(p)
    assert population.gap_bound(p, f) == pytest.approx(expected, rel=1e-12)
    assert population.gap_bound(population.eta, f) < 1e-15


@pytest.mark.parametrize("seed", SEEDS)
def test_a_bayes_teacher_makes_the_best_student_and_balanced_or_robust_teachers_a_worse_one(seed):
    population = Population.random(40, 4, seed)
    optimum = worst(population, population.solve(ROBUST)[0])
    standard, balanced, robust = (
        population.solve(objective)[0].exp() for objective in (STANDARD, BALANCED, ROBUST)
    )
    assert population.teacher_gap(standard) < 1e-9
    assert worst(population, population.solve(ROBUST, standard)[0]) == pytest.approx(
        optimum, abs=1e-7
    )
    for teacher in (balanced, robust):
        assert population.teacher_gap(teacher) > 0.05
        student, _ = population.solve(ROBUST, teacher)
        assert worst(population, student) > optimum + 0.02


def test_the_robust_teacher_is_eta_biased_by_its_class_weights():
    population = Population.random(20, 3, 2)
    scorer, multipliers = population.solve(ROBUST)
    c = ROBUST.class_weights(multipliers, population.prior)
    assert torch.allclose(bias(population.eta, c), scorer.exp(), atol=1e-9)


@pytest.mark.parametrize("seed", SEEDS)
def test_every_distortion_gives_a_gap_and_a_student_no_better_than_the_optimum(seed):
    population = Population.random(30, 3, seed)
    optimum = worst(population, population.solve(ROBUST)[0])
    teachers = [
        temper(population.eta, 3.0),
        temper(population.eta, 0.3),
        bias(population.eta, torch.tensor([1.0, 4.0, 9.0])),
        add_noise(population.eta, 1.0, seed),
    ]
    for teacher in teachers:
        assert population.teacher_gap(teacher) > 0.01
        assert worst(population, population.solve(ROBUST, teacher)[0]) > optimum + 1e-4


def test_distortions_are_row_stochastic_and_do_nothing_at_their_neutral_value():
    p = torch.tensor([[0.7, 0.2, 0.1], [0.0, 0.5, 0.5]], dtype=torch.float64)
    neutral = [temper(p, 1.0), bias(p, torch.full((3,), 5.0)), add_noise(p, 0.0)]
    moved = [temper(p, 4.0), bias(p, torch.tensor([1.0, 2.0, 3.0])), add_noise(p, 2.0, 1)]
    for q in neutral:
        assert torch.allclose(q, p, atol=1e-15)
    for q in moved:
        assert torch.allclose(q.sum(1), torch.ones(2, dtype=torch.float64), atol=1e-15)
        assert float(q[1, 0]) == 0 and not torch.allclose(q[0], p[0], atol=1e-3)


def test_distortions_have_their_hand_values():
    p = torch.tensor([[0.8, 0.2]], dtype=torch.float64)
    assert float(temper(p, 2.0)[0, 0]) == pytest.approx(2 / 3)  # odds 4 -> 2
    assert float(bias(p, torch.tensor([1.0, 2.0]))[0, 0]) == pytest.approx(2 / 3)
    odds = add_noise(p.expand(20_000, 2), 0.5).log().diff(dim=1)
    assert float(odds.mean()) == pytest.approx(-math.log(4), abs=0.03)
    assert float(odds.std()) == pytest.approx(0.5 * math.sqrt(2), abs=0.03)
    assert torch.equal(add_noise(p, 1.0, 7), add_noise(p, 1.0, 7))
    assert not torch.equal(add_noise(p, 1.0, 7), add_noise(p, 1.0, 8))


def test_distort_is_the_distortion_of_its_name():
    population = Population.random(20, 4)
    eta, prior = population.eta, population.prior
    rarest = torch.ones(4, dtype=torch.float64)
    rarest[prior.argmin()] = np.exp(0.7)
    expected = {
        "none": eta,
        "temperature": temper(eta, float(np.exp(0.7))),
        "rare": bias(eta, rarest),
        "noise": add_noise(eta, 0.7, 3),
    }
    for kind, p in expected.items():
        assert torch.allclose(distort(eta, prior, kind, 0.7, seed=3), p, atol=1e-14)
        assert torch.allclose(distort(eta, prior, kind, 0.0, seed=3), eta, atol=1e-14)
    with pytest.raises(ValueError, match="kind must be one of"):
        distort(eta, prior, "nosie", 0.7)


def test_the_rarest_class_may_be_named_by_counts():
    p = Population.random(20, 3).eta
    counts = torch.tensor([90, 30, 5])
    assert torch.equal(distort(p, counts, "rare", 0.7), distort(p, counts / 125, "rare", 0.7))


def test_distortions_are_float64_whatever_comes_and_their_noise_is_that_of_the_seed():
    population = Population.random(20, 4)
    eta, prior = population.eta, population.prior
    noise = torch.randn(20, 4, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    assert torch.equal(add_noise(eta, 0.7, 3), torch.softmax(eta.log() + 0.7 * noise, 1))
    assert torch.equal(add_noise(eta, 0.7), add_noise(eta, 0.7, 0))
    assert torch.equal(distort(eta, prior, "noise", 0.7), add_noise(eta, 0.7, 0))
    assert not torch.equal(add_noise(eta, 0.7), add_noise(eta, 0.7, 1))
    weights = [1.0, 3.0, 1.0, 1.0]
    assert torch.equal(bias(eta, torch.tensor(weights)), bias(eta, torch.tensor(weights).double()))
    assert all(
        p.dtype == torch.float64 for p in (temper(eta.float(), 1.0), bias(eta.float(), prior))
    )


# The Hedge game, eqs (6) and (9)


def test_the_regret_bound_is_that_of_the_method_at_the_guaranteed_step_size():
    assert regret_bound(10, 60, 2.0) == pytest.approx(2 * math.sqrt(math.log(10) / 120))
    assert regret_bound(10, 60, 2.0, step_size=0.5) == pytest.approx(math.log(10) / 30 + 0.25)


@pytest.mark.parametrize("rounds", [1, 4, 25, 120])
@pytest.mark.parametrize("alpha", [0.4, 1.0])
@pytest.mark.parametrize("bound", [1.6, 3.0])
def test_the_averaged_scorer_stays_below_the_bound_for_every_number_of_rounds(rounds, alpha, bound):
    population = Population.random(20, 4, rounds, imbalance=50.0)
    curve = hedge_curve(population, Objective(alpha), rounds, loss_bound=bound)
    assert bool((curve.gap <= curve.bound + 1e-9).all())
    assert bool((curve.gap >= -1e-7).all())
    last = bound * math.sqrt(math.log(4) / (2 * rounds))  # eq. (9)
    share = np.arange(1, rounds + 1) / rounds  # at a step size fixed for all the rounds
    np.testing.assert_allclose(curve.bound, alpha * last * (1 / share + 1) / 2, rtol=1e-12)
    assert float(curve.risks.min()) >= 0 and float(curve.risks.max()) <= bound + 1e-12


def test_the_hedge_curve_equals_a_numpy_replay_of_the_game():
    population = Population.random(10, 3, 5)
    q, eta, prior = (np.asarray(v) for v in (population.weights, population.eta, population.prior))
    bound, rounds = 20.0, 15  # wide enough that no probability meets its floor
    gamma = math.sqrt(8 * math.log(3) / rounds) / bound
    optimum = worst(population, population.solve(ROBUST)[0])
    multipliers, total, gaps = np.full(3, 1 / 3), np.zeros_like(eta), []
    curve = hedge_curve(population, ROBUST, rounds, loss_bound=bound)
    for k in range(rounds):
        product = multipliers / prior * eta
        f = np.log(product / product.sum(1, keepdims=True))
        risks, total = reference_risks(q, eta, f), total + f
        np.testing.assert_allclose(curve.multipliers[k], multipliers, rtol=1e-9)
        np.testing.assert_allclose(curve.risks[k], risks, rtol=1e-8)
        gaps.append(reference_risks(q, eta, total / (k + 1)).max() - optimum)
        multipliers = multipliers * np.exp(gamma * risks)
        multipliers = multipliers / multipliers.sum()
    np.testing.assert_allclose(curve.gap, gaps, atol=1e-7)


def test_the_hedge_curve_s_losses_are_at_most_5_nats_by_default():
    population = Population.random(5, 3)
    default, five = (
        hedge_curve(population, ROBUST, 3),
        hedge_curve(population, ROBUST, 3, loss_bound=5),
    )
    assert torch.equal(default.bound, five.bound) and torch.equal(default.gap, five.gap)


def test_the_hedge_curve_closes_its_gap_with_more_rounds_also_for_a_teacher():
    population = Population.random(20, 3, 0, imbalance=50.0)
    p = temper(population.eta, 2.0)
    short, long = (
        float(hedge_curve(population, ROBUST, k, targets=p, loss_bound=3.0).gap[-1])
        for k in (4, 200)
    )
    assert 0 < long < short / 3


# The Gaussian mixture


def test_a_mixture_keeps_no_alias_of_its_arguments():
    given = [torch.zeros(2, 2).double(), torch.ones(2).double(), torch.full((2,), 0.5).double()]
    mixture = GaussianMixture(*given)
    for values in given:
        values += 1
    assert float(mixture.means.max()) == 0 and float(mixture.scale.min()) == 1
    assert float(mixture.prior.sum()) == 1


def reference_density(mixture, x):
    return [
        float(w) / (2 * math.pi * float(s) ** 2)
        * math.exp(-((x[0] - float(c[0])) ** 2 + (x[1] - float(c[1])) ** 2) / (2 * float(s) ** 2))
        for c, s, w in zip(mixture.means, mixture.scale, mixture.prior, strict=True)
    ]  # fmt: skip


MIXTURE = GaussianMixture([[0.0, 0.0], [2.0, 1.0], [-1.0, 2.0]], [0.5, 1.0, 1.5], [0.2, 0.5, 0.3])


def test_mixture_eta_and_density_equal_a_direct_computation():
    points = 2 * torch.randn(50, 2, generator=torch.Generator().manual_seed(0))
    joint = np.array([reference_density(MIXTURE, x) for x in points.tolist()])
    np.testing.assert_allclose(
        MIXTURE.eta(points), joint / joint.sum(1, keepdims=True), rtol=1e-9, atol=1e-14
    )
    np.testing.assert_allclose(MIXTURE.density(points), joint.sum(1), rtol=1e-9)


def test_mixture_eta_is_finite_far_from_every_class():
    eta = MIXTURE.eta(torch.tensor([[1e4, -1e4]]))
    assert eta.tolist() == [[0.0, 0.0, 1.0]]  # the widest class


def test_mixture_samples_have_the_prior_the_means_and_the_scale():
    points, labels = MIXTURE.sample(40_000, seed=1)
    assert labels.dtype == torch.int64 and points.shape == (40_000, 2)
    frequency = torch.bincount(labels, minlength=3) / 40_000
    assert torch.allclose(frequency.double(), MIXTURE.prior, atol=0.01)
    for y in range(3):
        own = points[labels == y]
        assert torch.allclose(own.mean(0), MIXTURE.means[y], atol=0.05)
        assert torch.allclose(own.std(0), MIXTURE.scale[y].expand(2), rtol=0.05)
    assert torch.equal(points, MIXTURE.sample(40_000, seed=1)[0])
    assert not torch.equal(points, MIXTURE.sample(40_000, seed=2)[0])


def test_labels_of_samples_follow_eta():
    points, labels = MIXTURE.sample(40_000, seed=3)
    eta = MIXTURE.eta(points)
    for y in range(3):
        sure = (eta[:, y] > 0.4) & (eta[:, y] < 0.6)
        share = float((labels[sure] == y).double().mean())
        assert int(sure.sum()) > 500
        assert share == pytest.approx(float(eta[sure, y].mean()), abs=0.07)


def test_the_grid_population_has_the_prior_and_the_risks_of_the_mixture():
    points, population = MIXTURE.on_grid(60)
    assert torch.allclose(population.prior, MIXTURE.prior, atol=1e-3)
    sampled, labels = MIXTURE.sample(40_000, seed=0)
    loss = -MIXTURE.eta(sampled).log().gather(1, labels[:, None])[:, 0]
    exact = population.class_risks(population.bayes(torch.ones(3)))
    for y in range(3):
        assert float(loss[labels == y].mean()) == pytest.approx(float(exact[y]), rel=0.05)
    grid = points.reshape(60, 60, 2)
    assert torch.equal(grid[0, :, 1], grid[0, :1, 1].expand(60))  # a row is at one height
    assert float(grid[0, 1, 0] - grid[0, 0, 0]) > 0 and float(grid[1, 0, 1] - grid[0, 0, 1]) > 0


def test_the_example_mixture_has_a_rare_class_that_the_standard_scorer_serves_worst():
    mixture = GaussianMixture.three_classes(imbalance=100.0)
    assert float(mixture.prior[0] / mixture.prior[2]) == pytest.approx(100)
    _, population = mixture.on_grid(20)
    standard = population.class_risks(population.solve(STANDARD)[0])
    scorer, multipliers = population.solve(ROBUST)
    robust = population.class_risks(scorer)
    assert int(standard.argmax()) == 2 == int(multipliers.argmax())
    assert float(standard[2]) > 2 * float(robust.max())
    balanced = population.class_risks(population.solve(BALANCED)[0])
    assert float(balanced.max()) > float(robust.max()) + 0.05


# Bad arguments

GOOD = Population([0.5, 0.5], [[0.9, 0.1], [0.3, 0.7]])
ZEROS = torch.zeros(2, 2)
HALF = torch.full((2, 2), 0.5)
NO_CLASS_1 = torch.tensor([[1.0, 0.0], [1.0, 0.0]])


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("weights", lambda: Population([0.5, 0.6], HALF)),
        ("weights", lambda: Population([1.0], HALF)),
        ("weights", lambda: Population([1.5, -0.5], HALF)),
        ("eta", lambda: Population([0.5, 0.5], ZEROS)),
        ("eta", lambda: Population([0.5, 0.5], NO_CLASS_1)),
        ("eta", lambda: Population([1.0], [1.0])),
        ("eta", lambda: Population([1.0], [[float("nan"), 1.0]])),
        ("n", lambda: Population.random(0, 3)),
        ("m", lambda: Population.random(3, 1)),
        ("imbalance", lambda: Population.random(3, 3, imbalance=0.5)),
        ("sharpness", lambda: Population.random(3, 3, sharpness=-1.0)),
        ("seed", lambda: Population.random(3, 3, seed=-1)),
        ("scorer", lambda: GOOD.class_risks(torch.zeros(3, 2))),
        ("scorer", lambda: GOOD.class_risks(torch.full((2, 2), math.inf))),
        ("targets", lambda: GOOD.class_risks(ZEROS, torch.ones(2, 2))),
        ("targets", lambda: GOOD.class_risks(ZEROS, NO_CLASS_1)),
        ("targets", lambda: GOOD.solve(ROBUST, torch.ones(3, 2) / 2)),
        ("class_weights", lambda: GOOD.bayes(torch.ones(3))),
        ("class_weights", lambda: GOOD.bayes(torch.tensor([1.0, 0.0]))),
        ("loss_bound", lambda: GOOD.bayes(torch.ones(2), loss_bound=0.5)),
        ("loss_bound", lambda: GOOD.solve(ROBUST, loss_bound=math.log(2))),
        ("loss_bound", lambda: GOOD.solve(ROBUST, loss_bound=1000.0)),
        ("objective", lambda: GOOD.solve("robust")),
        ("anchor", lambda: GOOD.solve(Objective(0.5, [1.0, 1.0, 1.0]))),
        ("p", lambda: GOOD.teacher_gap(torch.ones(2, 2))),
        ("p", lambda: GOOD.gap_bound(NO_CLASS_1, ZEROS)),
        ("scorer", lambda: GOOD.gap_bound(HALF, torch.zeros(2, 3))),
        ("rounds", lambda: hedge_curve(GOOD, ROBUST, 0)),
        ("loss_bound", lambda: hedge_curve(GOOD, ROBUST, 3, loss_bound=0.1)),
        ("step_size", lambda: regret_bound(3, 5, 1.0, step_size=0.0)),
        ("temperature", lambda: temper(HALF, 0.0)),
        ("p", lambda: temper(torch.ones(2, 2), 1.0)),
        ("p", lambda: temper(torch.ones(2), 1.0)),
        ("class_weights", lambda: bias(HALF, torch.tensor([1.0, -1.0]))),
        ("class_weights", lambda: bias(HALF, torch.ones(3))),
        ("scale", lambda: add_noise(HALF, -1.0)),
        ("seed", lambda: add_noise(HALF, 1.0, -1)),
        ("means", lambda: GaussianMixture([[0.0, 0.0, 0.0]] * 2, [1.0, 1.0], [0.5, 0.5])),
        ("scale", lambda: GaussianMixture([[0.0, 0.0]] * 2, [1.0, 0.0], [0.5, 0.5])),
        ("prior", lambda: GaussianMixture([[0.0, 0.0]] * 2, [1.0, 1.0], [0.5, 0.6])),
        ("imbalance", lambda: GaussianMixture.three_classes(0.5)),
        ("scale", lambda: GaussianMixture.three_classes(scale=0.0)),
        ("points", lambda: MIXTURE.eta(torch.zeros(3))),
        ("points", lambda: MIXTURE.eta(torch.full((1, 2), math.nan))),
        ("n", lambda: MIXTURE.sample(0)),
        ("resolution", lambda: MIXTURE.on_grid(1)),
        ("reach", lambda: MIXTURE.on_grid(5, reach=0.0)),
    ],
)
def test_a_bad_argument_is_named(name, call):
    with pytest.raises(ValueError, match=rf"^{name} "):
        call()


@pytest.mark.parametrize("name", ["rdlite.theory", "rdlite.theory.students", "rdlite.metrics"])
def test_importing_the_theory_brings_no_training(name):
    code = (
        f"import sys, {name}; heavy = ('joblib', 'pandas', 'matplotlib', 'rdlite.training', "
        "'rdlite.studies', 'rdlite.models', 'rdlite.data'); "
        "print([one for one in sys.modules if one.startswith(heavy)])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"
