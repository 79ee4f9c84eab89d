"""One training run, described in full.

A teacher is a student of the one-hot labels, so one description serves both: a run has a teacher,
itself a run, or none. Equal descriptions give equal results.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import MISSING, dataclass, field, fields, is_dataclass, replace
from functools import lru_cache

import torch
from torch import nn

import rdlite
from rdlite import baselines, data, models
from rdlite.data import protocol
from rdlite.distillation import TEACHER_VIEWS, distill, predict
from rdlite.guards import checks
from rdlite.metrics import class_calibration, summary
from rdlite.objectives import STANDARD, Objective, class_risks
from rdlite.training.config import TrainConfig
from rdlite.training.history import History
from rdlite.training.loop import fit


@dataclass(frozen=True, kw_only=True)
class Run:
    """One network to train, in full.

    Args:
        dataset, imbalance, head, heldout, size, seed: see `rdlite.data.load`.
        network: see `rdlite.models.create`; its first weights are drawn from ``config.seed``.
        method: ``"fit"`` for eqs (6)-(8), or a baseline, see `rdlite.baselines.NAMES`.
        objective: eq. (3), with the method ``"fit"``.
        teacher: the run that trains the teacher; None for the one-hot labels.
        heldout_labels, teacher_view, temperature, mix: see `rdlite.distillation.distill`; they
            matter only with a teacher.
        config: how to train.

    Raises:
        ValueError: an unknown name, a value out of range, a method that needs a teacher.

    >>> Run(network="cnn-4").key == Run(network="cnn-4").key != Run(network="cnn-5").key
    True
    """

    dataset: str = "fashion-mnist"
    imbalance: float = 100
    head: int = 1000
    heldout: int = 200
    size: int | None = None
    seed: int = 0
    network: str
    method: str = "fit"
    objective: Objective = STANDARD
    teacher: Run | None = None
    heldout_labels: str = "one-hot"
    teacher_view: str = "consistent"
    temperature: float = 1.0
    mix: float = 1.0
    config: TrainConfig = field(default_factory=TrainConfig)

    def __post_init__(self) -> None:
        checks.choice("dataset", self.dataset, data.SOURCES)
        task = {name: getattr(self, name) for name in ("imbalance", "head", "heldout", "seed")}
        protocol.Options(**task)
        models.check_name("network", self.network)
        checks.choice("method", self.method, ["fit", *baselines.NAMES])
        checks.instance("objective", self.objective, Objective, "; see Objective.named")
        checks.instance("config", self.config, TrainConfig)
        if self.teacher is not None:
            checks.instance("teacher", self.teacher, Run)
        known = baselines.ON_LABELS if self.teacher is None else baselines.WITH_A_TEACHER
        checks.require(
            self.method == "fit" or self.method in known,
            f"teacher must be {'a Run' if self.teacher is None else 'None'} for the method "
            f"{self.method!r}, got {'None' if self.teacher is None else self.teacher.label!r}",
        )
        checks.choice("heldout_labels", self.heldout_labels, ["teacher", "one-hot"])
        checks.choice("teacher_view", self.teacher_view, TEACHER_VIEWS)
        checks.number("temperature", self.temperature, low=0, above=True)
        checks.number("mix", self.mix, low=0, high=1)

    @property
    def key(self) -> str:
        """A hash of what differs from the defaults, and of rdlite's version: its files' name."""
        text = json.dumps([self.about, rdlite.__version__], sort_keys=True, default=plain)
        return hashlib.sha256(text.encode()).hexdigest()[:20]

    @property
    def about(self) -> dict:
        """What differs from the defaults, as nested dicts."""
        return _described(self)

    @property
    def label(self) -> str:
        """The run in words.

        >>> Run(network="cnn-6", teacher=Run(network="cnn-16")).label
        'seed 0: cnn-6 for standard, taught by cnn-16 for standard, held-out labels one-hot'
        """
        what = self.objective.name if self.method == "fit" else self.method
        words = f"seed {self.seed}: {self.network} for {what}"
        if self.teacher is None:
            return words
        teacher = f"{self.teacher.network} for {self.teacher.objective.name}"
        return f"{words}, taught by {teacher}, held-out labels {self.heldout_labels}"

    def splits(self, device: str = "cpu") -> data.Splits:
        """The images, on ``device``; kept for the next run of this process."""
        return _load(
            self.dataset,
            device,
            imbalance=self.imbalance,
            head=self.head,
            heldout=self.heldout,
            size=self.size,
            seed=self.seed,
        )

    def create(self, device: str = "cpu") -> nn.Module:
        """The network before training."""
        splits = self.splits(device)
        net = models.create(
            self.network,
            num_classes=splits.num_classes,
            in_channels=splits.in_channels,
            seed=self.config.seed,
        )
        return net.to(device, memory_format=torch.channels_last)  # about 1.4 x faster on a CPU

    def train(
        self,
        teacher: nn.Module | None = None,
        *,
        device: str = "cpu",
        **options: object,
    ) -> tuple[nn.Module, History]:
        """Train the network; returns what predicts, and what happened.

        Args:
            teacher: the trained network of ``self.teacher``.
            device: ``"cpu"``, ``"cuda"``, ...
            options: ``checkpoint``, ``progress`` and ``on_round`` of `rdlite.training.fit`.
        """
        splits, net = self.splits(device), self.create(device)
        how = {"config": self.config, **options}
        if self.teacher is not None:
            names = ("heldout_labels", "teacher_view", "temperature", "mix")
            how |= {name: getattr(self, name) for name in names}
        if self.method != "fit":
            known = baselines.ON_LABELS if self.teacher is None else baselines.WITH_A_TEACHER
            if self.teacher is not None:
                how["teacher"] = teacher
            history = known[self.method](net, splits, **how)
        elif self.teacher is None:
            history = fit(net, splits.train, self.objective, heldout=splits.heldout, **how)
        else:
            history = distill(teacher, net, splits, self.objective, **how)
        return history.scorer, history

    def measure(self, net: nn.Module, history: History) -> dict:
        """What `rdlite.studies.grid.frame` shows: on the test set, and on the held-out images."""
        splits = self.splits(str(models.device_of(net)))
        logits, heldout_logits = predict(net, splits.test), predict(net, splits.heldout)
        scores = summary(logits, splits.test.labels)
        heldout = summary(heldout_logits, splits.heldout.labels)
        p = torch.softmax(heldout_logits, 1)
        return {
            "average": scores["average"],
            "worst": scores["worst"],
            "worst_class": splits.class_names[scores["worst_class"]],
            "per_class": scores["per_class"],
            "robust_loss": float(class_risks(logits, splits.test.one_hot()).max()),
            "heldout_average": heldout["average"],
            "heldout_worst": heldout["worst"],
            "calibration": float(class_calibration(p, splits.heldout.labels).mean()),
            "multipliers": history.multipliers[-1].tolist(),
        }


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
    parts = {name: getattr(splits, name).to(device) for name in ("train", "heldout", "test")}
    return replace(splits, **parts)
