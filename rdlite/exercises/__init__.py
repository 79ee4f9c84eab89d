"""Self-checks for the notebooks' exercises: each prints one stable line and never raises.

``exercise 4.2: right``, ``exercise 4.2: not yet: <what came, what was expected>``, or, while the
stub still raises NotImplementedError, ``exercise 4.2: not done yet``. ``check_4_2`` belongs to
notebook 04; it gives `judge` a right answer and a few cases. `expect` says where a result of a
lesson came out otherwise. A grader sets RDLITE_STRICT=1, and the last two
lines become errors.
"""

from rdlite.exercises import questions
from rdlite.exercises.judging import expect, judge
from rdlite.exercises.loop import check_2_4
from rdlite.exercises.questions import *  # noqa: F403

__all__ = ["check_2_4", "expect", "judge", *questions.__all__]
