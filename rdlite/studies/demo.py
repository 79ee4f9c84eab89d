"""The main job: the teacher x student grid on real photographs, with its table and figures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from rdlite import data
from rdlite.guards import files
from rdlite.studies.grid import Diverged, run_grid
from rdlite.studies.spec import GridSpec

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STANDARD_KD = ("standard", "standard")  # teacher, student
ROBUST_KD = ("standard", "robust")  # the pair was chosen on held-out data, see the README


def run(spec: GridSpec, out: Path, *, progress: bool = True) -> pd.DataFrame:
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
    figures = _draw(table, splits, out)
    print("Written:", ", ".join(map(str, [grid_file, *figures])))
    return table


def _keep(table: pd.DataFrame, file: Path) -> None:
    with files.whole(file) as whole:
        table.drop(columns=["per_class", "multipliers"]).round(4).to_csv(whole, index=False)


def text_table(table: pd.DataFrame) -> str:
    """The grid as text: worst and average accuracy, mean and standard error over seeds."""
    from rdlite.studies.results import cell_statistics

    seeds = table.seed.nunique()

    def with_error(value: float, error: float) -> str:
        return f"{value:.3f} ± {error:.3f}" if seeds > 1 else f"{value:.3f}"

    lines = [
        f"{'teacher':<10}{'student':<10}{'held-out labels':<17}{'worst class':<15}{'average':<15}",
        "-" * 67,
    ]
    for cell in cell_statistics(table).itertuples():
        worst = with_error(cell.worst, cell.worst_error)
        average = with_error(cell.average, cell.average_error)
        lines.append(
            f"{cell.teacher:<10}{cell.student:<10}{cell.heldout_labels:<17}{worst:<15}{average:<15}"
        )
    how = f"{seeds} seeds, ± one standard error" if seeds > 1 else "one seed, so no error bar"
    lines.append(f"Test accuracy as a fraction; {how}.")
    return "\n".join(line.rstrip() for line in lines)


def finding(table: pd.DataFrame, class_names: tuple[str, ...]) -> str:
    """What happened to which class, in one sentence; empty if a student of the pair is missing."""
    standard, robust = accuracies(table, *STANDARD_KD), accuracies(table, *ROBUST_KD)
    if not len(standard) or not len(robust):
        return ""
    before, after = standard.mean(0), robust.mean(0)
    k = int(before.argmin())
    return (
        f"Standard distillation recognises {before[k]:.0%} of the images of class "
        f"{class_names[k]!r}, the robust student of the same teacher {after[k]:.0%}; "
        f"the average goes from {before.mean():.3f} to {after.mean():.3f}."
    )


def accuracies(table: pd.DataFrame, teacher: str, student: str) -> np.ndarray:
    """Accuracies (seeds, m) of one cell's students, with the first kind of held-out labels."""
    cell = table[(table.teacher == teacher) & (table.student == student)]
    first = cell.heldout_labels.iloc[0] if len(cell) else None
    return np.array(cell[cell.heldout_labels == first].per_class.tolist())


def _draw(table: pd.DataFrame, splits: data.Splits, out: Path) -> list[Path]:
    import matplotlib

    matplotlib.use("Agg")

    from rdlite import plots
    from rdlite.studies import figures

    drawn = [out / "grid.png"]
    ax = figures.grid(table)
    worst = table.groupby("student", sort=False).worst.mean()
    means = ", ".join(f"{student} {value:.2f}" for student, value in worst.items())
    ax.set_title(f"Worst-class accuracy by student, mean over teachers:\n{means}", loc="left")
    _save(ax.figure, drawn[0])
    pair = {
        "standard distillation": accuracies(table, *STANDARD_KD),
        "robust student, same teacher": accuracies(table, *ROBUST_KD),
    }
    if all(len(runs) for runs in pair.values()):
        ax = plots.class_bars(pair, splits.class_names, splits.train.class_counts.tolist())
        before, after = (runs.mean(0) for runs in pair.values())
        k = int(before.argmin())
        name = plots.plain(splits.class_names[k])
        title = f"{name}: {before[k]:.0%} recognised, {after[k]:.0%} by the robust student"
        ax.set_title(title, loc="left", pad=26)
        drawn.append(out / "classes.png")
        _save(ax.figure, drawn[1])
    return drawn


def _save(figure: Figure, file: Path) -> None:
    import matplotlib.pyplot as plt

    with files.whole(file) as whole:
        figure.savefig(whole, dpi=150, format="png")
    plt.close(figure)
