"""Dagster calls nothing out of step that a finished run has made or found done, by its own account of what is stale."""

from collections.abc import Callable, Iterator

import dagster as dg
import pytest
from conftest import Landing, Row, encoded, picture
from dagster._core.definitions.data_version import CachingStaleStatusResolver, StaleStatus
from dagster._core.loader import LoadingContextForTest

from orchestration.catalog.partitions import NAME
from orchestration.definitions import defs

_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
_FINGERPRINTS = dg.AssetKey("image_fingerprints")


@pytest.fixture
def dagster_instance(landing: Landing, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    monkeypatch.setenv("RAISONNE_CONFIG", str(landing.config))
    with dg.DagsterInstance.ephemeral() as made:
        yield made


def out_of_step(instance: dg.DagsterInstance) -> dict[str, StaleStatus]:
    """Return the assets and partitions that Dagster's UI marks, apart from the log that no run writes."""
    graph = defs.resolve_asset_graph()
    resolver = CachingStaleStatusResolver(instance, graph, LoadingContextForTest(instance))
    found = {key.to_user_string(): resolver.get_status(key) for key in graph.get_all_asset_keys()}
    for partition in instance.get_dynamic_partitions(NAME):
        found[partition] = resolver.get_status(_FINGERPRINTS, partition)
    return {name: status for name, status in found.items() if status != StaleStatus.FRESH}


def run(instance: dg.DagsterInstance, job: str, tags: dict[str, str] | None = None) -> None:
    chosen = defs.resolve_job_def(job)
    assert chosen.execute_in_process(instance=instance, tags=tags, run_config=_QUIET).success


def materialize(instance: dg.DagsterInstance, *keys: str, partition: str | None = None) -> None:
    """Materialize assets as the UI does."""
    chosen = defs.resolve_implicit_global_asset_job_def().get_subset(
        asset_selection={dg.AssetKey.from_user_string(key) for key in keys}
    )
    assert chosen.execute_in_process(instance=instance, partition_key=partition, run_config=_QUIET).success


@pytest.mark.thorough
def test_nothing_is_out_of_step_after_a_run(
    landing: Landing, dagster_instance: dg.DagsterInstance, rows_of: Callable[[int, int], list[Row]]
) -> None:
    landing.write_config("[calibration]\ntrials = 0\n[limits]\nnull_sample = 2\n")
    for number in range(2):
        landing.shard(f"{number:05d}", rows_of(10 * number, 3))
    (landing.folder / "generations" / "copied.jpg").write_bytes(encoded(picture(2)))
    assert set(out_of_step(dagster_instance).values()) == {StaleStatus.MISSING}
    run(dagster_instance, "everything")
    assert out_of_step(dagster_instance) == {}

    # what is done already
    for job in ("everything", "derive"):
        run(dagster_instance, job)
        assert out_of_step(dagster_instance) == {}, job
    for keys in (["near_hashes"], ["landing_shards", "landing_dumps"], ["duplicates/counts"]):
        materialize(dagster_instance, *keys)
        assert out_of_step(dagster_instance) == {}, keys
    materialize(dagster_instance, "image_fingerprints", partition="tiny/00000")
    assert out_of_step(dagster_instance) == {}
    events = _events(dagster_instance, "tiny/00000")
    assert events[0].metadata["dagster/partition_row_count"].value == 3, "its own rows, not those of the table"

    # a new shard, as the sensors take it: its tables are due until `derive` has run, other shards are not
    landing.shard("00002", rows_of(30, 2))
    dagster_instance.add_dynamic_partitions(NAME, ["tiny/00002"])
    ends = ("tiny/00000", "tiny/00002")
    tags = dict(zip(("dagster/asset_partition_range_start", "dagster/asset_partition_range_end"), ends, strict=True))
    run(dagster_instance, "fingerprint_shard", tags)
    due = out_of_step(dagster_instance)
    assert {"near_hashes", "catalog/samples"} <= due.keys() and not {"tiny/00000", "tiny/00001", *ends} & due.keys()
    rows = [
        _events(dagster_instance, f"tiny/0000{n}")[0].metadata["dagster/partition_row_count"].value for n in range(3)
    ]
    assert rows == [3, 3, 2]
    run(dagster_instance, "derive")
    assert out_of_step(dagster_instance) == {}

    # one that is delivered again: what was made from it is due
    landing.shard("00001", rows_of(50, 3))
    materialize(dagster_instance, "landing_shards", "landing_dumps")
    materialize(dagster_instance, "image_fingerprints", partition="tiny/00001")
    assert "fingerprints/images" in out_of_step(dagster_instance)
    run(dagster_instance, "derive")
    (landing.folder / "generations" / "new.jpg").write_bytes(encoded(picture(3)))
    run(dagster_instance, "generations_only")
    assert out_of_step(dagster_instance) == {}


def _events(instance: dg.DagsterInstance, partition: str) -> list[dg.AssetMaterialization]:
    """Return the materializations of a partition, the latest first."""
    wanted = dg.AssetRecordsFilter(asset_key=_FINGERPRINTS, asset_partitions=[partition])
    found = [record.asset_materialization for record in instance.fetch_materializations(wanted, limit=100).records]
    return [each for each in found if each is not None]
