"""One training run, described in full, and the store that keeps what came out.

A teacher is a student of the one-hot labels, so one description serves both: a run has a teacher,
itself a run, or none. Equal descriptions give equal results; each is trained once in a store.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import time
from dataclasses import MISSING, asdict, dataclass, field, fields, is_dataclass, replace
from functools import lru_cache
from pathlib import Path

import safetensors.torch
import torch
from filelock import FileLock, Timeout
from safetensors import SafetensorError
from safetensors.torch import load_model
from torch import nn

import rdlite
from rdlite import baselines, checks, data, files, models, parallel
from rdlite.data import protocol
from rdlite.distillation import TEACHER_VIEWS, distill, predict
from rdlite.metrics import class_calibration, summary
from rdlite.objectives import STANDARD, Objective, class_risks
from rdlite.training import History, TrainConfig, fit


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
        protocol.check(**task)
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
        text = json.dumps([self.about, rdlite.__version__], sort_keys=True, default=_plain)
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
        """What `rdlite.studies.frame` shows: on the test set, and on the held-out images."""
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


def _plain(number: object) -> object:
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


class Store:
    """A folder of finished runs: a card each, and the weights of each teacher.

    A card is a small JSON file: what was trained, on what data, what came out, by which versions.
    Weights are in safetensors' format. Files appear whole or not at all, and a run that one process
    is training is left alone by the others, so that a killed study goes on where it was and two
    processes share the work.

    Args:
        folder: made if it is not there.
        device: where the networks are trained.
    """

    def __init__(self, folder: str | Path, device: str = "cpu") -> None:
        self.folder, self.device = files.folder(folder, "store"), device

    def result(self, run: Run) -> dict | None:
        """What `Run.measure` said, and the seconds it took; None if it is not finished.

        Raises:
            ValueError: the card is damaged.
        """
        file = self.card(run)
        if not file.exists():
            return None
        try:
            return json.loads(file.read_text(encoding="utf-8"))["result"]
        except (ValueError, KeyError, TypeError):
            raise ValueError(
                f"{file} is not a card of rdlite; delete it to train this run again"
            ) from None

    def card(self, run: Run) -> Path:
        """Where the description and the numbers of ``run`` are, or will be."""
        return self.folder / f"{run.key}.json"

    def weights(self, run: Run) -> Path:
        """Where the weights of ``run`` are, if they were kept."""
        return self.folder / f"{run.key}.safetensors"

    def network(self, run: Run) -> nn.Module:
        """The trained network of ``run``, trained now if it has to be."""
        self.finish(run, weights=True)
        net = run.create(self.device)
        try:
            load_model(net, self.weights(run), device=self.device)
        except (SafetensorError, RuntimeError) as error:
            raise ValueError(
                f"{self.weights(run)} does not hold the weights of {run.label!r} "
                f"({str(error).splitlines()[0]}); delete it to train this run again"
            ) from None
        return net

    def finish(
        self, run: Run, *, weights: bool = False, wait: bool = True, **options: object
    ) -> bool:
        """Train and measure ``run``, its teacher first, unless that is done.

        Args:
            run: what to train.
            weights: keep the network as well.
            wait: wait for another process that is training it.
            options: of `Run.train`, for ``run`` itself.

        Returns:
            Whether it is finished; False only if another process has it and ``wait`` is False.

        Raises:
            FloatingPointError: training diverged; the message names the run, which may be the
                teacher, and the step.
            OSError: the folder cannot be written, or the disk is full; the other runs are intact.
        """
        if parallel.of_first(self.done(run, weights)):
            return True
        lock = FileLock(self.folder / f"{run.key}.lock", timeout=-1 if wait else 0)
        try:  # the system takes the lock back from a killed process
            with lock if parallel.rank() == 0 else contextlib.nullcontext():
                if not parallel.of_first(self.done(run, weights)):
                    self._train(run, weights, **options)
        except Timeout:
            return False
        return True

    def _train(self, run: Run, weights: bool, **options: object) -> None:
        teacher = None if run.teacher is None else self.network(run.teacher)
        started = time.perf_counter()
        try:
            net, history = run.train(teacher, device=self.device, **options)
        except FloatingPointError as error:
            raise FloatingPointError(f"{run.label}: {error}") from None
        if parallel.rank() == 0:
            result = run.measure(net, history) | {"seconds": time.perf_counter() - started}
            if weights:
                tensors = {name: value.contiguous() for name, value in net.state_dict().items()}
                with files.whole(self.weights(run)) as file:
                    file.write_bytes(safetensors.torch.save(tensors))
            card = {
                "label": run.label,
                "run": asdict(run),
                "data": run.splits(self.device).fingerprint,
                "rdlite": rdlite.__version__,
                "torch": torch.__version__,
                "result": result,
            }
            with files.whole(self.card(run)) as file:
                file.write_text(json.dumps(card, indent=1, default=_plain), encoding="utf-8")
        parallel.wait()

    def done(self, run: Run, weights: bool = False) -> bool:
        """Whether ``run`` is finished, and its network kept if that is asked for."""
        return self.card(run).exists() and (not weights or self.weights(run).exists())
