"""The benchmarks: they run, they fail when asked to, and what they compare does the same work."""

import importlib
import json
import sys
from pathlib import Path

import pytest
import torch

FOLDER = Path(__file__).parent / "benchmarks"
TINY = 200  # images


@pytest.fixture(autouse=True)
def importable(monkeypatch):
    """The modules of tests/benchmarks, by their own names and only here; threads as before."""
    monkeypatch.syspath_prepend(str(FOLDER))
    known, threads = set(sys.modules), torch.get_num_threads()
    yield
    torch.set_num_threads(threads)
    for name in set(sys.modules) - known:
        if str(FOLDER) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


def module(name):
    return importlib.import_module(name)


def test_every_key_has_a_module_that_measures():
    bench = module("bench")
    keys = "fit_over_bare kd_vs_torchdistill frontier_batched grid_parallel heldout_share "
    assert set(bench.TARGETS) == set((keys + "panel_ms import_s growth").split())
    for key in bench.TARGETS:
        assert callable(module(bench.MODULES.get(key, key)).measure)


@pytest.mark.slow
def test_a_quick_run_writes_exactly_the_keys(tmp_path, capsys):
    bench = module("bench")
    assert bench.main(["--quick", "--out", str(tmp_path)]) == 0
    written = json.loads((tmp_path / "bench.json").read_text())
    has_other = module("kd_vs_torchdistill").installed()
    assert set(written) == set(bench.TARGETS) - (set() if has_other else {"kd_vs_torchdistill"})
    shown = capsys.readouterr().out
    assert has_other or "torchdistill is not installed" in shown
    for key, result in written.items():
        assert key in shown
        assert set(result["values"]) == set(result["targets"]) == set(result["reached"])
        assert all(isinstance(value, float) for value in result["values"].values())
        assert {"processor", "threads", "torch", "python"} <= set(result["machine"])
    assert (tmp_path / "growth.png").stat().st_size > 10_000


@pytest.mark.parametrize(("target", "status"), [(1e-9, 1), (1e9, 0)])
def test_strict_fails_on_a_missed_target_only(target, status, tmp_path, monkeypatch, capsys):
    bench = module("bench")
    monkeypatch.setitem(bench.TARGETS, "heldout_share", (bench.AT_MOST, target))
    words = ["--quick", "--only", "heldout_share", "--out", str(tmp_path)]
    assert bench.main(words) == 0
    assert bench.main([*words, "--strict"]) == status
    assert ("Missed: heldout_share" in capsys.readouterr().err) == bool(status)


def test_at_least_and_at_most_are_on_their_sides():
    bench = module("bench")
    assert bench.reached(1.0, bench.AT_MOST, 1.05) and not bench.reached(1.1, bench.AT_MOST, 1.05)
    assert bench.reached(7.0, bench.AT_LEAST, 6) and not bench.reached(5.0, bench.AT_LEAST, 6)


@pytest.mark.parametrize("augmentation", [{}, {"shift": 2, "flip": True}])
def test_the_bare_loop_ends_where_fit_ends(augmentation):
    timing, compared = module("timing"), module("fit_over_bare")
    train, heldout = timing.photographs(14, TINY)
    config = compared.TrainConfig(epochs=3, batch_size=32, **augmentation)
    nets = [timing.network("cnn-6", train) for _ in range(2)]
    first = {name: value.clone() for name, value in nets[0].state_dict().items()}
    assert len(compared.fitted(nets[0], train, heldout, config)) == 2
    assert len(compared.bare(nets[1], train, heldout, config)) == 3
    ours, theirs = (net.state_dict() for net in nets)
    for name, value in ours.items():
        assert torch.allclose(value, theirs[name], atol=1e-6), name
    assert not torch.allclose(ours["0.weight"], first["0.weight"], atol=1e-3)


def test_students_together_are_those_one_by_one():
    compared = module("frontier_batched")
    study = compared.plane(60)
    together = compared.together(study, 2)
    assert together.shape[0] == len(compared.ALPHAS) == len(compared.SEEDS) == 33
    assert torch.allclose(together, compared.one_by_one(study, 2), atol=1e-3)
    assert compared.plain_loop(study, 2).shape == together.shape


def test_torchdistill_has_the_same_nets_and_batches_and_asks_the_teacher_each_step():
    pytest.importorskip("torchdistill")
    timing, compared = module("timing"), module("kd_vs_torchdistill")
    train, heldout = timing.photographs(32, 300)
    calls = {"teacher": [], "student": []}

    def counted(name, seed):
        net = timing.network("cnn-4", train, seed=seed)
        net.register_forward_hook(lambda net, inputs, _: calls[name].append(
            (len(inputs[0]), net.training, torch.is_grad_enabled())
        ))  # fmt: skip
        return net

    teacher, student = counted("teacher", 1).eval(), counted("student", 0)
    made = compared.box(teacher, student, train)
    before = student[0].weight.clone()
    losses = compared.their_epoch(made, student, heldout)
    assert len(losses) == 300 // compared.BATCH == 2 and all(loss > 0 for loss in losses)
    assert calls["teacher"] == [(compared.BATCH, False, False)] * 2
    assert calls["student"][:2] == [(compared.BATCH, True, True)] * 2
    assert sum(n for n, training, _ in calls["student"] if not training) == len(heldout)
    assert not torch.equal(before, student[0].weight)


def test_their_loss_is_ours_up_to_the_entropy_of_the_teacher():
    """KL divergence and cross-entropy differ by a constant: the gradients are the same."""
    losses = pytest.importorskip("torchdistill.losses.mid_level")
    from rdlite.distillation import soft_targets
    from rdlite.objectives import margin_loss

    logits = torch.randn(8, 5, requires_grad=True)
    teacher, labels = torch.randn(8, 5), torch.arange(8) % 5
    theirs = losses.KDLoss(".", "output", ".", "output", temperature=1.0, alpha=0.5)(
        {".": {"output": logits}}, {".": {"output": teacher}}, labels
    )
    ours = margin_loss(logits, soft_targets(teacher, labels, mix=0.5), torch.ones(5))
    (a,), (b,) = torch.autograd.grad(theirs, logits), torch.autograd.grad(ours, logits)
    assert torch.allclose(a, b, atol=1e-6)


def test_exponents_are_those_of_a_power_law():
    growth = module("growth")
    points = {n: {"seconds": 3e-4 * n**1.5} for n in (10, 100, 1000)}
    assert growth.exponent(points, "seconds") == pytest.approx(1.5)
