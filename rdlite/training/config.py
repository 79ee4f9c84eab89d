"""How to train: one frozen object, checked when made."""

from __future__ import annotations

import math
from dataclasses import dataclass

from rdlite.data.batches import PADDINGS, SAMPLINGS
from rdlite.guards import checks
from rdlite.objectives import LOSSES

SCHEDULES = {  # share of the learning rate as a function of the share of the steps done
    "cosine": lambda done: (1 + math.cos(math.pi * done)) / 2,
    "constant": lambda done: 1.0,
}


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """How to train; every field changes the result. Frozen, checked when made.

    Args:
        epochs: passes over the training images.
        batch_size: images a step.
        learning_rate, momentum, weight_decay: of SGD.
        schedule: ``"cosine"`` (to 0 over all steps) or ``"constant"``.
        step_size: gamma of eq. (6), a round.
        payoff: what the player of eq. (6) wants large: the held-out class ``"risk"``, or the 0-1
            class ``"error"``, eq. (6'), for which the guarantee (9) does not hold.
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

    epochs: int = checks.ranged(8, checks.integer, low=1)
    batch_size: int = checks.ranged(128, checks.integer, low=1)
    learning_rate: float = checks.ranged(0.1, checks.number, low=0, above=True)
    momentum: float = checks.ranged(0.9, checks.number, low=0, high=1)
    weight_decay: float = checks.ranged(5e-4, checks.number, low=0)
    schedule: str = checks.ranged("cosine", checks.choice, SCHEDULES)
    step_size: float = checks.ranged(0.2, checks.number, low=0)
    payoff: str = checks.ranged("risk", checks.choice, ["risk", "error"])
    rounds: int | None = checks.ranged(None, checks.integer, low=1)
    loss: str = checks.ranged("margin", checks.choice, LOSSES)
    sampling: str = checks.ranged("shuffled", checks.choice, SAMPLINGS)
    scorer: str = checks.ranged("last", checks.choice, ["last", "average"])
    shift: int = checks.ranged(0, checks.integer, low=0)
    flip: bool = checks.ranged(False, checks.flag)
    padding: str = checks.ranged("zero", checks.choice, PADDINGS)
    precision: str = checks.ranged("float32", checks.choice, ["float32", "bfloat16"])
    compile: bool = checks.ranged(False, checks.flag)
    seed: int = checks.ranged(0, checks.integer, low=0)

    def __post_init__(self) -> None:
        checks.ranges(self)
