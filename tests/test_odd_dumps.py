"""Two thousand odd tars, folders and parquets: everything in each is a row or counted, and stops nothing else."""

from collections import Counter
from pathlib import Path

import pytest

from tests import odd_dumps

_DUMPS, _PARTS = 2_000, 4


@pytest.mark.parametrize("part", range(_PARTS))
def test_everything_in_an_odd_dump_is_accounted_for(part: int, tmp_path: Path) -> None:
    seen: Counter[str] = Counter()
    for seed in range(part, _DUMPS, _PARTS):
        seen[odd_dumps.check(seed, tmp_path / str(seed))] += 1
    for kind in ("tar", "folder", "parquet"):
        assert seen[f"{kind}, whole"] > _DUMPS / _PARTS / 10, "the generator makes hardly any that must be whole"
    assert seen["tar, broken off"] and seen["parquet, refused"]
