"""The main job: the teacher x student grid on real photographs, with its table and figures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from rdlite import data, plots
from rdlite.guards import files
from rdlite.studies import figures
from rdlite.studies.grid import Diverged, run_grid
from rdlite.studies.results import cell_statistics, where, with_error
from rdlite.studies.spec import GridSpec

SHOWN = {  # words -> teacher and student
    "standard student, no teacher": ("none", "standard"),
    "standard distillation": ("standard", "standard"),
    "robust student, no teacher": ("none", "robust"),
    "robust distillation": ("standard", "robust"),
}


def train_and_write(spec: GridSpec, out: Path, *, progress: bool = True) -> pd.DataFrame:
    """Train the grid of ``spec``, print the table and write grid.csv, grid.png and classes.png.

    Args:
        spec: the grid.
        out: the folder to write into, made if it is not there.
        progress: show a bar with the time left.

    Returns:
        The table of `rdlite.studies.run_grid`; after Ctrl-C, the students that were finished.

    Raises:
        OSError: ``out`` cannot be written.
        Diverged: training diverged; grid.csv has the students that are finished.
    """
    grid_file = files.folder(out, "out") / "grid.csv"  # better found now than after the training
    try:
        table = run_grid(spec, progress=progress)
    except Diverged as error:
        _keep(error.table, grid_file)
        raise
    _keep(table, grid_file)
    planned = len(spec.runs())
    if len(table) < planned:
        print(f"Stopped: {len(table)} of {planned} students are finished and kept in {grid_file}")
    if table.empty:
        return table
    splits = spec.runs()[0].splits()
    print(text_table(table))
    if sentence := finding(table, splits.class_names):
        print(sentence)
    drawn = _draw(table, splits, out)
    print("Written:", ", ".join(map(str, [grid_file, *drawn])))
    return table


def _keep(table: pd.DataFrame, file: Path) -> None:
    with files.whole(file) as whole:
        table.drop(columns=["per_class", "multipliers"]).round(4).to_csv(whole, index=False)


def text_table(table: pd.DataFrame) -> str:
    """The grid as text: worst and average accuracy, mean and standard error over seeds."""
    head = f"{'teacher':<10}{'student':<10}{'held-out labels':<17}{'worst class':<15}{'average'}"
    lines = [head, "-" * 67]
    for cell in cell_statistics(table).itertuples():
        worst = with_error(cell.worst, cell.worst_error, cell.seeds)
        average = with_error(cell.average, cell.average_error, cell.seeds)
        lines.append(
            f"{cell.teacher:<10}{cell.student:<10}{cell.heldout_labels:<17}{worst:<15}{average}"
        )
    seeds = table.seed.nunique()
    how = f"{seeds} seeds, ± one standard error" if seeds > 1 else "one seed, so no error bar"
    return "\n".join([*lines, f"Test accuracy as a fraction; {how}."])


def _shown(table: pd.DataFrame) -> dict[str, np.ndarray]:
    """Accuracies (seeds, m) of the students of `SHOWN`; empty if one is missing."""
    found = {}
    for words, (teacher, student) in SHOWN.items():
        cell = where(table, teacher=teacher, student=student)
        first = cell[cell.heldout_labels.isin(cell.heldout_labels.head(1))]
        found[words] = np.array(first.per_class.tolist())
    return found if all(map(len, found.values())) else {}


def _abandoned(shown: dict[str, np.ndarray]) -> int:
    return int(shown["standard distillation"].mean(0).argmin())


def finding(table: pd.DataFrame, class_names: tuple[str, ...]) -> str:
    """What happened to the class, what the robust objective and what the teacher added.

    Empty if a student of `SHOWN` is missing.
    """
    if not (shown := _shown(table)):
        return ""
    k, runs = _abandoned(shown), shown.values()
    of_class = [f"{one[:, k].mean():.0%}" for one in runs]
    worst = [f"{one.min(1).mean():.3f}" for one in runs]
    average = [f"{one.mean():.3f}" for one in runs]
    return (
        f"Of the images of class {class_names[k]!r} the standard student recognises "
        f"{of_class[0]}, and after standard distillation {of_class[1]}; the robust student "
        f"{of_class[2]}, and with the standard teacher {of_class[3]}.\n"
        f"In this order the worst class is {', '.join(worst)}, the average {', '.join(average)}."
    )


def _draw(table: pd.DataFrame, splits: data.Splits, out: Path) -> list[Path]:
    def grid(ax: Axes) -> None:
        worst = table.groupby("student", sort=False).worst.mean()
        means = ", ".join(f"{student} {value:.2f}" for student, value in worst.items())
        title = f"Worst-class accuracy by student, mean over teachers:\n{means}"
        figures.grid(table, ax).set_title(title, loc="left")

    def classes(ax: Axes) -> None:
        bars = {words: runs for words, runs in shown.items() if words != next(iter(SHOWN))}
        plots.class_bars(bars, splits.class_names, splits.train.class_counts.tolist(), ax)
        k = _abandoned(shown)
        _, before, alone, taught = (runs[:, k].mean() for runs in shown.values())
        title = (
            f"{plots.plain(splits.class_names[k])}: {before:.0%} recognised, "
            f"{alone:.0%} by the robust student, {taught:.0%} with a teacher"
        )
        ax.set_title(title, loc="left", pad=42)

    drawn = [figures.save(out / "grid.png", (6.4, 5.2), 150, grid)]
    if shown := _shown(table):
        drawn.append(figures.save(out / "classes.png", (9.0, 4.4), 150, classes))
    return drawn
