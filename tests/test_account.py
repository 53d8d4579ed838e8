"""A bad delivery is never taken for a good one: it is held back, told everywhere, and accepted only by a word."""

import re
import shutil
from collections.abc import Callable

import dagster as dg
import pytest
from conftest import Landing, Row, encoded, picture

from orchestration.cli.published import ExitCode
from orchestration.defs.fingerprints import image_fingerprints
from orchestration.reports import exports
from orchestration.runtime.resources import WarehouseResource

type Rows = Callable[[int, int], list[Row]]

_SUMMARY = {
    "version",
    "shards",
    "training rows",
    "pictures",
    "coverage",
    "clusters of copies",
    "generations",
    "searched",
    "database",
    "report",
}


def test_a_cut_delivery_is_held_back_until_it_is_accepted_and_broken_everywhere(
    landing: Landing, rows_of: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    landing.write_config("[publishing]\nkeep = 2\n")
    landing.shard("00000", rows_of(0, 4))
    landing.shard("00001", rows_of(4, 4))
    (landing.folder / "generations" / "copied.jpg").write_bytes(encoded(picture(7)))
    landing.run_here()
    verdict = "select verdict from provenance.generations"
    assert landing.query(verdict) == [("exact",)]

    tar = landing.folder / "laion" / "00001.tar"
    tar.write_bytes(tar.read_bytes()[: tar.stat().st_size // 2])
    held = landing.raisonne("run", check=False)
    assert held.returncode == ExitCode.FAILED
    for part in ("the last version stands: held back", "of 8 before", "00001.tar breaks off", "run --accept-drop"):
        assert part in held.stderr
    assert landing.query(verdict) == [("exact",)], "good data is not replaced"

    accepted = landing.raisonne("run", "--accept-drop", check=False)
    assert accepted.returncode == ExitCode.INCOMPLETE, accepted.stderr
    assert re.search(r"^warning: .*00001\.tar breaks off", accepted.stderr, re.MULTILINE)
    lines = dict(line.split(": ", 1) for line in accepted.stdout.splitlines())
    assert set(lines) == _SUMMARY, "ten lines"
    assert lines["shards"] == "1 usable, 1 broken, 0 failed"
    found = sum(
        int(count.replace(",", "")) for count in re.findall(r"(\d[\d,]*) (?!unlisted|not taken)", lines["pictures"])
    )
    assert found == 8 == int(lines["training rows"]), "every row is accounted for"
    assert landing.query("select shard, status from catalog.shards order by 1") == [
        ("00000", "ok"),
        ("00001", "broken"),
    ]
    before = landing.query("select max(version) from warehouse.versions")
    assert partition_fails(landing, monkeypatch)

    folder = exports.default_folder(landing.home, before[0][0])
    assert exports.complete(folder, before[0][0])
    shutil.rmtree(folder)  # as if the run had been killed before it wrote them
    landing.run_here(exports=True)
    assert exports.complete(folder, before[0][0])
    assert landing.query("select max(version) from warehouse.versions") == before


def partition_fails(landing: Landing, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Return whether the partition of the broken shard fails and that of the good one does not."""
    monkeypatch.setenv("RAISONNE_CONFIG", str(landing.config))
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("shards", ["tiny/00000", "tiny/00001"])
        ends = [
            dg.materialize(
                [image_fingerprints],
                instance=instance,
                partition_key=name,
                resources={"warehouse": WarehouseResource()},
                run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
                raise_on_error=False,
            ).success
            for name in ("tiny/00000", "tiny/00001")
        ]
    return ends == [True, False]
