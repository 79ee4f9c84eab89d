"""A training that is stopped or killed goes on where it was, bit for bit, or says why not."""

import dataclasses
import functools
import os
import pickle
import signal
from decimal import Decimal

import pytest
import torch
from test_training import SHORT, network, weights
from torch import nn

from rdlite import baselines
from rdlite.baselines import group_dro
from rdlite.objectives import BALANCED, ROBUST
from rdlite.training import fit
from rdlite.training.checkpoints import Checkpoint, Stopped
from rdlite.training.targets import mixed

CONFIG = dataclasses.replace(SHORT, rounds=5)  # 36 steps, so rounds end inside an epoch


def train(splits, checkpoint=None, config=CONFIG, objective=ROBUST, **options):
    net = network()
    how = {"heldout": splits.heldout, "config": config, "checkpoint": checkpoint, **options}
    return net, fit(net, splits.train, objective, **how)


def stop_at(step):
    """A loss that sends SIGTERM to this process at one step."""
    count = 0

    def loss(logits, targets, class_weights):
        nonlocal count
        count += 1
        if count == step:
            os.kill(os.getpid(), signal.SIGTERM)
        margins = logits - class_weights.log()
        return -(targets * torch.log_softmax(margins, 1)).sum(1).mean()

    return loss


def same(a, b):
    (net, history), (other, again) = a, b
    assert torch.equal(weights(net), weights(other))
    for name in ("risks", "multipliers", "class_weights"):
        assert torch.equal(getattr(history, name), getattr(again, name))
    without_time = [[row | {"seconds": 0} for row in h.rows] for h in (history, again)]
    assert without_time[0] == without_time[1]


@pytest.mark.parametrize("step", [1, 7, 8, 12, 36])
def test_a_stopped_training_goes_on_bit_for_bit(long_tail, tmp_path, step):
    """Inside a round, at its end, at the end of an epoch, at the very end."""
    undisturbed = train(long_tail, loss=stop_at(0))
    before = signal.getsignal(signal.SIGTERM)
    path = tmp_path / "checkpoint.pt"
    with pytest.raises(Stopped, match=r"checkpoint\.pt is where it goes on"):
        train(long_tail, Checkpoint(path=path), loss=stop_at(step))
    assert signal.getsignal(signal.SIGTERM) is before
    torch.manual_seed(12345)  # what the process did in between does not matter
    resumed = train(long_tail, Checkpoint(path=path, resume=True), loss=stop_at(0))
    same(undisturbed, resumed)


def test_ctrl_c_is_kept_too(long_tail, tmp_path):
    def interrupt(row):
        if row["round"] == 2:
            signal.raise_signal(signal.SIGINT)

    checkpoint = Checkpoint(path=tmp_path / "c.pt", every=100)
    with pytest.raises(Stopped):
        train(long_tail, checkpoint, on_round=interrupt)
    resume = dataclasses.replace(checkpoint, resume=True)
    _, history = resumed = train(long_tail, resume)
    assert [row["round"] for row in history.rows] == [1, 2, 3, 4, 5]
    same(train(long_tail), resumed)


def test_the_averaged_scorer_and_the_player_of_group_dro_are_kept(long_tail, tmp_path):
    averaged = dataclasses.replace(CONFIG, scorer="average")
    path = tmp_path / "average.pt"
    with pytest.raises(Stopped):
        train(long_tail, Checkpoint(path=path), averaged, loss=stop_at(20))
    resumed = train(long_tail, Checkpoint(path=path, resume=True), averaged, loss=stop_at(0))
    undisturbed = train(long_tail, config=averaged, loss=stop_at(0))
    inputs = torch.randn(3, 1, 14, 14, generator=torch.Generator().manual_seed(0))
    assert torch.equal(resumed[1].scorer(inputs), undisturbed[1].scorer(inputs))

    def dro(checkpoint=None, **options):
        net = network()
        how = {"config": CONFIG, "checkpoint": checkpoint, **options}
        return net, group_dro(net, long_tail, step_size=0.5, **how)

    def interrupt(row):
        if row["round"] == 3:
            signal.raise_signal(signal.SIGTERM)

    path = tmp_path / "dro.pt"
    with pytest.raises(Stopped):
        dro(Checkpoint(path=path), on_round=interrupt)
    same(dro(), dro(Checkpoint(path=path, resume=True)))


def test_a_finished_training_is_not_trained_again(long_tail, tmp_path):
    checkpoint = Checkpoint(path=tmp_path / "c.pt", every=2)
    first = train(long_tail, checkpoint)
    kept = (tmp_path / "c.pt").stat().st_mtime_ns
    same(first, train(long_tail, dataclasses.replace(checkpoint, resume=True)))
    assert (tmp_path / "c.pt").stat().st_mtime_ns == kept


def test_another_training_is_refused_with_the_keys_that_differ(long_tail, tmp_path):
    path = tmp_path / "c.pt"
    train(long_tail, Checkpoint(path=path, about={"run": {"network": "cnn-4"}}))
    again = Checkpoint(path=path, resume=True, about={"run": {"network": "cnn-5"}})
    other = dataclasses.replace(CONFIG, epochs=4, learning_rate=0.2)
    with pytest.raises(ValueError) as refused:
        train(long_tail, again, other, BALANCED)
    text = str(refused.value)
    for part in (
        "config.epochs was 3, is 4",
        "config.learning_rate was 0.1, is 0.2",
        "objective.alpha was 1.0, is 0.0",
        "run.network was 'cnn-4', is 'cnn-5'",
    ):
        assert part in text
    assert "momentum" not in text and "data" not in text
    same_run = Checkpoint(path=path, resume=True, about={"run": {"network": "cnn-4"}})
    labels = long_tail.train.labels.flip(0)
    moved = dataclasses.replace(
        long_tail, train=dataclasses.replace(long_tail.train, labels=labels)
    )
    with pytest.raises(ValueError, match=r"data was '[0-9a-f]{16}', is '[0-9a-f]{16}'"):
        train(moved, same_run)


def test_other_targets_are_refused_but_not_the_rounding_of_another_device(long_tail, tmp_path):
    path = tmp_path / "c.pt"
    rows = torch.softmax(torch.randn(403, 10, generator=torch.Generator().manual_seed(0)), 1)
    one_hot = long_tail.train.one_hot()
    half = mixed(rows, one_hot, 0.5)
    train(long_tail, Checkpoint(path=path), targets=half)
    again = Checkpoint(path=path, resume=True)
    train(long_tail, again, targets=half.double().mul(1 + 1e-7).float())
    for matrix in (mixed(rows, one_hot, 0.6), mixed(rows.roll(1, 1), one_hot, 0.5), None):
        with pytest.raises(ValueError, match=r"another training: targets had other class shares"):
            train(long_tail, again, targets=matrix)
    held = torch.full((len(long_tail.heldout), 10), 0.1)
    with pytest.raises(ValueError, match="heldout_targets had other class shares"):
        train(long_tail, again, targets=half, heldout_targets=held)


def test_the_one_before_stays_and_is_read_where_the_newest_is_missing(long_tail, tmp_path):
    path = tmp_path / "c.pt"
    train(long_tail, Checkpoint(path=path))
    assert sorted(file.name for file in tmp_path.iterdir()) == ["c.pt", "c.pt.previous"]
    rounds = [
        len(Checkpoint(path=one).read()["state"]["history"]["rows"])
        for one in (path, path.with_name("c.pt.previous"))
    ]
    assert rounds == [5, 4]
    path.unlink()  # killed between the two renames
    same(train(long_tail), train(long_tail, Checkpoint(path=path, resume=True)))
    Checkpoint(path=path).remove()
    assert not list(tmp_path.iterdir())


class Evil:
    def __reduce__(self):
        return os.system, ("touch evil",)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize(
    "content", [b"", b"not a checkpoint", pickle.dumps(Evil()), pickle.dumps({"about": 1})]
)
def test_what_is_no_checkpoint_is_refused_and_never_run(long_tail, tmp_path, monkeypatch, content):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "c.pt"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"c\.pt is not a checkpoint of rdlite"):
        train(long_tail, Checkpoint(path=path, resume=True))
    torch.save({"state": Evil()}, path)
    with pytest.raises(ValueError, match=r"c\.pt is not a checkpoint of rdlite"):
        train(long_tail, Checkpoint(path=path, resume=True))
    assert not (tmp_path / "evil").exists()


def test_versions_stand_in_the_file(long_tail, tmp_path):
    train(long_tail, Checkpoint(path=tmp_path / "c.pt"))
    kept = Checkpoint(path=tmp_path / "c.pt").read()
    assert kept["versions"]["torch"] == str(torch.__version__)
    assert kept["about"]["config.epochs"] == 3


def test_every_0_rounds_is_refused(tmp_path):
    with pytest.raises(ValueError, match="every must be a whole number of at least 1, got 0"):
        Checkpoint(path=tmp_path / "c.pt", every=0)


def test_a_path_may_be_text_and_begin_at_home(long_tail, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    train(long_tail, Checkpoint(path="~/c.pt"))
    assert (tmp_path / "c.pt").exists()


def test_a_damaged_checkpoint_falls_back_to_the_one_before_and_says_so(long_tail, tmp_path):
    path = tmp_path / "c.pt"
    undisturbed = train(long_tail, Checkpoint(path=path))
    path.write_bytes(path.read_bytes()[:1000])
    again = Checkpoint(path=path, resume=True)
    with pytest.warns(UserWarning, match=r"c\.pt is not a checkpoint.*c\.pt\.previous.* is read"):
        same(train(long_tail, again), undisturbed)
    for file in (path, path.with_name("c.pt.previous")):
        file.write_bytes(b"")
    with pytest.raises(ValueError, match=r"c\.pt\.previous is not a checkpoint"):
        train(long_tail, again)


class Counting(nn.Linear):
    """A layer with extra state: how many batches it saw, as ``kind``."""

    kind, seen = int, 0

    def forward(self, inputs):
        self.seen += self.training
        return super().forward(inputs)

    def get_extra_state(self):
        return {"seen": self.kind(self.seen)}

    def set_extra_state(self, state):
        self.seen = state["seen"]


def test_extra_state_is_kept_or_refused_before_much_is_trained(long_tail, tmp_path):
    def counted(checkpoint, on_round=None):
        net = nn.Sequential(nn.Flatten(), Counting(196, 10))
        how = {"heldout": long_tail.heldout, "config": CONFIG}
        fit(net, long_tail.train, ROBUST, checkpoint=checkpoint, on_round=on_round, **how)
        return net[1].seen

    def stop(row):
        if row["round"] == 2:
            raise KeyboardInterrupt

    path = tmp_path / "c.pt"
    with pytest.raises(KeyboardInterrupt):
        counted(Checkpoint(path=path), stop)
    assert counted(Checkpoint(path=path, resume=True)) == 36
    Counting.kind = Decimal
    with pytest.raises(ValueError, match="tensors, numbers and text alone, in get_extra_state"):
        counted(Checkpoint(path=tmp_path / "other.pt"))
    assert not (tmp_path / "other.pt").exists()
    Counting.kind = int


def test_targets_of_the_same_marginal_are_told_apart(splits, tmp_path):
    """Balanced images: the labels, smoothed or not, are uniform on average."""
    path, one_hot = tmp_path / "c.pt", splits.train.one_hot()
    train(splits, Checkpoint(path=path))
    again, held = Checkpoint(path=path, resume=True), splits.heldout.one_hot()
    with pytest.raises(ValueError, match="another training: targets had other class shares"):
        train(splits, again, targets=0.9 * one_hot + 0.01)
    with pytest.raises(ValueError, match="another training: heldout_targets had other class"):
        train(splits, again, heldout_targets=0.9 * held + 0.01)


def test_a_loss_is_told_by_its_settings(long_tail, tmp_path):
    def smooth(logits, targets, class_weights, power):
        return -(targets * torch.log_softmax(power * logits, 1)).sum(1).mean()

    pairs = [[baselines.GroupDRO(10, step_size=step) for step in (0.01, 0.1)]]
    pairs += [[functools.partial(smooth, power=power) for power in (1, 2)]]
    for number, (first, then) in enumerate(pairs):
        path = tmp_path / str(number)
        train(long_tail, Checkpoint(path=path), loss=first)
        train(long_tail, Checkpoint(path=path, resume=True), loss=first)
        with pytest.raises(ValueError, match=r"loss was .*(0\.01.*0\.1|1.*2)"):
            train(long_tail, Checkpoint(path=path, resume=True), loss=then)


NO_CUDA = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=[pytest.mark.gpu, NO_CUDA])])
def test_dropout_draws_from_the_seed_alone_and_goes_on_bit_for_bit(long_tail, tmp_path, device):
    def losses(drawn, checkpoint=None, on_round=None):
        torch.manual_seed(0)
        layers = nn.Flatten(), nn.Dropout(0.5), nn.Linear(long_tail.train.images[0].numel(), 10)
        net = nn.Sequential(*layers).to(device)
        torch.rand(drawn, device=device)
        before = torch.get_rng_state()
        how = {"heldout": long_tail.heldout, "config": CONFIG}
        how |= {"checkpoint": checkpoint, "on_round": on_round}
        history = fit(net, long_tail.train, ROBUST, **how)
        assert torch.equal(torch.get_rng_state(), before)
        return [row["loss"] for row in history.rows]

    def stop(row):
        if row["round"] == 2:
            raise KeyboardInterrupt

    path = tmp_path / "c.pt"
    assert losses(0) == losses(7)
    with pytest.raises(KeyboardInterrupt):
        losses(0, Checkpoint(path=path), stop)
    assert losses(3, Checkpoint(path=path, resume=True)) == losses(0)


def test_another_loss_does_not_go_on_from_the_same_file(long_tail, tmp_path):
    """Of a method that is a loss of its own, such as group DRO; a round that is over is enough."""
    player = baselines.GroupDRO(10)
    for name, first, then in (("a", None, player), ("b", player, None), ("c", stop_at(0), player)):
        path = tmp_path / name
        train(long_tail, Checkpoint(path=path), loss=first)
        with pytest.raises(ValueError, match=r"another training: loss was .*GroupDRO"):
            train(long_tail, Checkpoint(path=path, resume=True), loss=then)


def test_a_constant_of_minus_infinity_is_no_divergence(long_tail, tmp_path):
    """An attention mask, for example: only weights can diverge."""
    net = network()
    net.register_buffer("mask", torch.full((2, 2), -torch.inf).triu(1))
    how = {"heldout": long_tail.heldout, "config": CONFIG}
    fit(net, long_tail.train, ROBUST, checkpoint=Checkpoint(path=tmp_path / "c.pt"), **how)
    assert (tmp_path / "c.pt").exists()
