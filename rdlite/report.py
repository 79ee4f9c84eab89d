"""A study of many methods as a page: tables, frontiers, and which claims hold.

Settings are chosen on held-out images only, by one rule for every method: of the runs that differ
in temperature or learning rate alone, those with the largest mean held-out worst-class accuracy
over the seeds; among equals the largest mean held-out average. The test set is for the report.

Intervals are 95 % percentile intervals of a paired bootstrap: seeds are drawn again, the same ones
for all methods. With few seeds they are too narrow. A claim whose interval holds 0 is ``unclear``.
"""

from __future__ import annotations

import html
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from rdlite import checks, files
from rdlite.metrics import hypervolume
from rdlite.results import Results

TASK = ["imbalance", "head"]
CANDIDATES = ["temperature", "learning_rate"]
METHOD = ["method", "teacher_network", "student_network", "teacher", "student", "heldout_labels"]
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
}
BASELINES = [name for name in WORDS.values() if name != OURS]


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds with its interval."""

    mean: float
    low: float
    high: float

    @classmethod
    def of(cls, values: np.ndarray, statistic: Callable[[np.ndarray], float] = np.mean) -> Estimate:
        """``statistic`` of values (seeds, ...), and of resampled seeds.

        >>> Estimate.of(np.array([0.25, 0.25]))
        Estimate(mean=0.25, low=0.25, high=0.25)
        """
        random = np.random.default_rng(0)
        picks = random.integers(len(values), size=(DRAWS, len(values)))
        low, high = np.quantile([statistic(values[pick]) for pick in picks], [0.025, 0.975])
        return cls(float(statistic(values)), float(low), float(high))

    @property
    def verdict(self) -> str:
        """Whether it is above 0: ``holds``, ``does not`` or ``unclear``."""
        return "holds" if self.low > 0 else "does not" if self.high < 0 else "unclear"

    def __str__(self) -> str:
        return f"{self.mean:+.3f} [{self.low:+.3f}, {self.high:+.3f}]"


def chosen(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of each method's chosen setting, see the top of this module.

    Reads ``heldout_worst`` and ``heldout_average`` only; runs of a tradeoff alpha are left out.
    """
    named = table[table.student.isin(["standard", "balanced", "robust"])]
    keys = [*TASK, *METHOD]
    means = named.groupby([*keys, *CANDIDATES], sort=False)[["heldout_worst", "heldout_average"]]
    ranked = means.mean().round(9).reset_index().sort_values(
        ["heldout_worst", "heldout_average"], ascending=False, kind="stable"
    )  # fmt: skip
    best = ranked.drop_duplicates(keys)[[*keys, *CANDIDATES]]
    return named.merge(best, on=[*keys, *CANDIDATES], how="inner")


def methods(rows: pd.DataFrame, pair: tuple[str, str]) -> dict[str, pd.DataFrame]:
    """Name -> the rows, seed by seed, of each method of `WORDS` that one task's rows have.

    Args:
        rows: of one task, chosen.
        pair: the networks of methods with a teacher, (teacher's, student's).
    """
    found = {}
    for (method, teacher, student), name in WORDS.items():
        labels = "one-hot" if teacher == "none" else "teacher"
        own = {"method": method, "teacher": teacher, "student": student, "heldout_labels": labels}
        networks = {"teacher_network": "none" if teacher == "none" else pair[0]}
        cell = _where(rows, **own, **networks, student_network=pair[1])
        if len(cell):
            found[name] = cell.sort_values("seed")
    return found


def _where(rows: pd.DataFrame, **values: object) -> pd.DataFrame:
    for column, value in values.items():
        rows = rows[rows[column] == value]
    return rows


def _difference(a: pd.DataFrame, b: pd.DataFrame, column: str = "worst") -> np.ndarray:
    """(seeds,) of a minus b; both must have the same seeds."""
    checks.require(
        a.seed.tolist() == b.seed.tolist(),
        f"table must have the same seeds for every method, got {a.seed.tolist()} and "
        f"{b.seed.tolist()}; is the study finished?",
    )
    return a[column].to_numpy() - b[column].to_numpy()


def frontier(rows: pd.DataFrame, teacher: str, pair: tuple[str, str]) -> np.ndarray:
    """(seeds, alphas, 2), average and worst of every alpha of one teacher; anchor balanced."""
    labels = "one-hot" if teacher == "none" else "teacher"
    network = "none" if teacher == "none" else pair[0]
    own = {"method": "fit", "teacher": teacher, "heldout_labels": labels, "temperature": 1.0}
    cells = _where(rows, **own, teacher_network=network, student_network=pair[1])
    cells = cells[(cells.student != "standard") & (cells.learning_rate == _usual_rate(rows))]
    cells = cells.drop_duplicates(["seed", "alpha"]).sort_values(["seed", "alpha"])
    return cells[["average", "worst"]].to_numpy().reshape(cells.seed.nunique(), -1, 2)


def _usual_rate(rows: pd.DataFrame) -> float:
    """The learning rate of the alphas: that of most runs."""
    return rows.learning_rate.mode()[0]


def claims(table: pd.DataFrame, pair: tuple[str, str], class_names: tuple[str, ...]) -> list[dict]:
    """Claim of the paper -> what was measured -> verdict, one dict a claim and task."""
    rows = []
    best = chosen(table)
    for (imbalance, head), task in table.groupby(TASK, sort=False):
        known = methods(_where(best, imbalance=imbalance, head=head), pair)
        judged = [
            _uneven_gains(known, class_names),
            _better_worst_class(known),
            _dominating_frontier(task, known, pair),
            _robust_teacher(known, _where(best, imbalance=imbalance, head=head), pair),
            _calibration(task, pair),
        ]
        about = {"imbalance": imbalance, "head": head}
        rows += [{**about, **claim} for claim in judged]
    return rows


def _uneven_gains(known: dict[str, pd.DataFrame], class_names: tuple[str, ...]) -> dict:
    """Claim (a), at the level of all classes together: intervals of 1 - 0.05 / m each."""
    kd, alone = known["standard KD"], known["no distillation, standard"]
    _difference(kd, alone)
    gain = np.array(kd.per_class.tolist()) - np.array(alone.per_class.tolist())  # (seeds, m)
    apart = gain - gain.mean(1, keepdims=True)
    random = np.random.default_rng(0)
    picks = random.integers(len(gain), size=(DRAWS, len(gain)))
    share = 0.025 / gain.shape[1]
    low, high = np.quantile(apart[picks].mean(1), [share, 1 - share], axis=0)
    uneven = (low > 0).any() and (high < 0).any()
    mean = gain.mean(0)
    top, bottom = int(mean.argmax()), int(mean.argmin())
    return {
        "claim": "(a) KD's gains are uneven over classes",
        "measured": f"average {mean.mean():+.3f}; most {class_names[top]} {mean[top]:+.3f}, least "
        f"{class_names[bottom]} {mean[bottom]:+.3f}",
        "verdict": "holds" if uneven else "unclear",
    }


def _better_worst_class(known: dict[str, pd.DataFrame]) -> dict:
    lead = {
        name: Estimate.of(_difference(known[OURS], known[name]))
        for name in BASELINES
        if name in known
    }
    least = min(lead, key=lambda name: lead[name].mean)
    verdicts = [estimate.verdict for estimate in lead.values()]
    verdict = next((v for v in ("does not", "unclear") if v in verdicts), "holds")
    return {
        "claim": "(b) robust distillation has the better worst class than each baseline",
        "measured": f"ahead of {verdicts.count('holds')} of {len(lead)}; least of {least}: "
        f"{lead[least]}",
        "verdict": verdict,
    }


def _dominating_frontier(
    task: pd.DataFrame, known: dict[str, pd.DataFrame], pair: tuple[str, str]
) -> dict:
    ours = frontier(task, "standard", pair)
    mean = ours.mean(0)  # (alphas, 2)
    beaten = [
        name
        for name, rows in known.items()
        if name in BASELINES and (mean > rows[["average", "worst"]].mean().to_numpy()).all(1).any()
    ]
    lead = Estimate.of(_areas(ours) - _areas(frontier(task, "none", pair)))
    rivals = sum(name in BASELINES for name in known)
    verdict = lead.verdict if len(beaten) == rivals else "does not"
    return {
        "claim": "(c) its frontier dominates",
        "measured": f"dominates the means of {len(beaten)} of {rivals} baselines; area "
        f"minus that of the same alphas without a teacher {lead}",
        "verdict": verdict,
    }


def _areas(points: np.ndarray) -> np.ndarray:
    """(seeds,) hypervolumes of (seeds, alphas, 2)."""
    return np.array([hypervolume(seed) for seed in points])


def _robust_teacher(
    known: dict[str, pd.DataFrame], rows: pd.DataFrame, pair: tuple[str, str]
) -> dict:
    own = {"method": "fit", "teacher": "robust", "student": "robust", "heldout_labels": "teacher"}
    taught = _where(rows, **own, teacher_network=pair[0], student_network=pair[1])
    lead = Estimate.of(_difference(known[OURS], taught.sort_values("seed")))
    return {
        "claim": "(d) a robust teacher does not always give the more robust student",
        "measured": f"robust student: standard teacher minus robust teacher, worst class {lead}",
        "verdict": lead.verdict,
    }


def _calibration(task: pd.DataFrame, pair: tuple[str, str]) -> dict:
    """Rank correlation over teachers, within each seed, averaged over the seeds."""
    own = {"method": "fit", "student": "robust", "heldout_labels": "teacher", "temperature": 1.0}
    rows = _where(task, **own, student_network=pair[1])
    rows = rows[rows.teacher != "none"]
    correlations = np.array(
        [
            one[["teacher_calibration", "robust_loss"]].rank().corr().iloc[0, 1]
            for _, one in rows.groupby("seed")
        ]
    )
    estimate = Estimate.of(correlations)
    return {
        "claim": "(e) the teacher's per-class calibration predicts the student's robust loss",
        "measured": f"rank correlation of calibration error and robust loss over "
        f"{len(rows) // len(correlations)} teachers {estimate}",
        "verdict": estimate.verdict,
    }


def method_table(rows: pd.DataFrame, pair: tuple[str, str]) -> pd.DataFrame:
    """One task's chosen rows as a table: a row a method, what was chosen, and its numbers."""
    known = methods(rows, pair)
    lines = []
    for name, cell in known.items():
        first = cell.iloc[0]
        setting = f"T = {first.temperature:g}" if first.teacher != "none" else ""
        lead = "" if name == OURS else str(Estimate.of(_difference(cell, known[OURS])))
        lines.append(
            {
                "method": name,
                "chosen": setting or f"learning rate {first.learning_rate:g}",
                "worst class": _mean(cell.worst),
                "average": _mean(cell.average),
                f"worst class minus {OURS}": lead,
            }
        )
    return pd.DataFrame(lines)


def grid_table(rows: pd.DataFrame) -> pd.DataFrame:
    """One task's teachers x students, both kinds of held-out labels, all pairs of networks."""
    cells = _where(rows, method="fit").groupby(
        ["teacher_network", "student_network", "teacher", "student", "heldout_labels"], sort=False
    )
    lines = [
        {
            "networks": f"{big} -> {small}" if big != "none" else small,
            "teacher": teacher,
            "student": student,
            "held-out labels": labels,
            "worst class": _mean(cell.worst),
            "average": _mean(cell.average),
        }
        for (big, small, teacher, student, labels), cell in cells
    ]
    return pd.DataFrame(lines)


def area_table(task: pd.DataFrame, pair: tuple[str, str]) -> pd.DataFrame:
    """One task's frontiers over alpha: area below each, and paired against no teacher."""
    alone = _areas(frontier(task, "none", pair))
    lines = []
    for teacher in dict.fromkeys(task.teacher):
        points = frontier(task, teacher, pair)
        area = _areas(points)
        lead = "" if teacher == "none" else str(Estimate.of(area - alone))
        lines.append(
            {
                "teacher": teacher,
                "students": points.shape[1],
                "area (hypervolume)": f"{area.mean():.3f}",
                "area minus no teacher": lead,
            }
        )
    return pd.DataFrame(lines)


def _tried(table: pd.DataFrame) -> str:
    """How many settings the methods of `WORDS` had to choose from, in words."""
    named = table[table.student.isin(["standard", "balanced", "robust"])]
    named = named[(named.teacher == "none") | (named.teacher == "standard")]
    settings = named.drop_duplicates([*TASK, *METHOD, *CANDIDATES]).groupby([*TASK, *METHOD]).size()
    low, high = int(settings.min()), int(settings.max())
    return f"{low}" if low == high else f"{low} to {high}"


def _mean(values: pd.Series) -> str:
    error = f" ± {values.sem():.3f}" if len(values) > 1 else ""
    return f"{values.mean():.3f}{error}"


def write(results: Results, out: str | Path) -> list[Path]:
    """Write report.md, report.html and a figure a task; returns their paths.

    Args:
        results: a finished study such as `rdlite/recipes/comparison.toml`.
        out: the folder, made if it is not there.

    Raises:
        ValueError: methods that were not trained with the same seeds.
        OSError: the folder cannot be written.
    """
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    table, pair = results.table, tuple(results.spec.networks[0])
    best = chosen(table)
    parts: list[tuple[str, str | pd.DataFrame | Path]] = [
        ("h1", "Robust distillation against the other methods"),
        (
            "p",
            f"{len(table):,} students on {results.spec.dataset}, {table.seed.nunique()} seeds, "
            f"{pair[1]} taught by {pair[0]}. Accuracies are fractions of the test set, ± one "
            "standard error over seeds; brackets are 95 % intervals of a paired bootstrap over "
            "seeds, which are too narrow with few seeds. Each method's setting was chosen on "
            "held-out images: the largest mean held-out worst-class accuracy, the same rule for "
            f"all, out of {_tried(table)} a method.",
        ),
        ("h2", "Claim, measurement, verdict"),
    ]
    judged = pd.DataFrame(claims(table, pair, results.class_names))
    parts.append(("table", judged))
    figures = []
    for (imbalance, head), task in table.groupby(TASK, sort=False):
        rows = _where(best, imbalance=imbalance, head=head)
        figures.append(out / f"frontier-{imbalance:g}-{head}.png")
        _draw(task, rows, pair, figures[-1])
        parts += [
            ("h2", f"Imbalance {imbalance:g}, {head:,} images of the largest class"),
            ("image", figures[-1]),
            ("table", method_table(rows, pair)),
            ("h3", "Every alpha"),
            ("table", area_table(task, pair)),
            ("h3", "Teacher x student"),
            ("table", grid_table(rows)),
        ]
    pages = {"report.md": _markdown(parts), "report.html": _html(parts)}
    for name, text in pages.items():
        with files.whole(out / name) as file:
            file.write_text(text, encoding="utf-8")
    return [*(out / name for name in pages), *figures]


def _draw(task: pd.DataFrame, rows: pd.DataFrame, pair: tuple[str, str], file: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    from rdlite.plots import GREY, ORANGE, TEACHER_COLOURS, TEACHER_WORDS

    ax = plt.subplots(figsize=(8.4, 5.4), layout="constrained")[1]
    styles = dict(zip(TEACHER_COLOURS, (":D", "-o", "-.^", "--s"), strict=True))
    for teacher in (name for name in TEACHER_COLOURS if name in set(task.teacher)):
        points = frontier(task, teacher, pair).mean(0)
        how = {"color": TEACHER_COLOURS[teacher], "markersize": 4}
        ax.plot(*points.T, styles[teacher], label=TEACHER_WORDS[teacher], **how)
    for name, cell in methods(rows, pair).items():
        x, y = cell.average.mean(), cell.worst.mean()
        ours = name == OURS
        ax.plot(x, y, "*" if ours else "x", color=ORANGE if ours else GREY, markersize=9)
        ax.annotate(name, (x, y), xytext=(5, -3), textcoords="offset points", fontsize=7)
    ax.set(ylim=(0, 1), xlabel="average accuracy (test set; cut axis)")
    ax.set_ylabel("worst-class accuracy")
    ax.set_title("Every alpha of each teacher (lines) and the other methods (crosses)")
    ax.legend(frameon=False, loc="upper left")
    with files.whole(file) as whole:
        ax.figure.savefig(whole, dpi=130, format="png")
    plt.close(ax.figure)


def _markdown(parts: list[tuple[str, object]]) -> str:
    lines = []
    for kind, content in parts:
        if kind == "table":
            rows = [content.columns, ["---"] * content.shape[1], *content.to_numpy()]
            cells = [
                [str(cell).replace("|", r"\|").replace("<", "&lt;") for cell in r] for r in rows
            ]
            lines.append("\n".join("| " + " | ".join(row) + " |" for row in cells))
        elif kind == "image":
            lines.append(f"![Average against worst class]({content.name})")
        else:
            level = {"h1": "# ", "h2": "## ", "h3": "### ", "p": ""}[kind]
            lines.append(level + str(content).replace("<", "&lt;"))
    return "\n\n".join(lines) + "\n"


def _html(parts: list[tuple[str, object]]) -> str:
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
