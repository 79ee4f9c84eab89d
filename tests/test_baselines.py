"""The baselines: their losses by hand and derived again, their limits, and that they train."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from rdlite import baselines, data, models
from rdlite.data import batches
from rdlite.distillation import distill, predict
from rdlite.metrics import per_class_accuracy
from rdlite.objectives import STANDARD, margin_loss
from rdlite.training import TrainConfig, fit, losses

PROPERTY = settings(max_examples=30, deadline=None, derandomize=True)
CONFIG = TrainConfig(epochs=2, batch_size=16)


def drawn(n, m, seed, scale=1.0):
    return scale * torch.randn(n, m, generator=torch.Generator().manual_seed(seed)).double()


@pytest.fixture(scope="module")
def splits():
    return data.load(imbalance=10, head=40, heldout=20, size=14)


def network(seed=0, name="cnn-4"):
    return models.create(name, num_classes=10, in_channels=1, seed=seed)


def weights_of(net):
    return torch.cat([p.detach().flatten() for p in net.parameters()])


def test_logit_adjustment_is_the_margin_loss_with_inverse_prior(splits):
    """Menon et al.: cross-entropy of f + log pi. The objective's own weights give just that."""
    prior = splits.train.class_counts / len(splits.train)
    f, labels = drawn(6, 10, seed=0).float(), torch.arange(6)
    expected = F.cross_entropy(f + prior.log(), labels)
    torch.testing.assert_close(margin_loss(f, torch.eye(10)[labels], 1 / prior), expected)

    ours, theirs = network(), network()
    history = baselines.logit_adjusted(ours, splits, config=CONFIG)
    one_over_prior = (1 / prior / (1 / prior).mean()).double()
    torch.testing.assert_close(history.class_weights[-1], one_over_prior, rtol=1e-5, atol=0)

    def loss(logits, targets, _weights):
        return F.cross_entropy(logits + prior.log(), targets)

    fit(theirs, splits.train, STANDARD, heldout=splits.heldout, config=CONFIG, loss=loss)
    torch.testing.assert_close(weights_of(ours), weights_of(theirs), rtol=1e-3, atol=1e-4)


def test_post_hoc_logit_adjustment_predicts_with_f_minus_log_prior(splits):
    net = network()
    history = baselines.post_hoc_logit_adjusted(net, splits, config=CONFIG)
    prior = splits.train.class_counts / len(splits.train)
    expected = predict(net, splits.heldout) - prior.log()
    torch.testing.assert_close(predict(history.scorer, splits.heldout), expected)


def test_group_dro_by_hand():
    """Two images of class 0 and one of class 1, class 2 absent."""
    player = baselines.GroupDRO(3, step_size=math.log(2) / math.log(3))
    f = torch.tensor([[0.0, 0.0, 0.0], [0.0, 0.0, 0.0], [0.0, 99.0, 0.0]])
    loss = player(f, torch.eye(3)[[0, 0, 1]], None)
    # risks log 3 and 0: class 0 doubles against class 1, and they share the 2/3 that they had
    torch.testing.assert_close(player.multipliers, torch.tensor([4 / 9, 2 / 9, 1 / 3]))
    assert float(loss) == pytest.approx(4 / 9 * math.log(3), rel=1e-6)


def test_group_dro_is_the_weighted_sum_of_the_batch_s_class_means():
    player = baselines.GroupDRO(4, step_size=0.0)  # multipliers stay 1/4
    f, labels = drawn(12, 4, seed=1).float(), torch.arange(12) % 3
    loss = player(f, torch.eye(4)[labels], None)
    means = [F.cross_entropy(f[labels == y], labels[labels == y]) for y in range(3)]
    torch.testing.assert_close(loss, sum(means) / 4)


def test_group_dro_leaves_an_absent_class_what_it_had():
    player = baselines.GroupDRO(3, step_size=0.5)
    for _ in range(50):
        player(torch.zeros(2, 3), torch.eye(3)[:2], None)  # class 2 is absent
    torch.testing.assert_close(player.multipliers, torch.full((3,), 1 / 3))


def test_group_dro_trains_and_its_player_moves(splits, monkeypatch):
    players = []
    original = baselines.GroupDRO.__init__
    monkeypatch.setattr(
        baselines.GroupDRO, "__init__", lambda s, *a: (original(s, *a), players.append(s))[0]
    )
    before, net = weights_of(network()), network()
    baselines.group_dro(net, splits, step_size=0.1, config=CONFIG)
    assert not torch.equal(weights_of(net), before)
    q = players[0].multipliers
    assert q.sum() == pytest.approx(1, abs=1e-5) and q.std() > 0.01


def test_post_shift_with_equal_weights_changes_nothing():
    f, labels = drawn(200, 4, seed=2), torch.arange(200) % 4
    perfect = torch.eye(4)[labels]
    assert torch.equal(baselines.post_shift(perfect, labels), torch.full((4,), 0.25).double())
    shifted = (f + torch.full((4,), 0.25).log()).argmax(1)
    assert torch.equal(shifted, f.argmax(1))


def test_post_shift_lifts_the_worst_class_of_a_biased_scorer():
    labels = torch.arange(400) % 4
    f = drawn(400, 4, seed=3) + 2.0 * torch.eye(4)[labels] + torch.tensor([3.0, 0.0, 0.0, 0.0])
    before = per_class_accuracy(f.argmax(1), labels, 4).min()
    c = baselines.post_shift(f, labels)
    after = per_class_accuracy((f + c.log()).argmax(1), labels, 4).min()
    assert before < 0.3 and after > 0.7 and c.argmin() == 0


def test_post_shift_finds_what_a_search_finds():
    """Two classes: the best threshold by trying all of them."""
    labels = torch.arange(300) % 2
    f = drawn(300, 2, seed=4) + 1.5 * torch.eye(2)[labels] + torch.tensor([1.0, 0.0])
    margin = f[:, 0] - f[:, 1]
    worst = max(
        min(
            float((margin[labels == 0] > t).double().mean()),
            float((margin[labels == 1] <= t).double().mean()),
        )
        for t in margin.tolist()
    )
    c = baselines.post_shift(f, labels)
    found = per_class_accuracy((f + c.log()).argmax(1), labels, 2).min()
    assert float(found) >= worst - 0.02


@pytest.mark.parametrize("taught", [False, True])
def test_post_shifted_is_the_standard_student_plus_log_c(splits, taught):
    net, plain, teacher = network(), network(), network(2, "cnn-8") if taught else None
    history = baselines.post_shifted(net, splits, teacher=teacher, config=CONFIG)
    if taught:
        distill(teacher, plain, splits, STANDARD, config=CONFIG)
    else:
        fit(plain, splits.train, STANDARD, heldout=splits.heldout, config=CONFIG)
    f = predict(plain, splits.heldout)
    c = baselines.post_shift(f, splits.heldout.labels)
    torch.testing.assert_close(predict(history.scorer, splits.heldout), f + c.log().float())


def test_teacher_margins_by_hand():
    p = torch.tensor([[0.6, 0.3, 0.1], [0.2, 0.2, 0.6], [0.0, 1.0, 0.0], [0.5, 0.25, 0.25]])
    g = baselines.teacher_margins(p, torch.tensor([0, 2, 1, 0]))
    # class 0: (0.6 - 0.2 + 0.5 - 0.25) / 2; class 1: 1; class 2: 0.6 - 0.2
    torch.testing.assert_close(g, torch.tensor([0.325, 1.0, 0.4]))


@pytest.mark.parametrize(("trust", "mix"), [(1.0, 1.0), (0.0, 0.0)])
def test_ada_alpha_with_w_1_is_kd_and_with_w_0_is_training_on_labels(
    splits, monkeypatch, trust, mix
):
    monkeypatch.setattr(baselines, "_margins", lambda *_: torch.full((10,), trust))
    ours, theirs, teacher = network(1), network(1), network(2, "cnn-8")
    baselines.ada_alpha(ours, splits, teacher=teacher, config=CONFIG)
    if trust:
        distill(teacher, theirs, splits, STANDARD, mix=mix, config=CONFIG)
    else:
        fit(theirs, splits.train, STANDARD, heldout=splits.heldout, config=CONFIG)
    torch.testing.assert_close(weights_of(ours), weights_of(theirs), rtol=0, atol=0)


def test_ada_alpha_trusts_by_class(splits, monkeypatch):
    given = {}
    monkeypatch.setattr(baselines, "distill", lambda *_, **how: given.update(how))
    teacher = network(2, "cnn-8")
    baselines.ada_alpha(network(1), splits, teacher=teacher, config=CONFIG, temperature=2.0)
    p = torch.softmax(predict(teacher, splits.heldout), 1)
    expected = baselines.teacher_margins(p, splits.heldout.labels).clamp_min(0)
    assert torch.equal(given["mix"], expected) and given["temperature"] == 2.0


@PROPERTY
@given(st.integers(0, 10**6), st.integers(2, 7))
def test_the_adaptive_margin_loss_is_its_definition(seed, m):
    f, p, g = drawn(5, m, seed), torch.softmax(drawn(5, m, seed + 1), 1), drawn(1, m, seed + 2)[0]
    total = 0.0
    for b in range(5):
        for y in range(m):
            others = sum(math.exp(g[y] - (f[b, y] - f[b, j])) for j in range(m) if j != y)
            total += float(p[b, y]) * math.log1p(others)
    assert float(losses.adaptive_margin_loss(f, p, g)) == pytest.approx(total / 5, rel=1e-9)


@PROPERTY
@given(st.integers(0, 10**6), st.integers(2, 7))
def test_without_margins_it_is_cross_entropy_in_value_and_gradient(seed, m):
    p = torch.softmax(drawn(5, m, seed), 1)
    first = drawn(5, m, seed + 1, scale=4.0).requires_grad_()
    second = first.detach().clone().requires_grad_()
    ours = losses.adaptive_margin_loss(first, p, torch.zeros(m))
    theirs = F.cross_entropy(second, p)
    ours.backward()
    theirs.backward()
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(first.grad, second.grad)


@pytest.mark.parametrize("size", [1e2, 1e4])
def test_the_adaptive_margin_loss_takes_huge_logits(size):
    f = torch.tensor([[size, 0.0, -size], [0.0, size, size]], requires_grad=True)
    targets = torch.eye(3)[[0, 1]]
    loss = losses.adaptive_margin_loss(f, targets, torch.tensor([0.5, 0.5, 0.0]))
    loss.backward()
    # the first image is right by far; the second is a tie of two, with margin 0.5
    assert loss.item() == pytest.approx(math.log1p(math.exp(0.5)) / 2, rel=1e-5)
    assert torch.isfinite(f.grad).all()


def test_ada_margin_trains_the_student_and_leaves_the_teacher(splits):
    teacher, student = network(2, "cnn-8"), network(1)
    before, first = weights_of(teacher), weights_of(student)
    baselines.ada_margin(student, splits, teacher=teacher, config=CONFIG)
    assert torch.equal(weights_of(teacher), before)
    assert not torch.equal(weights_of(student), first)


# ------------------------------------------------ BKD and LTKD, beside Hinton's CE + T^2 KL


def hinton(f, labels, p, temperature):
    """By torch's own functions: cross-entropy plus T^2 KL."""
    log_s = F.log_softmax(f / temperature, 1)
    kl = F.kl_div(log_s, p, reduction="batchmean")
    return F.cross_entropy(f, labels) + temperature**2 * kl


def naive_bkd(f, labels, p, counts, temperature):
    """Image by image, from the formula."""
    w = [(1 - 0.9999) / (1 - 0.9999**n) for n in counts]
    total = 0.0
    for b, y in enumerate(labels.tolist()):
        s = torch.softmax(f[b] / temperature, 0)
        q = [wy * float(py) for wy, py in zip(w, p[b], strict=True)]
        kl = sum(
            qj / sum(q) * math.log(qj / sum(q) / float(sj)) for qj, sj in zip(q, s, strict=True)
        )
        total += -math.log(float(torch.softmax(f[b], 0)[y])) + temperature**2 * kl
    return total / len(f)


def naive_ltkd(f, labels, p, groups, temperature):
    """Image by image, from the formula; ``groups`` are lists of classes."""
    mean = [float(p[:, g].sum(1).mean()) for g in groups]
    total = 0.0
    for b, y in enumerate(labels.tolist()):
        s = torch.softmax(f[b] / temperature, 0)
        balanced = [float(p[b, g].sum()) / mean[k] for k, g in enumerate(groups)]
        between = within = 0.0
        for k, g in enumerate(groups):
            share = balanced[k] / sum(balanced)
            between += share * math.log(share / float(s[g].sum()))
            inner_p, inner_s = p[b, g] / p[b, g].sum(), s[g] / s[g].sum()
            within += float((inner_p * (inner_p / inner_s).log()).sum()) / len(groups)
        total += -math.log(float(torch.softmax(f[b], 0)[y])) + temperature**2 * (between + within)
    return total / len(f)


def rows_of(p, labels):
    """What `distill` hands to the loss: the teacher and the label in one row."""
    share = losses.TEACHER_SHARE
    return share * p + (1 - share) * F.one_hot(labels, p.shape[1])


def images(seed, m=7, n=6):
    f, p = drawn(n, m, seed), torch.softmax(drawn(n, m, seed + 1, scale=2.0), 1)
    return f, torch.arange(n) % m, p


@PROPERTY
@given(st.integers(0, 10**6), st.sampled_from([1.0, 1.5, 3.0]))
def test_bkd_is_its_formula(seed, temperature):
    f, labels, p = images(seed)
    counts = torch.tensor([1000, 464, 215, 100, 46, 21, 10])
    ours = losses.BKD(counts, temperature)(f, rows_of(p, labels), None)
    assert float(ours) == pytest.approx(naive_bkd(f, labels, p, counts.tolist(), temperature))


@PROPERTY
@given(st.integers(0, 10**6), st.sampled_from([1.0, 1.5, 3.0]))
def test_ltkd_is_its_formula(seed, temperature):
    f, labels, p = images(seed)
    loss = losses.LTKD(torch.tensor([10, 1000, 46, 215, 100, 464, 21]), temperature)
    groups = [[1, 3, 5], [2, 4], [0, 6]]  # ranks 0-2, 3-4, 5-6 of 7
    ours = loss(f, rows_of(p, labels), None)
    assert float(ours) == pytest.approx(naive_ltkd(f, labels, p, groups, temperature))


@pytest.mark.parametrize("temperature", [1.0, 2.0])
@pytest.mark.parametrize(
    "limit",
    [
        lambda T: losses.Hinton(T),
        lambda T: losses.BKD(torch.full((7,), 30), T),
        lambda T: losses.LTKD(torch.arange(1, 8), T, groups=1),
    ],
    ids=["Hinton", "BKD of equal classes", "LTKD of one group"],
)
def test_the_limits_are_hinton_s_loss_in_value_and_gradient(limit, temperature):
    f, labels, p = images(3)
    first, second = f.clone().requires_grad_(), f.clone().requires_grad_()
    ours = limit(temperature)(first, rows_of(p, labels), None)
    theirs = hinton(second, labels, p, temperature)
    ours.backward()
    theirs.backward()
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(first.grad, second.grad)
    assert first.grad.abs().min() > 0


def test_two_groups_and_a_uniform_teacher_by_hand():
    """Both images alike: P / mean is 1 and 1, so 1/2 each; the student has 3/4 and 1/4."""
    f = torch.tensor([[3.0, 1.0], [3.0, 1.0]]).log().double()
    p = torch.tensor([[0.9, 0.1], [0.9, 0.1]]).double()
    loss = losses.LTKD(torch.tensor([2, 1]), groups=2)(f, rows_of(p, torch.tensor([0, 1])), None)
    cross_entropy = (math.log(4 / 3) + math.log(4)) / 2
    assert float(loss) == pytest.approx(cross_entropy + math.log(4 / 3) / 2)  # KL (1/2, 1/2 || ..)


@pytest.mark.parametrize("kind", [losses.Hinton, losses.BKD, losses.LTKD])
def test_a_teacher_that_is_certain_and_wrong_costs_a_finite_amount(kind):
    f = torch.tensor([[1e4, 0.0, -1e4], [0.0, 1e4, 1e4]], requires_grad=True)
    p, labels = torch.eye(3)[[2, 0]], torch.tensor([0, 1])
    assert torch.equal(rows_of(p, labels).argmax(1), labels)
    loss = (kind() if kind is losses.Hinton else kind(torch.tensor([9, 3, 1])))(
        f, rows_of(p, labels), None
    )
    loss.backward()
    assert torch.isfinite(loss) and torch.isfinite(f.grad).all()


def test_groups_are_thirds_of_the_classes_by_count():
    counts = torch.tensor([1000, 599, 359, 215, 129, 77, 46, 27, 16, 10])
    assert losses.groups_by_count(counts).tolist() == [0, 0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert losses.groups_by_count(counts.flip(0)).tolist() == [2, 2, 2, 1, 1, 1, 0, 0, 0, 0]


@pytest.mark.parametrize("name", ["bkd", "ltkd"])
@pytest.mark.parametrize("view", [{}, {"shift": 1}], ids=["plain", "augmented"])
def test_bkd_and_ltkd_train_on_the_loss_of_the_student_s_batches(splits, name, view):
    """One step by hand: the student gets gradient, the teacher none, and nothing else moves it."""
    config = TrainConfig(epochs=1, batch_size=len(splits.train), weight_decay=0, **view)
    teacher, student, by_hand = network(2, "cnn-8"), network(1), network(1)
    before = weights_of(teacher)
    history = baselines.WITH_A_TEACHER[name](
        student, splits, teacher=teacher, temperature=2.0, mix=0.3, config=config
    )
    assert torch.equal(weights_of(teacher), before)
    assert all(p.grad is None for p in teacher.parameters())
    batch = batches.Views(
        splits.train.images, splits.train.labels, batch_size=len(splits.train), seed=0, **view
    )
    index, images = next(batch)
    with torch.no_grad():
        p = torch.softmax(teacher(images) / 2, 1)
    counts, labels = splits.train.class_counts, splits.train.labels[index]
    kind = {"bkd": losses.BKD, "ltkd": losses.LTKD}[name]
    loss = kind(counts, 2.0).of(by_hand.train()(images), labels, p)
    assert history.rows[0]["loss"] == pytest.approx(float(loss.detach()), rel=1e-5)
    loss.backward()
    moved = torch.cat([(p - 0.1 * p.grad).detach().flatten() for p in by_hand.parameters()])
    torch.testing.assert_close(weights_of(student), moved, rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(history.class_weights[0], torch.ones(10).double(), rtol=1e-5, atol=0)


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: baselines.GroupDRO(2, step_size=-1.0), "step_size"),
        (lambda: baselines.GroupDRO(1), "num_classes"),
        (lambda: baselines.post_shift(torch.eye(3)[:2], torch.tensor([0, 1])), "labels"),
        (lambda: baselines.post_shift(torch.eye(2), torch.tensor([0, 1]), rounds=0), "rounds"),
        (
            lambda: baselines.teacher_margins(torch.ones(2, 2), torch.tensor([0, 1])),
            "probabilities",
        ),
    ],
)
def test_a_bad_argument_is_named(call, name):
    with pytest.raises(ValueError, match=name):
        call()
