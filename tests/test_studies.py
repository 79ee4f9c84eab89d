"""The grid: its runs, its table, and that neither processes nor their order change a result."""

import dataclasses
import math
import types

import joblib
import pytest
import torch
from filelock import FileLock

from rdlite import baselines
from rdlite.data import Split
from rdlite.distillation import predict
from rdlite.metrics import summary
from rdlite.objectives import Objective, class_risks
from rdlite.studies import GridSpec, recipe, results, run_grid
from rdlite.studies.results import cell_statistics
from rdlite.studies.run import Run
from rdlite.studies.spec import KEYS
from rdlite.studies.store import Store, processor
from rdlite.studies.table import CELL, MEASURED, frame, measure, settings

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
    assert all(settings(run)["heldout_labels"] == "one-hot" for run in runs if not run.teacher)
    assert len(GridSpec().runs()) == 3 * 4 * 3


def test_the_table_has_a_row_a_trained_student(table):
    assert list(table) == [*CELL, *MEASURED] and len(table) == 2 * 2 * 2
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
    first = TINY.cell(teacher="robust")
    changes = (
        {"seed": 9},
        {"network": "cnn-5"},
        {"imbalance": 11},
        {"mix": 0.4},
        {"teacher": None},
    )
    changed = [dataclasses.replace(first, **change) for change in changes]
    assert len({run.key for run in [first, *changed]}) == 6


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
    result = measure(run, scorer, history)
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


# ------------------------------------------------------------------- what a spec varies, the table

OTHER = {  # key -> a value that is not the default
    **{"dataset": "digits", "imbalance": 7, "head": 50, "heldout": 9, "selection": 5, "size": 8},
    **{"teacher_network": "cnn-5", "student_network": "cnn-3", "teacher": "robust"},
    **{"student": 0.25, "method": "post-shifted", "heldout_labels": "one-hot", "mix": 0.25},
    **{"teacher_view": "plain", "temperature": 2.0, "smoothing": 0.25, "add_heldout": True},
    **{"epochs": 3, "batch_size": 16, "learning_rate": 0.3, "momentum": 0.5, "weight_decay": 1e-5},
    **{"schedule": "constant", "step_size": 0.05, "rounds": 3, "loss": "reweighted"},
    **{"sampling": "class-balanced", "shift": 1, "flip": True, "padding": "reflect"},
    **{"precision": "bfloat16", "compile": True, "payoff": "error", "batch_norm": "measured"},
}


def told(_run):
    """The same numbers of every run."""
    numbers = {"average": 0.5, "worst": 0.5, "per_class": [0.5] * 10, "multipliers": [0.1] * 10}
    return numbers | {"seconds": 1.0, "worst_class": "Shirt"}


VARIED = [name for name in KEYS if name not in ("name", "seed", "scorer", "teacher_scorer")]


@pytest.mark.parametrize("key", VARIED)
def test_whatever_a_spec_varies_is_a_column_and_no_two_settings_share_a_cell(key, tmp_path):
    one = GridSpec(teacher="standard", student="standard", seed=[0, 1])
    if key == "smoothing":
        one = one.but(teacher="none")
    if key == "views":
        one, other = one.but(teacher_view="views"), 4
    else:
        other = OTHER[key if key in OTHER else key.removeprefix("teacher_")]
    spec = one.but(**{key: [one.first.get(key, one.first.get(key[8:])), other]})
    table = frame(spec.runs(), told)
    assert len(table) == 4 and table[key].nunique(dropna=False) == 2
    assert cell_statistics(table).seeds.tolist() == [2, 2]
    file = tmp_path / "spec.toml"
    file.write_text("")
    written = results._table(results.write(tmp_path, file, table), 10)
    assert cell_statistics(written).seeds.tolist() == [2, 2], "also as a file"


def test_parts_that_differ_in_mix_alone_are_two_cells():
    table = frame(TINY.but(grid=[{"mix": 0.25}, {"mix": 1.0}], teacher="robust").runs(), told)
    assert set(table.mix) == {0.25, 1.0}
    assert not table.duplicated([*CELL, "seed"]).any()


def test_what_does_not_matter_for_a_run_makes_no_other_run():
    alone = GridSpec(teacher="none", student="standard", seed=0)
    assert len(alone.but(temperature=[1, 2], mix=[0.5, 1.0], views=[4, 8]).runs()) == 1
    taught = alone.but(teacher="standard")
    assert len(taught.but(smoothing=[0.0, 0.1], views=[4, 8]).runs()) == 1
    assert len(taught.but(method="ada-alpha", student=["standard", "robust"]).runs()) == 1
    assert Run(network="cnn-4", temperature=3.0, mix=0.5) == Run(network="cnn-4")


def test_an_empty_file_is_the_default_grid(tmp_path):
    file = tmp_path / "empty.toml"
    file.write_text("")
    assert GridSpec.from_file(file) == GridSpec()
    assert GridSpec().cell().config.rounds is None
    assert GridSpec() != GridSpec(rounds=24)


def test_a_file_may_begin_with_a_byte_order_mark(tmp_path):
    file = tmp_path / "notepad.toml"
    file.write_bytes(b"\xef\xbb\xbfseed = [0]\n")
    assert GridSpec.from_file(file) == GridSpec(seed=0)


def test_a_key_outlives_the_version_and_is_of_the_value_not_of_its_type(monkeypatch):
    run = Run(network="cnn-4", imbalance=10)
    key = run.key
    monkeypatch.setattr("rdlite.__version__", "99.0")
    assert run.key == key == dataclasses.replace(run, imbalance=10.0).key
    spec = GridSpec(student=0.5, teacher="robust", seed=3, mix=0.5, epochs=5, temperature=2)
    assert spec.cell().key == "3d5e07a9060ba4acf624", "stores of before are found again"


def test_a_grid_leaves_the_number_of_threads_as_it_was():
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        small = TINY.but(seed=0, teacher="none", student="standard", epochs=1)
        run_grid(small, executor=serial(), progress=False)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)


def test_a_tilde_is_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    monkeypatch.chdir(tmp_path)
    Store("~/runs")
    (tmp_path / "home/own.toml").write_text("seed = 0\n")
    assert (tmp_path / "home/runs").is_dir() and not (tmp_path / "~").exists()
    assert GridSpec.from_file("~/own.toml") == GridSpec.from_file(recipe("~/own.toml"))
    with pytest.raises(OSError, match=r"runs\.csv"):
        results.read("~/runs")


# --------------------------------------------------------------------------- what a run measures


def test_smoothed_labels_are_mixed_with_the_uniform_distribution():
    run = dataclasses.replace(TINY.cell(), smoothing=0.5)
    assert run.targets(run.splits().train)[0, :2].tolist() == pytest.approx([0.55, 0.05])
    net, history = run.train()
    result = measure(run, net, history)
    by_hand = -0.55 * math.log(0.55) - 9 * 0.05 * math.log(0.05)
    assert result["label_entropy"] == pytest.approx(by_hand) and by_hand > 1.6
    assert result["heldout_label_entropy"] == 0, "the player sees the labels as they are"
    plain, _ = TINY.cell().train()
    confident = [
        torch.softmax(predict(one, run.splits().train), 1).max(1)[0] for one in (net, plain)
    ]
    assert confident[0].mean() < confident[1].mean() - 0.1


def test_the_control_trains_on_the_held_out_images_too():
    run = dataclasses.replace(TINY.cell(), add_heldout=True)
    apart, joined = TINY.cell().splits(), run.splits()
    assert len(joined.train) == len(apart.train) + len(apart.heldout)
    assert torch.equal(joined.train.images[len(apart.train) :], apart.heldout.images)
    assert joined.fingerprint == apart.fingerprint and joined.heldout is apart.heldout
    with pytest.raises(ValueError, match="add_heldout"):
        dataclasses.replace(run, objective=Objective(0.5))
    with pytest.raises(ValueError, match="add_heldout"):
        dataclasses.replace(run, method="post-shifted")


def test_the_fit_of_the_training_images_and_the_softness_of_the_labels_are_measured():
    run = TINY.cell(teacher="robust", student="robust", temperature=2.0)
    teacher, _ = run.teacher.train()
    net, history = run.train(teacher)
    result = measure(run, net, history, teacher)
    splits = run.splits()
    right = predict(net, splits.train).argmax(1) == splits.train.labels
    assert result["train_accuracy"] == pytest.approx(float(right.float().mean()))
    for name, split in (("label", splits.train), ("heldout_label", splits.heldout)):
        p = 0.5 * torch.softmax(predict(teacher, split) / 2, 1) + 0.5 * split.one_hot()
        entropy = -(p * p.clamp_min(1e-30).log()).sum(1).mean()
        assert result[f"{name}_entropy"] == pytest.approx(float(entropy), abs=1e-5)
    one_hot = dataclasses.replace(run, heldout_labels="one-hot")
    assert measure(one_hot, net, history, teacher)["heldout_label_entropy"] == 0
    assert measure(run, net, history)["label_entropy"] is None, "unknown without the teacher"
    assert result["selection_average"] is result["selection_worst"] is None


def test_a_selection_split_is_measured_where_there_is_one(monkeypatch):
    run = TINY.cell()
    splits = run.splits()
    chosen = Split(splits.test.images[:200], splits.test.labels[:200], splits.class_names)
    net, history = run.train()
    with_selection = types.SimpleNamespace(
        **{name: getattr(splits, name) for name in ("train", "heldout", "test", "class_names")},
        selection=chosen,
    )
    monkeypatch.setattr(Run, "splits", lambda *_: with_selection)
    scores = summary(predict(net, chosen), chosen.labels)
    result = measure(run, net, history)
    assert result["selection_average"] == scores["average"]
    assert result["selection_worst"] == scores["worst"]


def test_a_card_says_on_which_type_of_processor(tmp_path, table):
    assert set(table.processor) == {processor()} and len(processor()) > 4
    store, run = Store(tmp_path), TINY.cell()
    store.finish(run)
    assert store.result(run)["processor"] == processor()
