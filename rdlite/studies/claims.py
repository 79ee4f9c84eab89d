"""Five claims of the paper, each as a measurement with a verdict that could be negative.

``holds``: the 95 % interval is on the claim's side; ``does not``: on the other; else ``unclear``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from rdlite.guards import checks
from rdlite.metrics import hypervolume
from rdlite.studies.comparison import POINT, SETTING, Comparison, Estimate, where

EVEN = 0.02  # gains that differ from their mean by less than this are called even


@dataclass(frozen=True)
class Claim:
    """What the paper says, what one task of a study says, and whether they agree."""

    claim: str
    measured: str
    verdict: str


def verdicts(task: Comparison) -> list[Claim]:
    """The five claims on one task, each with its verdict."""
    return [
        uneven_gains(task),
        better_worst_class(task),
        dominating_frontier(task),
        robust_teacher_not_always(task),
        calibration_predicts(task),
    ]


def uneven_gains(task: Comparison) -> Claim:
    """Gain of KD over no distillation, class by class, minus their mean.

    The m intervals hold together (Bonferroni). Uneven: one class is above the mean and one below.
    Not uneven: every interval lies within `EVEN` of it.
    """
    kd, alone = task.methods["standard KD"], task.methods["no distillation, standard"]
    gain = np.array(kd.per_class.tolist()) - np.array(alone.per_class.tolist())  # (seeds, m)
    apart = (gain - gain.mean(1, keepdims=True)).T
    classes = [Estimate.of(seeds, missed=0.05 / len(apart)) for seeds in apart]
    uneven = {"holds", "does not"} <= {one.verdict for one in classes}
    even = all(one.low > -EVEN and one.high < EVEN for one in classes)
    mean, names = gain.mean(0), task.study.class_names
    top, bottom = int(mean.argmax()), int(mean.argmin())
    return Claim(
        "(a) KD's gains are uneven over classes",
        f"average {mean.mean():+.3f}; most {names[top]} {mean[top]:+.3f}, least "
        f"{names[bottom]} {mean[bottom]:+.3f}",
        "does not" if even else "holds" if uneven else "unclear",
    )


def better_worst_class(task: Comparison) -> Claim:
    """Worst class of robust distillation minus each baseline's, all of which must be above 0."""
    lead = {name: Estimate.of(task.lead(name)) for name in task.baselines}
    least = min(lead, key=lambda name: lead[name].mean)
    found = [estimate.verdict for estimate in lead.values()]
    return Claim(
        "(b) robust distillation has the better worst class than each baseline",
        f"better than {found.count('holds')} of {len(lead)}, worse than "
        f"{found.count('does not')}; least ahead of {least}: {lead[least]}",
        _all_of(found),
    )


def dominating_frontier(task: Comparison) -> Claim:
    """For every baseline, an alpha of the standard teacher that is better in average and worst.

    Balanced distillation is not asked: it is alpha 0 of the same teacher.
    """
    rivals = [name for name in task.baselines if name != "balanced distillation"]
    lead = {name: domination(task, name) for name in rivals}
    least = min(lead, key=lambda name: lead[name].mean)
    found = [estimate.verdict for estimate in lead.values()]
    area = Estimate.of(areas(task.frontier("standard")) - areas(task.frontier("none")))
    return Claim(
        "(c) its frontier dominates",
        f"dominates {found.count('holds')} of {len(lead)}, falls short of "
        f"{found.count('does not')}; least: {least}, {lead[least]}; area minus that of the "
        f"same alphas without a teacher {area}",
        _all_of(found),
    )


def domination(task: Comparison, name: str) -> Estimate:
    """By how much some alpha beats a baseline in average and worst class, whichever is less.

    The alpha is the best one on the test means: the question is whether such a point exists.
    """
    checks.choice("name", name, task.methods)
    ahead = task.frontier("standard") - task.methods[name][POINT].to_numpy()[:, None]
    return Estimate.of(ahead, lambda means: means.min(2).max(1))


def robust_teacher_not_always(task: Comparison) -> Claim:
    """Worst class of the robust student: with the standard teacher minus with the robust one.

    Both at the first setting of the spec; the robust teacher was not given a choice of others.
    """
    standard, robust = (
        where(task.alphas(teacher), student="robust").worst.to_numpy()
        for teacher in ("standard", "robust")
    )
    lead = Estimate.of(standard - robust)
    return Claim(
        "(d) a robust teacher does not always give the more robust student",
        f"robust student: standard teacher minus robust teacher, worst class {lead}",
        lead.verdict,
    )


def calibration_predicts(task: Comparison) -> Claim:
    """Rank correlation over teachers, large and of the student's size, within each seed."""
    rows = robust_students(task)
    correlations = [
        seed[["teacher_calibration", "robust_loss"]].rank().corr().iloc[0, 1]
        for _, seed in rows.groupby("seed")
    ]
    estimate = Estimate.of(np.array(correlations))
    return Claim(
        "(e) the teacher's per-class calibration predicts the student's robust loss",
        "rank correlation of calibration error and robust loss over "
        f"{len(rows) // len(correlations)} teachers {estimate}",
        estimate.verdict,
    )


def robust_students(task: Comparison) -> pd.DataFrame:
    """Rows of the robust student of every teacher of any size, at the first setting."""
    first = {name: task.first[name] for name in ("student_network", *SETTING)}
    learned = {"method": "fit", "student": "robust", "heldout_labels": "teacher"}
    return where(task.study.table, **learned, **first)


def areas(points: Iterable[np.ndarray]) -> np.ndarray:
    """(seeds,) hypervolumes of (seeds, students, 2)."""
    return np.array([hypervolume(seed) for seed in points])


def _all_of(found: list[str]) -> str:
    return next((verdict for verdict in ("does not", "unclear") if verdict in found), "holds")
