"""The demo's grid: one process with all threads over one-thread processes, one a core.

`run_grid` does the second. The first trains the same runs one after another, by the same store.
"""

from __future__ import annotations

import tempfile
import time

import pandas as pd
import torch
from timing import medians, over

from rdlite.studies import run_grid
from rdlite.studies.spec import GridSpec, recipe
from rdlite.studies.store import Store
from rdlite.studies.table import frame

SPEC = GridSpec.from_file(recipe("demo"))
QUICK = SPEC.but(head=60, heldout=10, seed=0, teacher="standard", temperature=2, epochs=1)


def in_one_process(spec: GridSpec) -> pd.DataFrame:
    """The table, trained with all threads."""
    runs = spec.runs()
    with tempfile.TemporaryDirectory() as folder:
        store = Store(folder)
        for run in dict.fromkeys(run.teacher for run in runs if run.teacher):
            store.finish(run, weights=True)
        for run in runs:
            store.finish(run)
        return frame(runs, store.result)


def measure(quick: bool = False) -> dict:
    """The ratio. Starting the processes is part of the time.

    Turns take minutes, in which a machine's speed drifts: A B B A, so that a drift cancels.
    """
    from joblib.externals.loky import get_reusable_executor

    spec, threads = QUICK if quick else SPEC, torch.get_num_threads()
    tables = {}

    def alone() -> float:
        torch.set_num_threads(threads)
        started = time.perf_counter()
        tables["one process"] = in_one_process(spec)
        return time.perf_counter() - started

    def side_by_side() -> float:
        started = time.perf_counter()
        tables["processes"] = run_grid(spec, progress=False)
        seconds = time.perf_counter() - started
        get_reusable_executor().shutdown(wait=True)
        return seconds

    jobs = {"one process": alone, "processes": side_by_side}
    taken = {name: [] for name in jobs}
    for turn in [jobs] if quick else [jobs, reversed(jobs)]:
        for name in turn:
            taken[name].append(jobs[name]())
    averages = {name: float(table.average.mean()) for name, table in tables.items()}
    return {
        "values": {"one process": over(taken, "one process", "processes")},
        "seconds": medians(taken),
        "networks": len(spec.runs()) + len({run.teacher for run in spec.runs() if run.teacher}),
        "mean accuracy": averages,
    }
