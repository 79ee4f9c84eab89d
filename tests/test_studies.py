"""The grid: its runs, its table, and that neither processes nor their order change a result."""

import dataclasses

import joblib
import pytest
import torch

from rdlite.studies import COLUMNS, GridSpec, run_grid
from rdlite.training import TrainConfig

TINY = GridSpec(
    imbalance=10,
    head=60,
    heldout=12,
    teacher_network="cnn-8",
    student_network="cnn-4",
    teachers=("none", "robust"),
    students=("standard", "robust"),
    seeds=(0, 1),
    config=TrainConfig(epochs=2, batch_size=32),
)


def serial():
    return joblib.Parallel(n_jobs=1, return_as="generator_unordered")


@pytest.fixture(scope="module")
def table():
    return run_grid(TINY, executor=serial(), progress=False)


def test_runs_are_every_teacher_with_every_student_of_every_seed():
    both = dataclasses.replace(TINY, heldout_labels=("teacher", "one-hot"))
    runs = both.runs()
    assert len(runs) == len(set(runs)) == 2 * (2 + 2 * 2)
    assert all(run.heldout_labels == "one-hot" for run in runs if not run.taught)
    assert len(GridSpec().runs()) == 3 * 4 * 3


def test_the_table_has_a_row_a_trained_student(table):
    assert list(table) == COLUMNS and len(table) == 2 * 2 * 2
    assert table.average.between(0, 1).all() and (table.worst <= table.average).all()
    for row in table.itertuples():
        assert row.worst == min(row.per_class)
        assert row.average == pytest.approx(sum(row.per_class) / 10)
    assert not table.duplicated(["teacher", "student", "heldout_labels", "seed"]).any()


def test_processes_and_their_order_do_not_change_a_bit(table):
    parallel = run_grid(TINY, progress=False)
    assert parallel.drop(columns="seconds").equals(table.drop(columns="seconds"))


def test_the_store_keeps_the_teachers(tmp_path):
    small = dataclasses.replace(TINY, seeds=(3,), students=("robust",))
    run_grid(small, executor=serial(), store=tmp_path / "new", progress=False)
    assert [f.name for f in (tmp_path / "new").iterdir()] == ["teacher-robust-3.pt"]
    weights = torch.load(tmp_path / "new" / "teacher-robust-3.pt", weights_only=True)
    assert all(torch.isfinite(v).all() for v in weights.values())


@pytest.mark.parametrize(
    "field, value",
    [
        ("teachers", ("robsut",)),
        ("teachers", ()),
        ("students", ("none",)),
        ("heldout_labels", ("soft",)),
        ("seeds", ()),
        ("seeds", (-1,)),
        ("teacher_view", "plane"),
        ("config", TrainConfig(scorer="average")),
    ],
)
def test_a_bad_field_is_named(field, value):
    with pytest.raises(ValueError, match=field):
        GridSpec(**{field: value})
