"""The test set is for what is shown: training and every choice work where it cannot be read.

`test_choice.test_shuffled_test_labels_change_no_choice` is the other half: a real study whose test
labels are in another order makes the same choices.
"""

import dataclasses

import numpy as np
import pytest
import torch

from rdlite import baselines
from rdlite.data import Split, Splits, from_arrays
from rdlite.distillation import TEACHER_VIEWS
from rdlite.objectives import BALANCED, ROBUST, STANDARD, Objective
from rdlite.studies import run
from rdlite.studies.run import Run
from rdlite.studies.spec import GridSpec
from rdlite.studies.table import measure
from rdlite.training import TrainConfig

SHORT = TrainConfig(epochs=2, batch_size=8, shift=1)


class Sealed(Split):
    """A test split that nobody may look at: not its images, its labels, its length or its names."""

    def __init__(self):
        pass

    def __getattribute__(self, name):
        if name.startswith("__"):  # of Python's own, such as the type
            return super().__getattribute__(name)
        raise AssertionError(f"the test split was read: {name}")

    def __len__(self):
        raise AssertionError("the test split was read: its length")


@pytest.fixture
def sealed(monkeypatch):
    """Every `Run` works on small splits whose test part is sealed."""
    pixels = np.random.default_rng(0).integers(0, 256, (60, 1, 8, 8), dtype=np.uint8)
    labels = np.arange(60) % 3
    drawn = from_arrays(
        pixels, labels, test_images=pixels, test_labels=labels, imbalance=2, heldout=6
    )
    splits = Splits("sealed", drawn.train, drawn.heldout, Sealed(), drawn.fingerprint)
    monkeypatch.setattr(run, "_load", lambda *_, **__: splits)
    return splits


TEACHER = Run(network="cnn-4", config=SHORT)
TAUGHT = {"teacher": TEACHER, "network": "linear"}
ALONE = [
    Run(network="linear", objective=objective, config=SHORT)
    for objective in (STANDARD, BALANCED, ROBUST, Objective(0.5, "standard"))
]
ALONE += [Run(network="linear", method=name, config=SHORT) for name in baselines.ON_LABELS]
DISTILLED = [
    Run(**TAUGHT, objective=ROBUST, teacher_view=view, heldout_labels=labels, config=config)
    for view in TEACHER_VIEWS
    for labels in ("teacher", "one-hot")
    for config in [dataclasses.replace(SHORT, epochs=8)]
]
DISTILLED += [Run(**TAUGHT, method=name, config=SHORT) for name in baselines.WITH_A_TEACHER]
AVERAGED = dataclasses.replace(
    SHORT, scorer="average", loss="reweighted", sampling="class-balanced"
)
ALONE.append(Run(network="linear", objective=ROBUST, config=AVERAGED))


@pytest.mark.parametrize("run", ALONE + DISTILLED, ids=lambda run: f"{run.method}, {run.label}")
def test_no_method_reads_the_test_split(sealed, run):
    teacher = None if run.teacher is None else run.teacher.create().eval()
    scorer, history = run.train(teacher)
    logits = scorer(torch.zeros(1, 1, 8, 8))
    assert torch.isfinite(logits).all()
    table = history.frame()
    assert len(table) and np.isfinite(table.average).all(), "held-out accuracies, for the choices"


def test_every_method_of_a_grid_is_among_these():
    assert {run.method for run in ALONE + DISTILLED} == {"fit", *baselines.NAMES}
    spec = GridSpec(method=["fit", *baselines.NAMES])
    assert {run.method for run in spec.runs()} == {"fit", *baselines.NAMES}


def test_the_seal_holds(sealed):
    """Measuring is the one place that reads the test split, and here it cannot."""
    scorer, history = ALONE[0].train()
    with pytest.raises(AssertionError, match="the test split was read"):
        measure(ALONE[0], scorer, history)
    with pytest.raises(AssertionError, match="its length"):
        len(sealed.test)


def test_post_shifting_chooses_its_weights_on_held_out_images(sealed):
    """The weights are those of `post_shift` on the held-out logits, so the test set had no part."""
    scorer, _ = Run(network="linear", method="post-shifted", config=SHORT).train()
    heldout = sealed.heldout
    weights = baselines.post_shift(baselines.predict(scorer.model, heldout), heldout.labels)
    torch.testing.assert_close(scorer.shift, weights.log().float())
