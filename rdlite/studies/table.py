"""The table of a study, one row a run: what was trained, and what came out."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import fields

import pandas as pd
import torch
from torch import nn

from rdlite import models
from rdlite.data import Split
from rdlite.distillation import predict
from rdlite.metrics import class_calibration, summary
from rdlite.objectives import class_risks
from rdlite.studies.run import TASK, TEACHING, Run
from rdlite.training import History, TrainConfig

NO_TEACHER = "none"  # the student learns from the one-hot labels
CONFIG = tuple(one.name for one in fields(TrainConfig) if one.name != "seed")
HOW = (*TEACHING, "smoothing", "add_heldout")
LEARNERS = ("method", "teacher_network", "student_network", "teacher", "student", "alpha")
CELL = [*TASK, *LEARNERS, *HOW, "learning_rate", "epochs", "teacher_epochs"]  # always columns
OF_TRAINING = [*CONFIG, *(f"teacher_{name}" for name in CONFIG)]  # columns where they vary
SETTINGS = [*CELL, *(name for name in OF_TRAINING if name not in CELL)]
OF_TEACHER = ("worst", "calibration", "train_accuracy")
MEASURED = [
    *("key", "seed", "average", "worst", "worst_class", "seconds"),
    *("heldout_average", "heldout_worst"),
    *("selection_average", "selection_worst", "train_accuracy"),
    *("label_entropy", "heldout_label_entropy", "robust_loss", "calibration"),
    *(f"teacher_{name}" for name in OF_TEACHER),
    *("per_class", "multipliers", "processor"),
]


def settings(run: Run) -> dict:
    """What was trained as one flat row: the keys of `GridSpec` that ask for ``run``, and alpha.

    Fields of its config stand beside the others, those of its teacher's begin with teacher_.

    >>> row = settings(Run(network="cnn-6"))
    >>> row["student"], row["teacher"], row["heldout_labels"], row["epochs"]
    ('standard', 'none', 'one-hot', 8)
    """
    row = {name: getattr(run, name) for name in (*TASK, *HOW, "seed", "method")}
    row |= {"student_network": run.network, "student": run.objective.name}
    row |= {"alpha": run.objective.alpha}
    row |= {name: getattr(run.config, name) for name in CONFIG}
    if run.teacher is None:
        none = {"teacher_network": NO_TEACHER, "teacher": NO_TEACHER}
        return row | none | {"heldout_labels": "one-hot"}
    row |= {"teacher_network": run.teacher.network, "teacher": run.teacher.objective.name}
    return row | {f"teacher_{name}": getattr(run.teacher.config, name) for name in CONFIG}


def measure(run: Run, net: nn.Module, history: History, teacher: nn.Module | None = None) -> dict:
    """What came out, on every split; see `frame`.

    Args:
        run: what was trained.
        net, history: of `Run.train`.
        teacher: the trained network of ``run.teacher``, for the entropies of its labels.
    """
    splits = run.splits(str(models.device_of(net)))
    parts = {"test": splits.test, "heldout": splits.heldout, "selection": splits.selection}
    logits = {name: predict(net, part) for name, part in parts.items() if part is not None}
    scores = {name: summary(logits[name], parts[name].labels) for name in logits}
    test, heldout, chosen = scores["test"], scores["heldout"], scores.get("selection", {})
    right = predict(net, splits.train).argmax(1) == splits.train.labels
    p = torch.softmax(logits["heldout"], 1)
    one_hot = run.teacher is None or run.heldout_labels == "one-hot"
    return {
        "average": test["average"],
        "worst": test["worst"],
        "worst_class": splits.class_names[test["worst_class"]],
        "per_class": test["per_class"],
        "robust_loss": float(class_risks(logits["test"], splits.test.one_hot()).max()),
        "heldout_average": heldout["average"],
        "heldout_worst": heldout["worst"],
        "selection_average": chosen.get("average"),
        "selection_worst": chosen.get("worst"),
        "train_accuracy": float(right.double().mean()),
        "label_entropy": _entropy(run, splits.train, teacher),
        "heldout_label_entropy": 0.0 if one_hot else _entropy(run, splits.heldout, teacher),
        "calibration": float(class_calibration(p, splits.heldout.labels).mean()),
        "multipliers": history.multipliers[-1].tolist(),
    }


def _entropy(run: Run, split: Split, teacher: nn.Module | None) -> float | None:
    """Mean entropy of the labels, nats; None for a baseline that makes its own from a teacher."""
    if run.teacher is not None and (run.method != "fit" or teacher is None):
        return None
    return float(torch.special.entr(run.targets(split, teacher).double()).sum(1).mean())


def frame(runs: Iterable[Run], result_of: Callable[[Run], dict | None]) -> pd.DataFrame:
    """One row a finished run, in the order of ``runs``; see `rdlite.studies.store.Store.result`.

    First come the columns of `settings`: those of `CELL`, and others that differ between ``runs``.
    Then

    - key (see `Run.key`), seed (of the splits), seconds
    - processor (see `rdlite.studies.store.processor`)
    - average, worst, worst_class (its name), per_class (a list of m): accuracies on the test set
    - heldout_average, heldout_worst, selection_average, selection_worst: on those images
    - train_accuracy: on the training images, as they are
    - label_entropy, heldout_label_entropy: mean entropy (nats) of the targets P of the training
      images, and of the labels of eq. (6); empty for a baseline that makes its own from a teacher
    - robust_loss (largest class risk, nats), calibration (mean over classes of `class_calibration`,
      held-out images), multipliers (a list of m, of the last round)
    - teacher_worst, teacher_calibration, teacher_train_accuracy
    """
    runs = list(runs)
    asked, rows = [settings(run) for run in runs], []
    for run, row in zip(runs, asked, strict=True):
        if (result := result_of(run)) is not None:
            of_teacher = (result_of(run.teacher) or {}) if run.teacher else {}
            teacher = {f"teacher_{name}": of_teacher.get(name) for name in OF_TEACHER}
            rows.append({"key": run.key} | row | teacher | result)
    values = {name: {row[name] for row in asked if name in row} for name in SETTINGS}
    shown = [name for name in SETTINGS if name in CELL or len(values[name]) > 1]
    return pd.DataFrame(rows, columns=[*shown, *MEASURED])
