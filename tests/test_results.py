"""Studies from a TOML file, by the command line, and their tables as files."""

import dataclasses
import re
import subprocess
import sys

import joblib
import pytest
import torch

from rdlite import __main__ as cli
from rdlite import data
from rdlite.data import Split
from rdlite.studies import GridSpec, cost, results, run, run_grid
from rdlite.studies.store import Store

SPEC = """\
imbalance = 10
head = 60
heldout = 12
size = 14
teacher_network = "cnn-8"
student_network = "cnn-4"
teacher = ["none", "robust"]
student = ["standard", 0.5]
seed = 0
mix = 0.5
epochs = 1
batch_size = 32
"""


@pytest.fixture
def spec_file(tmp_path):
    file = tmp_path / "small.toml"
    file.write_text(SPEC)
    return file


def test_a_toml_file_is_the_spec(spec_file):
    expected = GridSpec(
        imbalance=10,
        head=60,
        heldout=12,
        size=14,
        teacher_network="cnn-8",
        student_network="cnn-4",
        teacher=["none", "robust"],
        student=("standard", 0.5),
        seed=0,
        mix=0.5,
        epochs=1,
        batch_size=32,
    )
    assert GridSpec.from_file(spec_file) == expected


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("seed", "seeds", "a key of spec must be one of .* got 'seeds'; did you mean 'seed'"),
        ("epochs", "epoch", "a key of spec must be one of .* got 'epoch'; did you mean 'epochs'"),
        ("epochs = 1", "epochs = 0", "epochs must be a whole number of at least 1, got 0"),
        ("seed = 0", "seed = []", "seed must be a value or a list that is not empty"),
        ('"robust"', '"robsut"', "teacher's objective must be one of .*robust.* got 'robsut'"),
        ('"cnn-8"', '["cnn8"]', "teacher_network must be .* got 'cnn8'"),
        ("epochs", "grid = 1\nepochs", "grid must be tables"),
        ("imbalance = 10", "imbalance =", "small.toml is not a TOML file"),
    ],
)
def test_a_bad_spec_exits_2_and_names_the_key(spec_file, capsys, old, new, message):
    spec_file.write_text(SPEC.replace(old, new))
    assert cli.main(["study", str(spec_file), "--store", str(spec_file.parent / "store")]) == 2
    shown = capsys.readouterr().err
    assert shown.startswith("rdlite: ") and "Traceback" not in shown
    with pytest.raises(ValueError, match=message):
        GridSpec.from_file(spec_file)


def test_the_command_writes_a_table_that_reads_back(spec_file, tmp_path, capsys):
    out, store = tmp_path / "out", tmp_path / "store"
    command = ["study", str(spec_file), "--store", str(store), "--out", str(out)]
    assert cli.main(command) == 0
    assert sorted(f.name for f in out.iterdir()) == ["about.json", "runs.csv", "spec.toml"]
    again = results.read(out)
    table = run_grid(again.spec, store=store, progress=False)
    assert again.spec == GridSpec.from_file(spec_file)
    assert again.table.student.tolist() == ["standard", "0.5"] * 2
    assert again.table.teacher.tolist() == ["none", "none", "robust", "robust"]
    for column in ("per_class", "multipliers"):
        shipped, made = (torch.tensor(t[column].tolist()) for t in (again.table, table))
        torch.testing.assert_close(shipped, made, rtol=0, atol=6e-5)
    for column in ("worst", "robust_loss", "teacher_worst", "teacher_calibration"):
        assert again.table[column].to_numpy() == pytest.approx(
            table[column].to_numpy(), abs=6e-5, nan_ok=True
        ), column  # a number, or nothing without a teacher
    assert again.class_counts == (60, 46, 35, 27, 21, 16, 12, 10, 7, 6)
    first = (out / "runs.csv").read_text()
    assert cli.main(command) == 0 and (out / "runs.csv").read_text() == first, "from the store"


def test_a_dry_run_lists_the_runs_and_trains_nothing(spec_file, tmp_path, capsys):
    store = tmp_path / "store"
    assert cli.main(["study", str(spec_file), "--store", str(store), "--dry-run"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 6
    assert lines[4] == "4 students of 1 teachers; 0 of these networks are in the store"
    assert re.fullmatch(r"The rest takes about \d+ s in \d+ process(es)? of this machine", lines[5])
    assert lines[3].startswith("seed 0: cnn-4 for 0.5, taught by cnn-8 for robust")
    assert not store.exists()
    run = GridSpec.from_file(spec_file).runs()[0]
    Store(store).finish(run)
    assert cli.main(["study", str(spec_file), "--store", str(store), "--dry-run"]) == 0
    assert "; 1 of these networks are in the store" in capsys.readouterr().out


def test_the_estimate_grows_with_epochs_images_and_a_teacher_that_labels_each_view():
    run = GridSpec(size=14).cell(teacher="standard", student="robust")
    own = cost.seconds(run)
    longer = dataclasses.replace(run.config, epochs=10 * run.config.epochs)
    assert cost.seconds(dataclasses.replace(run, config=longer)) > 5 * own
    flipped = dataclasses.replace(run, config=dataclasses.replace(run.config, flip=True))
    assert cost.seconds(flipped) > own > cost.seconds(dataclasses.replace(run, teacher=None)) > 0
    assert cost.of_study([run, run], processes=2) == own


def test_a_missing_spec_exits_2():
    command = [sys.executable, "-m", "rdlite", "study", "nothing.toml", "--store", "out"]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert shown.returncode == 2 and "nothing.toml" in shown.stderr


def test_reading_a_study_that_is_not_there_says_so(tmp_path):
    with pytest.raises(OSError, match=r"runs\.csv"):
        results.read(tmp_path / "nothing")


def test_a_study_of_data_sets_with_other_classes_is_written_and_read(tmp_path, monkeypatch):
    """As CIFAR-10 beside CIFAR-100: here the digits, and the first five of them."""
    read, _ = data.SOURCES["digits"]

    def five(*_):
        kept = [(part, part.labels < 5) for part in read()]
        return [Split(p.images[own], p.labels[own], p.class_names[:5]) for p, own in kept]

    monkeypatch.setitem(data.SOURCES, "tiny-imagenet", (five, 8))
    run._load.cache_clear()
    file = tmp_path / "two.toml"
    file.write_text(
        'dataset = ["digits", "tiny-imagenet"]\nhead = 40\nheldout = 10\nimbalance = 2\nsize = 8\n'
        'student_network = "linear"\nteacher = "none"\nstudent = "robust"\nseed = 0\nepochs = 1\n'
    )
    serial = joblib.Parallel(n_jobs=1, return_as="generator_unordered")
    table = run_grid(GridSpec.from_file(file), executor=serial, progress=False)
    results.write(tmp_path, file, table)
    tasks = results.read(tmp_path).tasks()
    assert [len(task.class_names) for task in tasks] == [10, 5]
    assert [len(task.class_counts) for task in tasks] == [10, 5]
    for task, made in zip(tasks, table.per_class, strict=True):
        assert task.table.per_class.iloc[0] == pytest.approx(made, abs=6e-5)
    run._load.cache_clear()


def test_a_study_says_what_it_costs_before_it_starts(spec_file, tmp_path, capsys):
    assert cli.main(["study", str(spec_file), "--store", str(tmp_path / "store")]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown[0] == "4 students of 1 teachers; 0 of these networks are in the store"
    assert shown[1].startswith("The rest takes about") and shown[2].startswith("Written: ")


@pytest.mark.parametrize(
    ("said", "asked", "used"),
    [("", "auto", "cuda"), ("cpu", "auto", "cpu"), ("", "cpu", "cpu"), ("cuda", "cpu", "cpu")],
)
def test_the_device_of_a_file_gives_way_only_to_one_that_is_named(
    spec_file, tmp_path, monkeypatch, said, asked, used
):
    if said:
        spec_file.write_text(f'device = "{said}"\n' + SPEC)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(cli, "_print_cost", lambda *_, **__: None)
    seen = []
    monkeypatch.setattr(
        "rdlite.studies.grid.run_grid",
        lambda spec, **_: (seen.append(spec.device), run_grid(spec.but(device="cpu"), **_))[1],
    )
    store = tmp_path / "store"
    assert cli.main(["study", str(spec_file), "--store", str(store), "--device", asked]) == 0
    assert seen == [used]
