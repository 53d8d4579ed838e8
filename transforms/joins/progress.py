"""How far a join has come.

What belongs here: how a join says it. What does not: showing it (`orchestration/progress.py`).
"""

from collections.abc import Callable

type Progress = Callable[[float], None]
"""Is told the share of the work that is done, from 0 to 1."""


def untold(_: float) -> None:
    """Tell nobody."""
