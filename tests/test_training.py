"""`fit` is the algorithm (6)-(8): compared with a hand-written loop, and promise by promise."""

import dataclasses

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from rdlite import models
from rdlite.data import Split, batches
from rdlite.models import AveragedScorer
from rdlite.objectives import BALANCED, ROBUST, STANDARD, Objective, margin_loss
from rdlite.training import TrainConfig, fit
from rdlite.training.sgd import Sgd
from rdlite.training.targets import Consistent, mixed

SHORT = TrainConfig(epochs=3, batch_size=32, shift=1, flip=True)
STILL = dataclasses.replace(SHORT, shift=0, flip=False)


def network(name="cnn-4", seed=0):
    return models.create(name, num_classes=10, in_channels=1, seed=seed)


def train(splits, objective=ROBUST, config=SHORT, name="cnn-4", **options):
    """A freshly made network after `fit`, and its history."""
    net = network(name)
    history = fit(net, splits.train, objective, heldout=splits.heldout, config=config, **options)
    return net, history


def weights(net):
    return torch.cat([p.detach().flatten() for p in net.parameters()])


def test_equals_a_hand_written_loop(long_tail):
    """Eqs (6)-(8) once more, naively, from the same images in the same order.

    At a small learning rate, because a large one amplifies what another CPU rounds differently.
    """
    config = dataclasses.replace(SHORT, step_size=0.7, weight_decay=1e-2, learning_rate=0.02)
    objective = Objective(alpha=0.6, anchor="standard")
    net, history = train(long_tail, objective, config)

    naive, images, labels = network(), long_tail.train.images, long_tail.train.labels
    prior = np.bincount(labels.numpy()) / len(labels)
    multipliers = np.full(10, 0.1)
    generator = torch.Generator().manual_seed(config.seed)
    velocity = [torch.zeros_like(p) for p in naive.parameters()]
    steps, done = 3 * (len(labels) // 32), 0
    for k in range(3):
        c = (0.4 * prior + 0.6 * multipliers) / prior
        c = torch.tensor(c / c.mean(), dtype=torch.float32)
        naive.train()
        for index in batches.shuffled(len(labels), 32, generator):
            view = batches.augment(images[index], generator, shift=1, flip=True)
            loss = F.cross_entropy(naive(batches.as_input(view)) - c.log(), labels[index])
            rate = 0.02 * (1 + np.cos(np.pi * done / steps)) / 2
            gradients = torch.autograd.grad(loss, list(naive.parameters()))
            with torch.no_grad():
                for p, g, v in zip(naive.parameters(), gradients, velocity, strict=True):
                    v.mul_(0.9).add_(g + 1e-2 * p)
                    p.sub_(rate * v)
            done += 1
        naive.eval()
        with torch.no_grad():
            logits = naive(batches.as_input(long_tail.heldout.images)).double()
        losses = F.cross_entropy(logits, long_tail.heldout.labels, reduction="none").numpy()
        held = long_tail.heldout.labels.numpy()
        risks = np.array([losses[held == y].mean() for y in range(10)])
        np.testing.assert_allclose(history.multipliers[k], multipliers, rtol=1e-4)
        np.testing.assert_allclose(history.risks[k], risks, rtol=1e-3)
        multipliers = multipliers * np.exp(0.7 * risks)
        multipliers /= multipliers.sum()
    torch.testing.assert_close(weights(net), weights(naive), rtol=1e-3, atol=1e-4)


def test_overfits_64_images(splits):
    keep = torch.arange(64) * len(splits.train) // 64  # of every class
    few = Split(splits.train.images[keep], splits.train.labels[keep], splits.class_names)
    config = TrainConfig(epochs=60, batch_size=32, shift=0, flip=False)
    net = network("cnn-16")
    history = fit(net, few, BALANCED, heldout=splits.heldout, config=config)
    assert history.rows[-1]["loss"] < 0.05 < 1.0 < history.rows[0]["loss"]
    assert (models.predict(net, few.images).argmax(1) == few.labels).all()


@pytest.mark.parametrize("teacher_view", ["labels", "function"])
def test_one_seed_gives_bit_identical_runs(long_tail, teacher_view):
    targets = {"function": lambda view: torch.softmax(network(seed=5).eval()(view).detach(), 1)}
    options = {"targets": targets.get(teacher_view)}
    (a, first), (b, second) = (train(long_tail, **options) for _ in range(2))
    assert torch.equal(weights(a), weights(b))
    assert torch.equal(first.risks, second.risks)
    assert torch.equal(first.multipliers, second.multipliers)


def test_another_seed_gives_another_run(long_tail):
    a, _ = train(long_tail)
    b, _ = train(long_tail, config=dataclasses.replace(SHORT, seed=1))
    assert not torch.equal(weights(a), weights(b))


def test_the_multiplier_of_the_hardest_class_grows(long_tail):
    config = TrainConfig(epochs=8, batch_size=32, step_size=0.3)
    _, history = train(long_tail, config=config, name="cnn-8")
    hardest = int(history.risks.mean(0).argmax())
    path = history.multipliers[:, hardest]
    assert path[-1] > 1.5 * path[0] == pytest.approx(0.15)
    assert path[-1] == history.multipliers[-1].max()


def test_history_obeys_equations_6_and_7(long_tail):
    """Each row's multipliers follow from the row before, its class weights from its multipliers."""
    config = dataclasses.replace(SHORT, epochs=4, step_size=0.5)
    _, history = train(long_tail, Objective(alpha=0.7), config)
    counts = long_tail.train.class_counts.double().numpy()
    for k in range(4):
        c = (0.3 * 0.1 + 0.7 * history.multipliers[k].numpy()) / (counts / counts.sum())
        np.testing.assert_allclose(history.class_weights[k], c / c.mean(), rtol=1e-9)
    for k in range(3):
        grown = history.multipliers[k].numpy() * np.exp(0.5 * history.risks[k].numpy())
        np.testing.assert_allclose(history.multipliers[k + 1], grown / grown.sum(), rtol=1e-9)


def test_zero_one_payoffs_obey_equation_6_prime(long_tail):
    """The player is paid in held-out class errors, by hand from the model after the round."""
    config = dataclasses.replace(SHORT, step_size=0.5, payoff="error", schedule="constant")
    _, history = train(long_tail, ROBUST, config)
    model, first = train(long_tail, ROBUST, dataclasses.replace(config, epochs=1))
    assert torch.equal(first.risks[0], history.risks[0]), "the same first round"
    labels = long_tail.heldout.labels
    guesses = models.predict(model, long_tail.heldout.images).argmax(1)
    errors = [float((guesses[labels == y] != y).double().mean()) for y in range(10)]
    grown = 0.1 * np.exp(0.5 * np.array(errors))
    np.testing.assert_allclose(history.multipliers[1], grown / grown.sum(), rtol=1e-9)
    assert len(set(errors)) > 2, errors


def test_history_frame_has_a_row_a_round(long_tail):
    _, history = train(long_tail)
    frame = history.frame()
    assert len(history) == len(frame) == 3
    assert frame["round"].tolist() == [1, 2, 3] and frame["epoch"].tolist() == [1, 2, 3]
    assert {"loss", "objective", "average", "worst", "worst_class", "seconds"} <= set(frame)
    for name in ("risk", "multiplier", "class_weight"):
        assert {f"{name}_{k}" for k in range(10)} <= set(frame)
    np.testing.assert_allclose(frame.filter(regex="^multiplier_").sum(axis=1), 1)
    np.testing.assert_allclose(frame["objective"], frame.filter(regex="^risk_").max(axis=1))


@pytest.mark.parametrize("rounds, expected", [(None, 3), (1, 1), (7, 7), (10_000, 3 * 12)])
def test_rounds_are_spread_over_the_same_number_of_steps(long_tail, rounds, expected):
    """403 images make 12 batches of 32 an epoch; there are never more rounds than steps."""
    seen = []
    _, history = train(
        long_tail, config=dataclasses.replace(SHORT, rounds=rounds), on_round=seen.append
    )
    assert len(long_tail.train) // 32 == 12
    assert len(history) == expected and seen == history.rows
    assert history.rows[-1]["epoch"] == 3


def test_the_rounds_do_not_change_the_images_seen(long_tail):
    """At alpha = 0 the multipliers do not matter, so neither does how often they move."""
    a, _ = train(long_tail, BALANCED)
    b, _ = train(long_tail, BALANCED, dataclasses.replace(SHORT, rounds=9))
    assert torch.equal(weights(a), weights(b))


def test_one_hot_targets_are_the_labels(long_tail):
    a, _ = train(long_tail)
    b, _ = train(
        long_tail,
        targets=long_tail.train.one_hot(),
        heldout_targets=long_tail.heldout.one_hot(),
    )
    assert torch.equal(weights(a), weights(b))


def test_mix_zero_is_training_on_the_labels(long_tail):
    uniform = torch.full((len(long_tail.train), 10), 0.1)
    a, _ = train(long_tail)
    one_hot = long_tail.train.one_hot()
    b, _ = train(long_tail, targets=mixed(uniform, one_hot, 0.0))
    views = Consistent(lambda view: torch.full((len(view), 10), 0.1), one_hot, 0.0)
    c, _ = train(long_tail, targets=views)
    assert torch.equal(weights(a), weights(b)) and torch.equal(weights(a), weights(c))


def test_mix_can_differ_by_class(long_tail):
    """A share of 1 for class 0 alone: its rows are the targets, the others are one-hot."""
    uniform = torch.full((len(long_tail.train), 10), 0.1)
    rows = torch.where(long_tail.train.labels[:, None] == 0, uniform, long_tail.train.one_hot())
    a, _ = train(long_tail, targets=rows)
    of_class_0 = F.one_hot(torch.tensor(0), 10)
    b, _ = train(long_tail, targets=mixed(uniform, long_tail.train.one_hot(), of_class_0))
    assert torch.equal(weights(a), weights(b))


def test_a_function_sees_the_view_that_the_student_sees(long_tail):
    views = []

    def targets(view):
        views.append(view.clone())
        return torch.full((len(view), 10), 0.1)

    net = network()
    net.register_forward_pre_hook(lambda module, inputs: views.append(inputs[0].clone()))
    one = dataclasses.replace(SHORT, epochs=1)
    fit(net, long_tail.train, ROBUST, heldout=long_tail.heldout, targets=targets, config=one)
    # before the epoch: the network is tried on an image, and the marginal is over plain images;
    # after it: the last batch in eval mode, and the held-out images
    plain = len(views) - 2 * 12 - 2
    assert plain == 2
    for i in range(12):
        student_view, teacher_view = views[2 + 2 * i], views[3 + 2 * i]
        assert torch.equal(student_view, teacher_view)


def test_the_prior_is_the_marginal_of_the_targets(long_tail):
    """Distilled class weights divide by the teacher's marginal, eq. (7), not by the labels'."""
    marginal = torch.linspace(1, 2, 10)
    marginal = marginal / marginal.sum()
    rows = marginal.repeat(len(long_tail.train), 1)
    for targets in (rows, lambda view: marginal.repeat(len(view), 1)):
        _, history = train(long_tail, BALANCED, targets=targets)
        expected = 1 / marginal.double()
        expected = expected / expected.mean()
        torch.testing.assert_close(history.class_weights[0], expected, rtol=1e-5, atol=0)


def test_held_out_risks_use_the_given_labels(long_tail):
    """Eq. (4) by hand from the last network's logits."""
    rows = torch.softmax(torch.randn(len(long_tail.heldout), 10), 1)
    net, history = train(long_tail, heldout_targets=rows)
    logits = models.predict(net, long_tail.heldout.images).double().numpy()
    losses = np.log(np.exp(logits).sum(1, keepdims=True)) - logits
    p = rows.double().numpy()
    expected = (p * losses).mean(0) / p.mean(0)
    np.testing.assert_allclose(history.risks[-1], expected, rtol=1e-5)


def test_the_averaged_scorer_is_the_mean_of_the_rounds(long_tail):
    """Rounds 1 and 2 of a constant schedule are the ends of a one- and a two-epoch run."""
    config = dataclasses.replace(SHORT, epochs=2, schedule="constant", scorer="average")
    net, history = train(long_tail, config=config)
    assert isinstance(history.scorer, AveragedScorer) and len(history.scorer.scorers) == 2
    first, _ = train(long_tail, config=dataclasses.replace(config, epochs=1, scorer="last"))
    images = long_tail.heldout.images
    expected = (models.predict(first, images) + models.predict(net, images)) / 2
    torch.testing.assert_close(models.predict(history.scorer, images), expected)


def test_margin_and_reweighted_loss_differ_only_by_unequal_weights(splits, long_tail):
    reweighted = dataclasses.replace(SHORT, loss="reweighted")
    a, _ = train(splits, BALANCED)
    b, _ = train(splits, BALANCED, reweighted)
    torch.testing.assert_close(weights(a), weights(b), rtol=1e-3, atol=1e-4)
    a, _ = train(long_tail, BALANCED)
    b, _ = train(long_tail, BALANCED, reweighted)
    assert (weights(a) - weights(b)).abs().max() > 1e-2


def test_a_loss_of_one_s_own_takes_the_place_of_the_margin_loss(long_tail):
    seen = []

    def loss(logits, targets, class_weights):
        seen.append(class_weights)
        return -(targets * torch.log_softmax(logits - class_weights.log(), 1)).sum(1).mean()

    net, _ = train(long_tail, BALANCED, loss=loss)
    same, _ = train(long_tail, BALANCED)
    torch.testing.assert_close(weights(net), weights(same), rtol=0, atol=0)
    assert seen[0].std() > 0


def test_class_balanced_sampling_serves_the_rare_classes(long_tail):
    balanced = dataclasses.replace(SHORT, sampling="class-balanced")
    _, history = train(long_tail, STANDARD, balanced)
    _, shuffled = train(long_tail, STANDARD)
    assert history.risks[-1, 5:].mean() < shuffled.risks[-1, 5:].mean() - 0.1
    torch.testing.assert_close(history.class_weights, torch.ones(3, 10).double())


def test_standard_training_is_plain_cross_entropy(long_tail):
    _, history = train(long_tail, STANDARD)
    torch.testing.assert_close(history.class_weights, torch.ones(3, 10).double())


@pytest.mark.parametrize("progress", [True, False])
def test_the_bar_shows_average_and_worst_class(long_tail, capsys, progress):
    _, history = train(long_tail, progress=progress)
    shown = capsys.readouterr().err
    last = history.rows[-1]
    expected = f"average={last['average']:.2f}, worst={last['worst']:.2f}"
    assert (expected in shown) is progress
    assert bool(shown) is progress


def test_divergence_stops_and_names_the_step(splits):
    config = dataclasses.replace(SHORT, learning_rate=1e30)
    with pytest.raises(FloatingPointError, match=r"not finite at step \d+; lower learning_rate"):
        train(splits, config=config, name="mlp-32")


def test_what_the_caller_holds_is_not_changed(long_tail):
    images, labels = long_tail.train.images.clone(), long_tail.train.labels.clone()
    rows = torch.softmax(torch.randn(len(labels), 10), 1)
    before = rows.clone()
    train(long_tail, targets=rows)
    assert torch.equal(images, long_tail.train.images) and torch.equal(rows, before)
    assert torch.equal(labels, long_tail.train.labels)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"targets": torch.ones(3, 10) / 10}, r"targets must have shape \(403, 10\)"),
        ({"targets": torch.ones(403, 10)}, "targets must have non-negative rows that sum to 1"),
        ({"targets": torch.full((403, 10), torch.nan)}, "targets must be finite"),
        ({"targets": lambda view: torch.ones(len(view), 9) / 9}, "targets must have shape"),
        ({"heldout_targets": torch.ones(3, 10) / 10}, "heldout_targets must have shape"),
    ],
)
def test_bad_arguments_are_named(long_tail, options, message):
    with pytest.raises(ValueError, match=message):
        train(long_tail, **options)


def test_a_class_without_images_is_named(long_tail):
    keep = long_tail.train.labels != 7
    part = Split(long_tail.train.images[keep], long_tail.train.labels[keep], long_tail.class_names)
    with pytest.raises(ValueError, match=r"train must have an image of every class.*none of \[7\]"):
        fit(network(), part, ROBUST, heldout=long_tail.heldout)
    with pytest.raises(ValueError, match="heldout must have an image of every class"):
        fit(network(), long_tail.train, ROBUST, heldout=part)


@pytest.mark.parametrize(
    "field, value",
    [
        ("epochs", 0),
        ("epochs", 1.5),
        ("batch_size", 0),
        ("learning_rate", 0),
        ("learning_rate", float("nan")),
        ("momentum", -0.1),
        ("weight_decay", -1e-4),
        ("schedule", "cosin"),
        ("step_size", -1),
        ("rounds", 0),
        ("loss", "hinge"),
        ("scorer", "first"),
        ("shift", -1),
        ("padding", "mirror"),
        ("precision", "float16"),
        ("flip", 1),
        ("compile", "yes"),
        ("seed", "zero"),
    ],
)
def test_a_bad_setting_is_named(field, value):
    with pytest.raises(ValueError, match=field):
        TrainConfig(**{field: value})


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_a_gpu_gives_about_the_same_risks(long_tail):
    _, cpu = train(long_tail, config=STILL)
    net = network().cuda()
    gpu = fit(net, long_tail.train, ROBUST, heldout=long_tail.heldout, config=STILL)
    assert gpu.risks.device.type == "cpu"
    torch.testing.assert_close(gpu.risks[0], cpu.risks[0], rtol=0.5, atol=0.5)


def test_bfloat16_is_close_and_its_losses_and_risks_stay_in_float32(long_tail):
    every_step = dataclasses.replace(SHORT, rounds=1000)
    exact, history = train(long_tail, config=every_step)
    config = dataclasses.replace(every_step, precision="bfloat16")
    seen = []

    def loss(logits, targets, class_weights):
        seen.append(logits.dtype)
        return -(targets * torch.log_softmax(logits - class_weights.log(), 1)).sum(1).mean()

    rough, other = train(long_tail, config=config, loss=loss)
    assert set(seen) == {torch.float32}
    assert {p.dtype for p in rough.parameters()} == {torch.float32}
    assert not torch.equal(weights(exact), weights(rough)), "it was really used"
    torch.testing.assert_close(other.risks[0], history.risks[0], rtol=0.02, atol=0.02)


@pytest.mark.slow
def test_a_compiled_network_trains_as_the_plain_one(long_tail):
    config = dataclasses.replace(STILL, epochs=1, compile=True)
    net, history = train(long_tail, config=config)
    plain, other = train(long_tail, config=dataclasses.replace(config, compile=False))
    assert list(net.state_dict()) == list(plain.state_dict())
    torch.testing.assert_close(weights(net), weights(plain), rtol=1e-2, atol=1e-3)
    torch.testing.assert_close(history.risks, other.risks, rtol=1e-2, atol=1e-3)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_resnet_on_a_gpu_with_augmentation_gives_about_the_same_loss(splits, precision):
    config = dataclasses.replace(SHORT, epochs=1, rounds=1, padding="reflect", precision=precision)
    losses = []
    for device in ("cpu", "cuda"):
        net = network("resnet-8").to(device, memory_format=torch.channels_last)
        history = fit(net, splits.train, ROBUST, heldout=splits.heldout, config=config)
        losses.append(history.rows[0]["loss"])
    assert losses[1] == pytest.approx(losses[0], rel=0.2), "other views, about the same loss"


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_nothing_waits_for_the_gpu_inside_a_round(splits):
    """torch raises at every synchronisation of a step, augmentation and teacher included."""
    device, m = torch.device("cuda"), 10
    net, teacher = network("resnet-8").to(device), network("resnet-8", seed=1).to(device).eval()
    few = splits.train.to(device)

    def label(view):
        with torch.no_grad():
            return torch.softmax(teacher(view), 1)

    targets = Consistent(label, few.one_hot(), 0.5)
    sgd = Sgd(net, few, targets, margin_loss.__wrapped__, SHORT)
    weights = torch.ones(m, device=device)
    net.train()
    sgd._step(weights)  # warm
    torch.cuda.set_sync_debug_mode("error")
    try:
        for _ in range(3):
            sgd._step(weights)
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_a_network_that_gives_more_in_training_is_named(long_tail):
    class Auxiliary(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.net = network()

        def forward(self, x):
            return (self.net(x), x) if self.training else self.net(x)

    with pytest.raises(ValueError, match=r"model must give one tensor .*tuple"):
        fit(Auxiliary(), long_tail.train, ROBUST, heldout=long_tail.heldout, config=SHORT)
