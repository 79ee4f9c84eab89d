"""Training in several processes, real ones that torchrun starts: the run in one process, again."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from test_checkpoints import CONFIG
from test_training import network, weights
from torch import nn

from rdlite import __main__ as cli
from rdlite.distillation import distill
from rdlite.objectives import ROBUST
from rdlite.studies.spec import GridSpec
from rdlite.studies.store import Store
from rdlite.training import devices
from rdlite.training.checkpoints import Checkpoint

TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1"}
SPEC = """\
imbalance = 10
head = 100
heldout = 21
size = 14
teacher_network = "resnet-8"
student_network = "cnn-4"
teacher = "standard"
student = "robust"
seed = 0
mix = 0.5
epochs = 2
batch_size = 64
shift = 1
flip = true
"""


def torchrun(*arguments, **options):
    shown = subprocess.run(
        [*TORCHRUN, *arguments],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=300,
        **options,
    )
    assert shown.returncode == 0, shown.stderr
    return shown


@pytest.mark.slow
def test_two_processes_are_one_and_hold_the_same_multipliers(long_tail, tmp_path):
    """A consistent teacher, batch norm and augmentation; rounds that end inside an epoch."""
    file = tmp_path / "both.py"
    code = f"""\
        import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})
        import torch
        from test_parallel import one_training
        from rdlite import data
        from rdlite.training import devices
        torch.set_num_threads(1)
        splits = data.load(imbalance=10, head=100, heldout=20, size=14)
        with devices.group("cpu"):
            net, history = one_training(splits)
            kept = {{"net": net.state_dict(), "history": history.state_dict()}}
            torch.save(kept, sys.argv[1] + f"/{{devices.rank()}}.pt")
    """
    file.write_text(textwrap.dedent(code))
    torchrun(str(file), str(tmp_path))
    first, second = (torch.load(tmp_path / f"{k}.pt", weights_only=True) for k in (0, 1))
    for name in ("risks", "multipliers", "class_weights"):
        assert torch.equal(first["history"][name], second["history"][name])
    assert all(torch.equal(first["net"][k], second["net"][k]) for k in first["net"])
    net, history = one_training(long_tail)
    torch.testing.assert_close(
        first["history"]["multipliers"], history.multipliers, rtol=1e-3, atol=0
    )
    torch.testing.assert_close(first["history"]["risks"], history.risks, rtol=1e-3, atol=1e-4)
    for a, b in zip(first["history"]["rows"], history.rows, strict=True):
        assert a["loss"] == pytest.approx(b["loss"], rel=1e-4)
    torch.testing.assert_close(first["net"], net.state_dict(), rtol=1e-2, atol=1e-3)


def one_batch(*, alone):
    """Logits' gradients and statistics of a network with every kind of batch norm, on 8 images."""
    generator = torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    flat = [nn.Flatten(), nn.Linear(72, 6), nn.BatchNorm1d(6, momentum=None), nn.Linear(6, 2)]
    frozen = nn.BatchNorm2d(2).eval()
    norms = [nn.BatchNorm2d(2, affine=False), frozen, nn.BatchNorm2d(2, track_running_stats=False)]
    net = nn.Sequential(nn.Conv2d(1, 2, 3), *norms, *flat)
    images = torch.rand(8, 1, 8, 8, generator=generator)
    called = net if alone else devices.shared(net, 8)
    for _ in range(2):
        called(images if alone else devices.mine(images)).square().mean().backward()
    net.zero_grad()
    called(images if alone else devices.mine(images)).square().mean().backward()
    gradients = {name: one.grad for name, one in net.named_parameters()}
    return [net.state_dict(), gradients]


@pytest.mark.slow
def test_every_kind_of_batch_norm_is_shared(tmp_path):
    file = tmp_path / "norms.py"
    code = f"""\
        import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})
        import torch
        from test_parallel import one_batch
        from rdlite.training import devices
        with devices.group("cpu"):
            kept = one_batch(alone=False)
            torch.save(kept, sys.argv[1] + f"/{{devices.rank()}}.pt")
    """
    file.write_text(textwrap.dedent(code))
    torchrun(str(file), str(tmp_path))
    alone = one_batch(alone=True)
    for rank in (0, 1):
        kept = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        torch.testing.assert_close(kept, alone, rtol=1e-4, atol=1e-5)


def test_a_batch_norm_of_another_kind_is_refused(monkeypatch):
    class Odd(nn.BatchNorm2d):
        pass

    monkeypatch.setattr(devices, "size", lambda: 2)
    with pytest.raises(ValueError, match=r"model must have torch's own batch norms.*Odd at 1"):
        devices.shared(nn.Sequential(nn.Conv2d(1, 2, 3), Odd(2)), 4)


def one_training(splits):
    student = network("cnn-4")
    teacher = network("cnn-8", seed=3)
    return student, distill(teacher, student, splits, ROBUST, config=CONFIG)


@pytest.mark.slow
def test_the_command_under_torchrun_writes_what_it_writes_alone(tmp_path):
    recipe = tmp_path / "small.toml"
    recipe.write_text(SPEC)
    command = ["-m", "rdlite", "train", str(recipe), "--device", "cpu", "--store"]
    shown = torchrun(*command, str(tmp_path / "two"))
    assert shown.stdout.count("Written:") == 1, "only the first process speaks"
    assert cli.main([*command[2:], str(tmp_path / "one")]) == 0
    run = GridSpec.from_file(recipe).runs()[0]
    for one in (run, run.teacher):
        two, alone = Store(tmp_path / "two"), Store(tmp_path / "one")
        a, b = (load_file(store.weights(one)) for store in (two, alone))
        torch.testing.assert_close(a, b, rtol=0.02, atol=0.02)  # rounding, amplified
        assert two.result(one)["average"] == pytest.approx(alone.result(one)["average"], abs=0.01)
    names = {file.suffix for file in (tmp_path / "two").iterdir()}
    assert names == {".json", ".safetensors", ".lock", ".csv", ".toml"}


@pytest.mark.slow
def test_a_run_of_two_processes_is_stopped_after_a_round_and_goes_on(tmp_path):
    recipe = tmp_path / "long.toml"
    recipe.write_text(SPEC.replace("epochs = 2", "epochs = 30"))
    store = tmp_path / "store"
    command = [*TORCHRUN, "-m", "rdlite", "train", str(recipe), "--device=cpu", f"--store={store}"]
    process = subprocess.Popen(command, env=ENVIRONMENT, start_new_session=True)
    path = store / "checkpoint.pt"
    deadline = time.monotonic() + 120
    while not path.exists():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGTERM)
    assert process.wait(60) != 0
    rounds = len(Checkpoint(path=path).read()["state"]["history"]["rows"])
    assert 1 <= rounds < 30
    torchrun(*command[len(TORCHRUN) :], "--resume")
    run = GridSpec.from_file(recipe).runs()[0]
    assert json.loads(Store(store).card(run).read_text())["label"] == run.label
    assert not path.exists(), "finished"


def test_alone_everything_is_as_it_was():
    rows = torch.arange(6).view(3, 2)
    assert devices.mine(rows) is rows and devices.gathered(rows, 3) is rows
    assert devices.mean(rows) is rows and devices.of_first(True) and not devices.of_first(False)
    net = network()
    assert devices.shared(net, 7) is net
    with devices.group("cpu") as device:
        assert device == "cpu" and devices.size() == 1 and devices.rank() == 0


@pytest.mark.parametrize("rank", [0, 1, 2])
def test_rows_are_dealt_out(monkeypatch, rank):
    monkeypatch.setattr(devices, "rank", lambda: rank)
    monkeypatch.setattr(devices, "size", lambda: 3)
    assert devices.mine(torch.arange(7)).tolist() == list(range(rank, 7, 3))
    with pytest.raises(ValueError, match="batch_size must be a multiple of the 3 processes, got 7"):
        devices.shared(network(), 7)


def test_shared_batch_norm_alone_is_batch_norm():
    x = torch.randn(4, 3, 5, 5, generator=torch.Generator().manual_seed(0))
    plain, shared = nn.BatchNorm2d(3), devices.SharedBatchNorm(3)
    for training in (True, False):
        plain.train(training)
        shared.train(training)
        assert torch.equal(plain(x), shared(x))
    assert list(plain.state_dict()) == list(shared.state_dict())


def test_the_weights_of_the_fixture_are_compared():
    """The comparisons above could not fail if training did nothing."""
    assert not torch.equal(weights(network("cnn-4")), weights(network("cnn-4", seed=1)))
