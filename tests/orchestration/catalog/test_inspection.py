"""Which shards are inspected again, and what is no fault of theirs."""

import errno
import resource
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from orchestration.catalog.shards import discover, inspect_shards
from orchestration.settings import settings

JPEG = b"\xff\xd8\xff\xe0" + bytes(60)


@pytest.mark.parametrize("dump", ["folder", "rows.parquet"])
def test_rows_that_an_older_release_listed_from_a_dump_are_listed_again_once(tmp_path: Path, dump: str) -> None:
    if dump == "folder":
        (tmp_path / dump).mkdir()
        for name in ("1.jpg", "no ending"):
            (tmp_path / dump / name).write_bytes(JPEG)
    else:
        pq.write_table(pa.table({"jpg": [JPEG], "img": [JPEG + b"2"], "caption": ["c"]}), tmp_path / dump)
    (tmp_path / "raisonne.toml").write_text(f'home = "home"\n[[datasets]]\nname = "d"\nimages = "{dump}"\n')
    loaded = settings.load(tmp_path / "raisonne.toml")
    found = discover(loaded)
    (landed,) = inspect_shards(found, [], loaded, tmp_path / "fetched")
    assert (landed.status, landed.rows) == ("ok", 2)
    older = replace(landed, rows=1, forms=None)
    (again,) = inspect_shards(found, [older], loaded, tmp_path / "fetched")
    assert again == landed
    same = replace(landed, rows=1)
    assert list(inspect_shards(found, [same], loaded, tmp_path / "fetched")) == [same]


def test_a_full_disk_is_no_fault_of_a_delivery(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("url,caption\nhttp://a.example/1.jpg,one\n")
    config = 'home = "home"\n[[datasets]]\nname = "d"\nmetadata = "rows.csv"\n'
    (tmp_path / "raisonne.toml").write_text(config)
    loaded = settings.load(tmp_path / "raisonne.toml")
    found = discover(loaded)
    (landed,) = inspect_shards(found, [], loaded, tmp_path / "fetched")
    assert landed.status == "ok"
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (Path(str(landed.readable_path)).stat().st_size - 1, before[1]))
    try:
        with pytest.raises(OSError, match="File too large") as full:
            list(inspect_shards(found, [], loaded, tmp_path / "fetched"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert full.value.errno == errno.EFBIG
