"""The student learns from the teacher, the teacher does not; nobody reads the test set."""

import dataclasses

import numpy as np
import pytest
import torch
from torch import nn

from rdlite import data, distillation, models
from rdlite.data import Splits
from rdlite.distillation import distill, predict, soft_targets
from rdlite.guards import checks
from rdlite.objectives import ROBUST
from rdlite.training import TrainConfig, fit

SHORT = TrainConfig(epochs=2, batch_size=32, shift=1, flip=True)


def network(seed=0, num_classes=10):
    return models.create("cnn-4", num_classes=num_classes, in_channels=1, seed=seed)


@pytest.fixture(scope="module")
def teacher(long_tail):
    net = network(seed=7)
    config = TrainConfig(epochs=4, batch_size=32)
    fit(net, long_tail.train, ROBUST, heldout=long_tail.heldout, config=config)
    net.zero_grad()
    return net


def taught(teacher, splits, **options):
    student = network()
    config = options.pop("config", SHORT)
    history = distill(teacher, student, splits, ROBUST, config=config, **options)
    return student, history


def state(net):
    return torch.cat([v.detach().double().flatten() for v in net.state_dict().values()])


def test_soft_targets_against_numpy():
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(20, 4)) * 3, rng.integers(0, 4, 20)
    powers = np.exp(logits / 2.5)
    expected = 0.3 * powers / powers.sum(1, keepdims=True) + 0.7 * np.eye(4)[labels]
    found = soft_targets(torch.tensor(logits), torch.tensor(labels), temperature=2.5, mix=0.3)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_soft_targets_limits():
    logits, labels = torch.tensor([[5.0, 1.0, 0.0]]), torch.tensor([2])
    assert soft_targets(logits, labels, mix=0.0).tolist() == [[0, 0, 1]]
    cold = soft_targets(logits, labels, temperature=0.01)
    torch.testing.assert_close(cold, torch.tensor([[1.0, 0.0, 0.0]]))
    hot = soft_targets(logits, labels, temperature=1e6)
    torch.testing.assert_close(hot, torch.full((1, 3), 1 / 3), rtol=1e-4, atol=0)


@pytest.mark.parametrize("teacher_view", distillation.TEACHER_VIEWS)
@pytest.mark.parametrize("heldout_labels", ["teacher", "one-hot"])
def test_the_student_learns_and_the_teacher_does_not(
    teacher, long_tail, teacher_view, heldout_labels
):
    before, start = state(teacher), state(network())
    student, _ = taught(
        teacher, long_tail, teacher_view=teacher_view, heldout_labels=heldout_labels, views=2
    )
    assert torch.equal(state(teacher), before), "weights and running statistics are untouched"
    assert all(p.grad is None for p in teacher.parameters())
    assert all(p.grad is not None and p.grad.any() for p in student.parameters())
    assert (state(student) - start).abs().max() > 1e-2


def test_the_student_depends_on_the_teacher(teacher, long_tail):
    a, _ = taught(teacher, long_tail)
    b, _ = taught(network(seed=8), long_tail)
    assert not torch.equal(state(a), state(b))


def test_a_student_comes_to_agree_with_its_teacher(teacher, long_tail):
    """The divergence from the teacher, on images that neither was trained on, falls by far."""

    def divergence(student):
        p = torch.log_softmax(predict(teacher, long_tail.test), 1)
        q = torch.log_softmax(predict(student, long_tail.test), 1)
        return float((p.exp() * (p - q)).sum(1).mean())

    student, _ = taught(teacher, long_tail, config=TrainConfig(epochs=12, batch_size=32))
    assert divergence(student) < 0.5 * divergence(network())


def test_plain_view_is_training_on_cached_probabilities(teacher, long_tail):
    a, _ = taught(teacher, long_tail, teacher_view="plain", heldout_labels="one-hot")
    b = network()
    cached = torch.softmax(predict(teacher, long_tail.train), 1)
    fit(b, long_tail.train, ROBUST, heldout=long_tail.heldout, targets=cached, config=SHORT)
    assert torch.equal(state(a), state(b))


def test_without_augmentation_every_view_is_the_plain_one(teacher, long_tail):
    still = dataclasses.replace(SHORT, shift=0, flip=False)
    a, _ = taught(teacher, long_tail, teacher_view="plain", config=still)
    b, _ = taught(teacher, long_tail, teacher_view="consistent", config=still)
    assert torch.equal(state(a), state(b))


def test_views_take_as_many_steps_and_rounds(teacher, long_tail):
    four = dataclasses.replace(SHORT, epochs=4)
    _, views = taught(teacher, long_tail, teacher_view="views", views=2, config=four)
    _, consistent = taught(teacher, long_tail, config=four)
    assert len(views) == len(consistent) == 4
    with pytest.raises(ValueError, match="views must divide the number of epochs, 4, got 3"):
        taught(teacher, long_tail, teacher_view="views", views=3, config=four)


def test_held_out_risks_use_the_mixed_targets(teacher, long_tail):
    student, history = taught(teacher, long_tail, temperature=2.0, mix=0.5)
    logits = predict(student, long_tail.heldout).double().numpy()
    losses = np.log(np.exp(logits).sum(1, keepdims=True)) - logits
    powers = np.exp(predict(teacher, long_tail.heldout).double().numpy() / 2)
    p = 0.5 * powers / powers.sum(1, keepdims=True)
    p += 0.5 * np.eye(10)[long_tail.heldout.labels]
    np.testing.assert_allclose(history.risks[-1], (p * losses).mean(0) / p.mean(0), rtol=1e-4)


def test_mix_zero_with_one_hot_held_out_labels_is_no_distillation(teacher, long_tail):
    a, _ = taught(teacher, long_tail, mix=0.0, heldout_labels="one-hot")
    b = network()
    fit(b, long_tail.train, ROBUST, heldout=long_tail.heldout, config=SHORT)
    assert torch.equal(state(a), state(b))


def test_training_never_reads_the_test_split(teacher, long_tail):
    class Forbidden:
        def __getattribute__(self, name):
            raise AssertionError(f"the test split was read: {name}")

    sealed = Splits("sealed", long_tail.train, long_tail.heldout, Forbidden(), "")
    for view in distillation.TEACHER_VIEWS:
        taught(teacher, sealed, teacher_view=view, views=2)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"heldout_labels": "techer"}, "did you mean 'teacher'"),
        ({"teacher_view": "consistant"}, "did you mean 'consistent'"),
        ({"temperature": 0}, r"temperature must be a number in \(0, inf\]"),
        ({"mix": 1.1}, r"mix must be a number in \[0, 1\]"),
        ({"views": 0}, "views must be a whole number of at least 1"),
    ],
)
def test_bad_arguments_are_named(teacher, long_tail, options, message):
    with pytest.raises(ValueError, match=message):
        taught(teacher, long_tail, **options)


def test_a_teacher_of_other_classes_is_refused(long_tail):
    with pytest.raises(ValueError, match="teacher must give 10 logits, got 9"):
        taught(network(num_classes=9), long_tail)


@pytest.mark.parametrize(
    "logits, labels, message",
    [
        (torch.zeros(3), torch.zeros(3).long(), "teacher_logits must be"),
        (torch.zeros(2, 3), torch.zeros(3).long(), "teacher_logits must be"),
        (torch.full((1, 3), torch.inf), torch.zeros(1).long(), "teacher_logits must be finite"),
        (torch.zeros(1, 3), torch.tensor([3]), r"labels must be in 0\.\.2, got 3\.\.3"),
        (torch.zeros(1, 3), torch.tensor([0.0]), "labels must be class indices"),
    ],
)
def test_bad_soft_targets_are_named(logits, labels, message):
    with pytest.raises(ValueError, match=message):
        soft_targets(logits, labels)


def test_drawn_views_come_in_from_the_border_as_the_config_says(monkeypatch):
    """White images moved with a reflected border stay white."""
    white = np.full((60, 1, 16, 16), 255, np.uint8)
    labels = np.arange(60) % 3
    test = {"test_images": white, "test_labels": labels}
    splits = data.from_arrays(white, labels, **test, imbalance=1, heldout=4)
    darkest, real = [], models.as_input
    monkeypatch.setattr(
        models, "as_input", lambda images: (darkest.append(int(images.min())), real(images))[1]
    )
    linear = [models.create("linear", num_classes=3, in_channels=1, seed=seed) for seed in (0, 1)]
    config = TrainConfig(epochs=8, batch_size=16, shift=3, padding="reflect")
    distill(*linear, splits, ROBUST, teacher_view="views", config=config)
    assert min(darkest) == 255


@pytest.mark.parametrize("teacher_view", distillation.TEACHER_VIEWS)
def test_a_teacher_s_labels_pass_the_checks_once(teacher, long_tail, monkeypatch, teacher_view):
    """Training and held-out targets: each row once in ``fit``, and never in a step."""
    seen, real = [], checks.row_stochastic

    def counted(name, targets, *arguments):
        seen.append((name, len(targets)))
        real(name, targets, *arguments)

    monkeypatch.setattr(checks, "row_stochastic", counted)
    taught(teacher, long_tail, teacher_view=teacher_view, views=2)
    rows = len(long_tail.train) * (2 if teacher_view == "views" else 1)
    assert sum(n for name, n in seen if name == "targets") == rows
    assert [n for name, n in seen if name == "heldout_targets"] == [len(long_tail.heldout)]


def test_a_student_that_trains_the_teachers_weights_is_refused_and_a_frozen_part_is_not(long_tail):
    teacher = network()
    student = nn.Sequential(teacher[:-1], nn.Linear(16, 10))
    for one in (teacher, student):
        with pytest.raises(
            ValueError, match=r"student must learn none of .* the teacher, got .*0\."
        ):
            distill(teacher, one, long_tail, ROBUST, config=SHORT)
    assert teacher.training, "untouched"
    student[0].requires_grad_(False)
    with pytest.raises(ValueError, match=r"student must .* got 0\.\d+\.running_mean"):
        distill(teacher, student, long_tail, ROBUST, config=SHORT)
    student[0].eval()
    before = state(teacher)
    distill(teacher, student, long_tail, ROBUST, config=dataclasses.replace(SHORT, epochs=1))
    assert torch.equal(state(teacher), before)
