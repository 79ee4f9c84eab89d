"""The one training loop: `fit` is the whole algorithm, eqs (6)-(8), for teacher and student alike.

K rounds. In each, some SGD steps on the margin loss (8) at the class weights (7); then the class
risks on held-out data move the multipliers (6).
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pandas as pd
import torch
from torch import Tensor, nn

from rdlite import batches, checks, multipliers
from rdlite.data import Split
from rdlite.metrics import summary
from rdlite.models import AveragedScorer, device_of, predict
from rdlite.objectives import UNCHECKED_LOSSES, Objective, class_risks
from rdlite.targets import TargetFunction, Targets, marginal, target_function

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]  # logits, targets (B, m), class weights (m,)


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
        sampling: ``"shuffled"``, every image once an epoch, or ``"uniform"``, every class equally
            often, see `rdlite.batches`.
        scorer: ``"last"`` iterate or ``"average"`` of the K scorers, eq. (9). The average keeps K
            copies of the network and predicts with all of them.
        shift, flip: augmentation, see `rdlite.batches.augment` (pixels; on or off).
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
    rounds: int | None = None
    loss: str = "margin"
    sampling: str = "shuffled"
    scorer: str = "last"
    shift: int = 0
    flip: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        checks.whole("epochs", self.epochs, low=1)
        checks.whole("batch_size", self.batch_size, low=1)
        checks.number("learning_rate", self.learning_rate, low=0, above=True)
        checks.number("momentum", self.momentum, low=0, high=1)
        checks.number("weight_decay", self.weight_decay, low=0)
        checks.choice("schedule", self.schedule, SCHEDULES)
        checks.number("step_size", self.step_size, low=0)
        if self.rounds is not None:
            checks.whole("rounds", self.rounds, low=1)
        checks.choice("loss", self.loss, UNCHECKED_LOSSES)
        checks.choice("sampling", self.sampling, ["shuffled", "uniform"])
        checks.choice("scorer", self.scorer, ["last", "average"])
        checks.whole("shift", self.shift, low=0)
        checks.whole("seed", self.seed, low=0)


SCHEDULES = {  # share of the learning rate as a function of the share of the steps done
    "cosine": lambda done: (1 + math.cos(math.pi * done)) / 2,
    "constant": lambda done: 1.0,
}


@dataclass
class History:
    """What happened in each round, and the scorer to predict with.

    Attributes:
        class_names: m names.
        scorer: the trained model, or the `AveragedScorer` of all rounds.
        rows: a dict a round: ``round`` (from 1), ``epoch``, ``loss`` (training, nats),
            ``objective`` (held-out, eq. (3), nats), ``average`` and ``worst`` (held-out accuracy),
            ``worst_class``, ``seconds``.
        risks, multipliers, class_weights: (K, m) float64. A round's weights are those it trained
            with; its risks are measured on the held-out set after it.
    """

    class_names: tuple[str, ...]
    scorer: nn.Module
    rows: list[dict] = field(default_factory=list)
    risks: Tensor = field(default_factory=lambda: torch.empty(0))
    multipliers: Tensor = field(default_factory=lambda: torch.empty(0))
    class_weights: Tensor = field(default_factory=lambda: torch.empty(0))

    def __len__(self) -> int:
        return len(self.rows)

    def append(self, row: dict, **vectors: Tensor) -> None:
        """Add a round: its numbers and its (m,) ``risks``, ``multipliers``, ``class_weights``."""
        self.rows.append(row)
        for name, new in vectors.items():
            setattr(self, name, torch.cat([getattr(self, name).view(-1, len(new)), new[None]]))

    def frame(self) -> pd.DataFrame:
        """A row a round: the numbers of ``rows`` and, for each class k, ``risk_k``,
        ``multiplier_k`` and ``class_weight_k``."""
        m = len(self.class_names)
        parts = [pd.DataFrame(self.rows)]
        for name in ("risk", "multiplier", "class_weight"):
            values = getattr(self, f"{name}s").reshape(-1, m).numpy()
            parts.append(pd.DataFrame(values, columns=[f"{name}_{k}" for k in range(m)]))
        return pd.concat(parts, axis=1)


def fit(
    model: nn.Module,
    train: Split,
    objective: Objective,
    *,
    heldout: Split,
    targets: Targets | None = None,
    heldout_targets: Tensor | None = None,
    mix: float | Tensor = 1.0,
    config: TrainConfig = TrainConfig(),
    loss: Loss | None = None,
    progress: bool = False,
    on_round: Callable[[dict], None] | None = None,
) -> History:
    """Train ``model`` for ``objective`` by eqs (6)-(8), in place, on the device where it lies.

    Args:
        model: float inputs (B, c, h, w) to logits (B, m).
        train: the images; every class needs one.
        objective: eq. (3).
        heldout: the images whose risks move the multipliers; every class needs one.
        targets: None for the one-hot labels, an (n, m) tensor for targets that are the same for
            every view of an image, or a function of the view shown, (B, c, h, w) -> (B, m).
        heldout_targets: (n_heldout, m), or None for the one-hot labels.
        mix: the targets' share against the one-hot label: P = mix p + (1 - mix) one_hot(y). One
            number, or (m,) numbers by the class of the label.
        config: how to train.
        loss: (logits (B, m), targets (B, m), class weights (m,)) -> scalar, instead of
            ``config.loss``.
        progress: show a bar with the held-out average and worst class.
        on_round: called after each round with its row of numbers.

    Returns:
        The history; ``history.scorer`` predicts.

    Raises:
        ValueError: arguments that do not fit together, a class without images.
        FloatingPointError: the loss is not finite; the message names the step.
    """
    device = device_of(model)
    train, heldout = _with_every_class("train", train), _with_every_class("heldout", heldout)
    train, heldout = train.to(device), heldout.to(device)
    if heldout_targets is None:
        heldout_targets = heldout.one_hot()
    checks.row_stochastic("heldout_targets", heldout_targets, heldout.num_classes, len(heldout))
    heldout_targets = heldout_targets.to(device)
    target_rows = target_function(train, targets, mix)
    prior = marginal(target_rows, train)  # pi, or the teacher's marginal

    steps = config.epochs * batches.steps_per_epoch(len(train), config.batch_size)
    rounds = min(config.rounds or config.epochs, steps)
    loss = loss or UNCHECKED_LOSSES[config.loss]
    trainer = _Trainer(model, target_rows, _views(train, config), loss, steps, config)
    player = multipliers.uniform(train.num_classes)
    history = History(train.class_names, scorer=model)
    snapshots = []
    for k in _with_progress_bar(range(1, rounds + 1), history, progress):
        started = time.perf_counter()
        class_weights = objective.class_weights(player, prior)  # eq. (7)
        mean_loss = trainer.run_until(steps * k // rounds, class_weights)  # eq. (8)
        logits = predict(model, heldout.images).float()
        risks = class_risks(logits, heldout_targets).double().cpu()  # eq. (1) or (4)
        scores = summary(logits, heldout.labels)
        row = {
            "round": k,
            "epoch": config.epochs * k / rounds,
            "loss": mean_loss,
            "objective": objective.value(risks, prior),
            **{name: scores[name] for name in ("average", "worst", "worst_class")},
            "seconds": time.perf_counter() - started,
        }
        history.append(row, risks=risks, multipliers=player, class_weights=class_weights)
        player = multipliers.hedge_step(player, risks, config.step_size)  # eq. (6)
        if config.scorer == "average":
            snapshots.append(copy.deepcopy(model).eval())
        if on_round is not None:
            on_round(row)
    if snapshots:
        history.scorer = AveragedScorer(snapshots)
    return history


class _Trainer:
    """SGD on one model, in stretches that each have their own class weights."""

    def __init__(
        self,
        model: nn.Module,
        target_rows: TargetFunction,
        views: Iterator[tuple[Tensor, Tensor]],
        loss: Loss,
        steps: int,
        config: TrainConfig,
    ) -> None:
        self.model, self.target_rows, self.views = model, target_rows, views
        self.loss = loss
        self.optimiser = torch.optim.SGD(
            model.parameters(),
            config.learning_rate,
            momentum=config.momentum,
            weight_decay=config.weight_decay,
        )
        share = SCHEDULES[config.schedule]
        self.schedule = torch.optim.lr_scheduler.LambdaLR(
            self.optimiser, lambda i: share(i / steps)
        )
        self.done = 0

    def run_until(self, step: int, class_weights: Tensor) -> float:
        """SGD steps until ``step`` of them are done; returns their mean loss, nats."""
        self.model.train()
        class_weights = class_weights.float().to(device_of(self.model))
        losses = []
        while self.done + len(losses) < step:
            index, view = next(self.views)
            loss = self.loss(self.model(view), self.target_rows(index, view), class_weights)
            self.optimiser.zero_grad()
            loss.backward()
            self.optimiser.step()
            self.schedule.step()
            losses.append(loss.detach())
        losses = torch.stack(losses)  # read once a round: the GPU never waits inside one
        if not bool(torch.isfinite(losses).all()):
            first = self.done + int((~torch.isfinite(losses)).nonzero()[0]) + 1
            raise FloatingPointError(
                f"training diverged: the loss is not finite at step {first}; lower learning_rate "
                "or step_size, or look for non-finite targets"
            )
        self.done = step
        return float(losses.mean())


def _views(train: Split, config: TrainConfig) -> Iterator[tuple[Tensor, Tensor]]:
    """Endless (indices, augmented float inputs) of one batch after another."""
    generator = torch.Generator(train.images.device).manual_seed(config.seed)
    while True:
        for index in _epoch(train, config, generator):
            view = batches.augment(
                train.images[index], generator, shift=config.shift, flip=config.flip
            )
            yield index, batches.as_input(view)


def _epoch(train: Split, config: TrainConfig, generator: torch.Generator) -> Iterator[Tensor]:
    if config.sampling == "uniform":
        return batches.uniform(train.labels, config.batch_size, generator)
    return batches.shuffled(len(train), config.batch_size, generator)


def _with_every_class(name: str, split: Split) -> Split:
    counts = split.class_counts
    missing = (counts == 0).nonzero().flatten().tolist()
    checks.require(
        not missing,
        f"{name} must have an image of every class, got none of {missing}; "
        "raise head or heldout, or leave the class out",
    )
    return split


def _with_progress_bar(rounds: range, history: History, shown: bool) -> Iterator[int]:
    """The round numbers; the bar shows the last round's held-out average and worst class."""
    from tqdm.auto import tqdm

    with tqdm(rounds, unit="round", disable=not shown) as bar:
        for k in bar:
            yield k
            last = history.rows[-1]
            bar.set_postfix(average=f"{last['average']:.2f}", worst=f"{last['worst']:.2f}")
