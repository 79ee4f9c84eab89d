"""A comparison as a page: which claims hold, methods, frontiers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from rdlite import baselines
from rdlite.guards import checks, files
from rdlite.plots import TEACHER_WORDS
from rdlite.studies import figures, pages
from rdlite.studies.claims import areas, dominations, verdicts
from rdlite.studies.comparison import OURS, Comparison, Estimate, of_test_set
from rdlite.studies.results import Results, with_error
from rdlite.studies.table import NO_TEACHER

TEMPLATE = Path(__file__).with_name("report.jinja")  # the order of the page
TITLE = "Robust distillation against the other methods"


def claim_table(tasks: list[Comparison]) -> pd.DataFrame:
    """Claim -> what was measured -> verdict, claim by claim, a row a task."""
    rows = [
        {"imbalance": f"{task.first['imbalance']:g}", "head": f"{task.first['head']:,}"}
        | vars(claim)
        for task in tasks
        for claim in verdicts(task)
    ]
    table = pd.DataFrame(rows).sort_values("claim", kind="stable", ignore_index=True)
    return table[["claim", "imbalance", "head", "measured", "verdict"]]


def verdict_table(tasks: list[Comparison]) -> pd.DataFrame:
    """The verdicts of `claim_table` alone: a row a claim, a column a task."""
    found = {"{imbalance:g} / {head:,}".format(**task.first): verdicts(task) for task in tasks}
    claims = [claim.claim for claim in next(iter(found.values()))]
    columns = {words: [claim.verdict for claim in own] for words, own in found.items()}
    return pd.DataFrame({"claim; imbalance / images of the largest class": claims, **columns})


def method_table(task: Comparison, names: Sequence[str] = ()) -> pd.DataFrame:
    """A row a method: its setting, its numbers, and what another test set would do to them.

    Args:
        task: what is compared.
        names: some of its methods; by default robust distillation and the baselines.
    """
    (images,) = task.study.test_counts
    lines = []
    for name in names or [OURS, *task.baselines]:
        rows = task.methods[name]
        low, high, bias = of_test_set(rows.per_class.tolist(), images)
        line = {"method": name, "setting": setting(rows), "held-out labels": heldout_use(rows)}
        line |= {"worst class": _mean(rows.worst), "another test set": f"[{low:.3f}, {high:.3f}]"}
        lines.append(line | {"minimum": f"{bias:+.3f}", "average": _mean(rows.average)})
    return pd.DataFrame(lines)


def setting(rows: pd.DataFrame) -> str:
    """What was chosen for a method: teacher, length, and temperature, rate or smoothing."""
    first = rows.iloc[0]
    words = [TEACHER_WORDS[first.teacher], f"{first.epochs} epochs"]
    if first.teacher != NO_TEACHER:
        words += [f"T = {first.temperature:g}"]
    elif first.smoothing:
        words += [f"smoothing {first.smoothing:g}"]
    else:
        words += [f"rate {first.learning_rate:g}"]
    return ", ".join(words)


def heldout_use(rows: pd.DataFrame) -> str:
    """Which labels of the held-out images a method learns from, if from any."""
    first = rows.iloc[0]
    if first.add_heldout:
        return "trained on"
    if first.method in baselines.ON_HELDOUT:
        return "one-hot"
    return first.heldout_labels if first.method == "fit" and first.alpha else "not used"


def _mean(values: pd.Series) -> str:
    return with_error(values.mean(), values.sem(), len(values))


def lead_table(task: Comparison) -> pd.DataFrame:
    """A row a baseline: by how much robust distillation is ahead, with Holm's p in each column."""
    columns = {"worst class": task.leads(), "average": task.leads("average")}
    columns["the best alpha, in both"] = dominations(task)
    words = {k: [f"{one}, p {one.p:.3f}" for one in own.values()] for k, own in columns.items()}
    return pd.DataFrame({"method": task.baselines, **words})


def frontier_table(task: Comparison) -> pd.DataFrame:
    """Area below the alphas of each teacher (hypervolume), against that of the chosen one."""
    ours = areas(task.frontier(task.teacher))
    lines = []
    for teacher in task.lines:
        rows, area = task.alphas(teacher), areas(task.frontier(teacher))
        line = {"every alpha of": setting(rows)}
        line |= {"students a seed": rows.alpha.nunique(), "area": f"{area.mean():.3f}"}
        lead = "" if teacher == task.teacher else str(Estimate.of(area - ours))
        lines.append(line | {f"minus {TEACHER_WORDS[task.teacher]}": lead})
    return pd.DataFrame(lines)


def write(results: Results, out: str | Path) -> list[Path]:
    """Write report.md, report.html and a figure a task; returns their paths.

    Args:
        results: a finished study such as `rdlite/recipes/comparison.toml`.
        out: the folder, made if it is not there.

    Raises:
        ValueError: a study that is not finished, or without robust distillation and frontiers.
        OSError: the folder cannot be written.
    """
    checks.instance("results", results, Results, "; see rdlite.studies.results.read")
    out = files.folder(out, "out")
    tasks = [Comparison(study) for study in results.tasks()]
    images = [_figure(task, out) for task in tasks]
    page = {"table": results.table, "tasks": tasks}
    page |= {"verdicts": verdict_table(tasks), "claims": claim_table(tasks)}
    page |= {"images": [(image.name, "Average against worst class") for image in images]}
    page |= {one.__name__: one for one in (method_table, lead_table, frontier_table)}
    return [*pages.write(out, TEMPLATE, TITLE, **page), *images]


def _figure(task: Comparison, out: Path) -> Path:
    file = out / "frontier-{imbalance:g}-{head}.png".format(**task.first)
    return figures.save(
        file, (9.6, 5.4), 130, lambda ax: figures.methods(task, ax).set_title(task.title)
    )
