"""Precisions agree within stated tolerances, and extreme sizes are finite and right.

The reference is NumPy in float64. Relative rounding errors: float32 6e-8, bfloat16 2^-8 = 0.4 %.
Cross-entropy moves by at most twice the largest change of a logit, so logits that are rounded to
bfloat16, as autocast gives them, change a loss by at most ``2 * 2^-8 * max |f|``.
"""

import dataclasses

import numpy as np
import pytest
import torch

from rdlite import models
from rdlite.data import Split
from rdlite.distillation import soft_targets
from rdlite.metrics import summary
from rdlite.multipliers import hedge_step, uniform
from rdlite.objectives import (
    BALANCED,
    ROBUST,
    STANDARD,
    Objective,
    class_risks,
    margin_loss,
    reweighted_loss,
)
from rdlite.training import TrainConfig, fit, losses

BFLOAT16 = 2.0**-8


def log_softmax(logits):
    shifted = logits - logits.max(1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(1, keepdims=True))


def case(m=10, n=64, size=5.0, seed=0):
    """Logits up to about ``size``, soft targets and class weights from 1e-2 to 1e2, in NumPy."""
    rng = np.random.default_rng(seed)
    logits = size * rng.uniform(-1, 1, (n, m)).astype(np.float32).astype(np.float64)
    return logits, rng.dirichlet(np.full(m, 0.5), n), 10 ** rng.uniform(-2, 2, m)


def reference(logits, targets, c):
    """Margin loss (8), its gradient, and class risks (4)."""
    margins = logits - np.log(c)
    loss = -(targets * log_softmax(margins)).sum(1).mean()
    gradient = (np.exp(log_softmax(margins)) - targets) / len(logits)
    risks = -(targets * log_softmax(logits)).mean(0) / targets.mean(0)
    return loss, gradient, risks


def single(*arrays):
    return [torch.tensor(array, dtype=torch.float32) for array in arrays]


# ---------------------------------------------------------------- precisions


@pytest.mark.parametrize("m", [2, 10, 1000])
@pytest.mark.parametrize("size", [1.0, 30.0, 1e4])
def test_float32_agrees_with_float64_to_a_hundred_thousandth(m, size):
    logits, targets, c = case(m, size=size)
    loss, gradient, risks = reference(logits, targets, c)
    f, p, weights = single(logits, targets, c)
    f.requires_grad_()
    got = margin_loss(f, p, weights)
    got.backward()
    assert got.item() == pytest.approx(loss, rel=1e-5)
    np.testing.assert_allclose(f.grad, gradient, atol=1e-5 / len(f) * max(1, size / 30))
    np.testing.assert_allclose(class_risks(f.detach(), p), risks, rtol=1e-5, atol=1e-5)
    double = margin_loss(*(torch.tensor(a) for a in (logits, targets, c)))
    assert double.item() == pytest.approx(loss, rel=1e-12)


@pytest.mark.parametrize("m", [2, 10, 1000])
@pytest.mark.parametrize("size", [1.0, 30.0])
def test_logits_of_bfloat16_move_losses_and_risks_by_no_more_than_their_rounding(m, size):
    logits, targets, c = case(m, size=size)
    loss, _, risks = reference(logits, targets, c)
    f, p, weights = single(logits, targets, c)
    rounded = f.bfloat16().float()  # what autocast gives, and `fit` makes of it
    assert not torch.equal(rounded, f)
    allowed = 2 * BFLOAT16 * size + 1e-5 * loss
    assert abs(margin_loss(rounded, p, weights).item() - loss) <= allowed
    assert np.abs(class_risks(rounded, p).numpy() - risks).max() <= allowed


@pytest.mark.parametrize("name", ["linear", "cnn-8"])
def test_a_network_under_autocast_agrees_within_two_percent_of_its_largest_logit(long_tail, name):
    net = models.create(name, num_classes=10, in_channels=1)
    exact = models.predict(net, long_tail.heldout.images)
    with torch.autocast("cpu", torch.bfloat16):
        rough = models.predict(net, long_tail.heldout.images)
    assert rough.dtype == torch.bfloat16
    assert (rough.float() - exact).abs().max() <= 0.02 * exact.abs().max()


@pytest.mark.parametrize("objective", [STANDARD, ROBUST], ids=["standard", "robust"])
def test_a_short_training_in_bfloat16_ends_close_to_float32(splits, objective):
    """Within 0.06 of the average accuracy and 0.1 nats of the objective, over three seeds."""
    ends = {"float32": [], "bfloat16": []}
    for precision, rows in ends.items():
        for seed in range(3):
            config = TrainConfig(epochs=8, batch_size=32, seed=seed, precision=precision)
            net = models.create("mlp-32", num_classes=10, in_channels=1, seed=seed)
            history = fit(net, splits.train, objective, heldout=splits.heldout, config=config)
            rows.append([history.rows[-1]["average"], history.rows[-1]["objective"]])
    exact, rough = np.mean(ends["float32"], 0), np.mean(ends["bfloat16"], 0)
    assert exact[0] > 0.4, "it learnt something"
    assert not np.array_equal(*ends.values()), "it was really used"
    assert abs(rough[0] - exact[0]) <= 0.06
    assert abs(rough[1] - exact[1]) <= 0.1


# ---------------------------------------------------------------- extreme sizes

HUGE = 1e4


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_logits_of_ten_thousand_have_the_losses_of_hand(dtype):
    """Right by 2e4 nats, or wrong by as much; no exponential is left to overflow."""
    f = torch.tensor([[HUGE, -HUGE], [HUGE, -HUGE]], dtype=dtype, requires_grad=True)
    labels, c = torch.eye(2, dtype=dtype), torch.tensor([1.0, 1e-8], dtype=dtype)
    assert class_risks(f, labels).tolist() == [0, 2 * HUGE]
    wanted = (0 + 2 * HUGE + np.log(1e-8)) / 2  # class 1 weighs little, so it needs less margin
    loss = margin_loss(f, labels, c)
    assert loss.item() == pytest.approx(wanted, rel=1e-6)
    loss.backward()
    np.testing.assert_allclose(f.grad, [[0, 0], [0.5, -0.5]], atol=1e-6)
    heavy = reweighted_loss(f.detach(), labels, c)
    assert heavy.item() == pytest.approx(2 * HUGE * 1e-8 / 2, rel=1e-5)
    margins = torch.zeros(2, dtype=dtype)
    assert losses.adaptive_margin_loss(f.detach(), labels, margins).item() == HUGE
    p = soft_targets(f.detach(), torch.tensor([0, 1]), temperature=2.0, mix=0.5)
    np.testing.assert_allclose(p, [[1, 0], [0.5, 0.5]])


def long_prior(m=1000, smallest=1e-8):
    """A prior from about 1 down to ``smallest``, exponentially."""
    prior = smallest ** (np.arange(m) / (m - 1))
    return prior / prior.sum()


@pytest.mark.parametrize(
    "objective", [STANDARD, BALANCED, ROBUST, Objective(0.5)], ids=lambda o: o.name
)
def test_a_prior_of_1e_8_gives_finite_weights_that_are_right(objective):
    """Eq. (7) at 1,000 classes: the largest class weight is 1e8 times the smallest."""
    prior = long_prior()
    assert prior.min() < 1e-9
    lam = np.random.default_rng(0).dirichlet(np.ones(1000))
    a = {"standard": prior, "balanced": np.full(1000, 1e-3)}[objective.anchor]
    raw = ((1 - objective.alpha) * a + objective.alpha * lam) / prior
    wanted = np.maximum(raw / raw.mean(), 1e-8)
    for dtype, tolerance in ((torch.float32, 1e-4), (torch.float64, 1e-12)):
        got = objective.class_weights(*(torch.tensor(x, dtype=dtype) for x in (lam, prior)))
        assert torch.isfinite(got.log()).all() and got.mean().item() == pytest.approx(1, rel=1e-4)
        np.testing.assert_allclose(got, wanted, rtol=tolerance, atol=1e-12)


@pytest.mark.parametrize("size", [5.0, HUGE])
def test_a_loss_with_those_weights_is_finite_and_right_with_its_gradient(size):
    logits, targets, _ = case(1000, n=32, size=size)
    prior = torch.tensor(long_prior())
    c = BALANCED.class_weights(uniform(1000), prior)
    loss, gradient, _ = reference(logits, targets, c.numpy())
    f, p, weights = single(logits, targets, c.numpy())
    f.requires_grad_()
    got = margin_loss(f, p, weights)
    got.backward()
    assert got.item() == pytest.approx(loss, rel=1e-5)
    np.testing.assert_allclose(f.grad, gradient, atol=1e-3 / len(f) if size == HUGE else 1e-6)


def test_risks_of_a_class_with_a_mass_of_1e_8_are_right():
    logits, targets, _ = case(10, n=200)
    targets[:, 0] *= 1e-8
    targets /= targets.sum(1, keepdims=True)
    _, _, risks = reference(logits, targets, np.ones(10))
    got = class_risks(*single(logits, targets))
    np.testing.assert_allclose(got, risks, rtol=1e-5)


def test_hedge_with_a_thousand_classes_is_right():
    rng = np.random.default_rng(0)
    lam, risks = rng.dirichlet(np.ones(1000)), 20 * rng.uniform(size=1000)
    raised = lam * np.exp(0.7 * (risks - risks.max()))
    got = hedge_step(torch.tensor(lam), torch.tensor(risks), 0.7)
    np.testing.assert_allclose(got, raised / raised.sum(), rtol=1e-9)
    rough = hedge_step(*single(lam, risks), 0.7)
    np.testing.assert_allclose(rough, raised / raised.sum(), rtol=1e-4, atol=1e-12)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_training_with_a_thousand_classes_is_finite(precision):
    """One image of most classes, 500 of the first: the smallest prior is 1 in 2,500."""
    m, generator = 1000, torch.Generator().manual_seed(0)
    counts = torch.ones(m, dtype=torch.int64)
    counts[0], counts[1:500] = 500, 2
    labels = torch.arange(m).repeat_interleave(counts)
    images = torch.randint(256, (len(labels), 1, 8, 8), generator=generator, dtype=torch.uint8)
    names = tuple(map(str, range(m)))
    train, heldout = Split(images, labels, names), Split(images[-m:], torch.arange(m), names)
    config = TrainConfig(epochs=2, rounds=4, learning_rate=0.01, precision=precision)
    net = models.create("linear", num_classes=m, in_channels=1)
    history = fit(net, train, ROBUST, heldout=heldout, config=config)
    for values in (history.risks, history.multipliers, history.class_weights):
        assert torch.isfinite(values).all()
    torch.testing.assert_close(history.multipliers.sum(1), torch.ones(4).double())
    logits = models.predict(net, images[-m:])
    assert torch.isfinite(logits).all()
    shown = summary(logits, torch.arange(m), bootstrap=20)
    assert 0 <= shown["worst"] <= shown["worst_k"] <= shown["average"] <= 1


def test_the_precision_changes_nothing_else(splits):
    """The images, their order and the rounds are the same; only the arithmetic differs."""
    steps = {}
    for precision in ("float32", "bfloat16"):
        config = TrainConfig(epochs=1, batch_size=32, precision=precision, learning_rate=1e-6)
        net = models.create("linear", num_classes=10, in_channels=1)
        history = fit(net, splits.train, ROBUST, heldout=splits.heldout, config=config)
        assert {p.dtype for p in net.parameters()} == {torch.float32}
        steps[precision] = dataclasses.astuple(config)[:3], history.risks[0]
    assert steps["float32"][0] == steps["bfloat16"][0]
    torch.testing.assert_close(steps["bfloat16"][1], steps["float32"][1], rtol=0.01, atol=0.01)
