"""What TradeoffPanel reads of a study: its students as means over the seeds, and its runs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from rdlite.guards import checks
from rdlite.studies.results import Results
from rdlite.studies.run import Run
from rdlite.studies.table import NO_TEACHER, settings

KEY = ["teacher_network", "student_network", "teacher", "student", "heldout_labels"]  # of a cell
SETTING = ["imbalance", "head", "temperature", "learning_rate"]  # the same for all cells

Key = tuple[str, ...]  # values of `KEY`


@dataclass(frozen=True, eq=False)
class Cell:
    """Students that differ in their seed only: mean and standard error of fractions."""

    average: np.ndarray  # (2,)
    worst: np.ndarray  # (2,), of each run's own worst class
    per_class: np.ndarray  # (2, m)
    multipliers: np.ndarray  # (m,)
    setting: np.ndarray  # (4,), see `SETTING`

    @classmethod
    def of(cls, rows: pd.DataFrame) -> Cell:
        """The cell of these rows, one a seed."""
        values = np.column_stack([rows.average, rows.worst, rows.per_class.tolist()])
        error = values.std(0, ddof=1) / len(values) ** 0.5 if len(values) > 1 else 0 * values[0]
        both, multipliers = np.stack([values.mean(0), error]), np.mean([*rows.multipliers], axis=0)
        return cls(both[:, 0], both[:, 1], both[:, 2:], multipliers, rows[SETTING].iloc[0])


def students(study: Results) -> pd.DataFrame:
    """The rows of the method fit.

    Raises:
        ValueError: they are of several settings, or there is no standard student or no other.
    """
    rows = study.table[study.table.method == "fit"]
    names = list(dict.fromkeys(rows.student))
    checks.require(
        "standard" in names and len(names) > 1,
        f"study must have the standard student and one of some alpha, got {names}",
    )
    for name in SETTING:
        values = sorted(set(taught(rows)[name] if name == "temperature" else rows[name]))
        checks.require(
            len(values) == 1, f"study must have one {name}, got {values}; a panel shows one task"
        )
    return rows


def taught(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows with a teacher; all of them if none has one."""
    alone = rows.teacher == NO_TEACHER
    return rows if alone.all() else rows[~alone]


def live_run(study: Results, key: Key, setting: np.ndarray, seed: int) -> Run:
    """The run of a cell, with another seed.

    Raises:
        ValueError: the study's spec has no such run.
    """
    for run in study.spec.but(seed=seed).runs():
        row = settings(run)
        near = np.allclose([row[name] for name in SETTING], setting, rtol=0, atol=1e-4)
        if run.method == "fit" and tuple(row[name] for name in KEY) == key and near:
            return run  # near, because a table has 4 digits
    raise ValueError(f"study must have a run of {', '.join(key)} in its spec, got none")
