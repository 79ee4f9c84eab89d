"""Training that diverges stops at once and says where; nothing that was good is lost.

The losses here count their calls, so a test can say at which step something goes wrong.
"""

import dataclasses
import signal
from functools import partial

import pandas as pd
import pytest
import torch
from test_checkpoints import CONFIG, same, train
from test_studies import TINY, serial
from test_train import SPEC
from test_train import train as command
from test_training import SHORT, network, weights
from torch import nn

from rdlite import __main__ as cli
from rdlite import baselines, studies
from rdlite.distillation import distill
from rdlite.objectives import ROBUST, STANDARD
from rdlite.studies import demo, results, run_grid
from rdlite.studies.grid import Diverged
from rdlite.studies.spec import GridSpec
from rdlite.studies.store import Store
from rdlite.training import fit
from rdlite.training.checkpoints import Checkpoint

STEPS = 36  # of CONFIG, in 5 rounds that end after steps 7, 14, 21, 28 and 36
WILD = dataclasses.replace(SHORT, learning_rate=1e30)
SOON = partial(pytest.raises, FloatingPointError, match=r"not finite at step [1-9]\d?; lower")


class Counting:
    """Cross-entropy that is NaN, or has a gradient of NaN, at one step."""

    def __init__(self, loss_at=0, gradient_at=0, signal_at=0):
        self.loss_at, self.gradient_at, self.signal_at, self.calls = (
            loss_at, gradient_at, signal_at, 0,
        )  # fmt: skip

    def __call__(self, logits, targets, class_weights):
        self.calls += 1
        margins = logits - class_weights.log()
        loss = -(targets * torch.log_softmax(margins, 1)).sum(1).mean()
        if self.calls == self.gradient_at:
            loss = loss + (0 * logits).sum().sqrt()  # 0, with a slope of 0 times infinity
        if self.calls == self.signal_at:
            signal.raise_signal(signal.SIGTERM)
        return loss * torch.nan if self.calls == self.loss_at else loss


@pytest.mark.parametrize("step", [1, 6, 7, 8, STEPS])
def test_it_stops_at_the_first_loss_that_is_not_finite(long_tail, step):
    """On a CPU within the round, and before that loss has touched the weights."""
    net, loss = network(), Counting(loss_at=step)
    message = rf"training diverged: the loss is not finite at step {step}; lower learning_rate"
    with pytest.raises(FloatingPointError, match=message):
        fit(net, long_tail.train, ROBUST, heldout=long_tail.heldout, config=CONFIG, loss=loss)
    assert loss.calls == step
    assert weights(net).isfinite().all()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_on_a_gpu_it_stops_at_the_end_of_the_round_and_names_the_step(long_tail):
    net, loss = network().cuda(), Counting(loss_at=9)
    with pytest.raises(FloatingPointError, match="not finite at step 9; lower learning_rate"):
        fit(net, long_tail.train, ROBUST, heldout=long_tail.heldout, config=CONFIG, loss=loss)
    assert loss.calls == 14


@pytest.mark.parametrize("step", [8, 14, 15, 30])
def test_the_last_good_checkpoint_stays_and_training_goes_on_from_it(long_tail, tmp_path, step):
    path = tmp_path / "c.pt"
    with pytest.raises(FloatingPointError):
        train(long_tail, Checkpoint(path=path), loss=Counting(loss_at=step))
    kept = Checkpoint(path=path).read()["state"]
    assert len(kept["history"]["rows"]) == (step - 1) // 7
    assert all(value.isfinite().all() for value in kept["sgd"]["model"].values())
    resumed = train(long_tail, Checkpoint(path=path, resume=True), loss=Counting())
    same(train(long_tail, loss=Counting()), resumed)


def test_weights_that_are_not_finite_are_never_kept(long_tail, tmp_path):
    """The gradient of step 9 breaks them, SIGTERM comes in step 9: nothing to go on from."""
    path, loss = tmp_path / "c.pt", Counting(gradient_at=9, signal_at=9)
    with pytest.raises(FloatingPointError, match="a weight is not finite after step 9; lower"):
        train(long_tail, Checkpoint(path=path), loss=loss)
    assert len(Checkpoint(path=path).read()["state"]["history"]["rows"]) == 1
    resumed = train(long_tail, Checkpoint(path=path, resume=True), loss=Counting())
    same(train(long_tail, loss=Counting()), resumed)


def test_held_out_logits_that_are_not_finite_name_the_round(long_tail, tmp_path):
    """Every loss is finite: the last gradient of round 2 is not."""
    path = tmp_path / "c.pt"
    message = r"diverged: a held-out logit is not finite after round 2; lower learning_rate"
    with pytest.raises(FloatingPointError, match=message):
        train(long_tail, Checkpoint(path=path), loss=Counting(gradient_at=14))
    assert len(Checkpoint(path=path).read()["state"]["history"]["rows"]) == 1


class Loud(nn.Module):
    """Finite held-out logits, but so large that their differences or sums are not."""

    def __init__(self, size):
        super().__init__()
        self.model, self.size = network(), size

    def forward(self, inputs):
        logits = self.model(inputs)
        return logits if self.training else self.size * logits.sign()


@pytest.mark.parametrize("size, what", [(3e38, "logit"), (8e37, "risk")])
def test_held_out_losses_that_are_not_finite_name_the_round(long_tail, size, what):
    message = f"a held-out {what} is not finite after round 1; lower learning_rate or step_size"
    with pytest.raises(FloatingPointError, match=message):
        fit(Loud(size), long_tail.train, ROBUST, heldout=long_tail.heldout, config=SHORT)


@pytest.mark.parametrize(
    "method",
    [
        lambda net, splits: baselines.group_dro(net, splits, step_size=1.0, config=WILD),
        lambda net, splits: baselines.logit_adjusted(net, splits, config=WILD),
        lambda net, splits: baselines.post_shifted(net, splits, config=WILD),
        lambda net, splits: baselines.ada_margin(
            net, splits, teacher=network("cnn-8"), config=WILD
        ),
        lambda net, splits: baselines.ada_alpha(net, splits, teacher=network("cnn-8"), config=WILD),
        lambda net, splits: distill(network("cnn-8"), net, splits, ROBUST, config=WILD),
    ],
    ids=["group DRO", "logit-adjusted", "post-shifted", "AdaMargin", "AdaAlpha", "distill"],
)
def test_every_method_stops_and_names_the_step(long_tail, method):
    net = network()
    with SOON():
        method(net, long_tail)
    assert not torch.equal(weights(net), weights(network())), "it did train before"


class Broken(nn.Module):
    """A teacher that gives NaN for some images, or from some call on."""

    def __init__(self, images=0, calls=10**9):
        super().__init__()
        self.model, self.images, self.calls = network("cnn-8"), images, calls

    def forward(self, inputs):
        self.calls -= 1
        logits = self.model(inputs)
        logits[: self.images if self.calls >= 0 else len(logits), 3] = torch.nan
        return logits


@pytest.mark.parametrize("labels", ["teacher", "one-hot"])
@pytest.mark.parametrize("view", ["consistent", "plain"])
def test_a_teacher_that_gives_nan_is_found_before_training(long_tail, labels, view):
    how = {"heldout_labels": labels, "teacher_view": view, "config": SHORT}
    message = r"teacher must give finite logits, got NaN or infinity for 5 of 78 held-out images"
    for method in (
        partial(distill, Broken(5), network(), long_tail, STANDARD, **how),
        partial(baselines.ada_margin, network(), long_tail, teacher=Broken(5), **how),
        partial(baselines.ada_alpha, network(), long_tail, teacher=Broken(5), **how),
    ):
        with pytest.raises(ValueError, match=message):
            method()


def test_a_teacher_that_gives_nan_later_stops_training_at_that_step(long_tail):
    before = 3  # one image to try it, the held-out images, the plain ones for the marginal
    with pytest.raises(FloatingPointError, match=r"at step 4; .*non-finite targets"):
        distill(Broken(calls=before + 3), network(), long_tail, STANDARD, config=SHORT)


# ------------------------------------------------------------------------------- grids, commands

SOME_WILD = TINY.but(seed=0, learning_rate=[0.1, 1e30], teacher_learning_rate=0.1)


@pytest.mark.parametrize(
    "executor", [serial, pytest.param(lambda: None, marks=pytest.mark.slow)], ids=["one", "many"]
)
def test_a_grid_finishes_what_it_can_and_names_what_diverged(tmp_path, executor):
    with pytest.raises(Diverged) as stopped:
        run_grid(SOME_WILD, executor=executor(), store=tmp_path, progress=False)
    text = str(stopped.value)
    assert "4 networks diverged, 4 of 8 students are finished" in text
    wild = [run for run in SOME_WILD.runs() if run.config.learning_rate > 1]
    assert all(f"{run.label}: training diverged" in text for run in wild) and len(wild) == 4
    table = stopped.value.table
    assert set(table.learning_rate) == {0.1} and len(table) == 4
    tame = SOME_WILD.but(learning_rate=0.1)
    assert run_grid(tame, store=tmp_path, progress=False).equals(table), "nothing is lost"


def test_students_of_a_teacher_that_diverged_are_not_trained(tmp_path, monkeypatch):
    spec = TINY.but(seed=0, teacher_learning_rate=1e30)
    trained = []
    finish = Store.finish
    monkeypatch.setattr(
        Store, "finish", lambda self, run, **how: (trained.append(run), finish(self, run, **how))[1]
    )
    with pytest.raises(Diverged, match=r"1 networks diverged, 2 of 4 students are finished") as one:
        run_grid(spec, executor=serial(), store=tmp_path, progress=False)
    teacher = next(run.teacher for run in spec.runs() if run.teacher)
    assert f"{teacher.label}: training diverged" in str(one.value)
    assert [run for run in trained if run.teacher] == []
    assert set(one.value.table.teacher) == {"none"}


def test_a_study_writes_what_is_finished_and_exits_1(tmp_path, capsys):
    file, store = tmp_path / "some.toml", tmp_path / "store"
    file.write_text(SPEC + "learning_rate = [0.1, 1e30]\nteacher_learning_rate = 0.1\n")
    assert cli.main(["study", str(file), "--device=cpu", f"--store={store}"]) == 1
    shown = capsys.readouterr()
    assert f"Written: {store}" in shown.out
    assert "2 networks diverged, 2 of 4 students are finished" in shown.err
    assert "cnn-4 for robust" in shown.err and "Traceback" not in shown.err
    assert set(results.read(store).table.learning_rate) == {0.1}


def test_the_demo_keeps_what_is_finished(tmp_path):
    with pytest.raises(Diverged, match="4 networks diverged"):
        demo.train_and_write(SOME_WILD, tmp_path, progress=False)
    kept = pd.read_csv(tmp_path / "grid.csv")
    assert kept.learning_rate.tolist() == [0.1] * 4


LATE = SPEC.replace("epochs = 4", "epochs = 4\nweight_decay = 100")  # explodes after some rounds


def test_a_command_that_diverges_names_the_run_and_keeps_its_checkpoint(tmp_path, capsys):
    """Going on with other settings would be another training: it is refused by their names."""
    file, store = tmp_path / "late.toml", tmp_path / "store"
    file.write_text(LATE)
    assert command(file, store) == 1
    message = capsys.readouterr().err
    teacher = GridSpec.from_file(file).runs()[0].teacher
    assert f"rdlite: {teacher.label}: training diverged: " in message
    assert "lower learning_rate" in message and "Traceback" not in message
    kept = Checkpoint(path=store / "checkpoint.pt").read()
    assert 1 <= len(kept["state"]["history"]["rows"]) < 6
    assert all(value.isfinite().all() for value in kept["state"]["sgd"]["model"].values())
    assert not list(store.glob("*.json")) and not list(store.glob("*.safetensors"))
    before = (store / "checkpoint.pt").read_bytes()
    file.write_text(SPEC)
    assert command(file, store, "--resume") == 2
    message = capsys.readouterr().err
    assert "is a checkpoint of another training: config.weight_decay was 100" in message
    assert "start again in another place" in message
    assert (store / "checkpoint.pt").read_bytes() == before
    assert command(file, tmp_path / "another") == 0


def test_one_by_one_the_networks_before_the_one_that_diverges_stay(tmp_path):
    spec = SOME_WILD.but(teacher="none", student="standard")
    with pytest.raises(FloatingPointError, match=r"^seed 0: cnn-4 for standard: training diverged"):
        studies.train(spec, tmp_path, progress=False)
    first, wild = spec.runs()
    assert Store(tmp_path).done(first, weights=True) and not Store(tmp_path).done(wild)
