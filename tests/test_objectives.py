"""Eqs (1), (3), (4), (7) and (8) against a second implementation in NumPy float64."""

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rdlite.multipliers import hedge_step, uniform
from rdlite.objectives import (
    BALANCED,
    LOSSES,
    NAMED,
    ROBUST,
    STANDARD,
    Objective,
    class_risks,
    margin_loss,
    reweighted_loss,
)

PROPERTY = settings(max_examples=40, deadline=None, derandomize=True)
SEEDS = st.integers(0, 2**32 - 1)
CASES = [(seed, m, hard) for seed, m in enumerate((2, 3, 10)) for hard in (False, True)]


def case(seed, m, hard=False, n=12, scale=3.0):
    """Logits (n, m), targets (n, m) with mass on each class, and weights (m,), in float64."""
    rng = np.random.default_rng(seed)
    logits = scale * rng.normal(size=(n, m))
    soft = rng.dirichlet(np.ones(m), n)
    targets = np.eye(m)[np.arange(n) % m] if hard else soft
    return logits, targets, rng.uniform(0.2, 5, m)


def log_softmax(logits):
    shifted = logits - logits.max(1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(1, keepdims=True))


def risks_by_loop(logits, targets):
    """Eq. (1)/(4), image by image."""
    n, m = logits.shape
    risks = np.zeros(m)
    for y in range(m):
        mass = sum(targets[i, y] for i in range(n))
        loss = sum(-targets[i, y] * log_softmax(logits)[i, y] for i in range(n))
        risks[y] = loss / mass
    return risks


def margin_by_softmax(logits, targets, c):
    """Eq. (8), first form."""
    return -(targets * log_softmax(logits - np.log(c))).sum(1).mean()


def margin_by_pairs(logits, targets, c):
    """Eq. (8), second form, pair by pair."""
    n, m = logits.shape
    total = 0.0
    for i in range(n):
        for y in range(m):
            others = (
                np.exp(np.log(c[y] / c[j]) - (logits[i, y] - logits[i, j]))
                for j in range(m)
                if j != y
            )
            total += targets[i, y] * np.log1p(sum(others))
    return total / n


def reweighted_by_loop(logits, targets, c):
    n, m = logits.shape
    losses = [c[y] * targets[i, y] * log_softmax(logits)[i, y] for i in range(n) for y in range(m)]
    return -sum(losses) / n


REFERENCES = [(margin_loss, margin_by_softmax), (reweighted_loss, reweighted_by_loop)]


def tensors(*arrays):
    return [torch.as_tensor(np.asarray(a)) for a in arrays]


# ---------------------------------------------------------------- class risks, eqs (1) and (4)


@pytest.mark.parametrize(("seed", "m", "hard"), CASES)
def test_class_risks_equal_a_loop_over_images(seed, m, hard):
    logits, targets, _ = case(seed, m, hard)
    got = class_risks(*tensors(logits, targets))
    np.testing.assert_allclose(got, risks_by_loop(logits, targets), rtol=1e-12)


def test_class_risks_of_one_hot_targets_are_mean_losses_of_each_class():
    logits, targets, _ = case(3, 4, hard=True)
    losses = torch.nn.functional.cross_entropy(
        torch.tensor(logits), torch.tensor(targets.argmax(1)), reduction="none"
    ).numpy()
    wanted = [losses[targets[:, y] == 1].mean() for y in range(4)]
    np.testing.assert_allclose(class_risks(*tensors(logits, targets)), wanted, rtol=1e-12)


def test_class_risks_divide_by_the_prior_that_is_passed():
    logits, targets, _ = case(4, 3)
    prior = np.array([0.2, 0.3, 0.5])
    wanted = risks_by_loop(logits, targets) * targets.mean(0) / prior
    np.testing.assert_allclose(class_risks(*tensors(logits, targets, prior)), wanted, rtol=1e-12)


def test_prior_weighted_class_risks_add_up_to_the_cross_entropy():
    logits, targets, _ = case(5, 6)
    wanted = torch.nn.functional.cross_entropy(*tensors(logits, targets)).item()
    got = (torch.tensor(targets.mean(0)) * class_risks(*tensors(logits, targets))).sum()
    assert got.item() == pytest.approx(wanted, rel=1e-12)


def test_class_without_mass_has_risk_nan_and_the_others_keep_theirs():
    logits, _, _ = case(6, 3)
    targets = np.eye(3)[np.arange(12) % 2]
    risks = class_risks(*tensors(logits, targets))
    assert risks.isnan().tolist() == [False, False, True]
    losses = -log_softmax(logits)[np.arange(12), np.arange(12) % 2]
    np.testing.assert_allclose(risks[:2], [losses[::2].mean(), losses[1::2].mean()], rtol=1e-12)


def test_class_without_mass_leaves_the_gradient_of_the_others_finite():
    logits = torch.zeros(2, 3, requires_grad=True)
    class_risks(logits, torch.eye(3)[:2])[:2].sum().backward()
    wanted = (np.full((2, 3), 1 / 3) - np.eye(3)[:2]).astype("float32")
    np.testing.assert_allclose(logits.grad, wanted, rtol=1e-6)


def test_class_without_mass_is_an_error_in_the_objective():
    risks = class_risks(torch.zeros(2, 3), torch.eye(3)[:2])
    prior = torch.tensor([0.5, 0.5, 0.0])
    with pytest.raises(ValueError, match=r"risks must be finite, got 1 NaN"):
        BALANCED.value(risks, prior)
    with pytest.raises(ValueError, match=r"prior must be above 0 for every class, got 0 for .*2"):
        BALANCED.class_weights(torch.full((3,), 1 / 3), prior)


@pytest.mark.parametrize("scale", [1e3, 1e6])
def test_losses_stay_finite_and_right_at_extreme_logits(scale):
    logits, targets = tensors([[scale, 0.0], [scale, 0.0]], [[1.0, 0.0], [0.0, 1.0]])
    ones = torch.ones(2, dtype=torch.float64)
    assert class_risks(logits, targets).tolist() == [0.0, scale]
    assert margin_loss(logits, targets, ones).item() == pytest.approx(scale / 2)
    assert reweighted_loss(logits, targets, ones).item() == pytest.approx(scale / 2)


# ---------------------------------------------------------------- losses, eq. (8)


@pytest.mark.parametrize("form", [margin_by_softmax, margin_by_pairs])
@pytest.mark.parametrize(("seed", "m", "hard"), CASES)
def test_margin_loss_equals_both_forms_of_eq_8(seed, m, hard, form):
    logits, targets, c = case(seed, m, hard)
    got = margin_loss(*tensors(logits, targets, c)).item()
    assert got == pytest.approx(form(logits, targets, c), rel=1e-12)


@pytest.mark.parametrize(("seed", "m", "hard"), CASES)
def test_reweighted_loss_equals_a_loop_over_images_and_classes(seed, m, hard):
    logits, targets, c = case(seed, m, hard)
    got = reweighted_loss(*tensors(logits, targets, c)).item()
    assert got == pytest.approx(reweighted_by_loop(logits, targets, c), rel=1e-12)


@pytest.mark.parametrize(("loss", "reference"), REFERENCES)
@pytest.mark.parametrize(("seed", "m", "hard"), CASES)
def test_gradients_equal_central_differences(loss, reference, seed, m, hard):
    logits, targets, c = case(seed, m, hard, n=4)
    tracked = torch.tensor(logits, requires_grad=True)
    loss(tracked, *tensors(targets, c)).backward()
    numerical = np.zeros_like(logits)
    for index in np.ndindex(logits.shape):
        step = np.zeros_like(logits)
        step[index] = 1e-5
        rise = reference(logits + step, targets, c) - reference(logits - step, targets, c)
        numerical[index] = rise / 2e-5
    np.testing.assert_allclose(tracked.grad, numerical, atol=1e-9)


@pytest.mark.parametrize("loss", [margin_loss, reweighted_loss])
@pytest.mark.parametrize(("seed", "m", "hard"), CASES)
def test_equal_weights_give_cross_entropy(loss, seed, m, hard):
    logits, targets, _ = case(seed, m, hard)
    wanted = torch.nn.functional.cross_entropy(*tensors(logits, targets)).item()
    assert loss(*tensors(logits, targets, np.ones(m))).item() == pytest.approx(wanted, rel=1e-12)


@PROPERTY
@given(SEEDS, st.integers(2, 8), st.floats(1e-3, 1e3), st.floats(-50, 50))
def test_margin_loss_ignores_a_logit_shift_and_the_scale_of_the_weights(seed, m, scale, shift):
    logits, targets, c = case(seed, m)
    shifts = shift * np.random.default_rng(seed).normal(size=(len(logits), 1))
    before = margin_loss(*tensors(logits, targets, c)).item()
    after = margin_loss(*tensors(logits + shifts, targets, scale * c)).item()
    assert after == pytest.approx(before, rel=1e-9)


@PROPERTY
@given(SEEDS, st.integers(2, 8))
def test_relabelling_the_classes_changes_nothing(seed, m):
    logits, targets, c = case(seed, m)
    order = np.random.default_rng(seed).permutation(m)
    moved = tensors(logits[:, order], targets[:, order], c[order])
    still = tensors(logits, targets, c)
    np.testing.assert_allclose(class_risks(*moved[:2]), class_risks(*still[:2])[order], rtol=1e-9)
    for loss in (margin_loss, reweighted_loss):
        assert loss(*moved).item() == pytest.approx(loss(*still).item(), rel=1e-9)


@PROPERTY
@given(SEEDS, st.integers(2, 8))
def test_losses_and_risks_do_not_depend_on_the_order_of_images(seed, m):
    logits, targets, c = case(seed, m)
    order = np.random.default_rng(seed).permutation(len(logits))
    moved, still = tensors(logits[order], targets[order], c), tensors(logits, targets, c)
    np.testing.assert_allclose(class_risks(*moved[:2]), class_risks(*still[:2]), rtol=1e-9)
    for loss in (margin_loss, reweighted_loss):
        assert loss(*moved).item() == pytest.approx(loss(*still).item(), rel=1e-9)


@pytest.mark.parametrize("name", ["margin", "reweighted"])
def test_the_loop_gets_the_formula_without_its_checks(name):
    loss, (logits, targets, weights) = LOSSES[name], tensors(*case(7, 4))
    assert torch.equal(loss.__wrapped__(logits, targets, weights), loss(logits, targets, weights))
    assert torch.isnan(loss.__wrapped__(logits * torch.nan, targets, weights))
    with pytest.raises(ValueError, match="logits must be finite"):
        loss(logits * torch.nan, targets, class_weights=weights)


@pytest.mark.parametrize("loss", [margin_loss, reweighted_loss])
def test_losses_leave_their_arguments_unchanged(loss):
    arguments = tensors(*case(8, 3))
    before = [a.clone() for a in arguments]
    loss(*arguments)
    assert all(torch.equal(a, b) for a, b in zip(arguments, before, strict=True))


# ---------------------------------------------------------------- finite populations, eq. (5)


def population(seed=0, n=40, m=4):
    """n equally likely points: eta (n, m) and prior (m,), unequal in mass and difficulty."""
    rng = np.random.default_rng(seed)
    scores = 1.5 * rng.normal(size=(n, m)) + np.linspace(1, -1, m)
    eta = np.exp(log_softmax(scores))
    return eta, eta.mean(0)


def best_response(eta, c):
    """The minimiser of the weighted risk, eq. (5): softmax(f) proportional to c eta."""
    product = c * eta
    return np.log(product / product.sum(1, keepdims=True))


@pytest.mark.parametrize("loss", [margin_loss, reweighted_loss])
@pytest.mark.parametrize("seed", range(3))
def test_both_losses_have_their_population_minimum_at_c_eta(loss, seed):
    eta, _ = population(seed)
    c = np.random.default_rng(seed).uniform(0.2, 5, eta.shape[1])
    optimum = torch.tensor(best_response(eta, c), requires_grad=True)
    loss(optimum, *tensors(eta, c)).backward()
    assert optimum.grad.abs().max() < 1e-12
    elsewhere = torch.tensor(np.log(eta), requires_grad=True)  # the minimiser for equal weights
    loss(elsewhere, *tensors(eta, c)).backward()
    assert elsewhere.grad.abs().max() > 1e-3


@pytest.mark.parametrize("seed", range(3))
def test_hedge_against_best_responses_equalises_the_class_risks(seed):
    eta, prior = population(seed)

    def risks_of(multipliers):
        scores = best_response(eta, multipliers / prior)
        return (-eta * log_softmax(scores)).mean(0) / prior

    multipliers = uniform(4)
    for _ in range(1500):
        multipliers = hedge_step(multipliers, torch.tensor(risks_of(multipliers.numpy())), 0.5)
    final = risks_of(multipliers.numpy())
    assert multipliers.min() > 0.01
    assert np.ptp(risks_of(np.full(4, 0.25))) > 0.05  # there was something to equalise
    assert np.ptp(final) < 1e-6
    rng = np.random.default_rng(seed)
    others = rng.dirichlet(np.ones(4), 20)  # min over f at other multipliers is no larger
    assert all(other @ risks_of(other) <= final.max() + 1e-9 for other in others)
    got = ROBUST.class_weights(multipliers, torch.tensor(prior))
    wanted = multipliers.numpy() / prior
    np.testing.assert_allclose(got, wanted / wanted.mean(), rtol=1e-12)


# ---------------------------------------------------------------- Objective, eqs (3) and (7)

PRIOR = np.array([0.5, 0.3, 0.2])
RISKS = np.array([0.4, 1.0, 2.5])
LAMBDA = np.array([0.1, 0.2, 0.7])
ANCHORS = [("standard", PRIOR), ("balanced", np.full(3, 1 / 3)), ((2, 1, 1), [0.5, 0.25, 0.25])]


@pytest.mark.parametrize(("anchor", "a"), ANCHORS)
@pytest.mark.parametrize("alpha", [0, 0.0, 0.3, 1.0, 1])
def test_value_is_eq_3(alpha, anchor, a):
    wanted = (1 - alpha) * np.dot(a, RISKS) + alpha * 2.5
    got = Objective(alpha, anchor).value(*tensors(RISKS, PRIOR))
    assert isinstance(got, float)
    assert got == pytest.approx(wanted, rel=1e-12)


@pytest.mark.parametrize(("anchor", "a"), ANCHORS)
@pytest.mark.parametrize("alpha", [0, 0.3, 1])
def test_class_weights_are_eq_7_with_mean_1(alpha, anchor, a):
    raw = ((1 - alpha) * np.asarray(a) + alpha * LAMBDA) / PRIOR
    got = Objective(alpha, anchor).class_weights(*tensors(LAMBDA, PRIOR))
    np.testing.assert_allclose(got, raw / raw.mean(), rtol=1e-12)
    assert got.mean().item() == pytest.approx(1, rel=1e-12)


@pytest.mark.parametrize(("anchor", "a"), ANCHORS)
@pytest.mark.parametrize("alpha", [0, 0.3, 1])
def test_risk_weights_are_on_the_simplex(alpha, anchor, a):
    got = Objective(alpha, anchor).risk_weights(*tensors(LAMBDA, PRIOR))
    np.testing.assert_allclose(got, (1 - alpha) * np.asarray(a) + alpha * LAMBDA, rtol=1e-12)
    assert got.sum().item() == pytest.approx(1, rel=1e-12)


def test_reweighted_loss_at_eq_7_is_the_weighted_sum_of_risks():
    logits, targets, _ = case(9, 3)
    prior = targets.mean(0)
    objective = Objective(0.4, (3, 2, 1))
    c = objective.class_weights(*tensors(LAMBDA, prior))
    weights = 0.6 * np.array([3, 2, 1]) / 6 + 0.4 * LAMBDA
    scale = np.mean(weights / prior)  # class weights are rescaled to mean 1
    got = reweighted_loss(*tensors(logits, targets), c).item()
    assert got * scale == pytest.approx(weights @ risks_by_loop(logits, targets), rel=1e-12)


@PROPERTY
@given(SEEDS, st.integers(2, 10), st.floats(0, 1))
def test_value_lies_between_the_anchored_average_and_the_maximum(seed, m, alpha):
    rng = np.random.default_rng(seed)
    risks, prior, anchor = rng.exponential(size=m), rng.dirichlet(np.ones(m)), rng.uniform(size=m)
    average = risks @ anchor / anchor.sum()
    got = Objective(alpha, anchor).value(*tensors(risks, prior))
    assert average - 1e-9 <= got <= risks.max() + 1e-9


@PROPERTY
@given(SEEDS, st.integers(2, 10), st.floats(0, 1))
def test_relabelling_the_classes_permutes_the_weights_and_keeps_the_value(seed, m, alpha):
    rng = np.random.default_rng(seed)
    risks, anchor = rng.exponential(size=m), rng.uniform(0.1, 1, m)
    prior, multipliers = rng.dirichlet(np.ones(m), 2)
    order = rng.permutation(m)
    still, moved = Objective(alpha, anchor), Objective(alpha, anchor[order])
    np.testing.assert_allclose(
        moved.class_weights(*tensors(multipliers[order], prior[order])),
        still.class_weights(*tensors(multipliers, prior))[order],
        rtol=1e-9,
    )
    assert moved.value(*tensors(risks[order], prior[order])) == pytest.approx(
        still.value(*tensors(risks, prior)), rel=1e-9
    )


def test_class_weights_of_a_zero_multiplier_keep_a_finite_logarithm():
    c = ROBUST.class_weights(*tensors([1.0, 0.0], [0.5, 0.5]))
    assert c.log().isfinite().all()
    np.testing.assert_allclose(c, [2, 1e-8])


def test_class_weights_at_alpha_0_ignore_the_multipliers():
    first = BALANCED.class_weights(*tensors(LAMBDA, PRIOR))
    second = BALANCED.class_weights(*tensors([1.0, 0.0, 0.0], PRIOR))
    assert torch.equal(first, second)
    np.testing.assert_allclose(first, (1 / PRIOR) / np.mean(1 / PRIOR), rtol=1e-12)


def test_standard_objective_has_equal_class_weights():
    np.testing.assert_allclose(STANDARD.class_weights(*tensors(LAMBDA, PRIOR)), np.ones(3))


@pytest.mark.parametrize("objective", [STANDARD, BALANCED, ROBUST], ids=["std", "bal", "rob"])
def test_class_counts_as_prior_are_right_or_an_error_but_never_silently_wrong(objective):
    counts = torch.tensor([50, 30, 20])
    risks, multipliers = tensors(RISKS, LAMBDA)
    try:
        value = objective.value(risks, counts)
        weights = objective.class_weights(multipliers, counts)
    except ValueError as error:
        assert "prior" in str(error)
        return
    alpha, a = objective.alpha, {"standard": PRIOR, "balanced": np.full(3, 1 / 3)}[objective.anchor]
    raw = ((1 - alpha) * a + alpha * LAMBDA) / PRIOR
    assert value == pytest.approx((1 - alpha) * a @ RISKS + alpha * 2.5, rel=1e-6)
    np.testing.assert_allclose(weights, raw / raw.mean(), rtol=1e-6)


def test_objective_is_frozen_hashable_and_compared_by_value():
    objective = Objective(0.5, [1, 3])
    with pytest.raises(dataclasses.FrozenInstanceError):
        objective.alpha = 1.0
    assert objective == Objective(0.5, (0.25, 0.75))
    assert len({objective, Objective(0.5, [0.25, 0.75]), Objective(0.5, [3, 1])}) == 2


@pytest.mark.parametrize("make", [list, tuple, np.array, torch.tensor])
def test_anchor_weights_are_normalised(make):
    assert Objective(0.5, make([1.0, 3.0])).anchor == pytest.approx((0.25, 0.75))


def test_named_objectives_are_those_of_eq_2():
    assert {name: (o.alpha, o.anchor) for name, o in NAMED.items()} == {
        "standard": (0.0, "standard"),
        "balanced": (0.0, "balanced"),
        "robust": (1.0, "balanced"),
    }
    wanted = {"standard": PRIOR @ RISKS, "balanced": RISKS.mean(), "robust": RISKS.max()}
    for name, value in wanted.items():
        assert Objective.named(name) is NAMED[name]
        assert NAMED[name].value(*tensors(RISKS, PRIOR)) == pytest.approx(value, rel=1e-12)


# ---------------------------------------------------------------- bad arguments


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"alpha": -0.1}, r"alpha must be a number in \[0, 1\], got -0\.1"),
        ({"alpha": 1.1}, r"alpha must be a number in \[0, 1\], got 1\.1"),
        ({"alpha": float("nan")}, r"alpha .* got nan"),
        ({"alpha": "1"}, r"alpha .* got '1'"),
        ({"alpha": True}, r"alpha .* got True"),
        ({"alpha": None}, r"alpha .* got None"),
        ({"anchor": "balance"}, r"anchor .* got 'balance'; did you mean 'balanced'\?"),
        ({"anchor": "prior"}, r"anchor must be one of 'standard', 'balanced', got 'prior'"),
        (
            {"anchor": [0, 0]},
            r"anchor must be non-negative with a positive sum, got \[0\.0, 0\.0\]",
        ),
        ({"anchor": [2, -1]}, r"anchor must be non-negative .* got \[2\.0, -1\.0\]"),
        ({"anchor": [1]}, r"anchor must be .* m >= 2 weights, got \[1\]"),
        ({"anchor": [[1, 2]]}, r"anchor must be .* m >= 2 weights, got \[\[1, 2\]\]"),
        ({"anchor": 0.5}, r"anchor must be .* m >= 2 weights, got 0.5"),
        ({"anchor": [1, float("nan")]}, r"anchor must be finite"),
        ({"anchor": [1, float("inf")]}, r"anchor must be finite"),
        ({"anchor": None}, r"anchor"),
        ({"anchor": ["a", "b"]}, r"anchor"),
    ],
)
def test_objective_names_the_bad_argument_and_what_came(arguments, message):
    with pytest.raises(ValueError, match=message):
        Objective(**arguments)


def test_named_suggests_the_nearest_name():
    message = r"^objective must be one of .* got 'robsut'; did you mean 'robust'\?"
    with pytest.raises(ValueError, match=message):
        Objective.named("robsut")


def test_a_number_is_the_name_of_that_tradeoff():
    assert Objective.named(0.3) == Objective(alpha=0.3)
    assert Objective.named(1) == ROBUST and Objective.named(0) == BALANCED


EYE, ZEROS = torch.eye(3), torch.zeros(3, 3)
NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize("function", [class_risks, margin_loss, reweighted_loss])
@pytest.mark.parametrize(
    ("logits", "targets", "message"),
    [
        (torch.zeros(3), EYE, r"logits must have shape \(B, m\).* got \(3,\)"),
        (torch.zeros(3, 3, 1), EYE, r"logits must have shape .* got \(3, 3, 1\)"),
        (torch.zeros(0, 3), EYE, r"logits must have shape .* got \(0, 3\)"),
        (torch.zeros(3, 1), torch.ones(3, 1), r"logits .* m >= 2 classes, got \(3, 1\)"),
        (ZEROS + torch.tensor([0, NAN, 0]), EYE, r"logits must be finite, got 3 NaN .* of 9"),
        (ZEROS - INF, EYE, r"logits must be finite, got 9"),
        (ZEROS, torch.tensor([0, 1, 2]), r"targets .* got \(3,\); .*one_hot"),
        (ZEROS, EYE[:2], r"targets must have the shape of logits, \(3, 3\), got \(2, 3\)"),
        (ZEROS, EYE.long(), r"targets must be floating point probabilities, got torch\.int64"),
        (ZEROS, EYE - torch.tensor([0.5, -0.5, 0.0]), r"targets .* smallest entry of -0\.5"),
        (ZEROS, EYE / 2, r"targets must have .* rows that sum to 1.* off by 0\.5"),
        (ZEROS, EYE * NAN, r"targets must be finite"),
    ],
)
def test_losses_and_risks_name_bad_logits_and_targets(function, logits, targets, message):
    last = () if function is class_risks else (torch.ones(3),)
    with pytest.raises(ValueError, match=message):
        function(logits, targets, *last)


@pytest.mark.parametrize("loss", [margin_loss, reweighted_loss])
@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([1.0, 1.0], r"class_weights must have shape \(3,\), one number a class, got \(2,\)"),
        ([[1.0, 1.0, 1.0]], r"class_weights must have shape \(3,\).* got \(1, 3\)"),
        ([1.0, 0.0, 1.0], r"class_weights must be above 0 for every class, got 0 for .*1"),
        ([1.0, 1.0, -2.0], r"class_weights must be above 0 for every class, got -2 for .*2"),
        ([1.0, INF, 1.0], r"class_weights must be finite, got 1"),
        ([NAN, NAN, 1.0], r"class_weights must be finite, got 2"),
    ],
)
def test_losses_name_bad_class_weights(loss, weights, message):
    with pytest.raises(ValueError, match=message):
        loss(ZEROS, EYE, torch.tensor(weights))


def test_class_risks_name_a_prior_of_another_length():
    with pytest.raises(ValueError, match=r"prior must have shape \(3,\).* got \(2,\)"):
        class_risks(ZEROS, EYE, torch.tensor([0.5, 0.5]))


@pytest.mark.parametrize(
    ("multipliers", "prior", "message"),
    [
        ([0.5, 0.6], [0.5, 0.5], r"multipliers .* sum to 1.* a sum of 1\.1"),
        ([1.5, -0.5], [0.5, 0.5], r"multipliers must be non-negative.* smallest entry of -0\.5"),
        ([0.5, NAN], [0.5, 0.5], r"multipliers must be finite"),
        ([0.5, 0.25, 0.25], [0.5, 0.5], r"multipliers must have shape \(2,\).* got \(3,\)"),
        ([0.5, 0.5], [1.0, 0.0], r"prior must be above 0 for every class, got 0 for .*1"),
        ([0.5, 0.5], [1.5, -0.5], r"prior must be above 0 for every class, got -0\.5 for .*1"),
        ([0.5, 0.5], [0.5, NAN], r"prior must be finite"),
        ([0.5, 0.5], [[0.5], [0.5]], r"prior must have shape"),
    ],
)
def test_class_weights_name_bad_multipliers_and_priors(multipliers, prior, message):
    with pytest.raises(ValueError, match=message):
        ROBUST.class_weights(torch.tensor(multipliers), torch.tensor(prior))


def test_anchor_of_another_length_than_the_prior_is_named():
    objective, prior = Objective(0.5, [1, 1, 1]), torch.tensor([0.5, 0.5])
    with pytest.raises(ValueError, match=r"anchor must have one weight for each of 2 .* got 3"):
        objective.value(torch.tensor([1.0, 2.0]), prior)
    with pytest.raises(ValueError, match=r"anchor must have one weight for each of 2 .* got 3"):
        objective.class_weights(torch.tensor([0.5, 0.5]), prior)


@pytest.mark.parametrize(
    ("risks", "message"),
    [
        ([1.0, 2.0, 3.0], r"risks must have shape \(2,\).* got \(3,\)"),
        ([1.0, NAN], r"risks must be finite, got 1 NaN"),
        ([INF, 1.0], r"risks must be finite"),
    ],
)
def test_value_names_bad_risks(risks, message):
    with pytest.raises(ValueError, match=message):
        BALANCED.value(torch.tensor(risks), torch.tensor([0.5, 0.5]))
