"""The methods to compare with, each a small variation of `fit` and `distill`.

No distillation and standard KD need no code of their own: `fit` and `distill` with `STANDARD`.
Logit adjustment as a loss is the margin loss (8) with c = 1 / pi, which is what `BALANCED` gives.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from rdlite import multipliers
from rdlite.data import Splits
from rdlite.distillation import distill, predict, teacher_logits
from rdlite.guards import checks
from rdlite.guards.door import checked
from rdlite.objectives import BALANCED, STANDARD
from rdlite.training import devices
from rdlite.training.config import TrainConfig
from rdlite.training.history import History
from rdlite.training.loop import fit


class ShiftedScorer(nn.Module):
    """The logits of ``model`` plus a constant for each class: post-hoc methods predict so.

    Args:
        model: (B, c, h, w) -> logits (B, m).
        shift: (m,), added to every row.
    """

    def __init__(self, model: nn.Module, shift: Tensor) -> None:
        super().__init__()
        checks.floating("shift", shift)
        self.model = model
        self.register_buffer("shift", shift.float())

    def forward(self, inputs: Tensor) -> Tensor:
        return self.model(inputs) + self.shift.to(inputs.device)


def logit_adjusted(
    model: nn.Module, splits: Splits, *, config: TrainConfig, **options: object
) -> History:
    """Train on the logit-adjusted cross-entropy: eq. (8) with c = 1 / pi, on labels.

    Source: Menon et al., Long-tail learning via logit adjustment, ICLR 2021.
    """
    return fit(model, splits.train, BALANCED, heldout=splits.heldout, config=config, **options)


def post_hoc_logit_adjusted(
    model: nn.Module, splits: Splits, *, config: TrainConfig, **options: object
) -> History:
    """Train on plain cross-entropy and predict with f - log pi.

    Source: Menon et al., Long-tail learning via logit adjustment, ICLR 2021.
    """
    how = {"heldout": splits.heldout, "config": config, **options}
    history = fit(model, splits.train, STANDARD, **how)
    prior = splits.train.class_counts / len(splits.train)
    history.scorer = ShiftedScorer(model, -prior.log()).to(splits.train.images.device)
    return history


class GroupDRO:
    """The loss of group DRO with the classes as groups: a player that moves at every batch.

    Its multipliers q belong to the classes. On each batch the classes *present* share out among
    themselves what they had, in the proportion ``q_y exp(step_size R_y)`` with R_y the class's mean
    loss, and the loss is ``sum_y q_y R_y`` over them. An absent class keeps its q: with a risk of 0
    it would lose it by renormalisation alone. No margin, no held-out set.

    Source: Sagawa et al., Distributionally robust neural networks for group shifts, ICLR 2020;
    that only the classes present are updated is our reading.

    Args:
        num_classes: m.
        step_size: of q, at every batch.

    Raises:
        ValueError: several processes train together; each would see other batches.

    Example: class 2 is absent; class 0 costs log 3 and class 1 nearly nothing.

    >>> player = GroupDRO(3, step_size=1.0)
    >>> logits = torch.tensor([[0.0, 0.0, 0.0], [0.0, 99.0, 0.0]])
    >>> player(logits, torch.eye(3)[:2], None)  # q_0 = 1/2, times log 3
    tensor(0.5493)
    >>> player.multipliers  # 2/3 shared out as 3 : 1
    tensor([0.5000, 0.1667, 0.3333])
    """

    def __init__(self, num_classes: int, step_size: float = 0.01) -> None:
        checks.number("step_size", step_size, low=0)
        checks.require(
            devices.size() == 1,
            f"group DRO trains in one process, got {devices.size()}: its player sees every batch",
        )
        self.multipliers = multipliers.uniform(num_classes).float()
        self.step_size = step_size

    def __call__(self, logits: Tensor, targets: Tensor, _class_weights: Tensor | None) -> Tensor:
        mass = targets.sum(0)  # images of each class in the batch
        loss = -(targets * torch.log_softmax(logits, 1)).sum(0)
        risks = loss / mass.clamp_min(1e-12)  # (m,), 0 for a class that is absent
        q, present = self.multipliers.to(logits.device), mass > 0
        grown = torch.log(q) + self.step_size * risks.detach()
        shares = torch.softmax(grown.where(present, -torch.inf), 0)  # 0 for a class that is absent
        self.multipliers = torch.where(present, shares * q.where(present, 0).sum(), q)
        return (self.multipliers * risks).sum()

    def state_dict(self) -> dict:
        """For checkpoints."""
        return {"multipliers": self.multipliers}

    def load_state_dict(self, state: dict) -> None:
        """Go on where the state was taken."""
        self.multipliers = state["multipliers"]


def group_dro(
    model: nn.Module,
    splits: Splits,
    *,
    step_size: float = 0.01,
    config: TrainConfig,
    **options: object,
) -> History:
    """Train on labels with `GroupDRO`; a variant has ``config.sampling="class-balanced"``."""
    how = {"heldout": splits.heldout, "config": config, **options}
    player = GroupDRO(splits.num_classes, step_size)
    return fit(model, splits.train, STANDARD, loss=player, **how)


def post_shift(
    logits: Tensor, labels: Tensor, *, rounds: int = 500, step_size: float = 0.1
) -> Tensor:
    """Class weights c for ``argmax_y (f_y + log c_y)``, from held-out images.

    The player of eq. (6) on 0-1 class errors: starting from equal weights, c of a class grows with
    its error. The weights with the best worst class over all rounds are returned, the first of
    equals. **[reading]** of *post-shifting* as a baseline: which errors it plays on is our choice.

    Args:
        logits: (n, m), f on held-out images.
        labels: (n,), an image of every class.
        rounds: of the player.
        step_size: of the player.

    Returns:
        (m,), on the simplex.

    >>> f = torch.tensor([[1.0, 0.0], [1.0, 0.9]])
    >>> c = post_shift(f, torch.tensor([0, 1]))
    >>> (f + c.log()).argmax(1)
    tensor([0, 1])
    """
    checks.integer("rounds", rounds, low=1)
    checks.tensor("logits", logits)
    checks.require(logits.ndim == 2, f"logits must have shape (n, m), got {tuple(logits.shape)}")
    checks.scores("logits", logits)
    m = logits.shape[1]
    checks.class_indices("labels", labels, m)
    checks.require(
        labels.shape == logits.shape[:1],
        f"labels must have shape ({len(logits)},), one an image, got {tuple(labels.shape)}",
    )
    counts = torch.bincount(labels, minlength=m).double()
    checks.positive("labels' class counts", counts)
    weights = multipliers.uniform(m)
    best, best_worst = weights, -1.0
    for _ in range(rounds + 1):
        predicted = (logits.double().cpu() + weights.log()).argmax(1)
        right = torch.bincount(labels.cpu()[predicted == labels.cpu()], minlength=m)
        errors = 1 - right / counts.cpu()
        worst = float(1 - errors.max())
        if worst > best_worst:
            best, best_worst = weights, worst
        weights = multipliers.hedge_step(weights, errors, step_size)
    return best


def post_shifted(
    model: nn.Module,
    splits: Splits,
    *,
    teacher: nn.Module | None = None,
    config: TrainConfig,
    **how: object,
) -> History:
    """Train for the standard objective, then predict with `post_shift`'s weights.

    Args:
        model: trained in place.
        splits: the held-out images choose the weights.
        teacher: None for training on labels.
        config: how to train.
        how: options of `distill` or, without a teacher, of `fit`.
    """
    if teacher is None:
        how = {"heldout": splits.heldout, "config": config, **how}
        history = fit(model, splits.train, STANDARD, **how)
    else:
        history = distill(teacher, model, splits, STANDARD, config=config, **how)
    weights = post_shift(predict(model, splits.heldout), splits.heldout.labels)
    history.scorer = ShiftedScorer(model, weights.log()).to(splits.heldout.images.device)
    return history


def teacher_margins(probabilities: Tensor, labels: Tensor) -> Tensor:
    """g_y, by how much the teacher prefers class y on its own images, on average: (m,) in -1..1.

    ``g_y = E[p_y(X) - (1 / (m-1)) sum_{j != y} p_j(X) | Y = y]``.

    Args:
        probabilities: (n, m), the teacher's, on held-out images.
        labels: (n,), an image of every class.

    >>> teacher_margins(torch.tensor([[0.8, 0.2], [0.4, 0.6]]), torch.tensor([0, 1]))
    tensor([0.6000, 0.2000])
    """
    checks.tensor("probabilities", probabilities)
    checks.require(
        probabilities.ndim == 2,
        f"probabilities must have shape (n, m), got {tuple(probabilities.shape)}",
    )
    m = probabilities.shape[1]
    checks.class_indices("labels", labels, m)
    checks.row_stochastic("probabilities", probabilities, m, len(labels))
    one_hot = torch.nn.functional.one_hot(labels, m).to(probabilities)
    checks.positive("labels' class counts", one_hot.sum(0))
    own = (one_hot * probabilities).sum(1)
    margin = own - (1 - own) / (m - 1)  # the others sum to 1 - own
    return (one_hot * margin[:, None]).sum(0) / one_hot.sum(0)


def ada_alpha(
    student: nn.Module, splits: Splits, *, teacher: nn.Module, config: TrainConfig, **how: object
) -> History:
    """Standard distillation that trusts the teacher class by class: ``w_y = max(0, g_y)``.

    Targets ``w_y p + (1 - w_y) one_hot(y)``, with g of `teacher_margins` on held-out images.

    Source: Lukasik et al., Teacher's pet, 2021; **[reading]**.
    """
    how["mix"] = _margins(teacher, splits).clamp_min(0)
    return distill(teacher, student, splits, STANDARD, config=config, **how)


@checked(margins=checks.finite)
def adaptive_margin_loss(logits: Tensor, targets: Tensor, margins: Tensor) -> Tensor:
    """``sum_y P_y log(1 + sum_{j != y} exp(g_y - (f_y - f_j)))``, mean over the batch, nats.

    Args:
        logits, targets: (B, m).
        margins: (m,), g; 0 gives plain cross-entropy.

    >>> adaptive_margin_loss(torch.zeros(1, 2), torch.eye(2)[:1], torch.tensor([1.0, 0.0]))
    tensor(1.3133)
    """
    losses = torch.nn.functional.softplus(margins + _log_sum_of_others(logits) - logits)
    return (targets * losses).sum(1).mean()


def _log_sum_of_others(logits: Tensor) -> Tensor:
    """``log sum_{j != y} exp(f_j)`` for every y: (B, m); nothing cancels, however large f is."""
    largest, top = logits.max(1, keepdim=True)
    is_top = torch.zeros_like(logits, dtype=torch.bool).scatter(1, top, True)
    rest = logits.masked_fill(is_top, -torch.inf)
    shares = (rest - largest).exp()  # of the largest one; 0 in its own place
    with_top = largest + torch.log1p((shares.sum(1, keepdim=True) - shares).clamp_min(0))
    return torch.where(is_top, torch.logsumexp(rest, 1, keepdim=True), with_top)


def ada_margin(
    student: nn.Module, splits: Splits, *, teacher: nn.Module, config: TrainConfig, **how: object
) -> History:
    """Standard distillation with `adaptive_margin_loss`, g of `teacher_margins`.

    Source: Lukasik et al., Teacher's pet, 2021; **[reading]**.
    """
    margins = _margins(teacher, splits)

    def loss(logits: Tensor, targets: Tensor, _class_weights: Tensor) -> Tensor:
        return adaptive_margin_loss.__wrapped__(logits, targets, margins.to(logits))

    return distill(teacher, student, splits, STANDARD, loss=loss, config=config, **how)


def _margins(teacher: nn.Module, splits: Splits) -> Tensor:
    probabilities = torch.softmax(teacher_logits(teacher, splits), 1)
    return teacher_margins(probabilities, splits.heldout.labels.to(probabilities.device))


def uniform_group_dro(
    model: nn.Module, splits: Splits, *, config: TrainConfig, **options: object
) -> History:
    """`group_dro` on batches that hold every class equally often."""
    return group_dro(model, splits, config=replace(config, sampling="class-balanced"), **options)


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
}
NAMES = tuple({**ON_LABELS, **WITH_A_TEACHER})
