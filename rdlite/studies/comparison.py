"""Methods side by side, seed by seed, each at the setting that the selection images choose.

A method is a name in the spec, see `rdlite.studies.spec.GridSpec`. Where settings are chosen a name
has several of them, see `rdlite.studies.choice`; in a comparison it has one, on other seeds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd
from scipy import stats

from rdlite.guards import checks
from rdlite.studies.results import Results

OURS = "robust distillation"  # so begin the names of its variants, too
ADDED = ", held-out images added"  # so ends the name of a baseline that trains on them: its control
LINE = "every alpha"  # so begin the names of frontiers, one a teacher
TEACHERS = "every teacher"  # more robust students, of teachers of another size
POINT = ["average", "worst"]
CERTAIN = 0.05  # p below which a difference is one
DRAWS = 2000


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds, its 95 % interval and its two-sided p, by Student's t (n - 1 degrees).

    Pairs stay pairs: give it differences, seed by seed. It tells what other seeds would do, on the
    same test set. One seed says nothing: its interval is NaN, its p is 1.
    """

    mean: float
    low: float
    high: float
    p: float

    @classmethod
    def of(cls, values: np.ndarray, missed: float = CERTAIN) -> Estimate:
        """Of one number a seed; the interval misses the truth with probability ``missed``.

        >>> print(Estimate.of([0.1, 0.3]))
        +0.200 [-1.071, +1.471]
        """
        values = np.asarray(values, dtype=float)
        good, bad = values.ndim == 1 and len(values) > 0, int((~np.isfinite(values)).sum())
        got = f"shape {values.shape} with {bad} that are not finite"
        checks.expect(good and not bad, "values", "be finite, one a seed", got)
        mean, n = values.mean(), len(values)
        if n == 1:
            return cls(float(mean), np.nan, np.nan, 1.0)
        error = values.std(ddof=1) / n**0.5
        reach = stats.t.ppf(1 - missed / 2, n - 1) * error
        p = 2 * stats.t.sf(abs(mean) / error, n - 1) if error else float(mean == 0)
        return cls(*map(float, (mean, mean - reach, mean + reach, p)))

    @property
    def verdict(self) -> str:
        """Whether it is above 0: ``holds``, ``does not`` or ``unclear``."""
        return "unclear" if not self.p < CERTAIN else "holds" if self.mean > 0 else "does not"

    def __str__(self) -> str:
        between = f" [{self.low:+.3f}, {self.high:+.3f}]" if np.isfinite(self.low) else ""
        return f"{self.mean:+.3f}{between}"


def holm(family: Mapping[str, Estimate]) -> dict[str, Estimate]:
    """The same estimates with each p raised for their number (Holm 1979); intervals stay.

    With p below 0.05 as the rule, a family of which nothing is true has any finding at most one
    time in twenty.

    >>> raised = holm({"a": Estimate(1, 0, 2, p=0.02), "b": Estimate(1, 0, 2, p=0.5)})
    >>> [one.p for one in raised.values()]
    [0.04, 0.5]
    """
    raised, floor = {}, 0.0
    for before, name in enumerate(sorted(family, key=lambda name: family[name].p)):
        floor = max(floor, min(1.0, (len(family) - before) * family[name].p))
        raised[name] = replace(family[name], p=floor)
    return {name: raised[name] for name in family}


@dataclass(frozen=True, eq=False)
class Comparison:
    """One task of a study: its methods, and the frontier of each teacher.

    Args:
        study: of one task, see `rdlite.studies.results.Results.tasks`.

    Raises:
        ValueError: a run is missing, robust distillation is not among the names, or a method has
            several settings.
    """

    study: Results

    def __post_init__(self) -> None:
        checks.instance("study", self.study, Results, "; see rdlite.studies.results.read")
        named = list(self.study.spec.named)
        wanted = f"name a method {OURS!r} and frontiers {LINE!r}"
        cure = "; a study of another kind has a page with --over COLUMN"
        checks.expect(OURS in named and self.lines, "the study's spec", wanted, named, cure)
        seeds = sorted(set(self.study.table.seed))
        for name, rows in self.methods.items():
            wanted, got = "have one setting, with every seed", f"{len(rows)} runs"
            checks.expect(rows.seed.tolist() == seeds, f"method {name!r}", wanted, got)

    @property
    def first(self) -> dict[str, object]:
        """The task, and the first of the spec's shared values."""
        return self.study.spec.first

    @property
    def title(self) -> str:
        """The task in words."""
        imbalance, head = self.first["imbalance"], self.first["head"]
        return f"Imbalance {imbalance:g}, {head:,} images of the largest class"

    @cached_property
    def methods(self) -> dict[str, pd.DataFrame]:
        """Name -> rows, seed by seed."""
        named = self.study.spec.named.items()
        found = {name: runs for name, runs in named if not name.startswith((LINE, TEACHERS))}
        return {name: self.study.rows(runs).sort_values("seed") for name, runs in found.items()}

    @property
    def baselines(self) -> list[str]:
        """The names of the other methods, without those of `controls`."""
        return [name for name in self.methods if name != OURS and name not in self.controls]

    @property
    def controls(self) -> list[str]:
        """The names of our own variants, and of baselines with the held-out images added."""
        ours = OURS + ","
        return [name for name in self.methods if name.startswith(ours) or name.endswith(ADDED)]

    @cached_property
    def lines(self) -> dict[str, pd.DataFrame]:
        """Teacher -> rows of its students by seed and alpha, the standard student first."""
        found = {}
        for name, runs in self.study.spec.named.items():
            if name.startswith(LINE):
                rows = self.study.rows(runs)
                order = rows.assign(last=rows.student != "standard")
                found[rows.teacher.iloc[0]] = rows.loc[
                    order.sort_values(["seed", "last", "alpha"]).index
                ]
        return found

    @property
    def teacher(self) -> str:
        """The teacher that robust distillation has chosen."""
        return self.methods[OURS].teacher.iloc[0]

    def alphas(self, teacher: str) -> pd.DataFrame:
        """A line without the standard student, whose anchor is another."""
        checks.choice("teacher", teacher, self.lines)
        rows = self.lines[teacher]
        return rows[rows.student != "standard"]

    def frontier(self, teacher: str) -> np.ndarray:
        """(seeds, alphas, 2), average and worst class of `alphas`."""
        rows = self.alphas(teacher)
        return rows[POINT].to_numpy().reshape(rows.seed.nunique(), -1, 2)

    @property
    def tradeoff(self) -> Results:
        """The lines of every teacher as a study, for `rdlite.panels.TradeoffPanel`."""
        return replace(self.study, table=pd.concat(self.lines.values(), ignore_index=True))

    def lead(self, name: str, column: str = "worst") -> np.ndarray:
        """(seeds,): robust distillation minus another method."""
        checks.choice("name", name, self.methods)
        return self.methods[OURS][column].to_numpy() - self.methods[name][column].to_numpy()

    def leads(self, column: str = "worst") -> dict[str, Estimate]:
        """`lead` over every baseline, with Holm's p."""
        return holm({name: Estimate.of(self.lead(name, column)) for name in self.baselines})


def of_test_set(per_class: Sequence, images: Sequence) -> tuple[float, float, float]:
    """What another test set would do to a mean worst class: (low, high, bias).

    A bootstrap of the images within each class, by normal draws; all seeds see the same images, so
    a class moves alike for all of them, which is the most that it can matter. ``bias`` is how much
    lower the minimum over classes comes out on the average draw: the nearer the classes are to each
    other, the lower.

    Args:
        per_class: (seeds, m) accuracies.
        images: (m,) test images of each class.

    >>> low, high, bias = of_test_set([[0.5, 0.5]], [100, 100])
    >>> bool(low < 0.5 < high), round(bias, 2)
    (True, -0.03)
    """
    accuracy = np.asarray(per_class, dtype=float)
    moves = np.random.default_rng(0).normal(size=(DRAWS, 1, accuracy.shape[1]))
    error = (accuracy * (1 - accuracy) / np.asarray(images)) ** 0.5
    worst = (accuracy + moves * error).min(2).mean(1)
    low, high = np.quantile(worst, [0.025, 0.975])
    return float(low), float(high), float(worst.mean() - accuracy.min(1).mean())
