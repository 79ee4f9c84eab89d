"""How to train: one frozen object, checked when made."""

from __future__ import annotations

import math
from dataclasses import dataclass

from rdlite.data.batches import PADDINGS, SAMPLINGS
from rdlite.guards import checks
from rdlite.guards.door import check_ranges, ranged
from rdlite.objectives import LOSSES

SCHEDULES = {  # share of the learning rate as a function of the share of the steps done
    "cosine": lambda done: (1 + math.cos(math.pi * done)) / 2,
    "constant": lambda done: 1.0,
}


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """How to train; every field changes the result, and one out of range is a ValueError.

    Args:
        epochs, batch_size: passes over the training images, and images a step.
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
        batch_norm: by which statistics held-out images are scored, ``"running"`` or, anew each
            round, those ``"measured"`` on training batches; see `rdlite.training.norms`.
        precision: ``"float32"`` or ``"bfloat16"``, in which the network is evaluated (autocast);
            weights, losses and risks stay in float32.
        compile: let torch.compile make faster code of the network; it takes a minute, and rounding
            differs a little.
        seed: of the order of the images and of the augmentation.
    """

    epochs: int = ranged(8, checks.integer, low=1)
    batch_size: int = ranged(128, checks.integer, low=1)
    learning_rate: float = ranged(0.1, checks.number, low=0, above=True)
    momentum: float = ranged(0.9, checks.number, low=0, high=1)
    weight_decay: float = ranged(5e-4, checks.number, low=0)
    schedule: str = ranged("cosine", checks.choice, SCHEDULES)
    step_size: float = ranged(0.2, checks.number, low=0)
    payoff: str = ranged("risk", checks.choice, ["risk", "error"])
    rounds: int | None = ranged(None, checks.integer, low=1)
    loss: str = ranged("margin", checks.choice, LOSSES)
    sampling: str = ranged("shuffled", checks.choice, SAMPLINGS)
    scorer: str = ranged("last", checks.choice, ["last", "average"])
    shift: int = ranged(0, checks.integer, low=0)
    flip: bool = ranged(False, checks.flag)
    padding: str = ranged("zero", checks.choice, PADDINGS)
    batch_norm: str = ranged("running", checks.choice, ["running", "measured"])
    precision: str = ranged("float32", checks.choice, ["float32", "bfloat16"])
    compile: bool = ranged(False, checks.flag)
    seed: int = ranged(0, checks.integer, low=0)

    def __post_init__(self) -> None:
        check_ranges(self)
