"""The teacher x student grid: every run trained, into one tidy table.

`run_grid` trains many small runs side by side, `train` large ones one after another, each on all
devices. A finished run is a file in a store, so a killed grid goes on where it was.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterable
from pathlib import Path

import joblib
import pandas as pd
import torch

from rdlite.guards import checks, files
from rdlite.studies.results import CELL
from rdlite.studies.run import Run
from rdlite.studies.spec import NO_TEACHER, GridSpec
from rdlite.studies.store import Store
from rdlite.training import devices
from rdlite.training.checkpoints import Checkpoint

PROCESSES_ON_A_GPU = 4  # they share it
BAR_FORMAT = "{desc} {n_fmt}/{total_fmt} |{bar}| {elapsed} gone, about {remaining} left"
COLUMNS = [
    *CELL,
    "seed",
    "average",
    "worst",
    "worst_class",
    "seconds",
    "heldout_average",
    "heldout_worst",
    "robust_loss",
    "calibration",
    "teacher_worst",
    "teacher_calibration",
    "per_class",
    "multipliers",
]


class Diverged(FloatingPointError):
    """Runs of a grid diverged; the others are finished.

    Attributes:
        table: of the finished ones, see `frame`.
    """

    def __init__(self, troubles: Iterable[str], table: pd.DataFrame, students: int) -> None:
        troubles = list(troubles)
        super().__init__(
            f"{len(troubles)} networks diverged, {len(table)} of {students} students are finished; "
            "students of a teacher that diverged were not trained\n" + "\n".join(troubles)
        )
        self.table = table


def run_grid(
    spec: GridSpec,
    *,
    executor: joblib.Parallel | str | object | None = None,
    store: str | Path | None = None,
    progress: bool = True,
) -> pd.DataFrame:
    """Train every run of ``spec`` and return one row a trained student.

    Args:
        spec: the grid.
        executor: by default one process a core, each of one thread (small networks train fastest
            so); 4 on a GPU. Otherwise the address of a Dask scheduler or a
            `dask.distributed.Client`, whose workers must see the same ``store``, or a
            `joblib.Parallel` that returns ``"generator_unordered"``.
        store: the folder that keeps finished runs and the teachers' weights, see
            `rdlite.studies.store.Store`: what is there is not trained again. By default thrown
            away.
        progress: show a bar with the time left.

    Returns:
        The table of `frame`. Ctrl-C ends the grid early: the rows are then those that are
        finished.

    Raises:
        Diverged: at the end, if training diverged; the message says which runs and where, and
            ``table`` holds the finished ones.
        OSError: a result cannot be written; what is in the store is intact.
    """
    from tqdm.auto import tqdm

    checks.instance("spec", spec, GridSpec, "; GridSpec.from_file reads a file")
    checks.require(
        executor is None
        or isinstance(executor, (joblib.Parallel, str))
        or hasattr(executor, "submit"),
        f"executor must be a joblib.Parallel, a Dask client or its address, got {executor!r}",
    )
    if store is not None:
        files.folder(store, "store")
    runs = spec.runs()
    teachers = list(dict.fromkeys(run.teacher for run in runs if run.teacher))
    for run in {run.network: run for run in runs + teachers}.values():
        run.create(spec.device)  # here first: bad arguments are found, archives are unpacked
    with contextlib.ExitStack() as stack:
        executor = _parallel(executor, spec.device, stack)
        folder = store or stack.enter_context(tempfile.TemporaryDirectory())
        kept = Store(folder, spec.device)
        waiting = [(run, True) for run in teachers]
        waiting += [(run, False) for run in runs if run.teacher is None]
        taught = [(run, False) for run in runs if run.teacher]
        total = len(waiting) + len(taught)
        bar = stack.enter_context(
            tqdm(
                total=total,
                desc="networks",
                bar_format=BAR_FORMAT,
                smoothing=0,
                disable=not progress,
            )
        )
        troubles: dict[Run, str] = {}  # what diverged, and where
        with contextlib.suppress(KeyboardInterrupt):
            for stage in (waiting, taught):
                stage = [(run, weights) for run, weights in stage if run.teacher not in troubles]
                for wait in (False, True):  # first those that no other process has
                    jobs = [joblib.delayed(_finish)(kept, *job, wait) for job in stage]
                    stage = []
                    for run, weights, finished, trouble in executor(jobs):
                        bar.update(finished)
                        stage += [] if finished else [(run, weights)]
                        troubles |= {run: trouble} if trouble else {}
        table = frame(runs, kept)
    if troubles:
        raise Diverged(troubles.values(), table, len(runs))
    return table


def train(
    spec: GridSpec,
    store: str | Path,
    *,
    every: int = 1,
    resume: bool = False,
    progress: bool = True,
) -> pd.DataFrame:
    """Train every run of ``spec``, one after another, and keep the weights of each.

    Under torchrun every process calls this, and each run is trained by all of them together, see
    `rdlite.training.devices`; they must see the same ``store``.

    Args:
        spec: the grid.
        store: the folder for cards and weights, see `rdlite.studies.store.Store`, and
            ``checkpoint.pt``.
        every: rounds from one checkpoint to the next.
        resume: go on with the run that was stopped.
        progress: print what is trained, with a bar.

    Returns:
        The table of `frame`.

    Raises:
        ValueError: a run was stopped and ``resume`` is not given, or it was another run.
        Stopped: SIGINT or SIGTERM came, and the checkpoint is written.
        FloatingPointError: a run diverged; the message names it and the step, and the checkpoint of
            its last good round stays.
        OSError: the store cannot be written; checkpoint and finished runs are intact.
    """
    checks.instance("spec", spec, GridSpec, "; GridSpec.from_file reads a file")
    runs, kept = spec.runs(), Store(store, spec.device)
    progress = progress and devices.rank() == 0
    how = {"path": kept.folder / "checkpoint.pt", "every": every, "resume": resume}
    checks.require(
        resume or Checkpoint(**how).read() is None,
        f"{how['path']} is of a run that was stopped: go on with it (--resume), or delete it",
    )
    teachers = [run.teacher for run in runs if run.teacher]
    networks = list(dict.fromkeys(teachers + runs))
    for number, run in enumerate(networks, 1):
        checkpoint = Checkpoint(**how, about={"run": run.about})
        if not devices.of_first(kept.done(run, weights=True)):
            if progress:
                print(f"{number}/{len(networks)}  {run.label}", flush=True)
            kept.finish(run, weights=True, checkpoint=checkpoint, progress=progress)
        if devices.of_first(checkpoint.is_mine()):  # or it was killed after the card was written
            checkpoint.remove()
    return frame(runs, kept)


def processes(device: str) -> int:
    """How many train side by side where no executor is given."""
    return joblib.cpu_count() if device == "cpu" else PROCESSES_ON_A_GPU


def _parallel(
    executor: joblib.Parallel | str | object | None, device: str, stack: contextlib.ExitStack
) -> joblib.Parallel:
    """What runs the jobs, until ``stack`` is closed."""
    if isinstance(executor, joblib.Parallel):
        return executor
    if executor is None:
        return joblib.Parallel(n_jobs=processes(device), return_as="generator_unordered")
    from dask.distributed import Client

    client = stack.enter_context(Client(executor)) if isinstance(executor, str) else executor
    stack.enter_context(joblib.parallel_config(backend="dask", client=client))
    return joblib.Parallel(return_as="generator_unordered")


def _finish(store: Store, run: Run, weights: bool, wait: bool) -> tuple[Run, bool, bool, str]:
    torch.set_num_threads(1)
    try:
        return run, weights, store.finish(run, weights=weights, wait=wait), ""
    except FloatingPointError as error:
        return run, weights, True, str(error)


def frame(runs: Iterable[Run], store: Store) -> pd.DataFrame:
    """One row a finished run, in the order of ``runs``.

    Columns: those of `CELL`, which say what was trained (the networks, the names of the teacher's
    and the student's objective, alpha of the student, ...), seed (of the splits), average, worst,
    worst_class (its name), seconds, heldout_average, heldout_worst, robust_loss (largest class
    risk, nats), calibration (mean over classes of `class_calibration`, held-out images),
    teacher_worst, teacher_calibration, per_class (a list of m accuracies) and multipliers (a list
    of m, of the last round). Accuracies are fractions of the test set unless they say held-out.
    """
    rows = []
    for run in runs:
        result = store.result(run)
        if result is not None:
            teacher = (store.result(run.teacher) or {}) if run.teacher else {}
            labels = {
                "imbalance": run.imbalance,
                "head": run.head,
                "method": run.method,
                "teacher_network": run.teacher.network if run.teacher else NO_TEACHER,
                "student_network": run.network,
                "teacher": run.teacher.objective.name if run.teacher else NO_TEACHER,
                "student": run.objective.name,
                "alpha": run.objective.alpha,
                "heldout_labels": run.heldout_labels,
                "temperature": run.temperature,
                "learning_rate": run.config.learning_rate,
                "seed": run.seed,
                "teacher_worst": teacher.get("worst"),
                "teacher_calibration": teacher.get("calibration"),
            }
            rows.append(labels | result)
    return pd.DataFrame(rows, columns=COLUMNS)
