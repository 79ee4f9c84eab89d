"""The grid: its runs, its table, and that neither processes nor their order change a result."""

import dataclasses

import joblib
import pytest
import torch
from filelock import FileLock

from rdlite import baselines
from rdlite.distillation import predict
from rdlite.metrics import summary
from rdlite.objectives import class_risks
from rdlite.studies import GridSpec, run_grid
from rdlite.studies.grid import COLUMNS
from rdlite.studies.results import CELL
from rdlite.studies.run import Run
from rdlite.studies.store import Store

TINY = GridSpec(
    imbalance=10,
    head=60,
    heldout=12,
    size=14,
    teacher_network="cnn-8",
    student_network="cnn-4",
    teacher=["none", "robust"],
    student=["standard", "robust"],
    seed=[0, 1],
    mix=0.5,
    epochs=2,
    batch_size=32,
)


def serial():
    return joblib.Parallel(n_jobs=1, return_as="generator_unordered")


@pytest.fixture(scope="module")
def table():
    return run_grid(TINY, executor=serial(), progress=False)


def test_runs_are_every_teacher_with_every_student_of_every_seed():
    both = TINY.but(heldout_labels=["teacher", "one-hot"])
    runs = both.runs()
    assert len(runs) == len(set(runs)) == 2 * (2 + 2 * 2)
    assert all(run.settings["heldout_labels"] == "one-hot" for run in runs if not run.teacher)
    assert len(GridSpec().runs()) == 3 * 4 * 3


def test_the_table_has_a_row_a_trained_student(table):
    assert list(table) == [*CELL, *COLUMNS] and len(table) == 2 * 2 * 2
    assert table.average.between(0, 1).all() and (table.worst <= table.average).all()
    for row in table.itertuples():
        assert row.worst == min(row.per_class)
        assert row.average == pytest.approx(sum(row.per_class) / 10)
    assert not table.duplicated(["teacher", "student", "heldout_labels", "seed"]).any()
    assert all(sum(row.multipliers) == pytest.approx(1) for row in table.itertuples())


@pytest.mark.slow
def test_processes_and_their_order_do_not_change_a_bit(table):
    parallel = run_grid(TINY, progress=False)
    assert parallel.drop(columns="seconds").equals(table.drop(columns="seconds"))


def test_a_run_of_every_kind_has_its_own_key():
    both = TINY.but(heldout_labels=["teacher", "one-hot"])
    assert len({run.key for run in both.runs()}) == len(both.runs())
    first = TINY.runs()[0]
    changed = [
        dataclasses.replace(first, **change)
        for change in ({"seed": 9}, {"network": "cnn-5"}, {"imbalance": 11}, {"mix": 0.4})
    ]
    assert len({run.key for run in [first, *changed]}) == 5


def test_alpha_0_is_balanced_alpha_1_is_robust_and_each_is_trained_once():
    spec = TINY.but(student=["balanced", 0, 0.25, 1, "robust"], seed=0)
    runs = [run for run in spec.runs() if run.teacher is None]
    assert [run.objective.name for run in runs] == ["balanced", "0.25", "robust"]


def test_without_a_teacher_networks_of_teachers_make_no_difference():
    spec = TINY.but(teacher_network=["cnn-8", "cnn-4"])
    assert len(spec.runs()) == 2 * (2 + 2 * 2)


def test_baselines_on_labels_and_with_a_teacher():
    spec = TINY.but(method=["fit", *baselines.NAMES], seed=0)
    methods = {teacher: [] for teacher in ("none", "robust")}
    for run in spec.runs():
        methods[run.teacher.objective.name if run.teacher else "none"].append(run.method)
    assert methods["none"] == ["fit", "fit", *baselines.ON_LABELS]
    assert methods["robust"] == ["fit", "fit", *baselines.WITH_A_TEACHER]


def test_temperatures_and_learning_rates_are_combined():
    spec = TINY.but(temperature=[1.0, 4.0], learning_rate=[0.1, 0.2], seed=0)
    runs = spec.runs()
    assert len(runs) == 2 * 2 + 2 * 2 * 2, "without a teacher there is no temperature"
    assert {(r.temperature, r.config.learning_rate) for r in runs if r.teacher} == {
        (t, rate) for t in (1.0, 4.0) for rate in (0.1, 0.2)
    }
    assert all(r.teacher.config.learning_rate == r.config.learning_rate for r in runs if r.teacher)
    runs = spec.but(teacher_learning_rate=0.3, teacher_epochs=5).runs()
    assert {r.teacher.config.learning_rate for r in runs if r.teacher} == {0.3}
    assert {(r.config.epochs, r.teacher.config.epochs) for r in runs if r.teacher} == {(2, 5)}


def test_tables_replace_keys_and_are_united():
    spec = TINY.but(
        **{"imbalance, head": [[10, 60], [20, 80]]},
        grid=[
            {"teacher": "none", "learning_rate": [0.1, 0.2]},
            {"teacher": "robust", "student": 0.5},
        ],
    )
    runs = spec.runs()
    assert len(runs) == 2 * 2 * (2 * 2 + 1)
    assert [(r.imbalance, r.head, r.seed) for r in runs[::5]] == [
        (10, 60, 0), (10, 60, 1), (20, 80, 0), (20, 80, 1)
    ]  # fmt: skip
    assert [r.objective.name for r in runs[:5]] == ["standard", "robust"] * 2 + ["0.5"]
    tasks = spec.by_task()
    assert [run for task in tasks for run in task.runs()] == runs
    assert [(task.first["imbalance"], task.first["head"]) for task in tasks] == [(10, 60), (20, 80)]


@pytest.mark.slow
def test_every_baseline_trains_in_a_grid():
    spec = TINY.but(method=["fit", *baselines.NAMES], student="standard", seed=0)
    table = run_grid(spec.but(teacher=["none", "standard"]), progress=False)
    assert set(table.method) == {"fit", *baselines.NAMES}
    assert len(table) == 2 + len(baselines.ON_LABELS) + len(baselines.WITH_A_TEACHER)
    assert table.average.between(0, 1).all()
    assert table.per_class.map(tuple).nunique() > len(table) / 2, "not all the same training"


def test_a_store_trains_nothing_twice(tmp_path, monkeypatch):
    small = TINY.but(seed=3, student="robust")
    made = run_grid(small, executor=serial(), store=tmp_path / "new", progress=False)
    kinds = sorted(file.suffix for file in (tmp_path / "new").iterdir() if file.suffix != ".lock")
    assert kinds == [".json"] * 3 + [".safetensors"]
    monkeypatch.setattr(Run, "train", lambda *_, **__: pytest.fail("trained again"))
    assert run_grid(small, executor=serial(), store=tmp_path / "new", progress=False).equals(made)


def test_held_out_numbers_are_those_of_what_predicts(tmp_path):
    """A post-hoc method is judged, and chosen, with its shift."""
    run = TINY.cell(method="post-hoc-logit-adjusted")
    scorer, history = run.train()
    result = run.measure(scorer, history)
    splits = run.splits()
    shifted = predict(history.scorer, splits.heldout)
    plain = predict(history.scorer.model, splits.heldout)
    assert result["heldout_average"] == summary(shifted, splits.heldout.labels)["average"]
    assert not torch.equal(shifted.argmax(1), plain.argmax(1))
    risks = class_risks(predict(scorer, splits.test), splits.test.one_hot())
    assert result["robust_loss"] == pytest.approx(float(risks.max()))


def test_the_teacher_s_numbers_stand_beside_its_students(tmp_path):
    store = Store(tmp_path)
    table = run_grid(TINY.but(seed=0), store=tmp_path, progress=False)
    teacher = store.result(TINY.cell(teacher="robust").teacher)
    taught = table[table.teacher == "robust"]
    assert set(taught.teacher_worst) == {teacher["worst"]}
    assert set(taught.teacher_calibration) == {teacher["calibration"]}
    assert table[table.teacher == "none"].teacher_worst.isna().all()


def test_a_run_that_another_process_has_is_left_alone(tmp_path):
    store, run = Store(tmp_path), TINY.runs()[0]
    with FileLock(tmp_path / f"{run.key}.lock"):
        assert not store.finish(run, wait=False)
        assert store.result(run) is None
    assert store.finish(run, wait=False) and store.result(run)["worst"] >= 0


@pytest.mark.parametrize(
    "field, value",
    [
        ("teacher", ["robsut"]),
        ("teacher", []),
        ("student", ["none"]),
        ("heldout_labels", ["soft"]),
        ("student", [1.5]),
        ("student_network", []),
        ("method", ["ada-gamma"]),
        ("temperature", [0.0]),
        ("learning_rate", [-0.1]),
        ("teacher_network", [["cnn-4"]]),
        ("seed", []),
        ("seed", [-1]),
        ("seed", ["one"]),
        ("size", {"pixels": 14}),
        ("grid", [{"head_images": 3}]),
        ("grid", [3]),
        ("student", 2),
        ("teacher_view", "plane"),
        ("scorer", "average"),
        ("head, heldout", [[60, 12], [80]]),
    ],
)
def test_a_bad_field_is_named(field, value):
    with pytest.raises(ValueError, match=field):
        GridSpec(**{field: value})
