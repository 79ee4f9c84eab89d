"""SIGKILL at any moment: `--resume` ends as the undisturbed run, and no file is half there.

The processes are real, `python -m rdlite train` as a user starts it. Where 30 are killed, they are
forked from one that has imported everything, which takes a fraction of a second; and to aim, the
test sends a signal on which Python writes down where it is, and kills it there.
"""

import contextlib
import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from test_studies import TINY, serial
from test_train import contents, recipe, train  # noqa: F401

from rdlite import __main__ as cli
from rdlite.guards import files
from rdlite.studies import run_grid
from rdlite.training.checkpoints import Checkpoint

pytestmark = pytest.mark.skipif(os.name != "posix", reason="SIGKILL and fork are of POSIX")
LONGER = TINY.but(seed=range(12))
SHORT_ROUNDS = """\
imbalance = 10
head = 60
heldout = 60
size = 14
teacher_network = "cnn-8"
student_network = "cnn-4"
teacher = "standard"
student = "robust"
seed = 0
mix = 0.5
epochs = 4
rounds = 16
batch_size = 32
shift = 1
"""
PLACES = {  # in words -> functions of which one is running, "inner in outer" where that matters
    "an epoch": ["run_until"],
    "the held-out update": ["predict in fit", "class_risks in fit", "summary in fit"],
    "writing a checkpoint": ["_keep"],
    "writing a network or its card": ["whole in finish"],
    "writing the table": ["whole in write in main"],
}
PRELOADED = ["torch", "torchvision", "pandas", "safetensors.torch", "rdlite.studies"]


class Command:
    """`python -m rdlite`, forked from a process that has the libraries, and its stack on demand."""

    def __init__(self, arguments, stack):
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(PRELOADED)
        stack.unlink(missing_ok=True)
        self.stack = stack
        self.process = context.Process(target=in_the_child, args=(arguments, stack))
        self.process.start()
        while not stack.exists():  # it can be asked from now on
            assert self.process.is_alive()
            time.sleep(0.002)

    def where(self):
        """The functions that it is in, innermost first; none if it has ended."""
        before = self.stack.stat().st_size
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.process.pid, signal.SIGUSR1)
        while self.process.is_alive():
            text = self.stack.read_text()[before:]
            if text.endswith("\n"):
                return text.split()
            time.sleep(0.0005)
        return []

    def kill_at(self, place):
        """SIGKILL when it is at ``place``; whether that was before its end."""
        while self.process.is_alive():
            if any(nested(names, self.where()) for names in PLACES[place]):
                self.process.kill()
                break
            time.sleep(random.uniform(0, 0.002))
        return self.wait() == -signal.SIGKILL

    def wait(self):
        """Its exit code."""
        self.process.join(120)
        return self.process.exitcode


def in_the_child(arguments, stack):
    file = stack.with_suffix(".new").open("w")

    def write_down(_, frame):  # between two bytecodes: faulthandler, at any time, can crash
        names = []
        while frame is not None:
            names.append(frame.f_code.co_name)
            frame = frame.f_back
        os.write(file.fileno(), " ".join(names).encode() + b"\n")

    signal.signal(signal.SIGUSR1, write_down)
    torch.set_num_threads(1)
    Path(file.name).replace(stack)
    sys.exit(cli.main(arguments))


def nested(names, functions):
    """Whether the functions "inner in outer in ..." are all running, in this order."""
    for name in names.split(" in "):
        if name not in functions:
            return False
        functions = functions[functions.index(name) + 1 :]
    return True


def all_whole(store):
    """Every file that has its name can be read to its end."""
    for file in store.glob("[!.]*"):
        if file.suffix == ".json":
            assert json.loads(file.read_text())
        elif file.suffix == ".safetensors":
            assert load_file(file)
        elif file.suffix == ".csv":
            assert len(pd.read_csv(file)) == 1
        elif file.suffix in (".pt", ".previous"):
            assert Checkpoint(path=file).read()["state"]["history"]["rows"]


@pytest.mark.slow
def test_killed_at_30_random_points_it_ends_as_undisturbed(tmp_path):
    """In an epoch, in the held-out update, while a checkpoint or a result is written."""
    file, stores = tmp_path / "short.toml", [tmp_path / "store 0"]
    file.write_text(SHORT_ROUNDS)

    def command(store):
        options = ["--device=cpu", "--resume", f"--store={store}"]
        return Command(["train", str(file), *options], tmp_path / "stack")

    assert command(tmp_path / "undisturbed").wait() == 0
    undisturbed = contents(tmp_path / "undisturbed", file)
    places = [*PLACES] * 6
    random.shuffle(places)
    while places:
        running = command(stores[-1])
        time.sleep(random.uniform(0, 0.5))
        if running.kill_at(places[-1]):
            places.pop()
            all_whole(stores[-1])
        else:  # it came to its end before it came to that place
            assert running.wait() == 0
            stores.append(tmp_path / f"store {len(stores)}")
    assert command(stores[-1]).wait() == 0
    for store in stores:
        assert contents(store, file) == undisturbed
        assert not list(store.glob(".*.part")), "what a killed process left is cleaned up"


@pytest.mark.slow
def test_killed_at_any_moment_and_resumed_it_ends_as_undisturbed(recipe, tmp_path):  # noqa: F811
    """SIGKILL, SIGTERM and SIGINT to a real process, again and again, at moments of chance."""
    store, moments = tmp_path / "store", torch.rand(5).tolist()
    command = [sys.executable, "-m", "rdlite", "train", str(recipe), "--device=cpu", "--resume"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    kinds = [signal.SIGKILL, signal.SIGTERM, signal.SIGKILL, signal.SIGINT, signal.SIGKILL]
    for kind, moment in zip(kinds, moments, strict=True):
        process = subprocess.Popen([*command, f"--store={store}"], env=environment)
        before = state_of(store)
        while state_of(store) == before and process.poll() is None:
            time.sleep(0.005)
        time.sleep(0.3 * moment)
        process.send_signal(kind)
        assert process.wait(60) in (0, -kind, 130)
    assert train(recipe, store, "--resume") == 0
    assert train(recipe, tmp_path / "undisturbed") == 0
    assert contents(store, recipe) == contents(tmp_path / "undisturbed", recipe)


def state_of(store):
    return {file: file.stat().st_mtime_ns for file in sorted(store.glob("[!.]*.pt"))}


@pytest.mark.slow
def test_a_grid_killed_at_any_moment_goes_on_where_it_was(tmp_path):
    """SIGKILL to the whole process group, ten times; what was finished stays as it is."""
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from test_killed import LONGER\n"
        "from rdlite.studies import run_grid\n"
        "run_grid(LONGER, store=sys.argv[2], progress=False)\n"
    )
    command = [sys.executable, "-c", code, str(Path(__file__).parent), str(tmp_path)]
    random, kept = np.random.default_rng(), {}
    for _ in range(10):
        locks = len(list(tmp_path.glob("*.lock")))
        process = subprocess.Popen(command, start_new_session=True)
        while len(list(tmp_path.glob("*.lock"))) <= locks:  # it trains something new
            assert process.poll() is None, "killed before it was finished"
            time.sleep(0.01)
        time.sleep(random.uniform(0, 0.5))
        os.killpg(process.pid, signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        now = {file: file.read_bytes() for file in tmp_path.glob("*.json")}
        assert all(json.loads(text)["result"] for text in now.values())
        assert all(now[file] == text for file, text in kept.items())
        kept = now
    resumed = run_grid(LONGER, store=tmp_path, progress=False)
    undisturbed = run_grid(LONGER, executor=serial(), progress=False)
    assert resumed.drop(columns="seconds").equals(undisturbed.drop(columns="seconds"))
    assert all(file.read_bytes() == text for file, text in kept.items())


def test_what_a_killed_process_left_is_removed_and_what_a_living_one_writes_is_not(tmp_path):
    """The next to write the same file cleans up; a full disk would otherwise follow."""
    code = (
        "import os, sys; from pathlib import Path; from rdlite.guards import files\n"
        "with files.whole(sys.argv[1]) as file:\n"
        "    file.write_text('half'); print(file, flush=True); sys.stdin.read()\n"
    )
    path = tmp_path / "card [1].json"
    command = [sys.executable, "-c", code, str(path)]
    options = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **options) as killed, subprocess.Popen(command, **options) as on:
        left, written = (Path(process.stdout.readline().strip()) for process in (killed, on))
        killed.kill()
        killed.wait()
        assert left.exists() and written.exists() and not path.exists()
        with files.whole(path) as file:
            file.write_text("whole")
        assert not left.exists() and written.exists() and path.read_text() == "whole"
        on.stdin.close()
        assert on.wait() == 0 and path.read_text() == "half" and not written.exists()
