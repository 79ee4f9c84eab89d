"""What to train: a run whose values may be lists, in Python or in a TOML file."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from itertools import product
from pathlib import Path

from rdlite import baselines, models
from rdlite.guards import checks
from rdlite.objectives import NAMED, STANDARD, Objective
from rdlite.studies.run import NO_TEACHER, TASK, TEACHING, Run, methods
from rdlite.training.config import TrainConfig

RECIPES = Path(__file__).parents[1] / "recipes"
STUDENT_SEED = 1000  # added to the run's seed, so that a student does not start as its teacher
CONFIG = tuple(one.name for one in fields(TrainConfig) if one.name != "seed")
HOW = (*TEACHING, "smoothing", "add_heldout")
PLAIN = Run(network="linear")  # whose values are the defaults
DEFAULTS = {  # in the order in which a grid goes through them, the last one first
    **{name: getattr(PLAIN, name) for name in TASK},
    "seed": [0, 1, 2],
    "teacher_network": "cnn-16",
    "student_network": "cnn-6",
    "teacher": [NO_TEACHER, *NAMED],
    **{name: getattr(PLAIN, name) for name in HOW if name != "heldout_labels"},
    **{name: getattr(PLAIN.config, name) for name in CONFIG},
    "method": "fit",
    "heldout_labels": "teacher",
    "student": [*NAMED],
}
KEYS = (*DEFAULTS, *(f"teacher_{name}" for name in CONFIG))


@dataclass(frozen=True, init=False)
class GridSpec:
    """Every combination of some values: a `Run` whose values may be lists.

    >>> spec = GridSpec(teacher=["none", "standard"], student=["standard", 0.5, "robust"], seed=0)
    >>> len(spec.runs())
    6

    Keys are the columns of the table, `rdlite.studies.grid.frame`, and each takes a value or a
    list: those of `Run` and of `TrainConfig`, of which those of the teacher's training begin with
    ``teacher_`` (``teacher_epochs``; where it is not said, the student's). Besides, ``network`` is
    ``teacher_network`` and ``student_network``, and ``teacher`` and ``student`` are objectives:
    ``"standard"``, ``"balanced"``, ``"robust"``, or a number, that alpha of eq. (3) with the
    balanced anchor; a teacher may also be ``"none"``, for the one-hot labels. By default each
    teacher is combined with each student, for the seeds 0, 1 and 2.

    Values that go together have one key: ``"head, heldout" = [[1000, 200], [2500, 500]]``.

    A value that does not matter for a run (a temperature without a teacher, the objective of a
    baseline) is left out of it, and each run is trained once. A baseline is combined with the
    teachers, or with ``"none"``, that it knows.

    Args:
        grid: tables of keys that replace those beside it, one after another; the grid is their
            union.
        device: ``"cpu"``, ``"cuda"``, ...; None for what the caller has.
        keys: see above.

    Raises:
        ValueError: an unknown key, an empty list, a value that a run refuses.
    """

    shared: dict[str, tuple]
    grid: tuple[dict[str, tuple], ...]
    device: str | None
    _runs: tuple[Run, ...] = field(repr=False, compare=False)

    def __init__(
        self, /, *, grid: Sequence[Mapping] = (), device: str | None = None, **keys: object
    ) -> None:
        checks.require(
            isinstance(grid, (list, tuple)) and all(isinstance(one, Mapping) for one in grid),
            f"grid must be tables of keys, [[grid]], got {grid!r}",
        )
        shared, tables = _over(_axes(DEFAULTS), _axes(keys)), []
        found: dict[tuple, list[Run]] = {}
        for number, table in enumerate(grid or [{}], 1):
            try:
                tables.append(_axes(table))
                made = _runs(_over(shared, tables[-1]))
            except ValueError as error:
                raise ValueError(f"table {number} of grid: {error}" if grid else error) from None
            for run in made:
                found.setdefault(run.task, []).append(run)
        grid = tuple(tables) if grid else ()
        by_seed = [sorted(runs, key=lambda run: run.seed) for runs in found.values()]
        runs = tuple(dict.fromkeys(run for task in by_seed for run in task))
        self.__dict__.update(shared=shared, grid=grid, device=device, _runs=runs)

    @classmethod
    def from_file(cls, path: str | Path) -> GridSpec:
        """The grid of a TOML file; see `recipe` for those that rdlite ships.

        Raises:
            ValueError: not TOML, an unknown key, a value that cannot be; the message says which.
            OSError: no such file.
        """
        try:
            text = Path(path).expanduser().read_text(encoding="utf-8-sig")
            return cls(**tomllib.loads(text))
        except OSError as error:
            raise OSError(
                f"path must be a TOML file, got {str(path)!r} ({error.strerror})"
            ) from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ValueError(f"{path} is not a TOML file: {error}") from None

    def runs(self) -> list[Run]:
        """Every student of the grid, task by task and seed by seed; each once."""
        return list(self._runs)

    def but(self, **changes: object) -> GridSpec:
        """This grid with other shared values, another ``grid`` or ``device``."""
        kept = {"grid": self.grid, "device": self.device}
        kept |= {name: changes.pop(name) for name in kept if name in changes}
        return GridSpec(**_over(self.shared, _axes(changes)), **kept)

    def by_task(self) -> list[GridSpec]:
        """The same grid as one of a single task each, see `rdlite.studies.run.TASK`."""
        tables = [_over(self.shared, table) for table in self.grid or [{}]]
        tasks = [dict(zip(TASK, task, strict=True)) for task in {run.task: 0 for run in self._runs}]
        parts = []
        for task in tasks:
            own = [narrowed for table in tables if (narrowed := _narrowed(table, task))]
            parts.append(GridSpec(grid=own, device=self.device, **{**self.first, **task}))
        return parts

    @property
    def first(self) -> dict:
        """The first of the shared values of each key."""
        return next(_combinations(self.shared))

    def cell(self, **keys: object) -> Run:
        """One run: the first of the shared values, but for ``keys``.

        >>> GridSpec().cell(teacher="standard", student="robust", seed=10).label
        'seed 10: cnn-6 for robust, taught by cnn-16 for standard, held-out labels teacher'
        """
        (run,) = GridSpec(**{**self.first, **keys}).runs()
        return run


def _axes(keys: Mapping) -> dict[str, tuple]:
    """Each key with a tuple of its values."""
    axes: dict[str, tuple] = {}
    for key, value in keys.items():
        names = _names(key)
        for name in names:
            checks.choice("a key of spec", name, KEYS)
        values = tuple(value) if isinstance(value, (list, tuple, range)) else (value,)
        checks.require(values, f"{key} must be a value or a list that is not empty, got {value!r}")
        if len(names) > 1:
            checks.require(
                all(isinstance(one, (list, tuple)) and len(one) == len(names) for one in values),
                f"{key} must be a list of lists of {len(names)} values, got {value!r}",
            )
            values = tuple(map(tuple, values))
        axes[", ".join(names)] = values
    twice = [name for name in KEYS if sum(name in _names(key) for key in axes) > 1]
    checks.require(not twice, f"a key must be given once, got {', '.join(twice)} twice")
    return axes


def _names(key: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in key.split(","))


def _over(base: Mapping, changes: Mapping) -> dict[str, tuple]:
    """``base`` with the axes of ``changes`` in the place of those that they name."""
    given = {name for key in changes for name in _names(key)}
    for key in base:
        own = set(_names(key))
        checks.require(
            not own & given or own <= given,
            f"{key} go together, so that all must be replaced, got {', '.join(own & given)}",
        )
    merged = {key: base[key] for key in base if not given & set(_names(key))} | changes
    return dict(sorted(merged.items(), key=lambda axis: KEYS.index(_names(axis[0])[0])))


def _combinations(axes: Mapping) -> Iterator[dict]:
    """One value a key, for every combination."""
    for values in product(*axes.values()):
        keys: dict = {}
        for key, value in zip(axes, values, strict=True):
            names = _names(key)
            keys |= dict(zip(names, value, strict=True)) if len(names) > 1 else {key: value}
        yield keys


def _narrowed(axes: Mapping, wanted: Mapping) -> dict | None:
    """``axes`` without the values that are not the wanted ones; None if none are left."""
    kept = {}
    for key, values in axes.items():
        names = _names(key)
        rows = values if len(names) > 1 else [(value,) for value in values]
        kept[key] = tuple(
            value
            for value, row in zip(values, rows, strict=True)
            if all(wanted.get(name, one) == one for name, one in zip(names, row, strict=True))
        )
    return kept if all(kept.values()) else None


def _runs(axes: Mapping) -> list[Run]:
    made = [run for keys in _combinations(axes) if (run := _run(keys))]
    checks.require(made, f"method must be one that the teacher knows, got {axes['method']!r}")
    return made


def _run(keys: Mapping) -> Run | None:
    """The run of one value a key; None where method and teacher do not go together."""
    method, fit, taught = keys["method"], keys["method"] == "fit", keys["teacher"] != NO_TEACHER
    checks.choice("method", method, ["fit", *baselines.NAMES])
    values = {name: keys[name] for name in (*TASK, "seed", *TEACHING)}
    Run(**values, network="linear", smoothing=keys["smoothing"])  # also what does not matter below
    student = _learner("student", keys, STUDENT_SEED)
    if not fit and method not in methods(taught):
        return None
    matter = {"add_heldout"} | (set(TEACHING) if taught else {"smoothing"} if fit else set())
    matter -= set() if fit else {"heldout_labels"}
    matter -= set() if keys["teacher_view"] == "views" else {"views"}
    return replace(
        student,
        method=method,
        objective=student.objective if fit else STANDARD,
        teacher=_learner("teacher", keys, 0, "teacher_") if taught else None,
        **{name: keys[name] for name in matter},
    )


def _learner(role: str, keys: Mapping, seed: int, prefix: str = "") -> Run:
    """A run on labels, of the network and the objective of ``role``."""
    values = {name: keys[name] for name in (*TASK, "seed")}
    how = {name: keys.get(prefix + name, keys[name]) for name in CONFIG}
    models.check_name(f"{role}_network", keys[f"{role}_network"])
    try:
        checks.require(
            how["scorer"] == "last",
            f"scorer must be 'last': in a grid a network is one, got {how['scorer']!r}",
        )
        return Run(
            **values,
            network=keys[f"{role}_network"],
            objective=Objective.named(keys[role]),
            config=TrainConfig(**how, seed=keys["seed"] + seed),
        )
    except ValueError as error:
        raise ValueError(f"{role}'s {error}") from None


def recipe(name: str | Path) -> Path:
    """The TOML file of this name, or the recipe that rdlite ships under it.

    Raises:
        ValueError: there is neither; the message lists the recipes.

    >>> recipe("cifar10-lt").name
    'cifar10-lt.toml'
    """
    shipped = {file.stem: file for file in RECIPES.glob("*.toml")}
    own = Path(name).expanduser()
    file = own if own.is_file() else shipped.get(str(name))
    known = ", ".join(sorted(shipped))
    checks.require(
        file is not None,
        f"a recipe must be a TOML file or one of {known}, got {str(name)!r}"
        f"{checks.nearest(name, shipped)}",
    )
    return file
