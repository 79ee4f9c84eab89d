"""A comparison as a page, in Markdown and HTML: which claims hold, methods, frontiers, tables."""

from __future__ import annotations

import html
import re
from pathlib import Path

import pandas as pd

from rdlite.guards import checks, files
from rdlite.studies.claims import areas, domination, judge
from rdlite.studies.comparison import METHOD, OURS, SETTING, Comparison, Estimate, points
from rdlite.studies.results import Results
from rdlite.studies.spec import NO_TEACHER

Part = tuple[str, "str | pd.DataFrame | Path"]


def claim_table(tasks: list[Comparison]) -> pd.DataFrame:
    """Claim -> what was measured -> verdict, claim by claim, a row a task."""
    rows = [
        {name: f"{task.study.spec.first[name]:,g}" for name in ("imbalance", "head")} | vars(claim)
        for task in tasks
        for claim in judge(task)
    ]
    table = pd.DataFrame(rows).sort_values("claim", kind="stable", ignore_index=True)
    return table[["claim", "imbalance", "head", "measured", "verdict"]]


def verdict_table(tasks: list[Comparison]) -> pd.DataFrame:
    """The verdicts of `claim_table` alone: a row a claim, a column a task."""
    columns = {"{imbalance:g} / {head:,}".format(**task.study.spec.first): task for task in tasks}
    verdicts = {words: [claim.verdict for claim in judge(task)] for words, task in columns.items()}
    claims = [claim.claim for claim in judge(tasks[0])]
    return pd.DataFrame({"claim; imbalance / images of the largest class": claims, **verdicts})


def method_table(task: Comparison) -> pd.DataFrame:
    """A row a method: the setting that was chosen, its numbers, and how they compare with ours."""
    lines = []
    for name, rows in task.methods.items():
        first = rows.iloc[0]
        taught = first.teacher != NO_TEACHER
        rate, temperature = f"rate {first.learning_rate:g}", f"T = {first.temperature:g}"
        ours = name == OURS
        lines.append(
            {
                "method": name,
                "chosen": temperature if taught else rate,
                "worst class": _mean(rows.worst),
                "average": _mean(rows.average),
                "ours minus it, worst class": "" if ours else str(Estimate.of(task.lead(name))),
                "average ": "" if ours else str(Estimate.of(task.lead(name, "average"))),
                "an alpha beats it in both by": "" if ours else str(domination(task, name)),
            }
        )
    return pd.DataFrame(lines)


def area_table(task: Comparison) -> pd.DataFrame:
    """Area below each method's points (hypervolume), seed by seed against the standard teacher's.

    The points are the settings that a method tried, or the alphas of a teacher.
    """
    sets = {
        f"every alpha, teacher: {teacher}": task.frontier(teacher)
        for teacher in dict.fromkeys(task.study.table.teacher)
    }
    ours = areas(sets["every alpha, teacher: standard"])
    sets |= {name: points(task.tried(name)) for name in task.methods}
    lines = []
    for name, students in sets.items():
        area = areas(students)
        lines.append(
            {
                "method": name,
                "students a seed": students.shape[1],
                "area": f"{area.mean():.3f}",
                "minus every alpha, teacher: standard": ""
                if (area == ours).all()
                else str(Estimate.of(area - ours)),
            }
        )
    return pd.DataFrame(lines)


def grid_table(task: Comparison) -> pd.DataFrame:
    """Teachers x students at their chosen settings, held-out labels, all pairs of networks."""
    rows = task.chosen[task.chosen.method == "fit"]
    lines = [
        {
            "networks": f"{big} -> {small}" if big != NO_TEACHER else small,
            "teacher": teacher,
            "student": student,
            "held-out labels": labels,
            "worst class": _mean(cell.worst),
            "average": _mean(cell.average),
        }
        for (_, big, small, teacher, student, labels), cell in rows.groupby(METHOD, sort=False)
    ]
    return pd.DataFrame(lines)


def _mean(values: pd.Series) -> str:
    error = f" ± {values.sem():.3f}" if len(values) > 1 else ""
    return f"{values.mean():.3f}{error}"


def tried(tasks: list[Comparison]) -> str:
    """How many settings the methods had to choose from, in words."""
    counts = {
        len(task.tried(name).drop_duplicates(SETTING)) for task in tasks for name in task.methods
    }
    low, high = min(counts), max(counts)
    return f"{low}" if low == high else f"{low} to {high}"


def write(results: Results, out: str | Path) -> list[Path]:
    """Write report.md, report.html and a figure a task; returns their paths.

    Args:
        results: a finished study such as `rdlite/recipes/comparison.toml`.
        out: the folder, made if it is not there.

    Raises:
        ValueError: methods that were not trained with the same seeds.
        OSError: the folder cannot be written.
    """
    checks.instance("results", results, Results, "; see rdlite.studies.results.read")
    out = files.folder(out, "out")
    tasks = [Comparison(study) for study in results.tasks()]
    figures = [
        _figure(task, out / "frontier-{imbalance:g}-{head}.png".format(**task.study.spec.first))
        for task in tasks
    ]
    parts = _parts(results, tasks, figures)
    pages = {"report.md": _markdown(parts), "report.html": _html(parts)}
    for name, text in pages.items():
        with files.whole(out / name) as file:
            file.write_text(text, encoding="utf-8")
    return [*(out / name for name in pages), *figures]


def _parts(results: Results, tasks: list[Comparison], figures: list[Path]) -> list[Part]:
    first, table = results.spec.first, results.table
    teacher, student = first["teacher_network"], first["student_network"]
    parts: list[Part] = [
        ("h1", "Robust distillation against the other methods"),
        (
            "p",
            f"{len(table):,} students on {first['dataset']}, {table.seed.nunique()} seeds, "
            f"{student} taught by {teacher}. Accuracies are fractions of the test set, ± one "
            "standard error over seeds; brackets are 95 % intervals of a paired bootstrap over "
            "seeds, which are too narrow with few seeds.",
        ),
        (
            "p",
            "Each method's setting was chosen on held-out images: the largest mean held-out "
            f"worst-class accuracy, the same rule for all, out of {tried(tasks)} a method. The "
            "minimum over classes of noisy accuracies is biased downward, for every method.",
        ),
        ("h2", "Claim and verdict"),
        ("table", verdict_table(tasks)),
        ("h2", "Claim, measurement, verdict"),
        ("table", claim_table(tasks)),
    ]
    for task, figure in zip(tasks, figures, strict=True):
        parts += [
            ("h2", task.title),
            ("image", figure),
            ("table", method_table(task)),
            ("h3", "Areas below the frontiers"),
            ("table", area_table(task)),
            ("h3", "Teacher x student"),
            ("table", grid_table(task)),
        ]
    return parts


def _figure(task: Comparison, file: Path) -> Path:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from rdlite.studies import comparison_figures

    figure = Figure(figsize=(9.6, 5.4), layout="constrained")
    FigureCanvasAgg(figure)
    ax = comparison_figures.frontiers(task, figure.add_subplot())
    ax.set_title(task.title)
    with files.whole(file) as whole:
        figure.savefig(whole, dpi=130, format="png")
    return file


def _markdown(parts: list[Part]) -> str:
    lines = []
    for kind, content in parts:
        if kind == "table":
            rows = [content.columns, ["---"] * content.shape[1], *content.to_numpy()]
            cells = [[_escaped(cell).replace("|", r"\|") for cell in row] for row in rows]
            lines.append("\n".join("| " + " | ".join(row) + " |" for row in cells))
        elif kind == "image":
            lines.append(f"![Average against worst class]({content.name})")
        else:
            level = {"h1": "# ", "h2": "## ", "h3": "### ", "p": ""}[kind]
            lines.append(level + _escaped(content))
    return "\n\n".join(lines) + "\n"


def _escaped(text: object) -> str:
    """One line of Markdown that shows ``text`` as it is: no tag, no link, no emphasis."""
    line = " ".join(str(text).split()).replace("&", "&amp;").replace("<", "&lt;")
    return re.sub(r"[\\`*_]|\](?=\()", r"\\\g<0>", line)


def _html(parts: list[Part]) -> str:
    lines = []
    for kind, content in parts:
        if kind == "table":
            lines.append(content.to_html(index=False, escape=True, border=0))
        elif kind == "image":
            lines.append(f'<img src="{content.name}" alt="Average against worst class">')
        else:
            lines.append(f"<{kind}>{html.escape(str(content))}</{kind}>")
    style = (
        "body { font: 15px/1.5 sans-serif; max-width: 75em; margin: 2em auto; padding: 0 1em }"
        " table { border-collapse: collapse } td, th { padding: 2px 10px; text-align: left;"
        " border-bottom: 1px solid #ddd } img { max-width: 100% }"
    )
    title = html.escape(str(parts[0][1]))
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f"<style>{style}</style></head>\n<body>\n" + "\n".join(lines) + "\n</body></html>\n"
    )
