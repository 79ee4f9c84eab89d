"""How to train: one frozen object, checked when made."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any

from rdlite.data.batches import PADDINGS, SAMPLINGS
from rdlite.guards import checks
from rdlite.objectives import LOSSES

SCHEDULES = {  # share of the learning rate as a function of the share of the steps done
    "cosine": lambda done: (1 + math.cos(math.pi * done)) / 2,
    "constant": lambda done: 1.0,
}


def _field(default: object, check: Callable, *allowed: object, **limits: object) -> Any:
    """A field with its range beside it."""
    return field(default=default, metadata={"check": lambda n, v: check(n, v, *allowed, **limits)})


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """How to train; every field changes the result. Frozen, checked when made.

    Args:
        epochs: passes over the training images.
        batch_size: images a step.
        learning_rate, momentum, weight_decay: of SGD.
        schedule: ``"cosine"`` (to 0 over all steps) or ``"constant"``.
        step_size: gamma of eq. (6), a round.
        rounds: K, Hedge steps, spread evenly over the SGD steps; None for one an epoch.
        loss: ``"margin"``, eq. (8), or ``"reweighted"``.
        sampling: ``"shuffled"``, every image once an epoch, or ``"class-balanced"``, every class
            equally often, see `rdlite.data.batches`.
        scorer: ``"last"`` iterate or ``"average"`` of the K scorers, eq. (9). The average keeps K
            copies of the network and predicts with all of them.
        shift, flip, padding: augmentation, see `rdlite.data.batches.augment` (pixels; on or off;
            what comes in from the border).
        precision: ``"float32"`` or ``"bfloat16"``, in which the network is evaluated (autocast);
            weights, losses and risks stay in float32.
        compile: let torch.compile make faster code of the network; it takes a minute, and rounding
            differs a little.
        seed: of the order of the images and of the augmentation.

    Raises:
        ValueError: a field out of range.
    """

    epochs: int = _field(8, checks.integer, low=1)
    batch_size: int = _field(128, checks.integer, low=1)
    learning_rate: float = _field(0.1, checks.number, low=0, above=True)
    momentum: float = _field(0.9, checks.number, low=0, high=1)
    weight_decay: float = _field(5e-4, checks.number, low=0)
    schedule: str = _field("cosine", checks.choice, SCHEDULES)
    step_size: float = _field(0.2, checks.number, low=0)
    rounds: int | None = _field(None, checks.integer, low=1)
    loss: str = _field("margin", checks.choice, LOSSES)
    sampling: str = _field("shuffled", checks.choice, SAMPLINGS)
    scorer: str = _field("last", checks.choice, ["last", "average"])
    shift: int = _field(0, checks.integer, low=0)
    flip: bool = _field(False, checks.flag)
    padding: str = _field("zero", checks.choice, PADDINGS)
    precision: str = _field("float32", checks.choice, ["float32", "bfloat16"])
    compile: bool = _field(False, checks.flag)
    seed: int = _field(0, checks.integer, low=0)

    def __post_init__(self) -> None:
        for one in fields(self):
            value = getattr(self, one.name)
            if value is not None or one.default is not None:
                one.metadata["check"](one.name, value)
