"""The verdict on an exercise: one stable line, and no error of a student leaves it.

``exercise 4.2: right``, ``exercise 4.2: not yet: <what came, what was expected>``, or, while the
stub still raises NotImplementedError, ``exercise 4.2: not done yet``.

A check is a few lines: cases of (words, arguments, expected), given to `judge`.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterable
from typing import Any

import torch

Case = tuple[str, tuple, Any]  # words for the message, arguments, the expected value


def judge(
    exercise: str, answer: Callable, cases: Iterable[Case], *, tolerance: float = 1e-6
) -> None:
    """Call a student's function on every case and print the verdict, one line.

    Args:
        exercise: its number, such as ``"4.2"``.
        answer: the student's function; it gets copies, so it may spoil its arguments.
        cases: (words, arguments, expected): a number or a tensor, compared shape and value.
        tolerance: largest difference that counts as equal.

    >>> judge("0.1", lambda x: 2 * x, [("x = 3", (3,), 6.0)])
    exercise 0.1: right
    >>> judge("0.1", lambda x: x + 2, [("x = 3", (3,), 6.0)])
    exercise 0.1: not yet: for x = 3 it gives 5, expected 6
    """
    print(f"exercise {exercise}: {_verdict(answer, cases, tolerance)}")


def _verdict(answer: Callable, cases: Iterable[Case], tolerance: float) -> str:
    for words, arguments, expected in cases:
        try:
            came = answer(*copy.deepcopy(arguments))
            problem = _problem(came, expected, tolerance)
        except NotImplementedError:
            return "not done yet"
        except Exception as error:  # a student's error is an answer, not a failure of the check
            problem = f"raises {type(error).__name__}: {_one_line(error)}"
        if problem:
            return f"not yet: for {words} it {problem}"
    return "right"


def _problem(came: Any, expected: Any, tolerance: float) -> str:
    """What is wrong with a value, in words; nothing if it is right."""
    if came is None:
        return f"gives nothing, expected {_show(expected)}; is a return missing?"
    try:
        value = torch.as_tensor(came, dtype=torch.float64)
    except (TypeError, ValueError, RuntimeError):
        return f"gives {_one_line(repr(came))}, expected {_show(expected)}"
    wanted = torch.as_tensor(expected, dtype=torch.float64)
    if value.shape != wanted.shape:
        return f"gives shape {tuple(value.shape)}, expected {tuple(wanted.shape)}"
    if not torch.allclose(value, wanted, rtol=0, atol=tolerance):
        digits = 4 if _show(value) != _show(wanted) else 12
        return f"gives {_show(value, digits)}, expected {_show(wanted, digits)}"
    return ""


def _show(values: Any, digits: int = 4) -> str:
    values = torch.as_tensor(values, dtype=torch.float64)
    if values.ndim == 0:
        return f"{float(values):.{digits}g}"
    return "[" + ", ".join(_show(value, digits) for value in values) + "]"


def _one_line(text: object) -> str:
    """Without line breaks and addresses in memory, and not long."""
    line = re.sub(r" at 0x[0-9a-fA-F]+", "", " ".join(str(text).split()))
    return line if len(line) <= 160 else line[:157] + "..."
