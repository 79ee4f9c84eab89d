"""What several test files share: one thread, so that runs are bit-identical, and small splits."""

import dataclasses
import signal
import sys

import joblib
import pytest
import torch

from rdlite import data
from rdlite.studies import run, run_grid


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(autouse=True, scope="session")
def ctrl_c_works():
    """A shell without job control has what it starts in the background ignore SIGINT."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def no_figure_stays_open():
    """Some tests count the open figures, so no test leaves its own to the next."""
    yield
    if pyplot := sys.modules.get("matplotlib.pyplot"):
        pyplot.close("all")


@pytest.fixture(scope="session")
def splits():
    """A balanced and small draw of the real photographs: 24 a class in train, 8 held out."""
    return data.load(imbalance=1, head=24, heldout=8, size=14)


@pytest.fixture(scope="session")
def long_tail():
    """A long-tailed draw: 100 images down to 10 in train, 20 down to 2 held out."""
    return data.load(imbalance=10, head=100, heldout=20, size=14)


@pytest.fixture
def measured_twice(monkeypatch):
    """Trains a grid twice, the second time with the test set's labels in another order."""

    def tables(spec):
        serial = joblib.Parallel(n_jobs=1, return_as="generator_unordered")
        first, load = run_grid(spec, executor=serial, progress=False), run._load

        def shuffled(*arguments, **options):
            splits = load(*arguments, **options)
            order = torch.randperm(len(splits.test), generator=torch.Generator().manual_seed(0))
            test = dataclasses.replace(splits.test, labels=splits.test.labels[order])
            return dataclasses.replace(splits, test=test)

        monkeypatch.setattr(run, "_load", shuffled)
        second = run_grid(spec, executor=serial, progress=False)
        assert (first.average - second.average).abs().max() > 0.1, "the test labels are others"
        return first, second

    return tables
