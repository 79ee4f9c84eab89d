"""The target matrix P that a batch learns from, made here and nowhere else.

``P = mix p + (1 - mix) one_hot(y)``, with p the teacher's probabilities (below eq. (4)). Whatever
has ``rows(index, view)``, the (B, m) rows of P for the images counted by ``index`` and shown as
``view``, can be learned from.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from rdlite.data import Split
from rdlite.data.batches import as_input
from rdlite.guards import checks
from rdlite.training.about import totals


@dataclass(frozen=True, eq=False)
class Fixed:
    """The same row for every view of an image: ``matrix`` is (n, m)."""

    matrix: Tensor

    def rows(self, index: Tensor, view: Tensor) -> Tensor:
        return self.matrix[index]


@dataclass(frozen=True, eq=False)
class Consistent:
    """Every view gets a label of its own, as the student sees it; see `mixed`."""

    label: Callable[[Tensor], Tensor]  # the view (B, c, h, w) -> probabilities (B, m)
    one_hot: Tensor  # (n, m)
    mix: float | Tensor = 1.0

    def rows(self, index: Tensor, view: Tensor) -> Tensor:
        p, one_hot = self.label(view), self.one_hot[index]
        checks.tensor("targets", p)
        wanted = f"have shape {tuple(one_hot.shape)} for a batch"
        checks.expect(p.shape == one_hot.shape, "targets", wanted, tuple(p.shape))
        return mixed(p, one_hot, self.mix)


Targets = Fixed | Consistent


def mixed(p: Tensor, one_hot: Tensor, mix: float | Tensor) -> Tensor:
    """P (n, m), from the teacher's p and the one-hot labels, both (n, m).

    ``mix`` is the share of p, a number or (m,) numbers by the class of the label.

    >>> mixed(torch.full((2, 2), 0.5), torch.eye(2), torch.tensor([1.0, 0.5]))
    tensor([[0.5000, 0.5000],
            [0.2500, 0.7500]])
    """
    of_class = torch.as_tensor(mix).to(one_hot)
    share = (one_hot * of_class).sum(1, keepdim=True)  # (n, 1), that of the label's class
    return share * p + (1 - share) * one_hot


def shares(mix: float | Tensor, num_classes: int) -> Tensor:
    """``mix``, checked, for `mixed`: a number or (m,) numbers in 0..1."""
    values = checks.numbers("mix", mix)
    good = values.shape in ((), (num_classes,)) and bool(((values >= 0) & (values <= 1)).all())
    checks.expect(good, "mix", f"be a number in [0, 1], or {num_classes} of them", mix)
    return values


def as_targets(targets: Tensor | Callable | Targets | None, train: Split) -> Targets:
    """What `rdlite.training.fit` was given, as something with ``rows``; `marginal` checks them."""
    if targets is None:
        return Fixed(train.one_hot())
    if hasattr(targets, "rows"):
        return targets
    if callable(targets):
        return Consistent(targets, train.one_hot())
    checks.tensor("targets", targets)
    wanted, came = (len(train), train.num_classes), tuple(targets.shape)
    checks.expect(came == wanted, "targets", f"have shape {wanted}", came)
    return Fixed(targets.to(train.images.device))


def marginal(targets: Targets, train: Split) -> Tensor:
    """The mean of P over the plain images, checked: pi, or pbar of eq. (4); see `totals`."""
    total, one_hot = torch.zeros(2, train.num_classes, dtype=torch.float64), train.one_hot()
    for index in torch.arange(len(train), device=train.images.device).split(1024):
        rows = targets.rows(index, as_input(train.images[index]))
        checks.row_stochastic("targets", rows, train.num_classes, len(index))
        total += totals(rows, one_hot[index])
    return total / len(train)
