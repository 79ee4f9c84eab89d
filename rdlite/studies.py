"""The teacher x student grid: every run trained, in parallel processes, into one tidy table.

Each finished run is a file in a store, so a killed grid goes on where it was.
"""

from __future__ import annotations

import contextlib
import tempfile
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, field, fields, replace
from itertools import product
from pathlib import Path

import joblib
import pandas as pd
import torch

from rdlite import baselines, checks
from rdlite.distillation import TEACHER_VIEWS
from rdlite.objectives import NAMED, Objective
from rdlite.runs import Run, Store
from rdlite.training import TrainConfig

NO_TEACHER = "none"  # the student learns from the one-hot labels
PROCESSES_ON_A_GPU = 4  # they share it
STUDENT_SEED = 1000  # added to the run's seed, so that a student does not start as its teacher
BAR_FORMAT = "{desc} {n_fmt}/{total_fmt} |{bar}| {elapsed} gone, about {remaining} left"
CELL = [  # what was trained, but for the seed
    "method",
    "teacher_network",
    "student_network",
    "teacher",
    "student",
    "alpha",
    "heldout_labels",
    "temperature",
    "learning_rate",
]
COLUMNS = [
    *CELL,
    "seed",
    "average",
    "worst",
    "worst_class",
    "seconds",
    "heldout_average",
    "heldout_worst",
    "per_class",
    "multipliers",
]


@dataclass(frozen=True, kw_only=True)
class GridSpec:
    """A grid: for each seed, every teacher objective with every student objective.

    An objective is ``"standard"``, ``"balanced"``, ``"robust"``, or a number: that alpha of
    eq. (3), with the balanced anchor, so that 0 is balanced and 1 is robust.

    Args:
        dataset, imbalance, head, heldout, size: see `rdlite.data.load`; the seed of a run also
            draws its splits.
        networks: pairs (teacher's, student's), see `rdlite.models.create`.
        teachers: objectives, and ``"none"`` for the one-hot labels.
        students: objectives.
        baselines: of `rdlite.baselines.NAMES`: those on labels where the teacher is ``"none"``,
            those with a teacher for every other teacher.
        heldout_labels: of ``"teacher"``, ``"one-hot"``; without a teacher always one-hot. Baselines
            do not use them.
        seeds: one run of the grid for each.
        teacher_view, mix: see `rdlite.distillation.distill`.
        temperatures: of the teacher's probabilities, every one for every student.
        learning_rates: of the students; empty for that of ``config``, which teachers use.
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
    networks: tuple[tuple[str, str], ...] = (("cnn-16", "cnn-6"),)
    teachers: tuple[str | float, ...] = (NO_TEACHER, *NAMED)
    students: tuple[str | float, ...] = tuple(NAMED)
    baselines: tuple[str, ...] = ()
    heldout_labels: tuple[str, ...] = ("teacher",)
    seeds: tuple[int, ...] = (0, 1, 2)
    teacher_view: str = "consistent"
    temperatures: tuple[float, ...] = (1.0,)
    learning_rates: tuple[float, ...] = ()
    mix: float = 0.5
    config: TrainConfig = field(default_factory=lambda: TrainConfig(rounds=24))
    device: str = "cpu"

    def __post_init__(self) -> None:
        lists = {
            "networks": None,
            "teachers": (NO_TEACHER, *NAMED),
            "students": tuple(NAMED),
            "baselines": baselines.NAMES,
            "heldout_labels": ("teacher", "one-hot"),
            "temperatures": None,
            "learning_rates": None,
            "seeds": None,
        }
        for name, allowed in lists.items():
            chosen = getattr(self, name)
            needed = name not in ("baselines", "learning_rates")
            checks.require(
                isinstance(chosen, (tuple, list)) and len(chosen) >= needed,
                f"{name} must be a list" + " that is not empty" * needed + f", got {chosen!r}",
            )
            for value in chosen if allowed else ():
                if isinstance(value, str) or name not in ("teachers", "students"):
                    checks.choice(name, value, allowed)
                else:
                    checks.number(name, value, low=0, high=1)
        checks.require(
            all(isinstance(pair, (tuple, list)) and len(pair) == 2 for pair in self.networks),
            f"networks must be pairs (teacher's, student's), got {self.networks!r}",
        )
        checks.choice("teacher_view", self.teacher_view, TEACHER_VIEWS)
        for seed in self.seeds:
            checks.whole("seeds", seed, low=0, high=2**32 - 1 - STUDENT_SEED)
        for name in ("temperatures", "learning_rates"):
            for value in getattr(self, name):
                checks.number(name, value, low=0, above=True)
        checks.require(
            self.config.scorer == "last",
            "config must have scorer='last' in a grid: a shared teacher is one network, "
            f"got {self.config.scorer!r}",
        )

    @classmethod
    def from_file(cls, path: str | Path) -> GridSpec:
        """The grid of a TOML file: the fields above, those of `TrainConfig` in a table ``config``.

        Raises:
            ValueError: not TOML, an unknown key, a value that cannot be; the message says which.
            OSError: no such file.
        """
        try:
            keys = tomllib.loads(Path(path).read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ValueError(f"{path} is not a TOML file: {error}") from None
        config = keys.pop("config", {})
        for where, given, known in (("spec", keys, cls), ("config", config, TrainConfig)):
            checks.require(
                isinstance(given, dict), f"{where} must be a table of keys, got {given!r}"
            )
            for key in given:
                checks.choice(f"a key of {where}", key, [f.name for f in fields(known)])
        return cls(**_tuples(keys), config=TrainConfig(**config))

    def runs(self) -> list[Run]:
        """Every student of the grid, seed by seed; each once."""
        made = []
        for seed, networks, teacher in product(self.seeds, self.networks, self.teachers):
            known = baselines.ON_LABELS if teacher == NO_TEACHER else baselines.WITH_A_TEACHER
            how = list(product(self.temperatures, self.learning_rates or [None]))
            for temperature, learning_rate in how:
                options = {
                    "seed": seed,
                    "networks": networks,
                    "temperature": temperature,
                    "learning_rate": learning_rate,
                }
                made += [
                    self.run(teacher, student, labels, **options)
                    for labels, student in product(self.heldout_labels, self.students)
                ]
                made += [
                    self.run(teacher, "standard", method=name, **options)
                    for name in self.baselines
                    if name in known
                ]
        return list(dict.fromkeys(made))

    def run(
        self,
        teacher: str | float,
        student: str | float,
        heldout_labels: str = "teacher",
        *,
        method: str = "fit",
        seed: int = 0,
        networks: tuple[str, str] | None = None,
        temperature: float | None = None,
        learning_rate: float | None = None,
    ) -> Run:
        """One cell of the grid, for one seed; by default the first networks and temperature."""
        big, small = networks or self.networks[0]
        rate = learning_rate or self.config.learning_rate
        config = replace(self.config, seed=seed + STUDENT_SEED, learning_rate=rate)
        task = {name: getattr(self, name) for name in ("dataset", "imbalance", "head", "heldout")}
        task |= {"size": self.size, "seed": seed}
        goal = {"method": method, "objective": Objective.named(student)}
        learner = Run(**task, network=small, config=config, **goal)
        if teacher == NO_TEACHER:
            return learner
        config = replace(self.config, seed=seed)
        tutor = Run(**task, network=big, objective=Objective.named(teacher), config=config)
        return replace(
            learner,
            teacher=tutor,
            heldout_labels=heldout_labels,
            teacher_view=self.teacher_view,
            temperature=temperature or self.temperatures[0],
            mix=self.mix,
        )


def _tuples(value: object) -> object:
    """``value`` with tuples for the lists inside."""
    if isinstance(value, dict):
        return {key: _tuples(inner) for key, inner in value.items()}
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def run_grid(
    spec: GridSpec,
    *,
    executor: joblib.Parallel | str | object | None = None,
    store: str | Path | None = None,
    progress: bool = True,
) -> pd.DataFrame:
    """Train every run of ``spec`` and return one row a trained student.

    Args:
        spec: the grid.
        executor: by default one process a core, each of one thread (small networks train fastest
            so); 4 on a GPU. Otherwise the address of a Dask scheduler or a
            `dask.distributed.Client`, whose workers must see the same ``store``, or a
            `joblib.Parallel` that returns ``"generator_unordered"``.
        store: the folder that keeps finished runs and the teachers' weights, see
            `rdlite.runs.Store`: what is there is not trained again. By default thrown away.
        progress: show a bar with the time left.

    Returns:
        The table of `frame`. Ctrl-C ends the grid early: the rows are then those that are
        finished.
    """
    from tqdm.auto import tqdm

    runs = spec.runs()
    teachers = list(dict.fromkeys(run.teacher for run in runs if run.teacher))
    for run in {run.network: run for run in runs + teachers}.values():
        run.create(spec.device)  # here first: bad arguments are found, archives are unpacked
    with contextlib.ExitStack() as stack:
        executor = _parallel(executor, spec.device, stack)
        folder = store or stack.enter_context(tempfile.TemporaryDirectory())
        kept = Store(folder, spec.device)
        waiting = [(run, True) for run in teachers]
        waiting += [(run, False) for run in runs if run.teacher is None]
        taught = [(run, False) for run in runs if run.teacher]
        total = len(waiting) + len(taught)
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
            for stage in (waiting, taught):
                for wait in (False, True):  # first those that no other process has
                    jobs = [joblib.delayed(_finish)(kept, *job, wait) for job in stage]
                    stage = []
                    for run, weights, finished in executor(jobs):
                        bar.update(finished)
                        stage += [] if finished else [(run, weights)]
        return frame(runs, kept)


def _parallel(
    executor: joblib.Parallel | str | object | None, device: str, stack: contextlib.ExitStack
) -> joblib.Parallel:
    """What runs the jobs, until ``stack`` is closed."""
    if isinstance(executor, joblib.Parallel):
        return executor
    if executor is None:
        most = joblib.cpu_count() if device == "cpu" else PROCESSES_ON_A_GPU
        return joblib.Parallel(n_jobs=most, return_as="generator_unordered")
    from dask.distributed import Client

    client = stack.enter_context(Client(executor)) if isinstance(executor, str) else executor
    stack.enter_context(joblib.parallel_config(backend="dask", client=client))
    return joblib.Parallel(return_as="generator_unordered")


def _finish(store: Store, run: Run, weights: bool, wait: bool) -> tuple[Run, bool, bool]:
    torch.set_num_threads(1)
    return run, weights, store.finish(run, weights=weights, wait=wait)


def frame(runs: Iterable[Run], store: Store) -> pd.DataFrame:
    """One row a finished run, in the order of ``runs``.

    Columns method, teacher_network, student_network, teacher and student (names of objectives),
    alpha (of the student), heldout_labels, temperature, learning_rate, seed (of the splits),
    average, worst, worst_class (its name), seconds, heldout_average, heldout_worst, per_class (a
    list of m accuracies) and multipliers (a list of m, of the last round). Accuracies are fractions
    of the test set, except those of
    held-out images, which are the last round's.
    """
    rows = []
    for run in runs:
        result = store.result(run)
        if result is not None:
            labels = {
                "method": run.method,
                "teacher_network": run.teacher.network if run.teacher else NO_TEACHER,
                "student_network": run.network,
                "teacher": run.teacher.objective.name if run.teacher else NO_TEACHER,
                "student": run.objective.name,
                "alpha": run.objective.alpha,
                "heldout_labels": run.heldout_labels,
                "temperature": run.temperature,
                "learning_rate": run.config.learning_rate,
                "seed": run.seed,
            }
            rows.append(labels | result)
    return pd.DataFrame(rows, columns=COLUMNS)
