"""Methods along one column of a study, as a page: training length, images, softness of the labels.

A method is a name in the spec, see `rdlite.studies.spec.GridSpec`; here it has several settings.
"""

from __future__ import annotations

from itertools import cycle
from pathlib import Path
from typing import NamedTuple

import pandas as pd
from matplotlib.axes import Axes

from rdlite.guards import checks, files
from rdlite.plots import PURPLE, TEACHER_STYLES, TEACHER_WORDS, axes
from rdlite.studies import figures, pages
from rdlite.studies.comparison import POINT, Estimate
from rdlite.studies.results import Results, with_error
from rdlite.studies.table import SETTINGS

TEMPLATE = Path(__file__).with_name("sweep.jinja")
BASE = "no teacher"  # what gains are taken against, where the spec has this name
FITS = "standard student"  # whose training accuracy says how well networks of a length fit
OTHERS = (  # looks of what has no teacher's name
    {"color": "black", "marker": "x", "linestyle": ":"},
    {"color": PURPLE, "marker": "v", "linestyle": "--"},
    {"color": "saddlebrown", "marker": "P", "linestyle": "-."},
)


class Point(NamedTuple):
    """One setting of one method."""

    name: str
    at: float  # where it lies on the axis
    rows: pd.DataFrame  # seed by seed


def write(study: Results, over: str, out: str | Path) -> list[Path]:
    """Write report.md, report.html and a figure; returns their paths.

    Args:
        study: a finished study such as `rdlite/recipes/length.toml`.
        over: a column of numbers, such as ``"epochs"`` or ``"label_entropy"``.
        out: the folder, made if it is not there.

    Raises:
        ValueError: see `points`.
        OSError: the folder cannot be written.
    """
    checks.instance("study", study, Results, "; see rdlite.studies.results.read")
    rows, out = table(study, over), files.folder(out, "out")
    image = figures.save(
        out / f"{over}.png", (9.6, 5.0), 130, lambda ax: figure(study, over, ax=ax)
    )
    words = f"Worst-class accuracy over {over.replace('_', ' ')}, a line a method"
    page = {"rows": rows, "table": study.table, "first": study.spec.first, "base": BASE}
    title = f"Worst class by {over.replace('_', ' ')}"
    return [*pages.write(out, TEMPLATE, title, **page, picture=(image.name, words)), image]


def points(study: Results, over: str) -> list[Point]:
    """The settings of every name, in its order along the numbers of the column ``over``.

    Raises:
        ValueError: a spec without names, no such column, or one that is not of numbers.
    """
    named = study.spec.named
    checks.expect(list(named) != [""], "the study's spec", "give its methods names", "none")
    numbers = [name for name in study.table.select_dtypes("number") if name != "seed"]
    checks.choice("over", over, numbers)
    found = []
    for name, runs in named.items():
        rows = study.rows(runs)
        keys = [key for key in SETTINGS if key in rows]
        for _, own in rows.groupby(keys, sort=False, dropna=False):
            found.append(Point(name, float(own[over].mean()), own.sort_values("seed")))
    order = list(named)
    return sorted(found, key=lambda one: (order.index(one.name), one.at))


def gain(point: Point, every: list[Point], measure: str) -> Estimate | None:
    """A setting minus `BASE`, seed by seed: at the same place, or where that has one place only."""
    base = [one for one in every if one.name == BASE and one.name != point.name]
    base = base if len(base) == 1 else [one for one in base if one.at == point.at]
    if not base:
        return None
    return Estimate.of(point.rows[measure].to_numpy() - base[0].rows[measure].to_numpy())


def table(study: Results, over: str) -> pd.DataFrame:
    """A row a setting: accuracies, how well its training images are fitted, gains over `BASE`."""
    every = points(study, over)
    lines = []
    for point in every:
        rows, line = point.rows, {"method": point.name, "setting": _setting(point, every)}
        for measure, words in zip(POINT[::-1], ("worst class", "average"), strict=True):
            line[words] = with_error(rows[measure].mean(), rows[measure].sem(), len(rows))
            lead = gain(point, every, measure)
            line[f"{words}, minus {BASE}"] = "" if lead is None else str(lead)
        for column in ("train_accuracy", "label_entropy", "heldout_label_entropy"):
            mean = rows[column].mean()
            line[column.replace("heldout", "held-out").replace("_", " ")] = (
                "" if pd.isna(mean) else f"{mean:.3f}"
            )
        lines.append(line)
    return pd.DataFrame(lines)


def _setting(point: Point, every: list[Point]) -> str:
    """What its name has several of, and the value here."""
    own = pd.concat([one.rows for one in every if one.name == point.name])
    varied = [key for key in SETTINGS if key in own and own[key].nunique() > 1]
    return ", ".join(f"{key.replace('_', ' ')} {point.rows[key].iloc[0]:g}" for key in varied)


def figure(study: Results, over: str, measure: str = "worst", ax: Axes | None = None) -> Axes:
    """Worst class (or average) over the column, a line a name; strokes are 95 % intervals.

    Under a place stands the training accuracy of `FITS` there, if the spec has that name.
    """
    ax, every = axes(ax, 9.6, 5.0), points(study, over)
    names = list(dict.fromkeys(one.name for one in every))
    others = cycle(OTHERS)
    for name in names:
        own = [one for one in every if one.name == name]
        estimates = [Estimate.of(one.rows[measure].to_numpy()) for one in own]
        error = [[e.mean - e.low for e in estimates], [e.high - e.mean for e in estimates]]
        style = _style(name) or next(others)
        means, at = [e.mean for e in estimates], [one.at for one in own]
        ax.errorbar(at, means, error, label=name, elinewidth=0.6, markersize=5, **style)
    if over in SETTINGS and min(one.at for one in every) > 0:
        places = sorted({one.at for one in every})
        fits = {
            one.at: f"\n{one.rows.train_accuracy.mean():.2f}" for one in every if one.name == FITS
        }
        ax.set_xscale("log")
        ax.set_xticks(places, [f"{at:g}{fits.get(at, '')}" for at in places])
        ax.minorticks_off()
    below = f"\nbelow: training accuracy of the {FITS}" if FITS in names else ""
    ax.set_xlabel(f"{over.replace('_', ' ')}{below}")
    ax.set_ylabel({"worst": "worst-class accuracy", "average": "average accuracy"}[measure])
    ax.figure.legend(frameon=False, loc="outside right upper", fontsize=8)
    return ax


def _style(name: str) -> dict:
    """The look of the teacher whose words begin the name, open where more words follow."""
    for teacher, words in TEACHER_WORDS.items():
        if name.startswith(words):
            return TEACHER_STYLES[teacher] | {"fillstyle": "full" if name == words else "none"}
    return {}
