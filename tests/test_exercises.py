"""rdlite.exercises: every check on a right answer, planted wrong ones and the unfinished stub."""

import math
import re

import pytest
import torch
from answers import comparing, kd, paper_scale, robust_student, robust_teacher, theory

from rdlite import exercises
from rdlite.metrics import smallest_of_equals

NOTEBOOKS = (kd, robust_teacher, robust_student, theory, comparing, paper_scale)
RIGHT = {name: answer for notebook in NOTEBOOKS for name, answer in notebook.RIGHT.items()}
WRONG = {name: answers for notebook in NOTEBOOKS for name, answers in notebook.WRONG.items()}
CHECKS = {name: getattr(exercises, "check_" + name.replace(".", "_")) for name in RIGHT}

pytestmark = pytest.mark.filterwarnings("ignore:reduction. 'mean' divides")  # planted


def stub(*arguments):
    raise NotImplementedError


def test_every_check_of_the_module_is_tested():
    named = {name for name in vars(exercises) if name.startswith("check_")}
    assert named == {check.__name__ for check in CHECKS.values()} and RIGHT.keys() == WRONG.keys()


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


@pytest.mark.parametrize("name", CHECKS)
def test_a_graded_copy_raises_unless_the_answer_is_right(name, capsys, monkeypatch):
    """nbgrader gives the point of a cell that does not raise."""
    monkeypatch.setenv("RDLITE_STRICT", "1")
    CHECKS[name](RIGHT[name])
    assert capsys.readouterr().out == f"exercise {name}: right\n"
    for answer, words in [(stub, "not done yet"), *((w, "not yet: for ") for w in WRONG[name])]:
        with pytest.raises(AssertionError, match=f"exercise {name}: {words}"):
            CHECKS[name](answer)


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
    exercises.judge("0.1", answer, lambda x: 2 * x, {"x = 3": (3,)})
    line = capsys.readouterr().out
    assert line.startswith("exercise 0.1: not yet: for x = 3 it ") and words in line
    assert line.count("\n") == 1


def test_a_long_error_of_several_lines_is_one_short_line_without_addresses(capsys):
    def answer(x):
        raise ValueError(f"first\nsecond {stub} " + 500 * "x")

    exercises.judge("0.1", answer, lambda x: 2 * x, {"x = 3": (3,)})
    line = capsys.readouterr().out
    assert "first second" in line and "0x" not in line and len(line) < 230


def test_an_answer_that_spoils_its_arguments_is_judged_by_its_value(capsys):
    def answer(p, c):
        p /= c
        p /= p.sum(1, keepdim=True)
        return p

    exercises.check_4_3(answer)
    exercises.check_4_3(theory.RIGHT["4.3"])
    assert capsys.readouterr().out == 2 * "exercise 4.3: right\n"


def test_the_exact_floor_is_a_right_answer_too(capsys):
    exercises.check_1_2(smallest_of_equals)
    assert capsys.readouterr().out == "exercise 1.2: right\n"


def test_what_came_out_otherwise_is_said_and_raises_only_where_lessons_are_checked(
    monkeypatch, capsys
):
    monkeypatch.delenv("RDLITE_LESSONS", raising=False)
    exercises.expect("Shirt is worst", True)
    assert capsys.readouterr().out == ""
    exercises.expect("Shirt is worst", torch.tensor(False))
    said = "expected here: Shirt is worst. It came out otherwise"
    assert capsys.readouterr().out == f"{said}; with a setting of your own that is no mistake.\n"
    monkeypatch.setenv("RDLITE_LESSONS", "1")
    exercises.expect("Shirt is worst", True)
    with pytest.raises(AssertionError, match=re.escape(said)):
        exercises.expect("Shirt is worst", False)
