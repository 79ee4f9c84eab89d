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

    epochs: int = 8
    batch_size: int = 128
    learning_rate: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 5e-4
    schedule: str = "cosine"
    step_size: float = 0.2
    payoff: str = "risk"
    rounds: int | None = None
    loss: str = "margin"
    sampling: str = "shuffled"
    scorer: str = "last"
    shift: int = 0
    flip: bool = False
    padding: str = "zero"
    precision: str = "float32"
    compile: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        checks.integer("epochs", self.epochs, low=1)
        checks.integer("batch_size", self.batch_size, low=1)
        checks.number("learning_rate", self.learning_rate, low=0, above=True)
        checks.number("momentum", self.momentum, low=0, high=1)
        checks.number("weight_decay", self.weight_decay, low=0)
        checks.choice("schedule", self.schedule, SCHEDULES)
        checks.number("step_size", self.step_size, low=0)
        checks.choice("payoff", self.payoff, ["risk", "error"])
        if self.rounds is not None:
            checks.integer("rounds", self.rounds, low=1)
        checks.choice("loss", self.loss, LOSSES)
        checks.choice("sampling", self.sampling, SAMPLINGS)
        checks.choice("scorer", self.scorer, ["last", "average"])
        checks.integer("shift", self.shift, low=0)
        checks.choice("padding", self.padding, PADDINGS)
        checks.choice("precision", self.precision, ["float32", "bfloat16"])
        for name in ("flip", "compile"):
            value = getattr(self, name)
            checks.require(isinstance(value, bool), f"{name} must be true or false, got {value!r}")
        checks.integer("seed", self.seed, low=0)
