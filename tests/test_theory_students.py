"""rdlite.theory.students against a plain loop over one model, the rules of the game, and its claim.

Conventions: M models, n points, m classes, K rounds. ``reference_training`` trains one network
with margin_loss, Objective and hedge_step, whose mathematics the stack writes out for itself.
"""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from rdlite.multipliers import hedge_step
from rdlite.objectives import Objective, class_risks, margin_loss
from rdlite.theory.mixture import GaussianMixture
from rdlite.theory.students import train_students

POINTS = Path(__file__).parent / "benchmarks" / "points.py"
ALPHAS = (0.0, 0.3, 1.0)
SHORT = {"rounds": 6, "steps_per_round": 3}


def drawn(imbalance=20.0, n=120, seed=0):
    """Points, the true probabilities there, and the same for held-out points."""
    mixture = GaussianMixture.three_classes(imbalance)
    points, _ = mixture.sample(n, seed)
    heldout, _ = mixture.sample(n // 2, seed + 1000)
    return points, mixture.eta(points), heldout, mixture.eta(heldout)


def accuracies(mixture, students):
    """(M, m) true accuracies, on a grid."""
    grid, population = mixture.on_grid(40)
    within = population.weights[:, None] * population.eta / population.prior
    logits = students.logits(grid)
    return torch.stack(
        [(within * (row.argmax(1)[:, None] == torch.arange(3))).sum(0) for row in logits]
    )


def reference_training(points, targets, heldout, heldout_targets, alpha, anchor, start):
    """One network, eqs (6)-(8) written out, from the parameters ``start``."""
    points, targets = points.float(), targets.float()
    heldout, heldout_targets = heldout.float(), heldout_targets.float()
    inward, inward_bias, outward, outward_bias = (p.clone().requires_grad_() for p in start)

    def scorer(x):
        return torch.tanh(x @ inward.T + inward_bias[:, 0]) @ outward.T + outward_bias[:, 0]

    optimiser = torch.optim.Adam([inward, inward_bias, outward, outward_bias], 0.05)
    multipliers = torch.full((targets.shape[1],), 1 / targets.shape[1])
    for _ in range(SHORT["rounds"]):
        weights = Objective(alpha, anchor).class_weights(multipliers, targets.mean(0))
        for _ in range(SHORT["steps_per_round"]):
            loss = margin_loss(scorer(points), targets, weights)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        multipliers = hedge_step(
            multipliers, class_risks(scorer(heldout).detach(), heldout_targets), 0.5
        )
    return scorer(heldout).detach()


def first_parameters(seed=0, alphas=(0.0,)):
    """The parameters before training: a learning rate too small to move them."""
    students = train_students(
        *drawn(), alphas, rounds=1, steps_per_round=1, learning_rate=1e-30, seed=seed
    )
    return [p[0] for p in students.parameters]


@pytest.mark.parametrize("anchor", ["standard", "balanced", (0.2, 0.3, 0.5)])
def test_every_model_of_the_stack_equals_a_plain_loop_over_that_model(anchor):
    data = drawn()
    students = train_students(*data, ALPHAS, anchor=anchor, **SHORT)
    start = first_parameters()
    for alpha, logits in zip(ALPHAS, students.logits(data[2]), strict=True):
        alone = reference_training(*data, alpha, anchor, start)
        assert float((logits - alone).abs().max()) < 1e-3
        assert float((start[0] - students.parameters[0][0]).abs().max()) > 0.05  # it did train


def test_a_model_trained_alone_is_the_one_trained_in_the_stack():
    data = drawn()
    stack = train_students(*data, ALPHAS)
    for k, alpha in enumerate(ALPHAS):
        alone = train_students(*data, [alpha])
        assert torch.allclose(alone.logits(data[0])[0], stack.logits(data[0])[k], atol=2e-2)
        assert torch.allclose(alone.multipliers[:, 0], stack.multipliers[:, k], atol=2e-3)
    assert float((stack.logits(data[0])[0] - stack.logits(data[0])[2]).abs().max()) > 0.5


def test_each_model_can_have_its_own_seed():
    data = drawn()
    stack = train_students(*data, [1.0, 1.0, 0.3], seed=[3, 4, 3], **SHORT)
    for k, (alpha, seed) in enumerate([(1.0, 3), (1.0, 4), (0.3, 3)]):
        alone = train_students(*data, [alpha], seed=seed, **SHORT)
        assert torch.allclose(alone.logits(data[0])[0], stack.logits(data[0])[k], atol=1e-3)
    assert float((stack.logits(data[0])[0] - stack.logits(data[0])[1]).abs().max()) > 0.1


def test_each_model_can_have_its_own_teacher():
    points, p, heldout, heldout_p = drawn()
    flat, heldout_flat = (0.5 * rows + 0.5 / 3 for rows in (p, heldout_p))
    both = train_students(
        points,
        torch.stack([p, flat]),
        heldout,
        torch.stack([heldout_p, heldout_flat]),
        [1.0, 1.0],
        **SHORT,
    )
    first = train_students(points, p, heldout, heldout_p, [1.0], **SHORT)
    second = train_students(points, flat, heldout, heldout_flat, [1.0], **SHORT)
    alone = torch.cat([first.logits(points), second.logits(points)])
    assert torch.allclose(both.logits(points), alone, atol=1e-3)
    assert float((alone[0] - alone[1]).abs().max()) > 0.1


@pytest.mark.parametrize("anchor", ["standard", "balanced"])
def test_the_history_obeys_equations_6_and_7(anchor):
    data = drawn()
    students = train_students(*data, ALPHAS, anchor=anchor, step_size=0.7, **SHORT)
    prior = data[1].mean(0).float()
    assert students.risks.shape == students.multipliers.shape == (6, 3, 3)
    assert torch.allclose(students.multipliers[0], torch.tensor(1 / 3))
    for k in range(6):
        for row, alpha in enumerate(ALPHAS):
            multipliers = students.multipliers[k, row]
            weights = Objective(alpha, anchor).class_weights(multipliers, prior)
            assert torch.allclose(students.class_weights[k, row], weights, rtol=1e-4)
            if k < 5:
                following = hedge_step(multipliers, students.risks[k, row], 0.7)
                assert torch.allclose(students.multipliers[k + 1, row], following, atol=1e-6)


def test_the_anchor_is_balanced_as_that_of_an_objective():
    data, default = drawn(), Objective().anchor
    students, named = (
        train_students(*data, [0.0], **SHORT, **how) for how in ({}, {"anchor": default})
    )
    assert default == "balanced" and torch.equal(students.class_weights, named.class_weights)


def test_no_step_size_overflows():
    """The multipliers go to the worst class at once, as `hedge_step`'s do."""
    students = train_students(*drawn(), [1.0], step_size=3e38, **SHORT)
    worst = students.risks[0, 0].argmax()
    assert students.multipliers[1, 0].tolist() == torch.eye(3)[worst].tolist()
    assert bool(torch.isfinite(students.class_weights).all())


def test_the_last_risks_are_those_of_the_scorers_returned():
    data = drawn()
    students = train_students(*data, ALPHAS, **SHORT)
    for logits, risks in zip(students.logits(data[2]), students.risks[-1], strict=True):
        assert torch.allclose(class_risks(logits, data[3].float()), risks, rtol=1e-4)


def test_alpha_1_lifts_the_worst_class_over_alpha_0():
    """Seen: 0.20 against 0.79, and the average over the classes rises too."""
    mixture = GaussianMixture.three_classes(20)
    worst, average = [], []
    for seed in range(3):
        students = train_students(*drawn(20, 600, seed), (0.0, 1.0), anchor="standard", seed=seed)
        accuracy = accuracies(mixture, students)
        worst.append(accuracy.min(1).values)
        average.append(accuracy.mean(1))
    standard, robust = torch.stack(worst).mean(0).tolist()
    assert robust > standard + 0.4
    assert robust > 0.7
    assert float(torch.stack(average).mean(0).diff()) > 0.05


def test_a_teacher_whose_graph_is_kept_changes_nothing_and_is_not_kept():
    """Probabilities that are not detached: no graph grows over the rounds."""
    data = drawn()
    kept = [part.clone().requires_grad_() for part in data]
    students = train_students(*kept, ALPHAS, **SHORT)
    parts = [*students.parameters, students.risks, students.multipliers, students.logits(kept[0])]
    assert not any(part.requires_grad for part in parts)
    assert torch.equal(parts[-1], train_students(*data, ALPHAS, **SHORT).logits(data[0]))


def test_the_seed_fixes_everything_and_nothing_else_is_touched():
    data = drawn()
    before = [part.clone() for part in data]
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first = train_students(*data, ALPHAS, seed=3, **SHORT).logits(data[0])
    assert torch.equal(torch.rand(3), expected)
    assert all(torch.equal(a, b) for a, b in zip(before, data, strict=True))
    assert torch.equal(first, train_students(*data, ALPHAS, seed=3, **SHORT).logits(data[0]))
    assert not torch.equal(first, train_students(*data, ALPHAS, seed=4, **SHORT).logits(data[0]))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"points": torch.zeros(5)}, "points must have shape"),
        ({"points": torch.full((120, 2), torch.nan)}, "points must be finite"),
        ({"heldout_points": torch.zeros(60, 3)}, r"heldout_points must have shape \(n, 2\)"),
        ({"targets": torch.ones(120, 3)}, "targets must have non-negative rows"),
        ({"targets": torch.eye(3)[torch.arange(120) % 2]}, r"targets .* got none for \[2\]"),
        ({"targets": torch.full((7, 3), 1 / 3)}, r"targets must have shape \(120, 3\) or"),
        ({"heldout_targets": torch.full((60, 2), 0.5)}, "heldout_targets must have shape"),
        ({"alphas": []}, "alphas must have at least one"),
        ({"alphas": [0.5, 1.5]}, "alpha must be a number"),
        ({"anchor": "prior"}, "anchor must be one of"),
        ({"hidden": 0}, "hidden must be a whole number"),
        ({"rounds": 0}, "rounds must be a whole number"),
        ({"steps_per_round": 1.5}, "steps_per_round must be a whole number"),
        ({"step_size": -1.0}, "step_size must be a number"),
        ({"learning_rate": 0.0}, "learning_rate must be a number"),
        ({"seed": -1}, "seed must be a whole number"),
        ({"seed": [0, -1], "alphas": [0.1, 0.2]}, "seed must be a whole number"),
        ({"seed": [0, 1]}, "seed must be one number, or one for each of 1 alphas, got 2"),
        ({"seed": 1.5}, "seed must be a whole number"),
    ],
)
def test_a_bad_argument_is_named(changes, message):
    names = ("points", "targets", "heldout_points", "heldout_targets")
    arguments = dict(zip(names, drawn(), strict=True)) | {"alphas": [0.5]} | SHORT | changes
    with pytest.raises(ValueError, match=message):
        train_students(**arguments)


def test_divergence_is_reported_with_its_round():
    with pytest.raises(FloatingPointError, match="after round 1; lower learning_rate"):
        train_students(*drawn(), [0.0], learning_rate=3e37, **SHORT)


def test_the_study_of_points_pairs_each_student_with_its_twin(tmp_path):
    out = tmp_path / "deep" / "points.csv"
    words = [sys.executable, POINTS, "--points", "150", "--seeds", "2", "--out", out]
    shown = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    lines = [line.split(",") for line in out.read_text().splitlines()]
    assert lines[0] == ["points", "seed", "alpha", "labels", "worst", "average"]
    keys = [tuple(line[:4]) for line in lines[1:]]
    pairs = [(seed, alpha) for seed in "01" for alpha in ("0.0", "1.0")]
    assert len(keys) == 8
    assert set(keys) == {("150", *pair, kind) for pair in pairs for kind in ("true", "one-hot")}
    assert "worst, mean and standard error over 2 seeds" in shown


def test_logits_checks_its_points():
    students = train_students(*drawn(), [0.0], **SHORT)
    with pytest.raises(ValueError, match=r"points must have shape \(n, 2\)"):
        students.logits(torch.zeros(4, 3))
