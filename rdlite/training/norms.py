"""Batch norms: a batch is normalised by its own statistics, a held-out image by running ones.

The running ones follow by ``momentum`` a step. Where that is slow, a network that has learned much
looks like one that has learned nothing, to the player of eq. (6) and to the test set alike.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from itertools import islice

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from rdlite import models
from rdlite.data import batches
from rdlite.guards import checks
from rdlite.training import devices
from rdlite.training.config import TrainConfig

MEASURED = 100  # batches that the statistics are measured on, at most; an epoch if that is less
LOST = 0.25  # share of a batch that is right in train mode and lost in eval mode: too much


def check(model: nn.Module, batch_size: int) -> None:
    """A batch has statistics; a warning if an image is scored by those of its neighbours."""
    norms = [module for module in model.modules() if isinstance(module, _BatchNorm)]
    good, wanted = batch_size >= 2 or not norms, "be at least 2 for batch norms"
    checks.expect(good, "batch_size", wanted, batch_size)
    if any(norm.running_mean is None for norm in norms):
        warnings.warn(
            "model has batch norms without running statistics: what it says of an image depends on "
            "the images beside it; make them with track_running_stats=True",
            stacklevel=3,
        )


def settle(
    model: nn.Module,
    config: TrainConfig,
    drawn: Callable[[], batches.Views],
    last: tuple[Tensor, Tensor, Tensor] | None,
) -> bool:
    """Before held-out images are scored: `measure`, or else `lagging`; whether there was a warning.

    Args:
        drawn: gives the training batches anew, always the same.
        last: view, logits and targets of the last step, once half of the training is over.
    """
    if config.batch_norm == "measured":
        views = drawn()
        steps = min(MEASURED, batches.steps_per_epoch(len(views.labels), config.batch_size))
        measure(model, (devices.mine(view) for _, view in islice(views, steps)))
        return False
    return last is not None and devices.rank() == 0 and lagging(model, *last)


def moving(model: nn.Module) -> list[_BatchNorm]:
    """The batch norms that keep statistics and are not frozen, which is to be in eval mode."""
    norms = [module for module in model.modules() if isinstance(module, _BatchNorm)]
    return [norm for norm in norms if norm.training and norm.running_mean is not None]


def measure(model: nn.Module, views: Iterable[Tensor]) -> None:
    """Give the `moving` batch norms the mean statistics of ``views``, inputs (B, c, h, w).

    The rest of the network is in eval mode meanwhile, so nothing is drawn.

    >>> import torch
    >>> net = nn.Sequential(nn.BatchNorm2d(1), nn.Flatten(), nn.Linear(4, 2))
    >>> measure(net, [torch.full((2, 1, 2, 2), 1.0), torch.full((2, 1, 2, 2), 2.0)])
    >>> net[0].running_mean, net[0].momentum
    (tensor([1.5000]), 0.1)
    """
    norms = moving(model)
    momenta = [norm.momentum for norm in norms]
    with models.evaluating(model):
        for norm in norms:
            norm.train().reset_running_stats()
            norm.momentum = None  # the mean over all batches
        try:
            for view in views if norms else ():
                model(view)
        finally:
            for norm, momentum in zip(norms, momenta, strict=True):
                norm.momentum = momentum


def lagging(model: nn.Module, view: Tensor, logits: Tensor, targets: Tensor) -> bool:
    """A warning if what is right of a batch in train mode, its ``logits``, is lost in eval mode."""
    if not moving(model):
        return False
    with models.evaluating(model):
        right = [int((z.argmax(1) == targets.argmax(1)).sum()) for z in (logits, model(view))]
    n, lost = len(view), right[0] - right[1]
    if lost <= max(LOST * n, 2 * n**0.5):  # a few may be lost by chance: about sqrt(n) / 2
        return False
    warnings.warn(
        f"in train mode model is right for {right[0]} of {n} training images, in eval mode for "
        f"{right[1]}: its batch norms lag behind their batches, so held-out images and tests show "
        'less than it has learned; use TrainConfig(batch_norm="measured"), a larger momentum of '
        "the batch norms or more steps",
        stacklevel=5,
    )
    return True
