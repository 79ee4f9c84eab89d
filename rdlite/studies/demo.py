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

PAIR = {  # students of the standard teacher; chosen on held-out data, see the README
    "standard distillation": "standard",
    "robust student, same teacher": "robust",
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


def _pair(table: pd.DataFrame) -> dict[str, np.ndarray]:
    """Accuracies (seeds, m) of both students of `PAIR`; empty if one is missing."""
    pair = {}
    for words, student in PAIR.items():
        cell = where(table, teacher="standard", student=student)
        first = cell[cell.heldout_labels.isin(cell.heldout_labels.head(1))]
        pair[words] = np.array(first.per_class.tolist())
    return pair if all(map(len, pair.values())) else {}


def finding(table: pd.DataFrame, class_names: tuple[str, ...]) -> str:
    """What happened to which class, in one sentence; empty if a student of the pair is missing."""
    if not (pair := _pair(table)):
        return ""
    before, after = (runs.mean(0) for runs in pair.values())
    k = int(before.argmin())
    return (
        f"Standard distillation recognises {before[k]:.0%} of the images of class "
        f"{class_names[k]!r}, the robust student of the same teacher {after[k]:.0%}; "
        f"the average goes from {before.mean():.3f} to {after.mean():.3f}."
    )


def _draw(table: pd.DataFrame, splits: data.Splits, out: Path) -> list[Path]:
    def grid(ax: Axes) -> None:
        worst = table.groupby("student", sort=False).worst.mean()
        means = ", ".join(f"{student} {value:.2f}" for student, value in worst.items())
        title = f"Worst-class accuracy by student, mean over teachers:\n{means}"
        figures.grid(table, ax).set_title(title, loc="left")

    def classes(ax: Axes) -> None:
        plots.class_bars(pair, splits.class_names, splits.train.class_counts.tolist(), ax)
        before, after = (runs.mean(0) for runs in pair.values())
        k = int(before.argmin())
        name = plots.plain(splits.class_names[k])
        title = f"{name}: {before[k]:.0%} recognised, {after[k]:.0%} by the robust student"
        ax.set_title(title, loc="left", pad=26)

    drawn = [figures.save(out / "grid.png", (6.4, 5.2), 150, grid)]
    if pair := _pair(table):
        drawn.append(figures.save(out / "classes.png", (9.0, 4.4), 150, classes))
    return drawn
