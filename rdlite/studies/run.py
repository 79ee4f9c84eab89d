"""One training run, described in full.

A teacher is a student of the one-hot labels, so one description serves both: a run has a teacher,
itself a run, or none. Equal descriptions give equal results.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import MISSING, dataclass, field, fields, is_dataclass, replace
from functools import lru_cache

import torch
from torch import Tensor, nn

from rdlite import baselines, data, models
from rdlite.data import Split, protocol
from rdlite.distillation import TEACHER_VIEWS, predict, soft_targets
from rdlite.guards import checks
from rdlite.guards.door import check_ranges, ranged
from rdlite.objectives import STANDARD, Objective
from rdlite.training import Checkpoint, History, TrainConfig, fit

TASK = ("dataset", "imbalance", "head", "heldout", "selection", "size")  # what is learnt
TEACHING = ("heldout_labels", "teacher_view", "views", "temperature", "mix")
ON_HELDOUT = ("post-shifted", "ada-alpha", "ada-margin")  # methods that learn from these images


@dataclass(frozen=True, kw_only=True)
class Run:
    """One network to train, in full.

    Args:
        dataset, imbalance, head, heldout, selection, size, seed: see `rdlite.data.load`.
        network: see `rdlite.models.create`; its first weights are drawn from ``config.seed``.
        method: ``"fit"`` for eqs (6)-(8), or a baseline, see `rdlite.baselines.NAMES`.
        objective: eq. (3), with the method ``"fit"``.
        teacher: the run that trains the teacher; None for the one-hot labels.
        heldout_labels, teacher_view, views, temperature, mix: see `rdlite.distillation.distill`.
        smoothing: share of the uniform distribution in the labels; without a teacher, with ``fit``.
        add_heldout: train on the held-out images, too: the control of a rival that has no other use
            for them.
        config: how to train.

    What does not matter (a temperature without a teacher, the objective of a baseline) is set to
    its default, so that runs that train alike are equal.

    Raises:
        ValueError: an unknown name, a value out of range, a method that needs a teacher.

    >>> Run(network="cnn-4").key == Run(network="cnn-4").key != Run(network="cnn-5").key
    True
    """

    dataset: str = ranged("fashion-mnist", checks.choice, data.SOURCES)
    imbalance: float = 100
    head: int = 1000
    heldout: int = 200
    selection: int = 0
    size: int | None = ranged(None, checks.integer, low=4)
    seed: int = 0
    network: str
    method: str = ranged("fit", checks.choice, ["fit", *baselines.NAMES])
    objective: Objective = STANDARD
    teacher: Run | None = None
    heldout_labels: str = ranged("teacher", checks.choice, ["teacher", "one-hot"])
    teacher_view: str = ranged("consistent", checks.choice, TEACHER_VIEWS)
    views: int = ranged(8, checks.integer, low=1)
    temperature: float = ranged(1.0, checks.number, low=0, above=True)
    mix: float = ranged(1.0, checks.number, low=0, high=1)
    smoothing: float = ranged(0.0, checks.number, low=0, high=1)
    add_heldout: bool = ranged(False, checks.flag)
    config: TrainConfig = field(default_factory=TrainConfig)

    def __post_init__(self) -> None:
        names = ("imbalance", "head", "heldout", "selection", "seed")
        protocol.Options(**{name: getattr(self, name) for name in names})
        models.check_name("network", self.network)
        check_ranges(self)
        checks.instance("objective", self.objective, Objective, "; see Objective.named")
        checks.instance("config", self.config, TrainConfig)
        taught, fits = self.teacher is not None, self.method == "fit"
        if taught:
            checks.instance("teacher", self.teacher, Run)
        good, came = fits or self.method in methods(taught), self.teacher.label if taught else None
        wanted = f"be {'None' if taught else 'a Run'} for the method {self.method!r}"
        checks.expect(good, "teacher", wanted, repr(came))
        good = not self.smoothing or (fits and not taught)
        checks.expect(good, "smoothing", "be 0 with a teacher or a baseline", self.smoothing)
        needed = self.objective.alpha > 0 if fits else self.method in ON_HELDOUT
        wanted = "be false where held-out images move a player or a shift"
        checks.expect(not (self.add_heldout and needed), "add_heldout", wanted, True)
        idle = set() if taught else set(TEACHING)
        idle |= set() if fits else {"objective", "heldout_labels"}
        idle |= set() if self.teacher_view == "views" else {"views"}
        for one in fields(self):
            if one.name in idle:
                object.__setattr__(self, one.name, one.default)

    @property
    def key(self) -> str:
        """A hash of what differs from the defaults: the name of its files, in every version."""
        text = json.dumps(self.about, default=plain)
        same = json.loads(text, parse_int=float)  # 10 and 10.0 are one run
        return hashlib.sha256(json.dumps(same, sort_keys=True).encode()).hexdigest()[:20]

    @property
    def about(self) -> dict:
        """What differs from the defaults, as nested dicts."""
        return _described(self)

    @property
    def task(self) -> tuple:
        """The values of `TASK`."""
        return tuple(getattr(self, name) for name in TASK)

    @property
    def label(self) -> str:
        """The run in words.

        >>> Run(network="cnn-6", teacher=Run(network="cnn-16")).label
        'seed 0: cnn-6 for standard, taught by cnn-16 for standard, held-out labels teacher'
        """
        what = self.objective.name if self.method == "fit" else self.method
        words = f"seed {self.seed}: {self.network} for {what}"
        if self.teacher is None:
            return words
        teacher = f"{self.teacher.network} for {self.teacher.objective.name}"
        return f"{words}, taught by {teacher}, held-out labels {self.heldout_labels}"

    def splits(self, device: str = "cpu") -> data.Splits:
        """The images, on ``device``; kept for the next run of this process."""
        splits = _load(device=device, seed=self.seed, **dict(zip(TASK, self.task, strict=True)))
        if not self.add_heldout:
            return splits
        both = [splits.train, splits.heldout]
        joined = (torch.cat([getattr(one, name) for one in both]) for name in ("images", "labels"))
        return replace(splits, train=Split(*joined, splits.class_names))

    def create(self, device: str = "cpu") -> nn.Module:
        """The network before training."""
        splits = self.splits(device)
        sizes = {"num_classes": splits.num_classes, "in_channels": splits.in_channels}
        net = models.create(self.network, **sizes, seed=self.config.seed)
        return net.to(device, memory_format=torch.channels_last)  # about 1.4 x faster on a CPU

    def train(
        self,
        teacher: nn.Module | None = None,
        *,
        device: str = "cpu",
        checkpoint: Checkpoint | None = None,
        progress: bool = False,
        on_round: Callable[[dict], None] | None = None,
    ) -> tuple[nn.Module, History]:
        """Train the network; returns what predicts, and what happened.

        Args:
            teacher: the trained network of ``self.teacher``.
            device: ``"cpu"``, ``"cuda"``, ...
            checkpoint, progress, on_round: see `rdlite.training.fit`.

        Raises:
            FloatingPointError: training diverged; the message names the run and the step.
        """
        splits, net = self.splits(device), self.create(device)
        how = {"config": self.config, "checkpoint": checkpoint}
        how |= {"progress": progress, "on_round": on_round}
        if self.teacher is not None:
            checks.instance("teacher", teacher, nn.Module, "; train self.teacher first")
            how |= {name: getattr(self, name) for name in TEACHING} | {"teacher": teacher}
        try:
            if self.method != "fit":
                train = methods(self.teacher is not None)[self.method]
                history = train(net, splits, **how)
            elif self.smoothing:
                how |= {"heldout": splits.heldout, "targets": self.targets(splits.train)}
                history = fit(net, splits.train, self.objective, **how)
            else:
                history = baselines.trained(net, splits, objective=self.objective, **how)
        except FloatingPointError as error:
            raise FloatingPointError(f"{self.label}: {error}") from None
        return history.scorer, history

    def targets(self, split: Split, teacher: nn.Module | None = None) -> Tensor:
        """P of the plain images of ``split``: (n, m); of the method ``fit``."""
        if self.teacher is not None:
            how = {"temperature": self.temperature, "mix": self.mix}
            return soft_targets(predict(teacher, split), split.labels, **how)
        uniform = torch.zeros(len(split), split.num_classes, device=split.labels.device)
        return soft_targets(uniform, split.labels, mix=self.smoothing)


def methods(taught: bool) -> dict[str, Callable]:
    """The baselines with a teacher, or those on labels: name -> how to train."""
    return baselines.WITH_A_TEACHER if taught else baselines.ON_LABELS


def plain(number: object) -> object:
    """A number of NumPy as one of Python, for JSON."""
    return number.item()


def _described(value: object) -> object:
    """A dataclass as a dict of the fields that are not at their default, for JSON.

    An option that a later version adds thus leaves the old runs' names as they are.
    """
    if not is_dataclass(value):
        return value
    kept = {}
    for one in fields(value):
        default = one.default if one.default_factory is MISSING else one.default_factory()
        if getattr(value, one.name) != default:
            kept[one.name] = _described(getattr(value, one.name))
    return kept


@lru_cache(maxsize=2)
def _load(dataset: str, device: str, **options: object) -> data.Splits:
    splits = data.load(dataset, **options)
    parts = {name: getattr(splits, name) for name in ("train", "heldout", "selection", "test")}
    return replace(splits, **{name: part.to(device) for name, part in parts.items() if part})
