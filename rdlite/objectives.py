"""Class risks, the objective and its losses: eqs (1)-(5), (7) and (8). Pure functions.

Conventions: B images in a batch, m classes. ``logits``, the scorer f, is (B, m) and finite;
``targets`` is (B, m) with rows on the simplex, one-hot labels or a teacher's probabilities, so one
function serves eq. (1) and eq. (4). Losses are in nats: a sum over classes, a mean over the batch,
both written out; shapes that differ or values out of range are a ValueError.

Source: Wang et al., arXiv:2206.06479; equation numbers as in the README's table.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rdlite.guards import checks
from rdlite.guards.door import checked

SMALLEST_WEIGHT = 1e-8  # class weights of mean 1 are kept above this, so that log c is finite


def class_risks(logits: Tensor, targets: Tensor, prior: Tensor | None = None) -> Tensor:
    """Risk of each class, eq. (1) for one-hot targets and eq. (4) for soft ones.

    ``(1 / prior_y) mean_x[targets_y(x) l(y, f(x))]`` with ``l(y, f) = -log softmax_y(f)``.

    Args:
        logits, targets: f(x), and eta(x) or the teacher's p(x).
        prior: (m,), pi or the teacher's marginal; by default the mean of ``targets``.

    Returns:
        (m,) risks in nats; NaN for a class whose prior is 0 (it has no mass, so no risk).

    Example: at equal logits the loss is log 2 for both classes.

    >>> class_risks(torch.zeros(2, 2), torch.eye(2))
    tensor([0.6931, 0.6931])
    """
    prior = targets.mean(0) if prior is None else prior
    mass_times_loss = -(targets * torch.log_softmax(logits, 1)).mean(0)  # (m,)
    has_mass = prior > 0
    risks = mass_times_loss / prior.where(has_mass, torch.ones_like(prior))
    return risks.where(has_mass, torch.nan)


class_risks = checked(class_risks, prior=checks.simplex)


def margin_loss(logits: Tensor, targets: Tensor, class_weights: Tensor) -> Tensor:
    """The margin loss of eq. (8): cross-entropy of ``logits - log(class_weights)``.

    It has the minimiser of `reweighted_loss`, but moves the loss of an image instead of stretching
    it. On a net that interpolates its training set the effect of both fades as the logits grow,
    that of re-weighting first (notebook 02). With equal weights it is plain cross-entropy.

    Args:
        logits, targets: of a batch.
        class_weights: (m,), c of eq. (7), above 0; only their ratios matter.

    Example: weight 3 on class 0 asks for a margin of log 3, so equal logits cost log(1 + 3).

    >>> margin_loss(torch.zeros(1, 2), torch.tensor([[1.0, 0.0]]), torch.tensor([3.0, 1.0]))
    tensor(1.3863)
    """
    log_probabilities = torch.log_softmax(logits - class_weights.log(), 1)  # (B, m)
    return -(targets * log_probabilities).sum(1).mean()


margin_loss = checked(margin_loss, class_weights=checks.positive)


def reweighted_loss(logits: Tensor, targets: Tensor, class_weights: Tensor) -> Tensor:
    """Class-weighted cross-entropy, ``sum_y c_y P_y l(y, f)``: the game's own loss.

    With weights of eq. (7) its mean over the data is the weighted sum of risks
    ``sum_y ((1-alpha) a_y + alpha lambda_y) R_y``, up to the rescaling of c.

    >>> reweighted_loss(torch.zeros(1, 2), torch.tensor([[1.0, 0.0]]), torch.tensor([3.0, 1.0]))
    tensor(2.0794)
    """
    return -(class_weights * targets * torch.log_softmax(logits, 1)).sum(1).mean()


reweighted_loss = checked(reweighted_loss, class_weights=checks.positive)


LOSSES = {"margin": margin_loss, "reweighted": reweighted_loss}


@dataclass(frozen=True)
class Objective:
    """The tradeoff of eq. (3): ``(1-alpha) sum_y a_y R_y + alpha max_y R_y``.

    Args:
        alpha: 0 for the anchor alone, 1 for the worst class alone, anything between.
        anchor: the weights a: ``"standard"`` (the prior), ``"balanced"`` (1/m each) or m
            non-negative numbers with a positive sum, which are divided by their sum.

    >>> Objective(alpha=0.5).value(torch.tensor([1.0, 3.0]), torch.tensor([0.9, 0.1]))
    2.5
    """

    alpha: float = 0.0
    anchor: str | Sequence[float] = "balanced"

    def __post_init__(self) -> None:
        checks.number("alpha", self.alpha, low=0, high=1)
        if isinstance(self.anchor, str):
            checks.choice("anchor", self.anchor, ["standard", "balanced"])
            return
        weights = checks.numbers("anchor", self.anchor)
        good, wanted = weights.ndim == 1 and len(weights) >= 2, "'standard', 'balanced' or m >= 2"
        checks.expect(good, "anchor", f"be {wanted} weights", repr(self.anchor))
        checks.finite("anchor", weights)
        good = bool((weights >= 0).all()) and float(weights.sum()) > 0
        checks.expect(good, "anchor", "be non-negative with a positive sum", weights.tolist())
        object.__setattr__(self, "anchor", tuple((weights / weights.sum()).tolist()))

    @staticmethod
    def named(name: str | float) -> Objective:
        """``"standard"``, ``"balanced"`` or ``"robust"``, eq. (2), or alpha with balanced anchor.

        >>> Objective.named("robust") == Objective.named(1.0)
        True
        """
        if not isinstance(name, str):
            return Objective(alpha=name)
        checks.choice("objective", name, NAMED)
        return NAMED[name]

    @property
    def name(self) -> str:
        """The name of eq. (2) if there is one, else alpha, with any anchor that is not balanced.

        >>> Objective(1.0).name, Objective(0.3).name, Objective(0.3, "standard").name
        ('robust', '0.3', '0.3 standard')
        """
        for name, objective in NAMED.items():
            if self == objective:
                return name
        return f"{self.alpha:g}" if self.anchor == "balanced" else f"{self.alpha:g} {self.anchor}"

    def anchor_weights(self, prior: Tensor) -> Tensor:
        """The weights a, (m,), of the prior's type and device; class counts serve as a prior.

        >>> BALANCED.anchor_weights(torch.tensor([0.9, 0.1]))
        tensor([0.5000, 0.5000])
        """
        prior = _as_prior(prior)
        if self.anchor == "standard":
            checks.counts("prior", prior)
            return prior / prior.sum()
        if self.anchor == "balanced":
            return torch.full_like(prior, 1 / len(prior))
        m, came = len(prior), len(self.anchor)
        checks.expect(came == m, "anchor", f"have one weight for each of {m} classes", came)
        return prior.new_tensor(self.anchor)

    def risk_weights(self, multipliers: Tensor, prior: Tensor) -> Tensor:
        """What each class risk counts in the game, ``(1-alpha) a_y + alpha lambda_y``: (m,)."""
        checks.vector("multipliers", multipliers, len(_as_prior(prior)))
        checks.simplex("multipliers", multipliers)
        return (1 - self.alpha) * self.anchor_weights(prior) + self.alpha * multipliers

    def class_weights(self, multipliers: Tensor, prior: Tensor) -> Tensor:
        """Class weights c of eq. (7), ``((1-alpha) a_y + alpha lambda_y) / pi_y``, of mean 1.

        Args:
            multipliers: (m,), lambda, on the simplex.
            prior: (m,), pi (or the teacher's marginal), above 0. No weight is below 1e-8, so that
                log c is finite.

        >>> BALANCED.class_weights(torch.tensor([0.5, 0.5]), torch.tensor([0.75, 0.25]))
        tensor([0.5000, 1.5000])
        """
        prior = _as_prior(prior)
        checks.positive("prior", prior)
        risk_weights = self.risk_weights(multipliers, prior)
        if prior.is_cpu and not bool(torch.isfinite((risk_weights / prior).sum())):
            checks.expect(
                False, "prior", "be large enough to divide by", f"{float(prior.min()):.1g}"
            )
        return unchecked_class_weights(risk_weights, prior)

    def value(self, risks: Tensor, prior: Tensor) -> float:
        """The objective of eq. (3) at the given class risks (m,), nats; none may be NaN."""
        checks.vector("risks", risks, len(_as_prior(prior)))
        checks.finite("risks", risks)
        anchored = float((self.anchor_weights(prior) * risks).sum())
        return (1 - self.alpha) * anchored + self.alpha * float(risks.max())


def unchecked_class_weights(risk_weights: Tensor, prior: Tensor) -> Tensor:
    """Eq. (7), (..., m) of mean 1, from what each risk counts: an axis may run over models."""
    weights = risk_weights / prior
    return (weights / weights.mean(-1, keepdim=True)).clamp_min(SMALLEST_WEIGHT)


def _as_prior(prior: Tensor) -> Tensor:
    checks.tensor("prior", prior)
    checks.require(prior.ndim == 1, f"prior must have shape (m,), got {tuple(prior.shape)}")
    return prior if prior.is_floating_point() else prior.double()


STANDARD = Objective(alpha=0.0, anchor="standard")
BALANCED = Objective(alpha=0.0, anchor="balanced")
ROBUST = Objective(alpha=1.0, anchor="balanced")
NAMED = {"standard": STANDARD, "balanced": BALANCED, "robust": ROBUST}
