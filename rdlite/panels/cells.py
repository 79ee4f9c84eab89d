"""What TradeoffPanel reads of a study: its students as means over the seeds."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from rdlite.guards import checks
from rdlite.studies.results import Results, where
from rdlite.studies.run import TASK
from rdlite.studies.table import SETTINGS

KEY = ["teacher_network", "student_network", "teacher", "student", "heldout_labels"]  # of a cell
SETTING = [name for name in SETTINGS if name not in (*KEY, "method", "alpha")]

Key = tuple[str, ...]  # values of `KEY`


class Cell(NamedTuple):
    """Students that differ in their seed only: (mean, standard error) of fractions."""

    average: np.ndarray  # (2,)
    worst: np.ndarray  # (2,), of each run's own worst class
    per_class: np.ndarray  # (2, m)
    multipliers: np.ndarray  # (m,), means

    @classmethod
    def of(cls, rows: pd.DataFrame) -> Cell:
        """The cell of these rows, one a seed."""
        values = np.column_stack([rows.average, rows.worst, rows.per_class.tolist()])
        error = values.std(0, ddof=1) / len(values) ** 0.5 if len(values) > 1 else 0 * values[0]
        both, multipliers = np.stack([values.mean(0), error]), np.mean([*rows.multipliers], axis=0)
        return cls(both[:, 0], both[:, 1], both[:, 2:], multipliers)


def students(study: Results) -> pd.DataFrame:
    """The rows of the method fit.

    Raises:
        ValueError: a teacher has several settings, or there is no standard student or no other.
    """
    rows = where(study.table, method="fit")
    names = list(dict.fromkeys(rows.student))
    good = "standard" in names and len(names) > 1
    checks.expect(good, "study", "have the standard student and one of some alpha", names)
    for name in rows.columns.intersection(SETTING):
        of_teacher = name not in TASK
        for _, part in rows.groupby("teacher") if of_teacher else [("", rows)]:
            values, cure = part[name].unique().tolist(), "; a panel shows one setting"
            words = f"have one {name}" + " a teacher" * of_teacher
            checks.expect(len(values) <= 1, "study", words, values, cure)
    return rows
