"""The methods to compare with: each is `trained` with something of its own.

No distillation and standard KD need no code here: `fit` and `distill` with `STANDARD`. Nor does the
player of 0-1 errors, eq. (6'): ``TrainConfig(payoff="error")``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor, nn

from rdlite import multipliers
from rdlite.data import Splits
from rdlite.distillation import distill, predict, teacher_logits
from rdlite.guards import checks
from rdlite.metrics import per_class_accuracy
from rdlite.objectives import BALANCED, STANDARD, Objective
from rdlite.training import Checkpoint, History, TrainConfig, fit
from rdlite.training.losses import BKD, LTKD, TEACHER_SHARE, GroupDRO, Hinton, adaptive_margin_loss
from rdlite.training.sgd import Loss


def trained(
    model: nn.Module,
    splits: Splits,
    *,
    config: TrainConfig,
    teacher: nn.Module | None = None,
    objective: Objective = STANDARD,
    loss: Loss | None = None,
    shift: Callable[[nn.Module, Splits], Tensor] | None = None,
    heldout_labels: str = "teacher",
    teacher_view: str = "consistent",
    views: int = 8,
    temperature: float = 1.0,
    mix: float | Tensor = 1.0,
    checkpoint: Checkpoint | None = None,
    progress: bool = False,
    on_round: Callable[[dict], None] | None = None,
) -> History:
    """`fit` without a teacher and `distill` with one; then ``shift`` is added to the logits.

    Args:
        model, splits, config, objective, loss, checkpoint, progress, on_round: see `fit`.
        teacher, heldout_labels, teacher_view, views, temperature, mix: see `distill`.
        shift: (the trained model, splits) -> (m,).
    """
    how = {"config": config, "loss": loss, "checkpoint": checkpoint}
    how |= {"progress": progress, "on_round": on_round}
    if teacher is None:
        history = fit(model, splits.train, objective, heldout=splits.heldout, **how)
    else:
        how |= {"heldout_labels": heldout_labels, "teacher_view": teacher_view, "views": views}
        how |= {"temperature": temperature, "mix": mix}
        history = distill(teacher, model, splits, objective, **how)
    if shift is not None:
        shifted = ShiftedScorer(model, shift(model, splits))
        history.scorer = shifted.to(splits.train.images.device)
    return history


class ShiftedScorer(nn.Module):
    """The logits of ``model`` (B, m) plus ``shift`` (m,): post-hoc methods predict so."""

    def __init__(self, model: nn.Module, shift: Tensor) -> None:
        super().__init__()
        checks.floating("shift", shift)
        self.model = model
        self.register_buffer("shift", shift.float())

    def forward(self, inputs: Tensor) -> Tensor:
        return self.model(inputs) + self.shift.to(inputs.device)


# Eq. (8) with c = 1 / pi, which is what the balanced objective gives, and its post-hoc form
# f - log pi. Source: Menon et al., Long-tail learning via logit adjustment, ICLR 2021.
logit_adjusted = partial(trained, objective=BALANCED)
post_hoc_logit_adjusted = partial(
    trained, shift=lambda _, splits: -(splits.train.class_counts / len(splits.train)).log()
)


def group_dro(
    model: nn.Module,
    splits: Splits,
    *,
    config: TrainConfig,
    step_size: float = 0.01,
    sampling: str | None = None,
    **options: object,
) -> History:
    """Train on labels with `GroupDRO`; ``sampling`` replaces that of the config."""
    player = GroupDRO(splits.num_classes, step_size)
    config = replace(config, sampling=sampling or config.sampling)
    return trained(model, splits, config=config, loss=player, **options)


uniform_group_dro = partial(group_dro, sampling="class-balanced")


def post_shift(
    logits: Tensor, labels: Tensor, *, rounds: int = 500, step_size: float = 0.1
) -> Tensor:
    """Class weights c for ``argmax_y (f_y + log c_y)``, from held-out images.

    The player of eq. (6'), on 0-1 class errors: starting from equal weights, c of a class grows
    with its error. The weights with the best worst class over all rounds are returned, the first of
    equals. **[reading]** of *post-shifting* as a baseline: which errors it plays on is our choice.

    Args:
        logits: (n, m), f on held-out images.
        labels: (n,), an image of every class.
        rounds, step_size: of the player.

    Returns:
        (m,), on the simplex.

    >>> f = torch.tensor([[1.0, 0.0], [1.0, 0.9]])
    >>> c = post_shift(f, torch.tensor([0, 1]))
    >>> (f + c.log()).argmax(1)
    tensor([0, 1])
    """
    checks.integer("rounds", rounds, low=1)
    m = checks.rows_and_labels("logits", logits, labels)
    checks.scores("logits", logits)
    checks.positive("labels' class counts", torch.bincount(labels, minlength=m).double())
    logits, labels = logits.double().cpu(), labels.cpu()
    weights = multipliers.uniform(m)
    best, best_worst = weights, -1.0
    for _ in range(rounds + 1):
        accuracy = per_class_accuracy((logits + weights.log()).argmax(1), labels, m)
        if accuracy.min() > best_worst:
            best, best_worst = weights, accuracy.min()
        weights = multipliers.hedge_step(weights, 1 - accuracy, step_size)
    return best


def _chosen_shift(model: nn.Module, splits: Splits) -> Tensor:
    return post_shift(predict(model, splits.heldout), splits.heldout.labels).log()


post_shifted = partial(trained, shift=_chosen_shift)  # with a teacher or without


def teacher_margins(probabilities: Tensor, labels: Tensor) -> Tensor:
    """g_y, by how much the teacher prefers class y on its own images, on average: (m,) in -1..1.

    ``g_y = E[p_y(X) - (1 / (m-1)) sum_{j != y} p_j(X) | Y = y]``.

    Args:
        probabilities: (n, m), the teacher's, on held-out images.
        labels: (n,), an image of every class.

    >>> teacher_margins(torch.tensor([[0.8, 0.2], [0.4, 0.6]]), torch.tensor([0, 1]))
    tensor([0.6000, 0.2000])
    """
    m = checks.rows_and_labels("probabilities", probabilities, labels)
    checks.row_stochastic("probabilities", probabilities, m)
    one_hot = torch.nn.functional.one_hot(labels, m).to(probabilities)
    checks.positive("labels' class counts", one_hot.sum(0))
    own = (one_hot * probabilities).sum(1)
    margin = own - (1 - own) / (m - 1)  # the others sum to 1 - own
    return (one_hot * margin[:, None]).sum(0) / one_hot.sum(0)


def _margins(teacher: nn.Module, splits: Splits) -> Tensor:
    p = torch.softmax(teacher_logits(teacher, splits), 1)
    return teacher_margins(p, splits.heldout.labels.to(p.device))


def ada_alpha(
    student: nn.Module, splits: Splits, *, teacher: nn.Module, **options: object
) -> History:
    """Standard distillation that trusts the teacher class by class: ``w_y = max(0, g_y)``.

    Targets ``w_y p + (1 - w_y) one_hot(y)``, with g of `teacher_margins` on held-out images.

    Source: Lukasik et al., Teacher's pet, 2021; **[reading]**.
    """
    share = _margins(teacher, splits).clamp_min(0)
    return trained(student, splits, teacher=teacher, **{**options, "mix": share})


def ada_margin(
    student: nn.Module, splits: Splits, *, teacher: nn.Module, **options: object
) -> History:
    """Standard distillation with `adaptive_margin_loss`, g of `teacher_margins`.

    Source: Lukasik et al., Teacher's pet, 2021; **[reading]**.
    """
    margins = _margins(teacher, splits)

    def loss(logits: Tensor, targets: Tensor, _class_weights: Tensor) -> Tensor:
        return adaptive_margin_loss.__wrapped__(logits, targets, margins.to(logits))

    return trained(student, splits, teacher=teacher, loss=loss, **options)


def _with_label(
    student: nn.Module,
    splits: Splits,
    *,
    teacher: nn.Module,
    loss: Callable[[Tensor, float], Hinton],
    temperature: float = 1.0,
    **options: object,
) -> History:
    """Train with a ``loss`` that needs the teacher's probabilities and the label of each image."""
    checks.instance("teacher", teacher, nn.Module, "; see rdlite.models.create")
    options |= {"mix": TEACHER_SHARE, "heldout_labels": "one-hot", "temperature": temperature}
    made = loss(splits.train.class_counts, temperature)
    return trained(student, splits, teacher=teacher, loss=made, **options)


bkd = partial(_with_label, loss=BKD)
ltkd = partial(_with_label, loss=LTKD)

ON_LABELS = {
    "logit-adjusted": logit_adjusted,
    "post-hoc-logit-adjusted": post_hoc_logit_adjusted,
    "group-dro": group_dro,
    "group-dro-uniform": uniform_group_dro,
    "post-shifted": post_shifted,
}
WITH_A_TEACHER = {
    "post-shifted": post_shifted,
    "ada-alpha": ada_alpha,
    "ada-margin": ada_margin,
    "bkd": bkd,
    "ltkd": ltkd,
}
NAMES = tuple({**ON_LABELS, **WITH_A_TEACHER})
ON_HELDOUT = ("post-shifted", "ada-alpha", "ada-margin")  # those that ask the held-out images
