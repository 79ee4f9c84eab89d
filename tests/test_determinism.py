"""Same seed, device and threads: the same numbers to the last bit, wherever they are computed."""

import os
import subprocess
import sys
from pathlib import Path

import joblib
import pytest
import torch
from test_studies import TINY, serial
from test_training import SHORT, network, weights

from rdlite import baselines
from rdlite.distillation import distill
from rdlite.objectives import ROBUST, STANDARD
from rdlite.studies import run_grid
from rdlite.training import fit

METHODS = {
    "teacher": lambda net, s: fit(net, s.train, STANDARD, heldout=s.heldout, config=SHORT),
    "student": lambda net, s: distill(network("cnn-8"), net, s, ROBUST, config=SHORT),
    "views": lambda net, s: distill(
        network("cnn-8"), net, s, ROBUST, teacher_view="views", views=3, config=SHORT
    ),
    "group DRO": lambda net, s: baselines.uniform_group_dro(net, s, config=SHORT),
    "AdaMargin": lambda net, s: baselines.ada_margin(
        net, s, teacher=network("cnn-8"), config=SHORT
    ),
}


def fingerprint(splits, method):
    """Every number of the history but the seconds, and the sum of the bytes of the weights."""
    net = network()
    history = METHODS[method](net, splits)
    frame = history.frame().drop(columns="seconds")
    return [*map(float.hex, frame.to_numpy(float).flatten()), float.hex(float(weights(net).sum()))]


@pytest.mark.parametrize("method", METHODS)
def test_a_training_is_the_same_again_whatever_was_drawn_in_between(long_tail, method):
    first = fingerprint(long_tail, method)
    torch.manual_seed(12345)
    torch.randn(7)
    assert fingerprint(long_tail, method) == first


@pytest.mark.slow
def test_a_training_is_the_same_in_another_process(long_tail):
    """With another hash seed, so that the order of sets and of names plays no part."""
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "import torch; torch.set_num_threads(1)\n"
        "from test_determinism import METHODS, fingerprint\n"
        "from rdlite import data\n"
        "splits = data.load(imbalance=10, head=100, heldout=20, size=14)\n"
        "print([fingerprint(splits, method) for method in METHODS])\n"
    )
    shown = subprocess.run(
        [sys.executable, "-c", code, str(Path(__file__).parent)],
        env=os.environ | {"PYTHONHASHSEED": "77", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert shown.stdout.strip() == str([fingerprint(long_tail, method) for method in METHODS])


@pytest.mark.slow
@pytest.mark.parametrize("processes", [1, 2, 3])
def test_a_grid_is_the_same_with_any_number_of_processes_and_in_any_order(tmp_path, processes):
    """And so is one that two stores began: half of it was there before, trained in reverse."""
    spec = TINY.but(method=["fit", "group-dro", "ada-margin"], seed=[0, 1])
    back = spec.but(seed=1, student=["robust", "standard"])
    executor = joblib.Parallel(n_jobs=processes, return_as="generator_unordered")
    run_grid(back, executor=executor, store=tmp_path, progress=False)
    executor = joblib.Parallel(n_jobs=processes, return_as="generator_unordered")
    table = run_grid(spec, executor=executor, store=tmp_path, progress=False)
    alone = run_grid(spec, executor=serial(), progress=False)
    assert table.drop(columns="seconds").equals(alone.drop(columns="seconds"))
