"""Does distillation help the student of notebook 01? Fifteen pairs, from five teachers.

    .venv/bin/python tests/benchmarks/distilled_pairs.py

A pair is one student from the labels and its twin, of the same seed, from the teacher, in the
notebook's setting. They are judged on 500 images a class of the training pool that are neither in
train nor held-out: each draw of one seed orders the pool alike, and these are images 2,001 to 2,500
of a class. The test set is not read. About 3 minutes on 2 cores.
"""

import joblib
import pandas as pd
import torch

from rdlite import data, models
from rdlite.distillation import distill, predict
from rdlite.metrics import summary
from rdlite.objectives import STANDARD
from rdlite.training import TrainConfig, fit

TEACHERS = range(5)


def network(name: str, seed: int) -> torch.nn.Module:
    """As in the notebook."""
    net = models.create(name, num_classes=10, in_channels=1, seed=seed)
    return net.to(memory_format=torch.channels_last)


def run(number: int) -> list[dict]:
    """Train one teacher and its three pairs; a row a student."""
    torch.set_num_threads(1)
    splits = data.load(imbalance=20, head=1000, heldout=200, size=14)
    judge = data.load(imbalance=1, head=2000, heldout=500, size=14).heldout
    seed = 1000 + number
    teacher, config = network("cnn-16", seed), TrainConfig(epochs=10, batch_size=64, seed=seed)
    fit(teacher, splits.train, STANDARD, heldout=splits.heldout, config=config)
    rows = []
    for seed in range(3 * number, 3 * number + 3):
        config = TrainConfig(epochs=8, batch_size=32, seed=seed)
        for kind in ("labels", "teacher"):
            student = network("cnn-6", seed)
            if kind == "labels":
                fit(student, splits.train, STANDARD, heldout=splits.heldout, config=config)
            else:
                distill(teacher, student, splits, STANDARD, mix=0.5, config=config)
            scores = summary(predict(student, judge), judge.labels)
            scores |= {"Shirt": scores["per_class"][6], "teacher": number}
            rows.append({"seed": seed, "learned from": kind, **scores})
    return rows


if __name__ == "__main__":
    results = joblib.Parallel(n_jobs=joblib.cpu_count())(joblib.delayed(run)(t) for t in TEACHERS)
    table = pd.DataFrame([row for rows in results for row in rows])
    pairs = table.pivot(index=["teacher", "seed"], columns="learned from")
    for name in ("average", "Shirt"):
        gain = pairs[name]["teacher"] - pairs[name]["labels"]
        by_teacher = gain.groupby("teacher").mean()
        print(
            f"{name}: {gain.mean():+.3f} ± {gain.sem():.3f}, rose in {(gain > 0).sum()} of "
            f"{len(gain)} pairs, fell in the mean for {(by_teacher < 0).sum()} of "
            f"{len(by_teacher)} teachers"
        )
    print(f"Shirt is the worst class of {(table.worst_class == 6).sum()} of {len(table)} students")
