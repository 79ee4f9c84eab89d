"""The methods of a study side by side, each at the setting that held-out images choose.

Settings are chosen by one rule for every method: of the runs that differ in temperature or learning
rate alone, those with the largest mean held-out worst-class accuracy over the seeds; among equals
the largest mean held-out average. The test set is only for what is shown.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd

from rdlite.guards import checks
from rdlite.studies.results import Results, where
from rdlite.studies.table import NO_TEACHER

SETTING = ["temperature", "learning_rate"]
METHOD = ["method", "teacher_network", "student_network", "teacher", "student", "heldout_labels"]
POINT = ["average", "worst"]
DRAWS = 2000
OURS = "robust distillation"
WORDS = {  # (method, teacher, student) -> what it is called, of the first pair of networks
    ("fit", "none", "standard"): "no distillation, standard",
    ("fit", "none", "balanced"): "no distillation, balanced",
    ("fit", "none", "robust"): "no distillation, robust",
    ("fit", "standard", "standard"): "standard KD",
    ("fit", "standard", "balanced"): "balanced distillation",
    ("fit", "standard", "robust"): OURS,
    ("logit-adjusted", "none", "standard"): "logit adjustment (loss)",
    ("post-hoc-logit-adjusted", "none", "standard"): "logit adjustment (post hoc)",
    ("group-dro", "none", "standard"): "group DRO",
    ("group-dro-uniform", "none", "standard"): "group DRO, uniform sampling",
    ("post-shifted", "none", "standard"): "post-shifting, no distillation",
    ("post-shifted", "standard", "standard"): "post-shifting of standard KD",
    ("ada-alpha", "standard", "standard"): "AdaAlpha [reading]",
    ("ada-margin", "standard", "standard"): "AdaMargin [reading]",
    ("bkd", "standard", "standard"): "BKD",
    ("ltkd", "standard", "standard"): "LTKD [reading]",
}
KEYS = {
    name: dict(zip(("method", "teacher", "student"), key, strict=True))
    for key, name in WORDS.items()
}


@dataclass(frozen=True)
class Estimate:
    """A statistic over seeds with its 95 % interval, by a bootstrap that draws seeds again.

    Pairs stay pairs: give it differences, seed by seed. With few seeds it is too narrow.
    """

    mean: float
    low: float
    high: float

    @classmethod
    def of(
        cls,
        values: np.ndarray,
        statistic: Callable[[np.ndarray], np.ndarray] | None = None,
        missed: float = 0.05,
    ) -> Estimate:
        """The mean of values (seeds, ...) over the seeds, or a number made from the means.

        Args:
            values: one entry a seed.
            statistic: means (draws, ...) -> (draws,), where an entry is more than a number.
            missed: the share of the draws outside the interval, half of it at each end.

        >>> Estimate.of(np.array([0.25, 0.25]))
        Estimate(mean=0.25, low=0.25, high=0.25)
        """
        values = np.asarray(values, dtype=float)
        good, bad = values.ndim >= 1 and len(values) > 0, int((~np.isfinite(values)).sum())
        got = f"shape {values.shape} with {bad} that are not finite"
        checks.expect(good and not bad, "values", "be finite, one or more seeds", got)
        picks = np.random.default_rng(0).integers(len(values), size=(DRAWS, len(values)))
        means = np.concatenate([values.mean(0, keepdims=True), values[picks].mean(1)])
        numbers = means if statistic is None else statistic(means)
        low, high = np.quantile(numbers[1:], [missed / 2, 1 - missed / 2])
        return cls(float(numbers[0]), float(low), float(high))

    @property
    def verdict(self) -> str:
        """Whether it is above 0: ``holds``, ``does not`` or, with 0 inside, ``unclear``."""
        return "holds" if self.low > 0 else "does not" if self.high < 0 else "unclear"

    def __str__(self) -> str:
        return f"{self.mean:+.3f} [{self.low:+.3f}, {self.high:+.3f}]"


@dataclass(frozen=True, eq=False)
class Comparison:
    """One task of a study: the methods of `WORDS`, and the frontier of each teacher.

    Args:
        study: of one task, see `rdlite.studies.results.Results.tasks`; of several pairs of
            networks the first is compared.

    Raises:
        ValueError: methods that were not trained with the same seeds.
    """

    study: Results

    def __post_init__(self) -> None:
        checks.instance("study", self.study, Results, "; see rdlite.studies.results.read")
        for rows in [*self.methods.values(), *map(self.tried, self.methods)]:
            own, all_seeds = sorted(set(rows.seed)), sorted(set(self.study.table.seed))
            got = f"{own} for one and {all_seeds} in all; is the study finished?"
            checks.expect(own == all_seeds, "table", "have the same seeds for every method", got)

    @property
    def title(self) -> str:
        """The task in words."""
        imbalance, head = self.first["imbalance"], self.first["head"]
        return f"Imbalance {imbalance:g}, {head:,} images of the largest class"

    @property
    def first(self) -> dict[str, object]:
        """The task, and the first pair of networks and the first setting of the spec."""
        return self.study.spec.first

    @cached_property
    def chosen(self) -> pd.DataFrame:
        """Rows of the chosen setting of every method, teacher and student, tradeoffs left out.

        The choice reads ``heldout_worst`` and ``heldout_average`` only.
        """
        table = self.study.table
        named = table[table.student.isin(["standard", "balanced", "robust"])]
        scores = ["heldout_worst", "heldout_average"]
        means = named.groupby([*METHOD, *SETTING], sort=False)[scores].mean().round(9)
        ranked = means.reset_index().sort_values(scores, ascending=False, kind="stable")
        best = ranked.drop_duplicates(METHOD)[[*METHOD, *SETTING]]
        return named.merge(best, on=[*METHOD, *SETTING], how="inner")

    @cached_property
    def methods(self) -> dict[str, pd.DataFrame]:
        """Name -> the chosen rows, seed by seed, of each method of `WORDS` that was trained."""
        found = {name: self._rows(self.chosen, **key) for name, key in KEYS.items()}
        return {name: rows.sort_values("seed") for name, rows in found.items() if len(rows)}

    @property
    def baselines(self) -> list[str]:
        """The names of the methods but for robust distillation."""
        return [name for name in self.methods if name != OURS]

    def tried(self, name: str) -> pd.DataFrame:
        """The rows of every setting of one method of `methods`."""
        checks.choice("name", name, self.methods)
        return self._rows(self.study.table, **KEYS[name])

    def _rows(self, table: pd.DataFrame, teacher: str, **values: object) -> pd.DataFrame:
        """Rows of the first pair of networks, with the teacher's held-out labels if it has one."""
        taught = teacher != NO_TEACHER
        values |= {"teacher": teacher, "student_network": self.first["student_network"]}
        values["teacher_network"] = self.first["teacher_network"] if taught else NO_TEACHER
        return where(table, heldout_labels="teacher" if taught else "one-hot", **values)

    def first_setting(self, teacher: str) -> pd.DataFrame:
        """Rows of every student of one teacher, by seed and alpha, at the spec's first setting.

        Only the named objectives were trained at others.
        """
        checks.choice("teacher", teacher, dict.fromkeys(self.study.table.teacher))
        idle = ["temperature"] if teacher == NO_TEACHER else []
        setting = {name: self.first[name] for name in SETTING if name not in idle}
        rows = self._rows(self.study.table, teacher, method="fit", **setting)
        return rows.sort_values(["seed", "alpha"])

    def alphas(self, teacher: str) -> pd.DataFrame:
        """`first_setting` without the standard student, whose anchor is another."""
        rows = self.first_setting(teacher)
        return rows[rows.student != "standard"]

    @property
    def tradeoff(self) -> Results:
        """`first_setting` of every teacher as a study, for `rdlite.panels.TradeoffPanel`."""
        rows = map(self.first_setting, dict.fromkeys(self.study.table.teacher))
        return replace(self.study, table=pd.concat(rows, ignore_index=True))

    def frontier(self, teacher: str) -> np.ndarray:
        """(seeds, alphas, 2), average and worst class of `alphas`."""
        return points(self.alphas(teacher))

    def lead(self, name: str, column: str = "worst") -> np.ndarray:
        """(seeds,): robust distillation minus a baseline."""
        for one in (OURS, name):
            checks.choice("name", one, self.methods)
        return self.methods[OURS][column].to_numpy() - self.methods[name][column].to_numpy()


def points(rows: pd.DataFrame) -> np.ndarray:
    """(seeds, students, 2), average and worst class, of rows with the same students each seed."""
    ordered = rows.sort_values("seed", kind="stable")
    counts = ordered.seed.value_counts()
    got, wanted = f"{counts.to_dict()}; is the study finished?", "have the same students for every"
    checks.expect(counts.nunique() == 1, "table", f"{wanted} seed", got)
    return ordered[POINT].to_numpy().reshape(len(counts), -1, 2)
