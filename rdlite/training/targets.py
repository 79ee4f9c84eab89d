"""What a batch learns from: rows of the target matrix P, from labels, a matrix or a function.

``P = mix p + (1 - mix) one_hot(y)``, with p the teacher's probabilities (below eq. (4)).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from rdlite.data import Split, batches
from rdlite.guards import checks

Targets = Tensor | Callable[[Tensor], Tensor]  # (n, m), or the view (B, c, h, w) -> (B, m)
TargetFunction = Callable[[Tensor, Tensor], Tensor]  # (indices (B,), view) -> (B, m)


def target_function(train: Split, targets: Targets | None, mix: float | Tensor) -> TargetFunction:
    """The function (indices, view) -> (B, m) that gives the target rows P of a batch.

    Args:
        train: the images that the indices count.
        targets: None for the labels, an (n, m) tensor, or a function of the view shown.
        mix: the targets' share against the one-hot label, one number or one a class.

    Raises:
        ValueError: a shape that does not fit, rows off the simplex, a share outside [0, 1].
    """
    one_hot, m = train.one_hot(), train.num_classes
    if targets is None:
        return lambda index, view: one_hot[index]
    share_of = teacher_shares(mix, train.labels, m).to(one_hot.dtype)
    if isinstance(targets, Tensor):
        checks.row_stochastic("targets", targets, m, len(train))
        mixed = share_of * targets.to(one_hot.device) + (1 - share_of) * one_hot
        return lambda index, view: mixed[index]
    if not callable(targets):
        checks.tensor("targets", targets)

    def rows(index: Tensor, view: Tensor) -> Tensor:
        share, p = share_of[index], targets(view)
        if not (isinstance(p, Tensor) and p.shape == (len(index), m)):
            checks.tensor("targets", p)
            raise ValueError(
                f"targets must have shape (B, {m}) = ({len(index)}, {m}) for a batch, "
                f"got {tuple(p.shape)}"
            )
        return share * p + (1 - share) * one_hot[index]

    return rows


def teacher_shares(mix: float | Tensor, labels: Tensor, num_classes: int) -> Tensor:
    """The teacher's share for each label: (n, 1) float64, from one number or from one a class.

    Raises:
        ValueError: another shape, a share outside [0, 1].

    >>> teacher_shares(torch.tensor([0.5, 1.0]), torch.tensor([1, 0]), 2)
    tensor([[1.0000],
            [0.5000]], dtype=torch.float64)
    """
    shares = checks.numbers("mix", mix).to(labels.device)
    checks.require(
        shares.shape in ((), (num_classes,)) and bool(((shares >= 0) & (shares <= 1)).all()),
        f"mix must be a number in [0, 1], or {num_classes} of them, got {mix}",
    )
    return shares.expand(num_classes)[labels][:, None]


def marginal(target_rows: TargetFunction, train: Split) -> Tensor:
    """pi, or pbar of eq. (4): the mean of P over the plain images, (m,) float64 on the CPU."""
    total = torch.zeros(train.num_classes, dtype=torch.float64)
    for index in torch.arange(len(train), device=train.images.device).split(1024):
        rows = target_rows(index, batches.as_input(train.images[index]))
        checks.row_stochastic("targets", rows, train.num_classes, len(index))
        total += rows.double().sum(0).cpu()
    return total / len(train)
