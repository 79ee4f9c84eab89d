"""What to train: a frozen spec, made in Python or from a TOML file, and the runs it stands for."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from itertools import product
from pathlib import Path

from rdlite import baselines, data, models
from rdlite.data import protocol
from rdlite.distillation import TEACHER_VIEWS
from rdlite.guards import checks
from rdlite.objectives import NAMED, Objective
from rdlite.studies.run import Run
from rdlite.training.config import TrainConfig

NO_TEACHER = "none"  # the student learns from the one-hot labels
RECIPES = Path(__file__).parents[1] / "recipes"
STUDENT_SEED = 1000  # added to the run's seed, so that a student does not start as its teacher


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
        tasks, parts: fields that replace those above, one dict after another: the grid is then
            trained for every task, and for each the union of the parts.
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
    tasks: tuple[Mapping, ...] = ()
    parts: tuple[Mapping, ...] = ()
    device: str = "cpu"

    def __post_init__(self) -> None:
        checks.choice("dataset", self.dataset, data.SOURCES)
        task = {name: getattr(self, name) for name in ("imbalance", "head", "heldout")}
        protocol.Options(**task, seed=0)
        checks.number("mix", self.mix, low=0, high=1)
        checks.instance("config", self.config, TrainConfig)
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
        for name in (name for pair in self.networks for name in pair):
            models.check_name("networks", name)
        checks.choice("teacher_view", self.teacher_view, TEACHER_VIEWS)
        for seed in self.seeds:
            checks.integer("seeds", seed, low=0, high=2**32 - 1 - STUDENT_SEED)
        for name in ("temperatures", "learning_rates"):
            for value in getattr(self, name):
                checks.number(name, value, low=0, above=True)
        checks.require(
            self.config.scorer == "last",
            "config must have scorer='last' in a grid: a shared teacher is one network, "
            f"got {self.config.scorer!r}",
        )
        own = {one.name for one in fields(self)} - {"tasks", "parts", "config", "device"}
        for name in ("tasks", "parts"):
            for changes in getattr(self, name):
                checks.require(
                    isinstance(changes, Mapping), f"{name} must be tables of keys, got {changes!r}"
                )
                for key in changes:
                    checks.choice(f"a key of {name}", key, sorted(own))
        self.by_task() if self.tasks else self._by_part()  # the values, too

    def by_task(self) -> list[GridSpec]:
        """The same grid as one of a single task each."""
        return [replace(self, tasks=(), **task) for task in self.tasks] or [self]

    def _by_part(self) -> list[GridSpec]:
        return [replace(self, parts=(), **part) for part in self.parts] or [self]

    @classmethod
    def from_file(cls, path: str | Path) -> GridSpec:
        """The grid of a TOML file: the fields above, those of `TrainConfig` in a table ``config``.

        See `recipe` for those that rdlite ships.

        Raises:
            ValueError: not TOML, an unknown key, a value that cannot be; the message says which.
            OSError: no such file.
        """
        try:
            keys = tomllib.loads(Path(path).read_text(encoding="utf-8"))
        except OSError as error:
            raise OSError(
                f"path must be a TOML file, got {str(path)!r} ({error.strerror})"
            ) from None
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
        """Every student of the grid, task by task and seed by seed; each once."""
        made = []
        for task in self.by_task():
            parts = [run for part in task._by_part() for run in part._runs()]
            made += sorted(parts, key=lambda run: run.seed)
        return list(dict.fromkeys(made))

    def _runs(self) -> list[Run]:
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
        return made

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
        learner = Run(**task, network=small, config=config, objective=Objective.named(student))
        if teacher == NO_TEACHER:
            return replace(learner, method=method)
        config = replace(self.config, seed=seed)
        tutor = Run(**task, network=big, objective=Objective.named(teacher), config=config)
        return replace(
            learner,
            method=method,
            teacher=tutor,
            heldout_labels=heldout_labels,
            teacher_view=self.teacher_view,
            temperature=temperature or self.temperatures[0],
            mix=self.mix,
        )


def recipe(name: str | Path) -> Path:
    """The TOML file of this name, or the recipe that rdlite ships under it.

    Raises:
        ValueError: there is neither; the message lists the recipes.

    >>> recipe("cifar10-lt").name
    'cifar10-lt.toml'
    """
    shipped = {file.stem: file for file in RECIPES.glob("*.toml")}
    file = Path(name) if Path(name).is_file() else shipped.get(str(name))
    known = ", ".join(sorted(shipped))
    checks.require(
        file is not None,
        f"a recipe must be a TOML file or one of {known}, got {str(name)!r}"
        f"{checks.nearest(name, shipped)}",
    )
    return file


def _tuples(value: object) -> object:
    """``value`` with tuples for the lists inside."""
    if isinstance(value, dict):
        return {key: _tuples(inner) for key, inner in value.items()}
    return tuple(map(_tuples, value)) if isinstance(value, list) else value
