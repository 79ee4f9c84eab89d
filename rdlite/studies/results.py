"""The table of a study as files that can be shipped: runs.csv, spec.toml and about.json."""

from __future__ import annotations

import json
import platform
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch

import rdlite
from rdlite.guards import checks, files
from rdlite.studies.spec import NO_TEACHER, GridSpec

SHIPPED = Path(__file__).parents[2] / "data" / "results"
CELL = [  # what was trained, but for the seed
    "imbalance",
    "head",
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
VECTORS = {"per_class": "accuracy", "multipliers": "multiplier"}  # a list -> m columns


@dataclass(frozen=True, eq=False)
class Results:
    """A study and what came out.

    Attributes:
        spec: what was asked.
        table: see `rdlite.studies.grid.frame`.
        class_names: m names.
        task_counts: for each task m training images (the counts do not depend on the seed).
    """

    spec: GridSpec
    table: pd.DataFrame
    class_names: tuple[str, ...]
    task_counts: tuple[tuple[int, ...], ...]

    @property
    def class_counts(self) -> tuple[int, ...]:
        """m training images; of a study of one task."""
        checks.require(
            len(self.task_counts) == 1,
            f"study must have one task, got {len(self.task_counts)}; take one of .tasks()",
        )
        return self.task_counts[0]

    def tasks(self) -> list[Results]:
        """The same study as one of a single task each, in the order of the spec."""
        parts = []
        for spec, counts in zip(self.spec.by_task(), self.task_counts, strict=True):
            own = (self.table.imbalance == spec.imbalance) & (self.table["head"] == spec.head)
            parts.append(replace(self, spec=spec, table=self.table[own], task_counts=(counts,)))
        return parts

    def students(
        self, teacher_network: str, student_network: str, heldout_labels: str = "teacher"
    ) -> pd.DataFrame:
        """Rows of one pair of networks, and of the same student without a teacher; no baselines."""
        table = self.table[self.table.method == "fit"]
        taught = (table.teacher_network == teacher_network) & (
            table.heldout_labels == heldout_labels
        )
        alone = table.teacher == NO_TEACHER
        return table[(table.student_network == student_network) & (taught | alone)]


def write(folder: str | Path, spec_file: str | Path, table: pd.DataFrame) -> Path:
    """Write a finished study; returns runs.csv, with accuracies to 4 digits.

    Args:
        folder: where to, made if it is not there.
        spec_file: the TOML file of the study; it is copied.
        table: see `rdlite.studies.grid.frame`.

    Raises:
        ValueError: a table of something else.
        OSError: the folder cannot be written.
    """
    checks.require(
        {*VECTORS, "seconds"} <= set(table.columns),
        f"table must be one of rdlite.studies.grid.frame, got the columns {list(table.columns)}",
    )
    folder, text = files.folder(folder), Path(spec_file).read_text(encoding="utf-8")
    splits = [one.runs()[0].splits() for one in GridSpec.from_file(spec_file).by_task()]
    about = {
        "class_names": splits[0].class_names,
        "class_counts": [one.train.class_counts.tolist() for one in splits],
        "rdlite": rdlite.__version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
    }
    wide = table.drop(columns=[*VECTORS, "seconds"]).dropna(axis="columns", how="all")
    for column, name in VECTORS.items():
        values = np.array(table[column].tolist())
        wide = wide.join(pd.DataFrame(values).add_prefix(f"{name}_").set_index(table.index))
    wide["seconds"] = table.seconds.round(1)
    contents = {
        "spec.toml": text,
        "about.json": json.dumps(about, indent=1) + "\n",
        "runs.csv": wide.round(4).to_csv(index=False),
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
    folder = SHIPPED / name if name in shipped and not Path(name).exists() else Path(name)
    if not (folder / "runs.csv").is_file():
        raise FileNotFoundError(
            f"a study must be a folder with runs.csv, or one of {', '.join(shipped)}, got {name!r}"
            f"{checks.nearest(name, shipped)}"
        )
    about = folder / "about.json"
    try:
        known = json.loads(about.read_text(encoding="utf-8"))
        names, counts = known["class_names"], known["class_counts"]
    except (ValueError, KeyError, TypeError):
        raise ValueError(
            f"{about} must name class_names and class_counts; is it cut short?"
        ) from None
    return Results(
        spec=GridSpec.from_file(folder / "spec.toml"),
        table=_table(folder / "runs.csv", len(names)),
        class_names=tuple(names),
        task_counts=tuple(map(tuple, counts)),
    )


def _table(file: Path, m: int) -> pd.DataFrame:
    text = {"teacher": str, "student": str}  # "none" is a teacher, "0.5" a student
    missing = {name: [""] for name in ("teacher_worst", "teacher_calibration")}  # without a teacher
    try:
        wide = pd.read_csv(file, dtype=text, keep_default_na=False, na_values=missing)
        table = wide[[name for name in wide if not name.startswith(tuple(VECTORS.values()))]].copy()
        for column, name in VECTORS.items():
            table[column] = wide[[f"{name}_{k}" for k in range(m)]].to_numpy().tolist()
        table[[*CELL, "seed", "average", "worst"]]
    except (ValueError, KeyError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"{file} is not a table of rdlite of {m} classes ({reason})") from None
    return table


def with_error(mean: float, error: float, seeds: int) -> str:
    """``0.300 ± 0.100``: a mean and its standard error, which one seed does not have."""
    return f"{mean:.3f} ± {error:.3f}" if seeds > 1 else f"{mean:.3f}"


def cell_statistics(table: pd.DataFrame) -> pd.DataFrame:
    """Mean and standard error over seeds of every cell of a grid, in the table's order.

    Columns: those that say what was trained (`CELL`), average, average_error, worst,
    worst_error, seeds; the error is 0 for one seed.
    """
    keys = [name for name in CELL if name in table]
    groups = table.groupby(keys, sort=False)
    cells = groups.agg(
        average=("average", "mean"),
        average_error=("average", "sem"),
        worst=("worst", "mean"),
        worst_error=("worst", "sem"),
        seeds=("seed", "nunique"),
    )
    return cells.fillna(0.0).reset_index()
