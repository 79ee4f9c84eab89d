"""A comparison as a page, in Markdown and HTML: which claims hold, methods, frontiers, tables."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

import jinja2
import pandas as pd

from rdlite.guards import checks, files
from rdlite.studies import figures
from rdlite.studies.claims import areas, domination, verdicts
from rdlite.studies.comparison import OURS, SETTING, Comparison, Estimate, points
from rdlite.studies.results import Results, cell_statistics, with_error
from rdlite.studies.spec import NO_TEACHER

TEMPLATE = Path(__file__).with_name("report.jinja")  # the order of the page
PARTS = ("h1", "h2", "h3", "p", "table", "image")
TITLE = "Robust distillation against the other methods"
HTML = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>\
body {{ font: 15px/1.5 sans-serif; max-width: 75em; margin: 2em auto; padding: 0 1em }}\
 table {{ border-collapse: collapse }} td, th {{ padding: 2px 10px; text-align: left;\
 border-bottom: 1px solid #ddd }} img {{ max-width: 100% }}\
</style></head>
<body>
{body}
</body></html>
"""


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


def method_table(task: Comparison) -> pd.DataFrame:
    """A row a method: the setting that was chosen, its numbers, and how they compare with ours."""
    ahead = ("ours minus it, worst class", "average ", "an alpha beats it in both by")
    lines = []
    for name, rows in task.methods.items():
        first, taught = rows.iloc[0], rows.teacher.iloc[0] != NO_TEACHER
        leads = [Estimate.of(task.lead(name, column)) for column in ("worst", "average")]
        row = {
            "method": name,
            "chosen": f"T = {first.temperature:g}" if taught else f"rate {first.learning_rate:g}",
            "worst class": _mean(rows.worst),
            "average": _mean(rows.average),
        }
        numbers = [""] * 3 if name == OURS else map(str, [*leads, domination(task, name)])
        lines.append(row | dict(zip(ahead, numbers, strict=True)))
    return pd.DataFrame(lines)


def _mean(values: pd.Series) -> str:
    return with_error(values.mean(), values.sem(), len(values))


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
        lead = "" if (area == ours).all() else str(Estimate.of(area - ours))
        row = {"method": name, "students a seed": students.shape[1], "area": f"{area.mean():.3f}"}
        lines.append(row | {"minus every alpha, teacher: standard": lead})
    return pd.DataFrame(lines)


def grid_table(task: Comparison) -> pd.DataFrame:
    """Teachers x students at their chosen settings, held-out labels, all pairs of networks."""
    lines = []
    for cell in cell_statistics(task.chosen[task.chosen.method == "fit"]).itertuples():
        big, small = cell.teacher_network, cell.student_network
        lines.append(
            {
                "networks": f"{big} -> {small}" if big != NO_TEACHER else small,
                "teacher": cell.teacher,
                "student": cell.student,
                "held-out labels": cell.heldout_labels,
                "worst class": with_error(cell.worst, cell.worst_error, cell.seeds),
                "average": with_error(cell.average, cell.average_error, cell.seeds),
            }
        )
    return pd.DataFrame(lines)


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
    images = [_figure(task, out) for task in tasks]
    page = {"title": TITLE, "spec": results.spec, "table": results.table, "tried": tried(tasks)}
    page |= {"verdicts": verdict_table(tasks), "claims": claim_table(tasks)}
    page |= {"tasks": tasks, "images": [image.name for image in images]}
    page |= {one.__name__: one for one in (method_table, area_table, grid_table)}
    markdown, body = "\n\n".join(_parts(page, _markdown)), "\n".join(_parts(page, _html))
    pages = {"report.md": markdown + "\n"}
    pages["report.html"] = HTML.format(title=html.escape(TITLE), body=body)
    for name, text in pages.items():
        with files.whole(out / name) as file:
            file.write_text(text, encoding="utf-8")
    return [*(out / name for name in pages), *images]


def _figure(task: Comparison, out: Path) -> Path:
    file = out / "frontier-{imbalance:g}-{head}.png".format(**task.first)
    return figures.save(
        file, (9.6, 5.4), 130, lambda ax: figures.methods(task, ax).set_title(task.title)
    )


def _parts(page: dict, write: Callable[[str, object], str]) -> list[str]:
    """The parts of the template, each written by ``write``."""
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined)
    environment.filters |= {kind: partial(write, kind) for kind in PARTS}
    template = environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
    return re.split(r"\n{2,}", template.render(page).strip())


def _markdown(kind: str, content: str | pd.DataFrame) -> str:
    if kind == "table":
        rows = [content.columns, ["---"] * content.shape[1], *content.to_numpy()]
        cells = [[_escaped(cell).replace("|", r"\|") for cell in row] for row in rows]
        return "\n".join("| " + " | ".join(row) + " |" for row in cells)
    if kind == "image":
        return f"![Average against worst class]({content})"
    return {"h1": "# ", "h2": "## ", "h3": "### ", "p": ""}[kind] + _escaped(content)


def _escaped(text: object) -> str:
    """One line of Markdown that shows ``text`` as it is: no tag, no link, no emphasis."""
    line = " ".join(str(text).split()).replace("&", "&amp;").replace("<", "&lt;")
    return re.sub(r"[\\`*_]|\](?=\()", r"\\\g<0>", line)


def _html(kind: str, content: str | pd.DataFrame) -> str:
    if kind == "table":
        return content.to_html(index=False, escape=True, border=0)
    if kind == "image":
        return f'<img src="{content}" alt="Average against worst class">'
    return f"<{kind}>{html.escape(' '.join(str(content).split()))}</{kind}>"
