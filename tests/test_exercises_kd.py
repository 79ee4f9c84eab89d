"""rdlite.exercises_kd: every check on a right answer, planted wrong ones and the stub."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from rdlite import exercises_kd

pytestmark = pytest.mark.filterwarnings("ignore:reduction. 'mean' divides")  # planted below


def stub(*arguments):
    raise NotImplementedError


def right_1_1(logits, targets):
    return -(targets * torch.log_softmax(logits, 1)).sum(0) / targets.sum(0)


def right_1_2(m, truth, n):
    return (np.random.default_rng(1).binomial(n, truth, (5_000, m)) / n).min(1).mean()


def kl(student, teacher, t, reduction="batchmean"):
    logs = torch.log_softmax(student / t, 1)
    return F.kl_div(logs, torch.softmax(teacher / t, 1), reduction=reduction)


def right_1_3(student, teacher, t):
    return t**2 * kl(student, teacher, t)


def cross_entropy(student, teacher, t):
    return t**2 * F.cross_entropy(student / t, torch.softmax(teacher / t, 1))


WRONG = {
    "1.1": [
        lambda f, p: -(p * torch.log_softmax(f, 1)).mean(0),  # not divided by the marginal
        lambda f, p: -torch.log_softmax(f, 1).mean(0),  # every image counts for every class
        lambda f, p: -(p * torch.log_softmax(f, 0)).sum(0) / p.sum(0),  # softmax over images
        lambda f, p: (p * torch.log_softmax(f, 1)).sum(0) / p.sum(0),  # sign
        lambda f, p: -(p * torch.softmax(f, 1)).sum(0) / p.sum(0),  # no logarithm
        lambda f, p: -(p * torch.log_softmax(f, 1)).sum(1).mean(),  # one number
        lambda f, p: right_1_1(f, torch.eye(p.shape[1]).to(p)[p.argmax(1)]),  # hardened
    ],
    "1.2": [
        lambda m, p, n: p,
        lambda m, p, n: np.random.default_rng(0).binomial(n, p, m).min() / n,  # one draw
        lambda m, p, n: (np.random.default_rng(0).binomial(n, p, (5_000, m)) / n).mean(0).min(),
        lambda m, p, n: np.random.default_rng(0).binomial(n, p, (5_000, m)).min(1).mean(),
        lambda m, p, n: (np.random.default_rng(0).binomial(n, p, (5_000, m)) / n).min(1),
    ],
    "1.3": [
        kl,  # no T^2
        lambda s, z, t: t**2 * kl(s, z, t, "mean"),  # divided by B m
        lambda s, z, t: t**2 * kl(s, z, t, "sum"),
        lambda s, z, t: t**2 * kl(z, s, t),  # the wrong way round
        lambda s, z, t: kl(s, z, 1.0),  # T forgotten
        lambda s, z, t: t * kl(s, z, t),
        lambda s, z, t: t**2 * kl(s * t, z, t),  # the student not softened
        cross_entropy,  # the teacher's entropy not subtracted
    ],
}
RIGHT = {"1.1": right_1_1, "1.2": right_1_2, "1.3": right_1_3}
CHECKS = {name: getattr(exercises_kd, "check_" + name.replace(".", "_")) for name in RIGHT}


def test_every_check_of_the_module_is_tested():
    named = {name for name in vars(exercises_kd) if name.startswith("check_")}
    assert named == {check.__name__ for check in CHECKS.values()}


@pytest.mark.parametrize("name", CHECKS)
def test_the_right_answer_is_right(name, capsys):
    CHECKS[name](RIGHT[name])
    assert capsys.readouterr().out == f"exercise {name}: right\n"


@pytest.mark.parametrize("name", CHECKS)
def test_the_stub_is_not_done_yet(name, capsys):
    CHECKS[name](stub)
    assert capsys.readouterr().out == f"exercise {name}: not done yet\n"


@pytest.mark.parametrize(
    ("name", "answer"), [(name, answer) for name, answers in WRONG.items() for answer in answers]
)
def test_a_wrong_answer_is_told_what_came_and_what_was_expected(name, answer, capsys):
    CHECKS[name](answer)
    line = capsys.readouterr().out
    assert line.startswith(f"exercise {name}: not yet: for ") and "expected" in line
    assert line.count("\n") == 1 and line.endswith("\n")


def test_the_exact_answer_is_right_too(capsys):
    exercises_kd.check_1_2(exercises_kd.smallest_of_equals)
    assert capsys.readouterr().out == "exercise 1.2: right\n"


@pytest.mark.parametrize(("m", "truth", "n"), [(1, 0.3, 7), (3, 0.5, 4), (10, 0.8, 1000)])
def test_the_expected_minimum_agrees_with_a_simulation(m, truth, n):
    draws = np.random.default_rng(0).binomial(n, truth, (20_000, m)).min(1) / n
    error = draws.std() / np.sqrt(len(draws))
    assert abs(exercises_kd.smallest_of_equals(m, truth, n) - draws.mean()) < 5 * error
