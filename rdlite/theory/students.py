"""Many small classifiers trained at once: eqs (6)-(8) for a stack of models, one alpha a row.

The models differ only in alpha and targets, so they run as one batched matrix product: eleven on
600 points take well under a second on one core, which lets a picture follow a slider.

Conventions: M models (the leading axis), n points of d coordinates, h hidden units, m classes, K
rounds. Float32; losses and risks in nats. Inside, the points come last, (M, m, n), because a
softmax over the middle axis is twice as fast on a CPU.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rdlite.guards import checks
from rdlite.multipliers import unchecked_hedge_step
from rdlite.objectives import Objective, unchecked_class_weights


@dataclass(frozen=True, eq=False)
class Students:
    """What `train_students` returns: M networks with one hidden layer, and how they got there.

    Attributes:
        alphas: M numbers, the alpha of eq. (3) of each model.
        parameters: the stacked weights (M, h, d), (M, h, 1), (M, m, h), (M, m, 1).
        risks, multipliers, class_weights: (K, M, m). A round's weights are those it trained with;
            its risks are measured on the held-out points after it, as in `History`.
    """

    alphas: tuple[float, ...]
    parameters: tuple[Tensor, Tensor, Tensor, Tensor]
    risks: Tensor
    multipliers: Tensor
    class_weights: Tensor

    def logits(self, points: Tensor) -> Tensor:
        """The scorers (M, n, m) at points (n, d); a ValueError if these are not, or not finite."""
        columns = _columns("points", points, self.parameters[0].shape[2])
        return _forward(self.parameters, columns)[1].transpose(1, 2)


def train_students(
    points: Tensor,
    targets: Tensor,
    heldout_points: Tensor,
    heldout_targets: Tensor,
    alphas: Sequence[float],
    *,
    anchor: str | Sequence[float] = "balanced",
    hidden: int = 16,
    rounds: int = 30,
    steps_per_round: int = 5,
    step_size: float = 0.5,
    learning_rate: float = 0.05,
    seed: int | Sequence[int] = 0,
) -> Students:
    """Train one small network for each alpha, all at once, by eqs (6)-(8); the last iterates.

    Every model sees every point in every step (full-batch Adam on the margin loss), so a model
    comes out the same alone and in the stack, up to the rounding of sums.

    Args:
        points, targets: to train on, (n, d) and (n, m); or (M, n, m), a teacher a model.
        heldout_points, heldout_targets: the same of those whose risks move the multipliers.
        alphas, anchor: M numbers in [0, 1] and the weights a of eq. (3), as in `Objective`.
        hidden: hidden units, tanh.
        rounds, step_size: K and gamma of eq. (6).
        steps_per_round, learning_rate: Adam's, between two Hedge steps.
        seed: of the first weights; one number for all models, or M of them.

    Raises:
        ValueError: arguments that do not fit together, a class without mass.
        FloatingPointError: the held-out risks are not finite; the message names the round.

    Example: two points that anyone can tell apart.

    >>> points, labels = torch.tensor([[-1.0, 0.0], [1.0, 0.0]]), torch.eye(2)
    >>> students = train_students(points, labels, points, labels, [0.0, 1.0])
    >>> students.logits(points).argmax(2)
    tensor([[0, 1],
            [0, 1]])
    """
    checks.integer("hidden", hidden, low=1)
    checks.integer("rounds", rounds, low=1)
    checks.integer("steps_per_round", steps_per_round, low=1)
    checks.number("step_size", step_size, low=0)
    checks.number("learning_rate", learning_rate, low=0, above=True)
    good = isinstance(alphas, Sequence) and len(alphas) >= 1
    checks.expect(good, "alphas", "have at least one number, in a list", repr(alphas))
    models = len(alphas)
    seeds = list(seed) if isinstance(seed, Sequence) else [seed] * models
    wanted = f"be one number, or one for each of {models} alphas"
    checks.expect(len(seeds) == models, "seed", wanted, len(seeds))
    for one in seeds:
        checks.integer("seed", one, low=0)
    columns = _columns("points", points)  # (d, n)
    heldout_columns = _columns("heldout_points", heldout_points, len(columns))
    targets = _stack("targets", targets, models, len(points))  # (M, m, n)
    m = targets.shape[1]
    heldout = _stack("heldout_targets", heldout_targets, models, len(heldout_points), m)

    prior, heldout_prior = targets.mean(2), heldout.mean(2)  # (M, m), pi or the teachers' marginal
    pairs = zip(alphas, prior, strict=True)
    anchors = torch.stack([Objective(alpha, anchor).anchor_weights(row) for alpha, row in pairs])
    alpha = torch.tensor(alphas, dtype=torch.float32)[:, None]
    parameters = _first_parameters(seeds, len(columns), hidden, m)
    moments = [(torch.zeros_like(p), torch.zeros_like(p)) for p in parameters]
    multipliers = torch.full_like(prior, 1 / m)
    shares = -1 / len(points) * targets  # of the loss: times a log-probability each
    scratch = torch.empty(2, models, hidden, len(points))  # arrays of the hidden layer, used again
    history = []
    for k in range(rounds):
        risk_weights = (1 - alpha) * anchors + alpha * multipliers
        class_weights = unchecked_class_weights(risk_weights, prior)  # eq. (7)
        shift = class_weights.log()[:, :, None]
        for step in range(k * steps_per_round + 1, (k + 1) * steps_per_round + 1):  # eq. (8)
            gradients = _gradients(parameters, columns, shift, shares, scratch)
            for parameter, gradient, moment in zip(parameters, gradients, moments, strict=True):
                _adam(parameter, gradient, *moment, step, learning_rate)
        log_probabilities = torch.log_softmax(_forward(parameters, heldout_columns)[1], 1)
        risks = -(heldout * log_probabilities).mean(2) / heldout_prior  # eq. (1) or (4)
        if not bool(torch.isfinite(risks).all()):
            what = f"a held-out risk is not finite after round {k + 1}"
            cure = "lower learning_rate or step_size"
            raise FloatingPointError(f"training diverged: {what}; {cure}")
        history.append((risks, multipliers, class_weights))
        multipliers = unchecked_hedge_step(multipliers, risks, step_size)  # eq. (6)
    rows = [torch.stack(values) for values in zip(*history, strict=True)]
    return Students(tuple(alphas), tuple(parameters), *rows)


def _forward(
    parameters: Sequence[Tensor], columns: Tensor, out: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Hidden units (M, h, n) and logits (M, m, n) from the points as columns (d, n).

    tanh(z) is 2 sigmoid(2z) - 1, which a CPU computes ten times as fast.
    """
    inward, inward_bias, outward, outward_bias = parameters
    stacked = columns.expand(len(inward), -1, -1)  # (M, d, n), no copy
    twice = torch.baddbmm(inward_bias, inward, stacked, beta=2, alpha=2, out=out)
    hidden = twice.sigmoid_().mul_(2).sub_(1)
    return hidden, torch.baddbmm(outward_bias, outward, hidden)


def _gradients(
    parameters: Sequence[Tensor], columns: Tensor, shift: Tensor, shares: Tensor, scratch: Tensor
) -> tuple[Tensor, ...]:
    """Of the margin loss (8), each model's by its own parameters.

    Written out, and arrays as large as the hidden layer are those of ``scratch`` (2, M, h, n): new
    ones come from the system in every step, which takes longer than all that is computed.
    """
    outward = parameters[2]
    hidden, logits = _forward(parameters, columns, out=scratch[0])
    p = torch.softmax(logits - shift, 1)  # (M, m, n)
    by_logits = shares - p.mul_(shares.sum(1, keepdim=True))
    by_outward = by_logits @ hidden.transpose(1, 2)
    slopes = hidden.square_().neg_().add_(1)  # of tanh
    by_sums = torch.bmm(outward.transpose(1, 2), by_logits, out=scratch[1]).mul_(slopes)
    biases = [by.sum(2, keepdim=True) for by in (by_sums, by_logits)]
    return by_sums @ columns.T, biases[0], by_outward, biases[1]


def _adam(p: Tensor, gradient: Tensor, mean: Tensor, square: Tensor, t: int, rate: float) -> None:
    """Step t = 1, 2, ... in place; torch.optim's first step alone takes 2 seconds."""
    mean.lerp_(gradient, 0.1)
    square.lerp_(gradient.square(), 0.001)
    scale = (square / (1 - 0.999**t)).sqrt() + 1e-8
    p -= rate / (1 - 0.9**t) * mean / scale


def _first_parameters(seeds: Sequence[int], d: int, h: int, m: int) -> list[Tensor]:
    """Uniform in +-1/sqrt(fan in), as torch.nn.Linear; stacked, a seed a model."""
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    shapes = ((h, d), d), ((h, 1), d), ((m, h), h), ((m, 1), h)  # and the fan in of each
    return [
        torch.stack([(2 * torch.rand(shape, generator=g) - 1) / fan**0.5 for g in generators])
        for shape, fan in shapes
    ]


def _columns(name: str, points: Tensor, d: int | None = None) -> Tensor:
    """(d, n) float32 from (n, d), without a graph: the gradient is written out."""
    checks.tensor(name, points)
    points = points.detach()
    good = points.ndim == 2 and points.numel() > 0 and d in (None, points.shape[1])
    checks.expect(good, name, f"have shape (n, {d or 'd'})", tuple(points.shape))
    checks.finite(name, points)
    return points.float().T.contiguous()


def _stack(name: str, targets: Tensor, models: int, n: int, m: int | None = None) -> Tensor:
    """(M, m, n) float32, without a graph, from (n, m) or (M, n, m); every class has mass."""
    checks.tensor(name, targets)
    targets, m = targets.detach(), m or (1, *targets.shape)[-1]
    wanted, got = f"have shape ({n}, {m}) or ({models}, {n}, {m})", tuple(targets.shape)
    checks.expect(got in ((n, m), (models, n, m)), name, wanted, got)
    checks.row_stochastic(name, targets.reshape(-1, m), m)
    empty = (targets.reshape(-1, n, m).mean(1) <= 0).any(0).nonzero().flatten().tolist()
    checks.expect(not empty, name, "give every class some mass", f"none for {empty}")
    return targets.float().transpose(-1, -2).expand(models, m, n).contiguous()
