"""The verdict on an exercise: one stable line, and no error of a student leaves it."""

from __future__ import annotations

import copy
import os
import re
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

LESSONS = "RDLITE_LESSONS"


def judge(
    exercise: str,
    answer: Callable,
    reference: Callable,
    cases: Mapping[str, tuple],
    *,
    tolerance: float = 1e-6,
) -> None:
    """Call a student's function on every case and print the verdict, one line.

    Args:
        exercise: its number, such as ``"4.2"``.
        answer: the student's function; it gets copies, so it may spoil its arguments.
        reference: a right answer: a number or numbers, compared shape and value.
        cases: words for the message -> the arguments of both.
        tolerance: largest difference that counts as equal.

    Raises:
        AssertionError: its words are the line, if that is not *right* and the environment variable
            RDLITE_STRICT is 1, which graded copies set: a grader counts a check that only prints.

    >>> judge("0.1", lambda x: x + x, lambda x: 2 * x, {"x = 3": (3,)})
    exercise 0.1: right
    >>> judge("0.1", lambda x: x + 2, lambda x: 2 * x, {"x = 3": (3,)})
    exercise 0.1: not yet: for x = 3 it gives 5, expected 6
    """
    verdict = "right"
    for words, arguments in cases.items():
        expected = torch.as_tensor(reference(*arguments), dtype=torch.float64)
        try:
            problem = _problem(answer(*copy.deepcopy(arguments)), expected, tolerance)
        except NotImplementedError:
            verdict = "not done yet"
            break
        except Exception as error:  # a student's error is an answer, not a failure of the check
            problem = f"raises {type(error).__name__}: {_one_line(error)}"
        if problem:
            verdict = f"not yet: for {words} it {problem}"
            break
    line = f"exercise {exercise}: {verdict}"
    if verdict != "right" and os.environ.get("RDLITE_STRICT") == "1":
        raise AssertionError(line)
    print(line)


def expect(words: str, came: object) -> None:
    """Say in words if what a lesson found did not come out; a learner may have changed its setting.

    Raises:
        AssertionError: it did not, and the variable `LESSONS` of the environment is set, as it is
            where the lessons are checked at their own settings.

    >>> expect("two is even", 2 % 2 == 0)
    """
    if not came:
        said = f"expected here: {words}. It came out otherwise"
        if os.environ.get(LESSONS):
            raise AssertionError(said)
        print(f"{said}; with a setting of your own that is no mistake.")


def _problem(came: Any, expected: Tensor, tolerance: float) -> str:
    """What is wrong with a value, in words; nothing if it is right."""
    if came is None:
        return f"gives nothing, expected {_show(expected)}; is a return missing?"
    try:
        value = torch.as_tensor(came, dtype=torch.float64)
    except (TypeError, ValueError, RuntimeError):
        return f"gives {_one_line(repr(came))}, expected {_show(expected)}"
    if value.shape != expected.shape:
        return f"gives shape {tuple(value.shape)}, expected {tuple(expected.shape)}"
    if not torch.allclose(value, expected, rtol=0, atol=tolerance):
        digits = 4 if _show(value) != _show(expected) else 12
        return f"gives {_show(value, digits)}, expected {_show(expected, digits)}"
    return ""


def _show(values: Tensor, digits: int = 4) -> str:
    if values.ndim == 0:
        return f"{float(values):.{digits}g}"
    return "[" + ", ".join(_show(value, digits) for value in values) + "]"


def _one_line(text: object) -> str:
    """Without line breaks and addresses in memory, and not long."""
    line = re.sub(r" at 0x[0-9a-fA-F]+", "", " ".join(str(text).split()))
    return line if len(line) <= 160 else line[:157] + "..."
