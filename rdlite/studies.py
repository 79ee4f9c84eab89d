"""The teacher x student grid: every cell trained, in parallel processes, into one tidy table.

A teacher is trained once a seed and shared by its students through a small file in the store.
"""

from __future__ import annotations

import contextlib
import tempfile
import time
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from pathlib import Path

import joblib
import pandas as pd
import torch
from torch import nn

from rdlite import checks, data, models
from rdlite.distillation import TEACHER_VIEWS, distill, predict
from rdlite.metrics import summary
from rdlite.objectives import NAMED, Objective
from rdlite.training import TrainConfig, fit

NO_TEACHER = "none"  # the student learns from the one-hot labels
PROCESSES_ON_A_GPU = 4  # they share it
STUDENT_SEED = 1000  # added to the run's seed, so that a student does not start as its teacher
BAR_FORMAT = "{desc} {n_fmt}/{total_fmt} |{bar}| {elapsed} gone, about {remaining} left"
COLUMNS = [
    "teacher",
    "student",
    "heldout_labels",
    "seed",
    "average",
    "worst",
    "worst_class",
    "seconds",
    "per_class",
]


@dataclass(frozen=True, kw_only=True)
class GridSpec:
    """A grid: for each seed, every teacher objective with every student objective.

    Args:
        dataset, imbalance, head, heldout, size: see `rdlite.data.load`; the seed of a run also
            draws its splits.
        teacher_network, student_network: see `rdlite.models.create`.
        teachers: of ``"none"`` (one-hot labels), ``"standard"``, ``"balanced"``, ``"robust"``.
        students: of ``"standard"``, ``"balanced"``, ``"robust"``.
        heldout_labels: of ``"teacher"``, ``"one-hot"``; without a teacher always one-hot.
        seeds: one run of the grid for each.
        teacher_view, temperature, mix: see `rdlite.distillation.distill`.
        config: how to train both; its seed is replaced by the run's.
        device: ``"cpu"``, ``"cuda"``, ...

    Raises:
        ValueError: an unknown name or an empty list.
    """

    dataset: str = "fashion-mnist"
    imbalance: float = 100
    head: int = 5000
    heldout: int = 500
    size: int | None = 14
    teacher_network: str = "cnn-16"
    student_network: str = "cnn-6"
    teachers: tuple[str, ...] = (NO_TEACHER, *NAMED)
    students: tuple[str, ...] = tuple(NAMED)
    heldout_labels: tuple[str, ...] = ("teacher",)
    seeds: tuple[int, ...] = (0, 1, 2)
    teacher_view: str = "consistent"
    temperature: float = 1.0
    mix: float = 0.5
    config: TrainConfig = field(default_factory=lambda: TrainConfig(rounds=24))
    device: str = "cpu"

    def __post_init__(self) -> None:
        for name, allowed in (
            ("teachers", (NO_TEACHER, *NAMED)),
            ("students", NAMED),
            ("heldout_labels", ("teacher", "one-hot")),
        ):
            chosen = getattr(self, name)
            checks.require(len(chosen) > 0, f"{name} must name at least one of {list(allowed)}")
            for value in chosen:
                checks.choice(name, value, allowed)
        checks.choice("teacher_view", self.teacher_view, TEACHER_VIEWS)
        checks.require(len(self.seeds) > 0, "seeds must hold at least one number, got none")
        for seed in self.seeds:
            checks.whole("seeds", seed, low=0, high=2**32 - 1 - STUDENT_SEED)
        checks.require(
            self.config.scorer == "last",
            "config must have scorer='last' in a grid: a shared teacher is one network, "
            f"got {self.config.scorer!r}",
        )

    def runs(self) -> list[Run]:
        """Every student of the grid, seed by seed."""
        cells = []
        for seed in self.seeds:
            for teacher in self.teachers:
                labels = ("one-hot",) if teacher == NO_TEACHER else self.heldout_labels
                cells += [Run(teacher, s, h, seed) for h in labels for s in self.students]
        return cells


@dataclass(frozen=True)
class Run:
    """One trained student of the grid."""

    teacher: str
    student: str
    heldout_labels: str
    seed: int

    @property
    def taught(self) -> bool:
        """Whether there is a teacher."""
        return self.teacher != NO_TEACHER


def run_grid(
    spec: GridSpec,
    *,
    executor: joblib.Parallel | None = None,
    store: str | Path | None = None,
    progress: bool = True,
) -> pd.DataFrame:
    """Train every run of ``spec`` and return one row a trained student.

    Args:
        spec: the grid.
        executor: a `joblib.Parallel` that returns ``"generator_unordered"``; by default one
            process a core, each of one thread (small networks train fastest so); 4 on a GPU.
        store: the folder that keeps the teachers' weights; by default they are thrown away.
        progress: show a bar with the time left.

    Returns:
        Columns teacher, student, heldout_labels, seed, average, worst, worst_class (its name),
        seconds, and per_class (a list of m accuracies), in the order of ``spec.runs()``.
        Accuracies are fractions of the test set. Ctrl-C ends the grid early: the rows are then
        those that are finished.
    """
    from tqdm.auto import tqdm

    if executor is None:
        most = joblib.cpu_count() if spec.device == "cpu" else PROCESSES_ON_A_GPU
        executor = joblib.Parallel(n_jobs=most, return_as="generator_unordered")
    runs = spec.runs()
    splits = _splits(spec, spec.seeds[0])  # here first: bad arguments are found, archives unpacked
    for name in (spec.teacher_network, spec.student_network):
        _network(spec, name, splits, seed=0)
    rows: dict[Run, dict] = {}
    with contextlib.ExitStack() as stack:
        store = Path(store or stack.enter_context(tempfile.TemporaryDirectory()))
        store.mkdir(parents=True, exist_ok=True)
        teachers = [(name, seed) for seed in spec.seeds for name in spec.teachers]
        before = [
            joblib.delayed(_train_teacher)(spec, name, seed, store)
            for name, seed in teachers
            if name != NO_TEACHER
        ]
        before += [joblib.delayed(_train_student)(spec, r, store) for r in runs if not r.taught]
        after = [joblib.delayed(_train_student)(spec, r, store) for r in runs if r.taught]
        total = len(before) + len(after)
        bar = stack.enter_context(
            tqdm(
                total=total,
                desc="networks",
                bar_format=BAR_FORMAT,
                smoothing=0,
                disable=not progress,
            )
        )
        with contextlib.suppress(KeyboardInterrupt):
            for stage in (before, after):
                for result in executor(stage):
                    bar.update()
                    rows.update(result)
    return pd.DataFrame([asdict(run) | rows[run] for run in runs if run in rows], columns=COLUMNS)


def _train_teacher(spec: GridSpec, objective: str, seed: int, store: Path) -> dict:
    """Train a teacher and write its weights; no row."""
    torch.set_num_threads(1)
    splits = _splits(spec, seed)
    teacher = _network(spec, spec.teacher_network, splits, seed)
    config = replace(spec.config, seed=seed)
    named = Objective.named(objective)
    fit(teacher, splits.train, named, heldout=splits.heldout, config=config)
    torch.save(teacher.state_dict(), _teacher_file(store, objective, seed))
    return {}


def _train_student(spec: GridSpec, run: Run, store: Path) -> dict[Run, dict]:
    """Train the student of ``run`` and measure it on the test set."""
    torch.set_num_threads(1)
    started = time.perf_counter()
    splits = _splits(spec, run.seed)
    student = _network(spec, spec.student_network, splits, run.seed + STUDENT_SEED)
    objective = Objective.named(run.student)
    config = replace(spec.config, seed=run.seed + STUDENT_SEED)
    if run.taught:
        teacher = _network(spec, spec.teacher_network, splits, run.seed)
        file = _teacher_file(store, run.teacher, run.seed)
        teacher.load_state_dict(torch.load(file, weights_only=True))
        distill(
            teacher,
            student,
            splits,
            objective,
            heldout_labels=run.heldout_labels,
            teacher_view=spec.teacher_view,
            temperature=spec.temperature,
            mix=spec.mix,
            config=config,
        )
    else:
        fit(student, splits.train, objective, heldout=splits.heldout, config=config)
    scores = summary(predict(student, splits.test), splits.test.labels)
    scores["worst_class"] = splits.class_names[scores["worst_class"]]
    scores["seconds"] = time.perf_counter() - started
    return {run: scores}


@lru_cache(maxsize=2)
def _load(dataset: str, device: str, **options: object) -> data.Splits:
    splits = data.load(dataset, **options)
    parts = {name: getattr(splits, name).to(device) for name in ("train", "heldout", "test")}
    return replace(splits, **parts)


def _splits(spec: GridSpec, seed: int) -> data.Splits:
    """The splits of one seed on the spec's device, kept for the next run of this process."""
    options = {"imbalance": spec.imbalance, "head": spec.head, "heldout": spec.heldout}
    return _load(spec.dataset, spec.device, seed=seed, size=spec.size, **options)


def _network(spec: GridSpec, name: str, splits: data.Splits, seed: int) -> nn.Module:
    net = models.create(
        name, num_classes=splits.num_classes, in_channels=splits.in_channels, seed=seed
    )
    return net.to(spec.device, memory_format=torch.channels_last)  # about 1.4 x faster on a CPU


def _teacher_file(store: Path, objective: str, seed: int) -> Path:
    return store / f"teacher-{objective}-{seed}.pt"
