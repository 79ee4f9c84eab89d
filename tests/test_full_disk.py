"""A disk that is really full: a clear error, what was there stays, and it goes on with more room.

Each test runs on a small file system in memory, where this may be mounted, and again under a limit
on the size of files, which every POSIX system has: the errors come from the system.
"""

import contextlib
import dataclasses
import os
import shutil
import subprocess

import pytest
from test_checkpoints import CONFIG, same
from test_checkpoints import train as train_once
from test_data_cifar import small  # noqa: F401
from test_demo import TINY as DEMO
from test_report import study as example
from test_report import table as example_table
from test_studies import TINY, serial
from test_train import SPEC, contents
from test_train import train as command

from rdlite import data
from rdlite.guards import files
from rdlite.studies import demo, report, results, run_grid
from rdlite.studies.spec import GridSpec
from rdlite.training.checkpoints import Checkpoint

resource = pytest.importorskip("resource", reason="limits of POSIX")
MEBIBYTES = 8
ONE_SEED = dataclasses.replace(TINY, seeds=(0,), teachers=("none",))
FOLDER = "must be a folder that can be written, got "
FULL = r"(No space left on device|File too large); what is there is as it was; make room or choose"


class Disk:
    """Full from `leave` on until the ``with`` block ends: before pytest writes its own report."""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.make_room()


class SmallDisk(Disk):
    """A file system of a few MiB, filled up by one large file."""

    def __init__(self, folder):
        self.folder, self.ballast = folder, folder / "ballast"

    def leave(self, size):
        with contextlib.suppress(OSError), self.ballast.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(files.BLOCK))
        os.truncate(self.ballast, self.ballast.stat().st_size - size // files.BLOCK * files.BLOCK)

    def make_room(self):
        self.ballast.unlink(missing_ok=True)


class SmallFiles(Disk):
    """No file of this process may be larger."""

    def __init__(self, folder):
        self.folder = folder
        self.before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def leave(self, size):
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, self.before[1]))

    def make_room(self):
        resource.setrlimit(resource.RLIMIT_FSIZE, self.before)


@pytest.fixture(params=["a small disk", "small files"])
def disk(request, tmp_path):
    folder = tmp_path / "disk"
    folder.mkdir()
    if request.param == "small files":
        limited = SmallFiles(folder)
        yield limited
        limited.make_room()
        return
    mount = ["mount", "-t", "tmpfs", "-o", f"size={MEBIBYTES}m", "tmpfs", str(folder)]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("a file system can be mounted by root only")
    yield SmallDisk(folder)
    subprocess.run(["umount", str(folder)], check=True)


def files_of(folder):
    """name -> bytes of all but the ballast and locks; what is unfinished would be among them."""
    found = [file for file in folder.rglob("*") if file.is_file()]
    return {
        file.relative_to(folder): file.read_bytes()
        for file in found
        if file.name not in ("ballast", ".lock") and file.suffix != ".lock"
    }


def test_a_checkpoint_that_cannot_be_written_leaves_those_before(long_tail, disk):
    path, before = disk.folder / "c.pt", {}

    def fill(row):
        if row["round"] == 4:
            before.update(files_of(disk.folder))
            disk.leave(files.BLOCK)

    with disk, pytest.raises(OSError, match=rf"cannot write c\.pt in {disk.folder}: {FULL}"):
        train_once(long_tail, Checkpoint(path=path), on_round=fill)
    assert files_of(disk.folder) == before
    assert {str(name) for name in before} == {"c.pt", "c.pt.previous"}
    assert len(Checkpoint(path=path).read()["state"]["history"]["rows"]) == 3
    resumed = train_once(long_tail, Checkpoint(path=path, resume=True))
    same(train_once(long_tail), resumed)
    assert len(resumed[1]) == CONFIG.rounds


def test_the_command_exits_2_and_goes_on_when_there_is_room(disk, tmp_path, capsys):
    recipe, store = tmp_path / "small.toml", disk.folder / "store"
    recipe.write_text(SPEC)
    with disk:
        disk.leave(0)
        assert command(recipe, store) == 2
    message = capsys.readouterr().err
    assert f"store {FOLDER}'{store}': " in message and "make room" in message
    assert "Traceback" not in message and files_of(disk.folder) == {}
    assert command(recipe, store, "--resume") == 0
    assert command(recipe, tmp_path / "undisturbed") == 0
    assert contents(store, recipe) == contents(tmp_path / "undisturbed", recipe)


@pytest.mark.parametrize("weights", [True, False], ids=["a network", "anything"])
def test_a_result_that_cannot_be_written_leaves_the_finished_ones(disk, weights):
    first = dataclasses.replace(ONE_SEED, students=("standard",))
    more = dataclasses.replace(ONE_SEED, teachers=("standard",)) if weights else ONE_SEED
    table = run_grid(first, executor=serial(), store=disk.folder, progress=False)
    before = files_of(disk.folder)
    message = rf"cannot write \w+\.safetensors in {disk.folder}" if weights else f"store {FOLDER}"
    disk.leave(files.BLOCK if weights else 0)
    with disk, pytest.raises(OSError, match=rf"{message}.*: {FULL}"):
        run_grid(more, executor=serial(), store=disk.folder, progress=False)
    assert files_of(disk.folder) == before
    made = run_grid(more, executor=serial(), store=disk.folder, progress=False)
    assert made.drop(columns="seconds").equals(
        run_grid(more, executor=serial(), progress=False).drop(columns="seconds")
    )
    assert files_of(disk.folder).items() >= before.items()
    assert run_grid(first, executor=serial(), store=disk.folder, progress=False).equals(table)


def a_study(tmp_path):
    """A function that writes the table of a study into a folder."""
    file = tmp_path / "spec.toml"
    file.write_text(SPEC.replace('["standard", "robust"]', '["robust"]'))
    table = run_grid(GridSpec.from_file(file), executor=serial(), progress=False)
    return lambda folder: results.write(folder, file, table)


def a_report(_tmp_path):
    return lambda folder: report.write(example(example_table()), folder)


@pytest.mark.parametrize("made", [a_study, a_report])
def test_tables_and_pages_stay_where_there_is_no_room_for_new_ones(disk, tmp_path, made):
    folder, write = disk.folder / "out", made(tmp_path)
    write(folder)
    before = files_of(folder)
    disk.leave(0)
    with disk, pytest.raises(OSError, match=rf"{FOLDER}'{folder}': {FULL}"):
        write(folder)
    assert files_of(folder) == before and before
    write(folder)
    assert set(files_of(folder)) == set(before)


def test_the_demo_finds_a_full_folder_before_the_training_and_keeps_the_old_table(
    disk, monkeypatch
):
    folder = disk.folder / "out"
    spec = dataclasses.replace(DEMO, seeds=(0,), students=("standard", "robust"))
    table = demo.train_and_write(spec, folder, progress=False)
    before = files_of(folder)

    def fills(*_, **__):
        disk.leave(0)
        return table

    monkeypatch.setattr(demo, "run_grid", fills)
    with disk, pytest.raises(OSError, match=rf"cannot write grid.csv in {folder}: {FULL}"):
        demo.train_and_write(spec, folder, progress=False)
    assert files_of(folder) == before
    monkeypatch.setattr(demo, "run_grid", lambda *_, **__: pytest.fail("trained"))
    disk.leave(0)
    with disk, pytest.raises(OSError, match=rf"out {FOLDER}'{folder}': {FULL}"):
        demo.train_and_write(spec, folder, progress=False)
    assert files_of(folder) == before


def test_an_archive_that_does_not_fit_unpacked_says_so(small, disk, tmp_path):  # noqa: F811
    """Not killed by the system, as a process that writes to a mapped file would be."""
    name, root, *_ = small
    shutil.copytree(root / name.upper(), disk.folder / name.upper())
    before = files_of(disk.folder)
    disk.leave(64 * files.BLOCK)
    with disk, pytest.raises(OSError, match=FULL):
        data.load(name, root=disk.folder, head=1, heldout=0)
    assert files_of(disk.folder) == before
    assert data.load(name, root=disk.folder, head=1, heldout=0).num_classes in (10, 100)
