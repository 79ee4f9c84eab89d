"""Losses of the methods to compare with, for the argument ``loss`` of `rdlite.training.fit`.

As in `rdlite.objectives`, B images in a batch and m classes; in nats, a sum over classes and a mean
over the batch.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rdlite import multipliers
from rdlite.guards import checks
from rdlite.guards.door import checked
from rdlite.training import devices

TEACHER_SHARE = 0.25  # of P where a loss needs the teacher and the label apart


class GroupDRO(nn.Module):
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
        super().__init__()
        checks.number("step_size", step_size, low=0)
        _one_process("group DRO", "its player sees every batch")
        self.register_buffer("multipliers", multipliers.uniform(num_classes).float())
        self.step_size = step_size

    def extra_repr(self) -> str:
        """Its setting, which a checkpoint must share."""
        return f"step_size={self.step_size}"

    def forward(self, logits: Tensor, targets: Tensor, _class_weights: Tensor | None) -> Tensor:
        mass = targets.sum(0)  # images of each class in the batch
        loss = -(targets * torch.log_softmax(logits, 1)).sum(0)
        risks = loss / mass.clamp_min(1e-12)  # (m,), 0 for a class that is absent
        q, present = self.multipliers.to(logits.device), mass > 0
        grown = torch.log(q) + self.step_size * risks.detach()
        shares = torch.softmax(grown.where(present, -torch.inf), 0)  # 0 for a class that is absent
        self.multipliers = torch.where(present, shares * q.where(present, 0).sum(), q)
        return (self.multipliers * risks).sum()


def _one_process(method: str, reason: str) -> None:
    """ValueError if several processes train together."""
    processes = devices.size()
    checks.require(processes == 1, f"{method} trains in one process, got {processes}: {reason}")


def adaptive_margin_loss(logits: Tensor, targets: Tensor, margins: Tensor) -> Tensor:
    """``sum_y P_y log(1 + sum_{j != y} exp(g_y - (f_y - f_j)))``, mean over the batch, nats.

    Args:
        logits, targets: (B, m).
        margins: (m,), g; 0 gives plain cross-entropy.

    >>> adaptive_margin_loss(torch.zeros(1, 2), torch.eye(2)[:1], torch.tensor([1.0, 0.0]))
    tensor(1.3133)
    """
    losses = F.softplus(margins + _log_sum_of_others(logits) - logits)
    return (targets * losses).sum(1).mean()


adaptive_margin_loss = checked(adaptive_margin_loss, margins=checks.finite)


def _log_sum_of_others(logits: Tensor) -> Tensor:
    """``log sum_{j != y} exp(f_j)`` for every y: (B, m); nothing cancels, however large f is."""
    largest, top = logits.max(1, keepdim=True)
    is_top = torch.zeros_like(logits, dtype=torch.bool).scatter(1, top, True)
    rest = logits.masked_fill(is_top, -torch.inf)
    shares = (rest - largest).exp()  # of the largest one; 0 in its own place
    with_top = largest + torch.log1p((shares.sum(1, keepdim=True) - shares).clamp_min(0))
    return torch.where(is_top, torch.logsumexp(rest, 1, keepdim=True), with_top)


class Hinton:
    """Cross-entropy with the label plus ``T^2`` times a divergence from the teacher.

    This one is Hinton's: ``KL(p || s)``, p the teacher's and s the student's probabilities, both
    softened by T. Sum over classes, mean over the batch, nats. Source: Hinton et al., Distilling
    the knowledge in a neural network, 2015.

    As a loss of `fit` it gets p and the label in one target row, one quarter and three quarters of
    it: `rdlite.distillation.distill` with ``mix=TEACHER_SHARE``. That tells them apart: p exactly,
    and within 2e-7 for the label's own class.

    Args:
        temperature: T, above 0.

    >>> p = torch.tensor([[0.5, 0.5]])
    >>> Hinton(2.0).of(torch.zeros(1, 2), torch.tensor([0]), p)  # log 2 + 4 * 0
    tensor(0.6931)
    """

    def __init__(self, temperature: float = 1.0) -> None:
        checks.number("temperature", temperature, low=0, above=True)
        self.temperature = temperature

    def __call__(self, logits: Tensor, targets: Tensor, _class_weights: Tensor | None) -> Tensor:
        labels = targets.argmax(1)  # P is at least 3/4 there
        one_hot = F.one_hot(labels, targets.shape[1])
        p = (targets - (1 - TEACHER_SHARE) * one_hot).clamp_min(0) / TEACHER_SHARE
        return self.of(logits, labels, p)

    def of(self, logits: Tensor, labels: Tensor, p: Tensor) -> Tensor:
        """The loss at logits (B, m), labels (B,) and the teacher's softened p (B, m)."""
        cross_entropy = F.cross_entropy(logits, labels, reduction="none")
        log_s = torch.log_softmax(logits / self.temperature, 1)
        return (cross_entropy + self.temperature**2 * self.divergence(p, log_s)).mean()

    def divergence(self, p: Tensor, log_s: Tensor) -> Tensor:
        """``KL(p || s)`` row by row, (B,); classes with p = 0 add nothing."""
        return F.kl_div(log_s, p, reduction="none").sum(1)


class BKD(Hinton):
    """`Hinton` with the teacher's p turned to the small classes: ``q_y = w_y p_y / sum_j w_j p_j``.

    The w are `effective_number_weights`; where all classes are of one size it is `Hinton`. Source:
    Zhang et al., Balanced knowledge distillation for long-tailed learning, 2023, its public code.

    Args:
        class_counts: (m,), training images a class.
        temperature: T, above 0.
    """

    def __init__(self, class_counts: Tensor, temperature: float = 1.0) -> None:
        super().__init__(temperature)
        self.class_weights = effective_number_weights(class_counts)

    def divergence(self, p: Tensor, log_s: Tensor) -> Tensor:
        q = p * self.class_weights.to(p)
        return super().divergence(q / q.sum(1, keepdim=True), log_s)


class LTKD(Hinton):
    """`Hinton` with its divergence taken apart by groups of classes, and each part balanced.

    ``KL(p || s) = KL(P || S) + sum_g P_g KL_g``, with P, S the groups' total probabilities and KL_g
    the divergence within group g. Here P is divided by its mean over the batch and renormalised,
    and each of the G groups counts 1/G in place of P_g. One group gives `Hinton`. **[reading]** of
    the abstract of Kim, Distilling balanced knowledge from a biased teacher, CVPR 2026.

    Args:
        class_counts: (m,), training images a class; see `groups_by_count`.
        temperature: T, above 0.
        groups: G.

    Raises:
        ValueError: several processes train together; the mean is over the whole batch.
    """

    def __init__(self, class_counts: Tensor, temperature: float = 1.0, groups: int = 3) -> None:
        super().__init__(temperature)
        _one_process("LTKD", "it divides by means over the whole batch")
        self.groups = groups_by_count(class_counts, groups)  # (m,)
        self.members = F.one_hot(self.groups)  # (m, G)

    def divergence(self, p: Tensor, log_s: Tensor) -> Tensor:
        members, groups = self.members.to(p), self.groups.to(p.device)
        tiny = torch.finfo(p.dtype).tiny  # for a group that the teacher gives nothing
        totals = p @ members  # P: (B, G)
        parts = log_s[:, :, None].masked_fill(members == 0, -torch.inf)  # (B, m, G)
        log_totals = parts.logsumexp(1)  # log S: (B, G)
        balanced = totals / totals.mean(0).clamp_min(tiny)
        between = super().divergence(balanced / balanced.sum(1, keepdim=True), log_totals)
        inner_p, log_inner_s = p / totals.clamp_min(tiny)[:, groups], log_s - log_totals[:, groups]
        return between + super().divergence(inner_p, log_inner_s) / members.shape[1]


def effective_number_weights(counts: Tensor, b: float = 0.9999) -> Tensor:
    """w_y = ``(1 - b) / (1 - b^n_y)`` for classes of n_y images, scaled to mean 1: (m,) float64.

    Source: Cui et al., Class-balanced loss based on effective number of samples, CVPR 2019.

    >>> effective_number_weights(torch.tensor([1, 2]), b=0.5)  # 1 and 2/3
    tensor([1.2000, 0.8000], dtype=torch.float64)
    """
    checks.positive("counts", counts)
    weights = (1 - b) / (1 - torch.as_tensor(b, dtype=torch.float64) ** counts.cpu())
    return weights / weights.mean()


def groups_by_count(counts: Tensor, groups: int = 3) -> Tensor:
    """The group of each class, 0 for the head, 1 for medium and 2 for the tail: (m,).

    The rule is ours, equal thirds: the class of rank r of m, counted from 0 for the largest, is in
    group ``floor(3 r / m)``, so a head may have one class more. Of equal classes the first ranks
    higher.

    >>> groups_by_count(torch.tensor([5, 90, 7, 40, 7]))
    tensor([2, 0, 1, 0, 1])
    """
    checks.positive("counts", counts)
    checks.integer("groups", groups, low=1, high=len(counts))
    ranks = counts.argsort(descending=True, stable=True).argsort()
    return ranks * groups // len(counts)
