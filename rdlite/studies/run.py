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
from rdlite.data import protocol
from rdlite.data.splits import Split
from rdlite.distillation import TEACHER_VIEWS, distill, predict, soft_targets
from rdlite.guards import checks
from rdlite.metrics import class_calibration, summary
from rdlite.objectives import STANDARD, Objective, class_risks
from rdlite.training.checkpoints import Checkpoint
from rdlite.training.config import TrainConfig
from rdlite.training.history import History
from rdlite.training.loop import fit

NO_TEACHER = "none"  # the student learns from the one-hot labels
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
        heldout_labels, teacher_view, views, temperature, mix: see `rdlite.distillation.distill`;
            they matter only with a teacher.
        smoothing: share of the uniform distribution in the labels; without a teacher, with ``fit``.
        add_heldout: train on the held-out images, too: the control of a rival that has no other use
            for them.
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
    selection: int = 0
    size: int | None = None
    seed: int = 0
    network: str
    method: str = "fit"
    objective: Objective = STANDARD
    teacher: Run | None = None
    heldout_labels: str = "teacher"
    teacher_view: str = "consistent"
    views: int = 8
    temperature: float = 1.0
    mix: float = 1.0
    smoothing: float = 0.0
    add_heldout: bool = False
    config: TrainConfig = field(default_factory=TrainConfig)

    def __post_init__(self) -> None:
        checks.choice("dataset", self.dataset, data.SOURCES)
        names = ("imbalance", "head", "heldout", "selection", "seed")
        protocol.check(**{name: getattr(self, name) for name in names})
        if self.size is not None:
            checks.integer("size", self.size, low=4)
        models.check_name("network", self.network)
        checks.choice("method", self.method, ["fit", *baselines.NAMES])
        checks.instance("objective", self.objective, Objective, "; see Objective.named")
        checks.instance("config", self.config, TrainConfig)
        if self.teacher is not None:
            checks.instance("teacher", self.teacher, Run)
        checks.require(
            self.method == "fit" or self.method in methods(self.teacher is not None),
            f"teacher must be {'a Run' if self.teacher is None else 'None'} for the method "
            f"{self.method!r}, got {'None' if self.teacher is None else self.teacher.label!r}",
        )
        checks.choice("heldout_labels", self.heldout_labels, ["teacher", "one-hot"])
        checks.choice("teacher_view", self.teacher_view, TEACHER_VIEWS)
        checks.integer("views", self.views, low=1)
        checks.number("temperature", self.temperature, low=0, above=True)
        checks.number("mix", self.mix, low=0, high=1)
        checks.number("smoothing", self.smoothing, low=0, high=1)
        checks.require(
            not self.smoothing or (self.teacher is None and self.method == "fit"),
            f"smoothing must be 0 with a teacher or a baseline, got {self.smoothing!r}",
        )
        learns = self.objective.alpha > 0 if self.method == "fit" else self.method in ON_HELDOUT
        checks.require(
            self.add_heldout is False or (self.add_heldout is True and not learns),
            "add_heldout must be true or false, and false where held-out images move a player or a "
            f"shift, got {self.add_heldout!r}",
        )

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

    @property
    def settings(self) -> dict:
        """Every field as one flat row: the keys of `GridSpec` that ask for this run, and alpha.

        Fields of ``config`` stand beside the others, those of the teacher's begin with teacher_.

        >>> row = Run(network="cnn-6", objective=Objective(0.3)).settings
        >>> row["student"], row["teacher"], row["heldout_labels"], row["epochs"]
        ('0.3', 'none', 'one-hot', 8)
        """
        nested = ("network", "objective", "teacher", "config")
        row = {one.name: getattr(self, one.name) for one in fields(self) if one.name not in nested}
        row |= {name: value for name, value in vars(self.config).items() if name != "seed"}
        row |= {"student_network": self.network, "student": self.objective.name}
        row |= {"alpha": self.objective.alpha}
        if self.teacher is None:
            none = {"teacher_network": NO_TEACHER, "teacher": NO_TEACHER}
            return row | none | {"heldout_labels": "one-hot"}
        taught = {f"teacher_{name}": value for name, value in vars(self.teacher.config).items()}
        del taught["teacher_seed"]
        taught |= {"teacher_network": self.teacher.network}
        return row | taught | {"teacher": self.teacher.objective.name}

    @property
    def task(self) -> tuple:
        """The values of `TASK`."""
        return tuple(getattr(self, name) for name in TASK)

    def splits(self, device: str = "cpu") -> data.Splits:
        """The images, on ``device``; kept for the next run of this process."""
        asked = {name: getattr(self, name) for name in (*TASK, "seed")}
        splits = _load(asked.pop("dataset"), device, **asked)
        if not self.add_heldout:
            return splits
        both = [splits.train, splits.heldout]
        joined = (torch.cat([getattr(one, name) for one in both]) for name in ("images", "labels"))
        return replace(splits, train=Split(*joined, splits.class_names))

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
        checkpoint: Checkpoint | None = None,
        progress: bool = False,
        on_round: Callable[[dict], None] | None = None,
    ) -> tuple[nn.Module, History]:
        """Train the network; returns what predicts, and what happened.

        Args:
            teacher: the trained network of ``self.teacher``.
            device: ``"cpu"``, ``"cuda"``, ...
            checkpoint, progress, on_round: see `rdlite.training.fit`.
        """
        splits, net = self.splits(device), self.create(device)
        how = {"config": self.config, "checkpoint": checkpoint}
        how |= {"progress": progress, "on_round": on_round}
        if self.teacher is not None:
            how |= {name: getattr(self, name) for name in TEACHING}
        if self.method != "fit":
            taught = {} if self.teacher is None else {"teacher": teacher}
            history = methods(bool(taught))[self.method](net, splits, **taught, **how)
        elif self.teacher is not None:
            history = distill(teacher, net, splits, self.objective, **how)
        else:
            if self.smoothing:
                how["targets"] = self.targets(splits.train)
            history = fit(net, splits.train, self.objective, heldout=splits.heldout, **how)
        return history.scorer, history

    def targets(self, split: Split, teacher: nn.Module | None = None) -> Tensor:
        """P of the plain images of ``split``: (n, m); of the method ``fit``."""
        if self.teacher is not None:
            how = {"temperature": self.temperature, "mix": self.mix}
            return soft_targets(predict(teacher, split), split.labels, **how)
        uniform = torch.zeros(len(split), split.num_classes, device=split.labels.device)
        return soft_targets(uniform, split.labels, mix=self.smoothing)

    def measure(self, net: nn.Module, history: History, teacher: nn.Module | None = None) -> dict:
        """What `rdlite.studies.grid.frame` shows, on every split.

        Args:
            net, history: of `train`.
            teacher: the trained network of ``self.teacher``, for the entropies of its labels.
        """
        splits = self.splits(str(models.device_of(net)))
        logits, heldout_logits = predict(net, splits.test), predict(net, splits.heldout)
        scores = summary(logits, splits.test.labels)
        heldout = summary(heldout_logits, splits.heldout.labels)
        p = torch.softmax(heldout_logits, 1)
        right = predict(net, splits.train).argmax(1) == splits.train.labels
        entropy = heldout_entropy = 0.0 if self.teacher is None else None
        if self.method == "fit" and (self.teacher is None or teacher is not None):
            entropy = _entropy(self.targets(splits.train, teacher))
            if self.teacher is not None:
                theirs = self.heldout_labels == "teacher"
                heldout_entropy = _entropy(self.targets(splits.heldout, teacher)) * theirs
        selection, chosen = splits.selection, {}
        if selection is not None:
            chosen = summary(predict(net, selection), selection.labels)
        return {
            "average": scores["average"],
            "worst": scores["worst"],
            "worst_class": splits.class_names[scores["worst_class"]],
            "per_class": scores["per_class"],
            "robust_loss": float(class_risks(logits, splits.test.one_hot()).max()),
            "heldout_average": heldout["average"],
            "heldout_worst": heldout["worst"],
            "selection_average": chosen.get("average"),
            "selection_worst": chosen.get("worst"),
            "train_accuracy": float(right.double().mean()),
            "label_entropy": entropy,
            "heldout_label_entropy": heldout_entropy,
            "calibration": float(class_calibration(p, splits.heldout.labels).mean()),
            "multipliers": history.multipliers[-1].tolist(),
        }


def methods(taught: bool) -> dict[str, Callable]:
    """The baselines with a teacher, or those on labels: name -> how to train."""
    return baselines.WITH_A_TEACHER if taught else baselines.ON_LABELS


def plain(number: object) -> object:
    """A number of NumPy as one of Python, for JSON."""
    return number.item()


def _entropy(targets: Tensor) -> float:
    """Mean entropy of the rows, nats."""
    return float(torch.special.entr(targets.double()).sum(1).mean())


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
    names = ("train", "heldout", "test", "selection")
    kept = {name: getattr(splits, name) for name in names if getattr(splits, name) is not None}
    return replace(splits, **{name: part.to(device) for name, part in kept.items()})
