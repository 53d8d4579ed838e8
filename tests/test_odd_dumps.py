"""Hundreds of odd dumps and tables: everything in each is a row or counted; what stops a run names its file.

Of the campaign with broken and hostile files, `python -m tests.odd_dumps --files 10000`, a small share.
"""

from collections import Counter
from pathlib import Path

import pytest

from tests import mutated, odd_dumps

_MUTATED = 100
_KINDS = [make.__name__ for make in odd_dumps.KINDS]


@pytest.mark.parametrize("files", [240, pytest.param(2_000, marks=pytest.mark.thorough)])
@pytest.mark.parametrize("kind", _KINDS)
def test_everything_in_odd_files_is_accounted_for(kind: str, files: int, tmp_path: Path) -> None:
    seen: Counter[str] = Counter()
    for seed in range(_KINDS.index(kind), files, len(_KINDS)):
        seen[odd_dumps.check(seed, tmp_path / str(seed))] += 1
    assert seen[f"{kind}, whole"] > files / len(_KINDS) / 4, "the generator makes hardly any that must be whole"
    assert kind == "folder" or len(seen) > 1, "nor any that is broken"


def test_broken_and_hostile_files_are_read_within_little_memory() -> None:
    seen, faults = odd_dumps.campaign(_MUTATED)
    assert faults == []
    assert seen.total() == _MUTATED
    kinds = {what.partition(",")[0] for what in seen if what.startswith("mutated ")}
    assert kinds == {f"mutated {make.__name__}" for make in (*mutated.READERS, *mutated.DUMPS)}
