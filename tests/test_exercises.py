"""rdlite.exercises: every check on a right answer, planted wrong ones and the unfinished stub."""

import math

import pytest
import torch

from rdlite import exercises


def stub(*arguments):
    raise NotImplementedError


def right_4_1(num_classes, bound, excess):
    return math.ceil(bound**2 * math.log(num_classes) / (2 * excess**2))


def right_4_2(weights, eta, p):
    difference = p / (weights @ p) - eta / (weights @ eta)
    return (weights @ difference.abs()).max()


def right_4_3(p, c):
    return (p / c) / (p / c).sum(1, keepdim=True)


WRONG = {
    "4.1": [
        lambda m, b, e: int(right_4_1(m, b, e)) - 1,
        lambda m, b, e: b**2 * math.log(m) / (2 * e**2),  # not whole
        lambda m, b, e: math.ceil(b * math.log(m) / (2 * e)),  # not squared
        lambda m, b, e: math.ceil(b**2 * math.log(m) / e**2),
        lambda m, b, e: math.ceil(b**2 * math.log2(m) / (2 * e**2)),
    ],
    "4.2": [
        lambda w, eta, p: (w @ (p - eta).abs()).max(),  # no marginals
        lambda w, eta, p: (p / (w @ p) - eta / (w @ eta)).abs().mean(0).max(),  # no weights
        lambda w, eta, p: (w @ (p / (w @ p) - eta / (w @ eta)).abs()).mean(),
        lambda w, eta, p: (w @ (p / (w @ p) - eta / (w @ eta))).abs().max(),  # abs too late
        lambda w, eta, p: (w @ (p / p.mean(0) - eta / eta.mean(0)).abs()).max(),
        lambda w, eta, p: w @ (p / (w @ p) - eta / (w @ eta)).abs(),  # no maximum
    ],
    "4.3": [
        lambda p, c: p,
        lambda p, c: p / c,
        lambda p, c: (p * c) / (p * c).sum(1, keepdim=True),
        lambda p, c: (p / c) / (p / c).sum(0, keepdim=True),
        lambda p, c: torch.softmax(p - c.log(), 1),
    ],
}
RIGHT = {"4.1": right_4_1, "4.2": right_4_2, "4.3": right_4_3}
CHECKS = {name: getattr(exercises, "check_" + name.replace(".", "_")) for name in RIGHT}


def test_every_check_of_the_module_is_tested():
    named = {name for name in vars(exercises) if name.startswith("check_")}
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


class Rude:
    def __repr__(self):
        raise RuntimeError("no words")


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda x: None, "gives nothing, expected 6; is a return missing?"),
        (lambda x: 1 / 0, "raises ZeroDivisionError: division by zero"),
        (lambda: 6, "raises TypeError: "),
        (6, "raises TypeError: 'int' object is not callable"),
        (lambda x: "six", "gives 'six', expected 6"),
        (lambda x: object(), "gives <object object>, expected 6"),
        (lambda x: Rude(), "raises RuntimeError: no words"),
        (lambda x: [6.0, 6.0], "gives shape (2,), expected ()"),
        (lambda x: math.nan, "gives nan, expected 6"),
        (lambda x: 6.001, "gives 6.001, expected 6"),
        (lambda x: 6.0001, "gives 6.0001, expected 6"),
        (lambda x: int("two\nlines"), "'two\\nlines'"),
        (lambda x: [][1], "raises IndexError: "),
    ],
)
def test_no_error_of_a_student_leaves_the_check(answer, words, capsys):
    exercises.judge("0.1", answer, [("x = 3", (3,), 6.0)])
    line = capsys.readouterr().out
    assert line.startswith("exercise 0.1: not yet: for x = 3 it ") and words in line
    assert line.count("\n") == 1


def test_a_long_error_of_several_lines_is_one_short_line_without_addresses(capsys):
    def answer(x):
        raise ValueError(f"first\nsecond {stub} " + 500 * "x")

    exercises.judge("0.1", answer, [("x = 3", (3,), 6.0)])
    line = capsys.readouterr().out
    assert "first second" in line and "0x" not in line and len(line) < 230


def test_an_answer_that_spoils_its_arguments_is_judged_by_its_value(capsys):
    def answer(p, c):
        p /= c
        p /= p.sum(1, keepdim=True)
        return p

    exercises.check_4_3(answer)
    exercises.check_4_3(right_4_3)
    assert capsys.readouterr().out == 2 * "exercise 4.3: right\n"
