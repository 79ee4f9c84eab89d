"""Distillation: teacher -> soft targets -> student. A student is `fit` on another target matrix."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor, nn

from rdlite import models
from rdlite.data import Split, Splits, batches
from rdlite.guards import checks
from rdlite.objectives import Objective
from rdlite.training import Checkpoint, History, TrainConfig, fit
from rdlite.training.sgd import Loss
from rdlite.training.targets import Consistent, mixed, shares

TEACHER_VIEWS = ("consistent", "views", "plain")


def soft_targets(
    teacher_logits: Tensor, labels: Tensor, *, temperature: float = 1.0, mix: float | Tensor = 1.0
) -> Tensor:
    """Target matrix ``P = mix softmax(teacher_logits / T) + (1 - mix) one_hot(y)``, below eq. (4).

    Args:
        teacher_logits, labels: (n, m) and (n,).
        temperature: T above 0; 1 leaves the teacher's probabilities as they are.
        mix: the teacher's share in 0..1, one number or (m,) by the class of the label.

    Returns:
        (n, m), rows on the simplex; ValueError for shapes that differ and values out of range.

    >>> soft_targets(torch.zeros(1, 2), torch.tensor([0]), mix=0.5)
    tensor([[0.7500, 0.2500]])
    """
    m = checks.rows_and_labels("teacher_logits", teacher_logits, labels)
    checks.scores("teacher_logits", teacher_logits)
    checks.number("temperature", temperature, low=0, above=True)
    one_hot = torch.nn.functional.one_hot(labels.long(), m).to(teacher_logits)
    return mixed(_softened(teacher_logits, temperature), one_hot, shares(mix, m))


def _softened(logits: Tensor, temperature: float) -> Tensor:
    scaled = logits / temperature
    if scaled.is_cpu and not bool(torch.isfinite(scaled).all()):
        checks.finite("teacher's logits", logits)
        wanted = "be large enough that logits / temperature does not overflow"
        checks.expect(False, "temperature", wanted, repr(temperature))
    return torch.softmax(scaled, 1)


def predict(model: nn.Module, split: Split) -> Tensor:
    """Logits (n, m) of every image of ``split``, in eval mode and without a gradient."""
    checks.instance("split", split, Split, "; use models.predict for images alone")
    return models.predict(model, split.images)


def distill(
    teacher: nn.Module,
    student: nn.Module,
    splits: Splits,
    objective: Objective,
    *,
    heldout_labels: str = "teacher",
    teacher_view: str = "consistent",
    views: int = 8,
    temperature: float = 1.0,
    mix: float | Tensor = 1.0,
    config: TrainConfig = TrainConfig(),  # noqa: B008 - frozen
    loss: Loss | None = None,
    checkpoint: Checkpoint | None = None,
    progress: bool = False,
    on_round: Callable[[dict], None] | None = None,
) -> History:
    """Train ``student`` on the teacher's probabilities for ``objective``, eqs (4) and (6)-(8).

    Args:
        teacher, student: give logits (B, m). The student is trained in place; the teacher is put
            into eval mode and gets no gradient.
        splits: train and held-out are used; the test split is never read.
        objective: eq. (3), on the distilled risks of eq. (4).
        heldout_labels: whose labels the held-out risks of eq. (6) use, ``"teacher"``'s (the same
            temperature and mix as in training) or the ``"one-hot"`` ones.
        teacher_view: ``"consistent"`` labels each augmented view as the student sees it,
            ``"views"`` draws ``views`` augmented copies of the data once and labels each,
            ``"plain"`` lets the label of the plain image serve every view. Without augmentation
            every view is the plain image, so ``"consistent"`` then labels it once, too.
        views: number of copies for ``teacher_view="views"``.
        temperature, mix: see `soft_targets`.
        config, loss, checkpoint, progress, on_round: see `rdlite.training.fit`.

    Raises:
        ValueError: an unknown choice, a teacher that does not fit or whose weights are trained.
    """
    checks.choice("heldout_labels", heldout_labels, ["teacher", "one-hot"])
    checks.choice("teacher_view", teacher_view, TEACHER_VIEWS)
    checks.integer("views", views, low=1)
    checks.number("temperature", temperature, low=0, above=True)
    checks.instance("splits", splits, Splits, "; it needs train and heldout")
    device, train = models.device_of(student, "student"), splits.train
    checks.instance("teacher", teacher, nn.Module, "; see rdlite.models.create")
    checks.apart("student", student, "teacher", teacher)
    teacher.to(device).eval()
    mix = shares(mix, splits.num_classes)

    def targets_of(logits: Tensor, split: Split) -> Tensor:
        return mixed(_softened(logits, temperature), split.one_hot().to(logits), mix)

    def label(view: Tensor) -> Tensor:
        with torch.no_grad():
            return torch.softmax(teacher(view) / temperature, 1)

    heldout_targets = targets_of(teacher_logits(teacher, splits), splits.heldout)
    if teacher_view == "consistent" and (config.shift or config.flip):
        targets = Consistent(label, train.one_hot().to(device), mix)
    else:
        if teacher_view == "views":
            train, config = _drawn_views(train, views, config)
        targets = targets_of(predict(teacher, train), train)
    return fit(
        student,
        train,
        objective,
        heldout=splits.heldout,
        targets=targets,
        heldout_targets=heldout_targets if heldout_labels == "teacher" else None,
        config=config,
        loss=loss,
        checkpoint=checkpoint,
        progress=progress,
        on_round=on_round,
    )


def teacher_logits(teacher: nn.Module, splits: Splits) -> Tensor:
    """What a teacher says of the held-out images: (n, m), finite, or ValueError."""
    models.check("teacher", teacher, splits.heldout.images, splits.num_classes)
    logits = predict(teacher, splits.heldout)
    bad = int((~torch.isfinite(logits)).any(1).sum())
    got = f"NaN or infinity for {bad} of {len(logits)} held-out images"
    cure = "; train it again with a lower learning_rate"
    checks.expect(bad == 0, "teacher", "give finite logits", got, cure)
    return logits


def _drawn_views(train: Split, views: int, config: TrainConfig) -> tuple[Split, TrainConfig]:
    """``views`` augmented copies of ``train`` as one split; the config for as many SGD steps."""
    epochs, left = divmod(config.epochs, views)
    checks.expect(left == 0, "views", f"divide the number of epochs, {config.epochs}", views)
    generator = torch.Generator(train.images.device).manual_seed(config.seed)
    how = {"shift": config.shift, "flip": config.flip, "padding": config.padding}
    copies = [batches.augment(train.images, generator, **how) for _ in range(views)]
    drawn = Split(torch.cat(copies), train.labels.repeat(views), train.class_names)
    rounds = config.rounds or config.epochs
    return drawn, replace(config, shift=0, flip=False, epochs=epochs, rounds=rounds)
