"""The table of a study as files that can be shipped: runs.csv, spec.toml and about.json."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch

import rdlite
from rdlite.guards import checks, files
from rdlite.studies.run import TASK, Run
from rdlite.studies.spec import GridSpec
from rdlite.studies.table import NO_TEACHER, SETTINGS

SHIPPED = Path(__file__).parents[2] / "data" / "results"
TEXT = ["teacher", "student"]  # "none" is a teacher, "0.5" a student
VECTORS = {"per_class": "accuracy", "multipliers": "multiplier"}  # a list -> m columns


@dataclass(frozen=True, eq=False)
class Results:
    """A study and what came out.

    Attributes:
        spec: what was asked.
        table: see `rdlite.studies.table.frame`.
        class_names: m names, of the first task.
        task_counts: for each task m training images (the counts do not depend on the seed).
        test_counts: for each task m test images.
        task_names: for each task m names; empty where all have the same classes.
    """

    spec: GridSpec
    table: pd.DataFrame
    class_names: tuple[str, ...]
    task_counts: tuple[tuple[int, ...], ...]
    test_counts: tuple[tuple[int, ...], ...]
    task_names: tuple[tuple[str, ...], ...] = ()

    @property
    def class_counts(self) -> tuple[int, ...]:
        """m training images; of a study of one task."""
        tasks = len(self.task_counts)
        checks.expect(tasks == 1, "study", "have one task", tasks, "; take one of .tasks()")
        return self.task_counts[0]

    def tasks(self) -> list[Results]:
        """The same study as one of a single task each, in the order of the spec."""
        names = self.task_names or [self.class_names] * len(self.task_counts)
        parts = []
        every = zip(self.spec.by_task(), names, self.task_counts, self.test_counts, strict=True)
        for spec, own, counts, tests in every:
            rows = where(self.table, **{name: spec.first[name] for name in TASK})
            part = {"spec": spec, "table": rows, "class_names": own, "task_names": ()}
            parts.append(replace(self, task_counts=(counts,), test_counts=(tests,), **part))
        return parts

    def students(
        self, teacher_network: str, student_network: str, heldout_labels: str = "teacher"
    ) -> pd.DataFrame:
        """Rows of one pair of networks, and of the same student without a teacher; no baselines."""
        table = where(self.table, method="fit", student_network=student_network)
        taught = (table.teacher_network == teacher_network) & (
            table.heldout_labels == heldout_labels
        )
        alone = table.teacher == NO_TEACHER
        return table[taught | alone]

    def rows(self, runs: Iterable[Run]) -> pd.DataFrame:
        """The rows of these runs, in their order.

        Raises:
            ValueError: one of them is not in the table, or the table is older than its keys.
        """
        known, cure = "key" in self.table, "; write it again from its store"
        checks.expect(known, "table", "have the column key", "none", cure)
        wanted = [run.key for run in runs]
        found = int(self.table.key.isin(wanted).sum())
        got = f"{found} of {len(wanted)}; is the study finished?"
        checks.expect(found == len(wanted), "table", "hold every run of the spec", got)
        return self.table.set_index("key", drop=False).loc[wanted].reset_index(drop=True)


def where(table: pd.DataFrame, **values: object) -> pd.DataFrame:
    """Rows with these values in these columns; None is an empty place."""
    for name, value in values.items():
        if name in table:
            table = table[table[name].isna() if value is None else table[name] == value]
    return table


def write(folder: str | Path, spec_file: str | Path, table: pd.DataFrame) -> Path:
    """Write a finished study; returns runs.csv, with accuracies to 4 digits.

    Args:
        folder: where to, made if it is not there.
        spec_file: the TOML file of the study; it is copied.
        table: see `rdlite.studies.table.frame`.

    Raises:
        ValueError: a table of something else.
        OSError: the folder cannot be written.
    """
    good, got = {*VECTORS, "seconds"} <= set(table.columns), f"the columns {list(table.columns)}"
    checks.expect(good, "table", "be one of rdlite.studies.table.frame", got)
    folder = files.folder(folder)
    text = Path(spec_file).expanduser().read_text(encoding="utf-8-sig")
    tasks = GridSpec.from_file(spec_file).by_task()
    splits = [replace(task.runs()[0], add_heldout=False).splits() for task in tasks]
    about = {
        "class_names": [one.class_names for one in splits],
        "class_counts": [one.train.class_counts.tolist() for one in splits],
        "test_counts": [one.test.class_counts.tolist() for one in splits],
        "rdlite": rdlite.__version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
    }
    wide = table.drop(columns=[*VECTORS, "seconds"]).dropna(axis="columns", how="all")
    measured = [name for name in wide if name not in SETTINGS]
    wide[measured] = wide[measured].round(4)
    for column, name in VECTORS.items():
        lines = [dict(enumerate(row)) for row in table[column]]  # fewer classes end in NaN
        values = pd.DataFrame(lines, index=table.index)
        wide = wide.join(values.add_prefix(f"{name}_").round(4))
    wide["seconds"] = table.seconds.round(1)
    contents = {
        "spec.toml": text,
        "about.json": json.dumps(about, indent=1) + "\n",
        "runs.csv": wide.to_csv(index=False),
    }
    for name, content in contents.items():
        with files.whole(folder / name) as file:
            file.write_text(content, encoding="utf-8")
    return folder / "runs.csv"


def read(folder: str | Path) -> Results:
    """A study that `write` wrote; a bare name is one that rdlite ships, in data/results.

    Raises:
        OSError: there is no such study.
        ValueError: a file of it is not one that `write` wrote; the message says which.
    """
    shipped = sorted(file.parent.name for file in SHIPPED.glob("*/runs.csv"))
    name = str(folder)
    own = Path(name).expanduser()
    folder = SHIPPED / name if name in shipped and not own.exists() else own
    if not (folder / "runs.csv").is_file():
        raise FileNotFoundError(
            f"a study must be a folder with runs.csv, or one of {', '.join(shipped)}, got {name!r}"
            f"{checks.nearest(name, shipped)}"
        )
    about = folder / "about.json"
    try:
        known = json.loads(about.read_text(encoding="utf-8"))
        names, counts, tests = (
            tuple(map(tuple, known[k])) for k in ("class_names", "class_counts", "test_counts")
        )
    except (ValueError, KeyError, TypeError):
        raise ValueError(
            f"{about} must name class_names, class_counts and test_counts; is it cut short?"
        ) from None
    return Results(
        spec=GridSpec.from_file(folder / "spec.toml"),
        table=_table(folder / "runs.csv", max(map(len, names))),
        class_names=names[0],
        task_counts=counts,
        test_counts=tests,
        task_names=names if len(set(names)) > 1 else (),
    )


def _table(file: Path, m: int) -> pd.DataFrame:
    try:
        wide = pd.read_csv(
            file, dtype=dict.fromkeys(TEXT, str), keep_default_na=False, na_values=[""]
        )
        table = wide[[name for name in wide if not name.startswith(tuple(VECTORS.values()))]].copy()
        for column, name in VECTORS.items():
            rows = wide[[f"{name}_{k}" for k in range(m)]].to_numpy()
            table[column] = [row[~np.isnan(row)].tolist() for row in rows]
        table[["imbalance", "head", "method", *TEXT, "alpha", "seed", "average", "worst"]]
    except (ValueError, KeyError, TypeError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"{file} is not a table of rdlite of {m} classes ({reason})") from None
    return table


def with_error(mean: float, error: float, seeds: int) -> str:
    """``0.300 ± 0.100``: a mean and its standard error, which one seed does not have."""
    return f"{mean:.3f} ± {error:.3f}" if seeds > 1 else f"{mean:.3f}"


def cell_statistics(table: pd.DataFrame) -> pd.DataFrame:
    """Mean and standard error over seeds of every cell of a grid, in the table's order.

    Columns: those that say what was trained (`SETTINGS`), average, average_error, worst,
    worst_error, seeds; the error is 0 for one seed.
    """
    keys = [name for name in table if name in SETTINGS]
    groups = table.groupby(keys, sort=False, dropna=False)
    cells = groups.agg(
        average=("average", "mean"),
        average_error=("average", "sem"),
        worst=("worst", "mean"),
        worst_error=("worst", "sem"),
        seeds=("seed", "nunique"),
    ).reset_index()
    errors = ["average_error", "worst_error"]
    cells[errors] = cells[errors].fillna(0.0)
    return cells
