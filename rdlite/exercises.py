"""Self-checks for the notebooks' exercises: each prints one stable line and never raises.

``exercise 4.2: right``, ``exercise 4.2: not yet: <what came, what was expected>``, or, while the
stub still raises NotImplementedError, ``exercise 4.2: not done yet``.

A check is a few lines: cases of (words, arguments, expected), given to `judge`.
"""

from __future__ import annotations

import copy
import math
import re
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from rdlite.theory import Population, add_noise, bias, temper

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


# Notebook 04, What makes a good teacher?


def check_4_1(rounds_needed: Callable[[int, float, float], int]) -> None:
    """Rounds K after which eq. (9) promises at most ``excess`` nats: (m, B, excess) -> K."""
    cases = [(3, 3.0, 0.1), (10, 3.0, 0.1), (10, 6.0, 0.1), (2, 1.0, 0.7)]
    judge(
        "4.1",
        rounds_needed,
        [
            (f"m = {m}, B = {b:g}, excess = {e:g}", (m, b, e), _rounds_needed(m, b, e))
            for m, b, e in cases
        ],
    )


def _rounds_needed(m: int, bound: float, excess: float) -> int:
    return math.ceil(bound**2 * math.log(m) / (2 * excess**2))


def check_4_2(teacher_gap: Callable[[Tensor, Tensor, Tensor], float]) -> None:
    """Delta of eq. (10): (weights, eta, p) -> a number."""
    hand = Population([0.5, 0.5], torch.eye(2))
    drawn = Population.random(6, 3, seed=1)
    cases = [
        ("a teacher that knows nothing (certain labels)", hand, torch.full((2, 2), 0.5)),
        ("the Bayes teacher", drawn, drawn.eta),
        ("a flattened teacher", drawn, temper(drawn.eta, 2.0)),
        ("a biased teacher", drawn, bias(drawn.eta, torch.tensor([1.0, 3.0, 9.0]))),
        ("a noisy teacher", drawn, add_noise(drawn.eta, 1.0)),
    ]
    judge(
        "4.2",
        teacher_gap,
        [
            (words, (x.weights, x.eta, p.to(x.eta)), x.teacher_gap(p.to(x.eta)))
            for words, x, p in cases
        ],
    )


def check_4_3(repair: Callable[[Tensor, Tensor], Tensor]) -> None:
    """Undo known class weights: (c*eta renormalised, c) -> eta."""
    eta = torch.tensor([[0.75, 0.25], [0.5, 0.5], [0.1, 0.9]], dtype=torch.float64)
    drawn = Population.random(4, 3, seed=2).eta
    cases = [
        ("c = (1, 3)", eta, torch.tensor([1.0, 3.0], dtype=torch.float64)),
        ("c = (2, 2)", eta, torch.tensor([2.0, 2.0], dtype=torch.float64)),
        ("three classes", drawn, torch.tensor([0.2, 1.0, 5.0], dtype=torch.float64)),
    ]
    judge("4.3", repair, [(words, (bias(p, c), c), p) for words, p, c in cases])
