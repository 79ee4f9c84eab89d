"""How far a run moves when only the threads change, beside how far it moves with the seed.

    OMP_NUM_THREADS=1 .venv/bin/python tests/benchmarks/spread.py [--threads 1 2] [--seeds 5]

Fashion-MNIST with a long tail, the networks and epochs of `make demo`: one standard teacher and its
standard and robust student, for every seed and number of threads. The same seed and threads are
trained twice, which must agree to the last bit. Numbers are of the test set. Some minutes.
"""

from __future__ import annotations

import argparse
import itertools
from functools import lru_cache

import pandas as pd
import torch
from torch import nn

from rdlite.studies.run import Run
from rdlite.studies.spec import GridSpec, recipe
from rdlite.studies.table import measure as measured

TAUGHT = {"teacher, temperature": [["standard", 2]], "student": ["standard", "robust"]}
SPEC = GridSpec.from_file(recipe("demo")).but(**TAUGHT)


@lru_cache(maxsize=1)
def network(run: Run, threads: int) -> nn.Module:
    """A teacher, trained once for all its students."""
    torch.set_num_threads(threads)
    return run.train()[0]


def trained(run: Run, threads: int) -> dict:
    """What `Run.measure` says of the run and, under "losses", of its rounds."""
    torch.set_num_threads(threads)
    teacher = network(run.teacher, threads)
    net, history = run.train(teacher)
    result = measured(run, net, history, teacher)
    return {**result, "losses": [row["loss"] for row in history.rows]}


def measure(threads: list[int], seeds: int) -> pd.DataFrame:
    """A row a student: seed, threads, student, average and worst class."""
    rows = []
    runs = SPEC.but(seed=range(seeds)).runs()
    for seed, count in itertools.product(range(seeds), threads):
        for run in [run for run in runs if run.seed == seed]:
            result = trained(run, count)
            if seed == 0:
                network.cache_clear()  # the teacher again, too
                if result != trained(run, count):
                    raise RuntimeError(f"two runs of {run.label} with {count} threads differ")
            shown = {name: result[name] for name in ("average", "worst", "worst_class")}
            rows.append({"student": run.objective.name, "seed": run.seed, "threads": count} | shown)
            print(rows[-1], flush=True)
    return pd.DataFrame(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args()
    table = measure(options.threads, options.seeds)
    for student, rows in table.groupby("student", sort=False):
        for name in ("average", "worst"):
            wide = rows.pivot(index="seed", columns="threads", values=name)
            apart = wide.max(axis=1) - wide.min(axis=1)
            over_seeds = wide[options.threads[0]]
            print(
                f"{student:<9} {name:<8} other threads, same seed: up to {apart.max():.3f}, mean "
                f"{apart.mean():.3f}; other seeds, same threads: {over_seeds.min():.3f} to "
                f"{over_seeds.max():.3f}, standard deviation {over_seeds.std():.3f}"
            )


if __name__ == "__main__":
    main()
