"""Five claims of the paper, each as a measurement with a verdict that could be negative.

``holds``: p below 0.05 on the claim's side; ``does not``: on the other; else ``unclear``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from rdlite.guards import checks
from rdlite.metrics import hypervolume
from rdlite.studies.comparison import CERTAIN, POINT, TEACHERS, Comparison, Estimate, holm
from rdlite.studies.results import where
from rdlite.studies.table import NO_TEACHER

KD, ALONE = "standard KD", "no distillation, standard"
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

    Uneven: one class is above the mean and one below, by Holm's p over the classes. Not uneven:
    the m intervals, which hold together (Bonferroni), lie within `EVEN` of it.
    """
    kd, alone = (np.array(task.methods[name].per_class.tolist()) for name in (KD, ALONE))
    gain, names = kd - alone, task.study.class_names  # (seeds, m)
    apart = gain - gain.mean(1, keepdims=True)
    classes = {k: Estimate.of(seeds, CERTAIN / len(names)) for k, seeds in enumerate(apart.T)}
    uneven = {"holds", "does not"} <= {one.verdict for one in holm(classes).values()}
    even = all(one.low > -EVEN and one.high < EVEN for one in classes.values())
    mean = gain.mean(0)
    top, bottom = int(mean.argmax()), int(mean.argmin())
    return Claim(
        "(a) KD's gains are uneven over classes",
        f"average {mean.mean():+.3f}; most {names[top]} {mean[top]:+.3f}, least "
        f"{names[bottom]} {mean[bottom]:+.3f}",
        "does not" if even else "holds" if uneven else "unclear",
    )


def better_worst_class(task: Comparison) -> Claim:
    """Worst class of robust distillation minus each baseline's, all of which must be above 0."""
    lead = task.leads()
    least = min(lead, key=lambda name: lead[name].mean)
    found = [estimate.verdict for estimate in lead.values()]
    return Claim(
        "(b) robust distillation has the better worst class than each baseline",
        f"better than {found.count('holds')} of {len(lead)}, worse than "
        f"{found.count('does not')}; least ahead of {least}: {lead[least]}",
        _all_of(found),
    )


def dominating_frontier(task: Comparison) -> Claim:
    """For every baseline, an alpha of the chosen teacher that is better in both numbers."""
    lead = dominations(task)
    least = min(lead, key=lambda name: lead[name].mean)
    found = [estimate.verdict for estimate in lead.values()]
    area = Estimate.of(areas(task.frontier(task.teacher)) - areas(task.frontier(NO_TEACHER)))
    return Claim(
        "(c) its frontier dominates",
        f"dominates {found.count('holds')} of {len(lead)}, falls short of "
        f"{found.count('does not')}; least: {least}, {lead[least]}; area minus that of the "
        f"same alphas without a teacher {area}",
        _all_of(found),
    )


def dominations(task: Comparison) -> dict[str, Estimate]:
    """`domination` over every baseline, with Holm's p."""
    return holm({name: domination(task, name) for name in task.baselines})


def domination(task: Comparison, name: str) -> Estimate:
    """By how much an alpha of the chosen teacher beats a baseline in average and worst class.

    Of each alpha the measure counts that is less surely ahead, of all alphas the one where that is
    most surely ahead. Looking at so many is paid for in p: times the number of alphas; where none
    is ahead, times the two measures.
    """
    checks.choice("name", name, task.methods)
    ahead = task.frontier(task.teacher) - task.methods[name][POINT].to_numpy()[:, None]

    def surely(one: Estimate) -> tuple[float, float]:
        return float(np.copysign(1 - one.p, one.mean)), one.mean

    both = [[Estimate.of(one) for one in measures] for measures in ahead.transpose(1, 2, 0)]
    best = max((min(pair, key=surely) for pair in both), key=surely)
    looks = len(both) if best.mean > 0 else 2
    return replace(best, p=min(1.0, looks * best.p))


def robust_teacher_not_always(task: Comparison) -> Claim:
    """Worst class of the robust student: with the standard teacher minus with the robust one.

    Each teacher at the setting that the selection images choose for it.
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
    """Rows of the robust student of every teacher of any size, each at its teacher's setting."""
    large = [where(task.alphas(one), student="robust") for one in task.lines if one != NO_TEACHER]
    named = task.study.spec.named.items()
    small = [task.study.rows(runs) for name, runs in named if name.startswith(TEACHERS)]
    return pd.concat([*large, *small])


def areas(points: Iterable[np.ndarray]) -> np.ndarray:
    """(seeds,) hypervolumes of (seeds, students, 2)."""
    return np.array([hypervolume(seed) for seed in points])


def _all_of(found: list[str]) -> str:
    return next((verdict for verdict in ("does not", "unclear") if verdict in found), "holds")
