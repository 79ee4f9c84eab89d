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

from rdlite.guards import checks
from rdlite.studies.run import Run
from rdlite.studies.spec import GridSpec
from rdlite.studies.store import Store
from rdlite.studies.table import frame
from rdlite.training import devices
from rdlite.training.checkpoints import Checkpoint

PROCESSES_ON_A_GPU = 4  # they share it
BAR_FORMAT = "{desc} {n_fmt}/{total_fmt} |{bar}| {elapsed} gone, about {remaining} left"


class Diverged(FloatingPointError):
    """Runs of a grid diverged; the others are finished.

    Attributes:
        table: of the finished ones, see `rdlite.studies.table.frame`.
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
        The table of `rdlite.studies.table.frame`. Ctrl-C ends the grid early: the rows are then
        those that are finished.

    Raises:
        Diverged: at the end, if training diverged; the message says which runs and where, and
            ``table`` holds the finished ones.
        OSError: a result cannot be written; what is in the store is intact.
    """
    from tqdm.auto import tqdm

    good = isinstance(executor, (joblib.Parallel, str, type(None))) or hasattr(executor, "submit")
    wanted = "be a joblib.Parallel, a Dask client or its address"
    checks.expect(good, "executor", wanted, repr(executor))
    teachers, students = networks(spec)
    device, weights = spec.device or "cpu", set(teachers)
    alone = [run for run in students if run.teacher is None]
    taught = [run for run in students if run.teacher is not None]
    troubles: dict[Run, str] = {}  # what diverged, and where
    with contextlib.ExitStack() as stack:
        kept = Store(store or stack.enter_context(tempfile.TemporaryDirectory()), device)
        for run in {run.network: run for run in students + teachers}.values():
            run.create(device)  # here first: bad arguments are found, archives are unpacked
        parallel = _parallel(executor, device, stack)
        how = {"bar_format": BAR_FORMAT, "smoothing": 0, "disable": not progress}
        bar = tqdm(total=len(teachers) + len(students), desc="networks", **how)
        stack.enter_context(bar)

        def finish(pending: list[Run], wait: bool) -> list[Run]:
            """Train these; returns those that another process has."""
            left = []
            jobs = [joblib.delayed(_finish)(kept, run, run in weights, wait) for run in pending]
            for run, finished, trouble in parallel(jobs):
                bar.update(finished)
                troubles.update({run: trouble} if trouble else {})
                left += [] if finished else [run]
            return left

        with contextlib.suppress(KeyboardInterrupt):
            for stage in (teachers + alone, taught):
                pending = [run for run in stage if run.teacher not in troubles]
                pending = finish(pending, wait=False)
                finish(pending, wait=True)
        table = frame(students, kept.result)
    if troubles:
        raise Diverged(troubles.values(), table, len(students))
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
        The table of `rdlite.studies.table.frame`.

    Raises:
        ValueError: a run was stopped and ``resume`` is not given, or it was another run.
        Stopped: SIGINT or SIGTERM came, and the checkpoint is written.
        FloatingPointError: a run diverged; the message names it and the step, and the checkpoint of
            its last good round stays.
        OSError: the store cannot be written; checkpoint and finished runs are intact.
    """
    teachers, students = networks(spec)
    kept = Store(store, spec.device or "cpu")
    progress = progress and devices.rank() == 0
    how = {"path": kept.folder / "checkpoint.pt", "every": every, "resume": resume}
    checks.require(
        resume or Checkpoint(**how).read() is None,
        f"{how['path']} is of a run that was stopped: go on with it (--resume), or delete it",
    )
    every_run = teachers + students
    for number, run in enumerate(every_run, 1):
        checkpoint = Checkpoint(**how, about={"run": run.about})
        if not devices.of_first(kept.done(run, weights=True)):
            if progress:
                print(f"{number}/{len(every_run)}  {run.label}", flush=True)
            kept.finish(run, weights=True, checkpoint=checkpoint, progress=progress)
        if devices.of_first(checkpoint.is_mine()):  # or it was killed after the card was written
            checkpoint.remove()
    return frame(students, kept.result)


def networks(spec: GridSpec) -> tuple[list[Run], list[Run]]:
    """What a grid trains: teachers, each once, and students."""
    checks.instance("spec", spec, GridSpec, "; GridSpec.from_file reads a file")
    students = spec.runs()
    return list(dict.fromkeys(run.teacher for run in students if run.teacher)), students


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


def _finish(store: Store, run: Run, weights: bool, wait: bool) -> tuple[Run, bool, str]:
    """Train ``run`` with one thread: the run, whether it is finished, and where it diverged."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return run, store.finish(run, weights=weights, wait=wait), ""
    except FloatingPointError as error:
        return run, True, str(error)
    finally:
        torch.set_num_threads(threads)
