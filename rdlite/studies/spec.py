"""What to train: a run whose values may be lists, in Python or in a TOML file."""

from __future__ import annotations

import copy
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path

from rdlite import baselines, models
from rdlite.guards import checks
from rdlite.objectives import NAMED, Objective
from rdlite.studies.run import TASK, Run, methods
from rdlite.studies.table import CONFIG, HOW, NO_TEACHER
from rdlite.training import TrainConfig

RECIPES = Path(__file__).parents[1] / "recipes"
STUDENT_SEED = 1000  # added to the run's seed, so that a student does not start as its teacher
PLAIN = Run(network="linear")  # whose values are the defaults
DEFAULTS = {  # in the order in which a grid goes through them, the last one first
    **dict(zip(TASK, PLAIN.task, strict=True)),
    "seed": [0, 1, 2],
    "teacher_network": "cnn-16",
    "student_network": "cnn-6",
    "teacher": [NO_TEACHER, *NAMED],
    **{name: getattr(PLAIN, name) for name in HOW if name != "heldout_labels"},
    **{name: getattr(PLAIN.config, name) for name in CONFIG},
    "method": PLAIN.method,
    "heldout_labels": PLAIN.heldout_labels,
    "student": [*NAMED],
    "name": "",
}
KEYS = (*DEFAULTS, *(f"teacher_{name}" for name in CONFIG))
Axes = dict[tuple[str, ...], tuple[tuple, ...]]  # keys that go together -> rows of their values


@dataclass(frozen=True, init=False)
class GridSpec:
    """Every combination of some values: a `Run` whose values may be lists.

    >>> spec = GridSpec(teacher=["none", "standard"], student=["standard", 0.5, "robust"], seed=0)
    >>> len(spec.runs())
    6

    Keys are the columns of the table, `rdlite.studies.table.frame`, and each takes a value or a
    list: those of `Run` and of `TrainConfig`, of which those of the teacher's training begin with
    ``teacher_`` (``teacher_epochs``; where it is not said, the student's). Besides, ``network`` is
    ``teacher_network`` and ``student_network``, and ``teacher`` and ``student`` are objectives:
    ``"standard"``, ``"balanced"``, ``"robust"``, or a number, that alpha of eq. (3) with the
    balanced anchor; a teacher may also be ``"none"``, for the one-hot labels. By default each
    teacher is combined with each student, for the seeds 0, 1 and 2.

    Values that go together have one key: ``"head, heldout" = [[1000, 200], [2500, 500]]``.

    Each run is trained once, and a value that does not matter for it makes no other run. A baseline
    is combined with the teachers, or with ``"none"``, that it knows; smoothing with ``"none"``. The
    key ``name`` changes no run; ``named`` is a dict from each name to its students.

    Args:
        grid: tables of keys that replace those beside it; the grid is their union.
        device: ``"cpu"``, ``"cuda"``, ...; None for what the caller has.
        keys: see above.

    Raises:
        ValueError: an unknown key, an empty list, a value that a run refuses.
    """

    shared: Axes
    grid: tuple[Axes, ...]
    device: str | None
    named: dict[str, list[Run]] = field(repr=False, compare=False)
    _runs: tuple[Run, ...] = field(repr=False, compare=False)

    def __init__(
        self, /, *, grid: Sequence[Mapping] = (), device: str | None = None, **keys: object
    ) -> None:
        self._set(_over(_axes(DEFAULTS), _axes(keys)), grid, device)

    def _set(self, shared: Axes, grid: Sequence[Mapping], device: str | None) -> GridSpec:
        good = isinstance(grid, (list, tuple)) and all(isinstance(one, Mapping) for one in grid)
        checks.expect(good, "grid", "be tables of keys, [[grid]]", repr(grid))
        tables: list[Axes] = []
        pairs: list[tuple[str, Run]] = []
        for number, table in enumerate(grid or [{}], 1):
            try:
                tables.append(_axes(table))
                every = _combinations(_over(shared, tables[-1]))
                made = [(keys["name"], run) for keys in every if (run := _run(keys))]
                checks.require(made, "method must be one that the teacher knows, got no such pair")
            except ValueError as error:
                raise ValueError(f"table {number} of grid: {error}" if table else error) from None
            pairs += made
        tasks = list(dict.fromkeys(run.task for _, run in pairs))
        pairs.sort(key=lambda pair: (tasks.index(pair[1].task), pair[1].seed))
        named: dict[str, list[Run]] = {}
        for name, run in dict.fromkeys(pairs):
            named.setdefault(name, []).append(run)
        self.__dict__.update(shared=shared, grid=tuple(tables), device=device, named=named)
        self.__dict__.update(_runs=tuple(dict.fromkeys(run for _, run in pairs)))
        return self

    @classmethod
    def from_file(cls, path: str | Path) -> GridSpec:
        """The grid of a TOML file; see `recipe` for those that rdlite ships.

        Raises:
            ValueError: not TOML, an unknown key, a value that cannot be; the message says which.
            OSError: no such file.
        """
        try:
            return cls(**tomllib.loads(Path(path).expanduser().read_text(encoding="utf-8-sig")))
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
        grid, device = changes.pop("grid", self.grid), changes.pop("device", self.device)
        return copy.copy(self)._set(_over(self.shared, _axes(changes)), grid, device)

    def by_task(self) -> list[GridSpec]:
        """The same grid as one of a single task each, see `rdlite.studies.run.TASK`."""
        parts = []
        for task in dict.fromkeys(run.task for run in self._runs):
            wanted = dict(zip(TASK, task, strict=True))
            tables = [_narrowed(_over(self.shared, table), wanted) for table in self.grid]
            own = [table for table in tables if all(table.values())]
            parts.append(GridSpec(grid=own, device=self.device, **self.first | wanted))
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
        (run,) = GridSpec(**(self.first | keys)).runs()
        return run


def _axes(keys: Mapping) -> Axes:
    """The values of each key as rows; what is in this form stays."""
    axes: Axes = {}
    for key, value in keys.items():
        if isinstance(key, tuple):
            axes[key] = value
            continue
        names = tuple(name.strip() for name in key.split(","))
        for name in names:
            checks.choice("a key of spec", name, KEYS)
            twice = any(name in other for other in axes) or names.count(name) > 1
            checks.require(not twice, f"a key must be given once, got {name} twice")
        rows = tuple(value) if isinstance(value, (list, tuple, range)) else (value,)
        checks.require(rows, f"{key} must be a value or a list that is not empty, got {value!r}")
        if len(names) == 1:
            rows = tuple((one,) for one in rows)
        good = all(isinstance(row, (list, tuple)) and len(row) == len(names) for row in rows)
        checks.expect(good, key, f"be a list of lists of {len(names)} values", repr(value))
        axes[names] = tuple(map(tuple, rows))
    return axes


def _over(base: Axes, changes: Axes) -> Axes:
    """``base`` with the axes of ``changes`` in the place of those that they name."""
    given = {name for names in changes for name in names}
    for names in base:
        checks.require(
            given.isdisjoint(names) or given.issuperset(names),
            f"{', '.join(names)} go together, so all of them must be replaced",
        )
    merged = {names: rows for names, rows in base.items() if given.isdisjoint(names)} | changes
    return {names: merged[names] for names in sorted(merged, key=lambda one: KEYS.index(one[0]))}


def _narrowed(axes: Axes, wanted: Mapping) -> Axes:
    """``axes`` without the rows that hold another value than the wanted one."""

    def fits(names: tuple, row: tuple) -> bool:
        return all(wanted.get(name, one) == one for name, one in zip(names, row, strict=True))

    return {names: tuple(r for r in rows if fits(names, r)) for names, rows in axes.items()}


def _combinations(axes: Axes) -> Iterator[dict]:
    """One value a key, for every combination."""
    names = [name for together in axes for name in together]
    for rows in product(*axes.values()):
        yield dict(zip(names, (value for row in rows for value in row), strict=True))


def _run(keys: Mapping) -> Run | None:
    """The run of one value a key; None where method and teacher do not go together."""
    checks.instance("name", keys["name"], str)
    method, taught = keys["method"], keys["teacher"] != NO_TEACHER
    student = _learner("student", "", STUDENT_SEED, keys)
    checks.choice("method", method, ["fit", *baselines.NAMES])
    if method != "fit" and method not in methods(taught):
        return None
    teacher = _learner("teacher", "teacher_", 0, keys) if taught else None
    how = {name: keys[name] for name in HOW}
    if taught or method != "fit":
        how["smoothing"] = 0.0
    return replace(student, method=method, teacher=teacher, **how)


def _learner(role: str, prefix: str, seed: int, keys: Mapping) -> Run:
    """The network of one role, trained on labels."""
    models.check_name(f"{role}_network", network := keys[f"{role}_network"])
    checks.integer("seed", keys["seed"], low=0)
    how = {name: keys.get(prefix + name, keys[name]) for name in CONFIG}
    try:
        objective = Objective.named(keys[role])
        config = TrainConfig(**how, seed=keys["seed"] + seed)
        checks.choice("scorer in a grid", config.scorer, ["last"])
    except ValueError as error:
        raise ValueError(f"{role}'s {error}") from None
    task = {name: keys[name] for name in (*TASK, "seed")}
    return Run(**task, network=network, objective=objective, config=config)


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
    wanted, near = f"be a TOML file or one of {known}", checks.nearest(name, shipped)
    checks.expect(file is not None, "a recipe", wanted, repr(str(name)), near)
    return file
