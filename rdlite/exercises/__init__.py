"""Self-checks for the notebooks' exercises: each prints one stable line and never raises.

``exercise 4.2: right``, ``exercise 4.2: not yet: <what came, what was expected>``, or, while the
stub still raises NotImplementedError, ``exercise 4.2: not done yet``. ``check_4_2`` belongs to
notebook 04; it gives `judge` a right answer and a few cases.
"""

from rdlite.exercises.judging import judge
from rdlite.exercises.questions import (
    check_1_1,
    check_1_2,
    check_1_3,
    check_2_1,
    check_2_2,
    check_2_3,
    check_3_1,
    check_3_2,
    check_4_1,
    check_4_2,
    check_4_3,
    check_5_1,
    check_5_2,
    check_5_3,
    check_6_1,
    check_6_2,
    check_6_3,
)

__all__ = [
    "check_1_1",
    "check_1_2",
    "check_1_3",
    "check_2_1",
    "check_2_2",
    "check_2_3",
    "check_3_1",
    "check_3_2",
    "check_4_1",
    "check_4_2",
    "check_4_3",
    "check_5_1",
    "check_5_2",
    "check_5_3",
    "check_6_1",
    "check_6_2",
    "check_6_3",
    "judge",
]
