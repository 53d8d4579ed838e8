"""Fingerprinting killed again and again at random instants: what is in the tables at the end is what belongs there."""

import multiprocessing
import os
import random
import signal
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from conftest import Landing, Row

from orchestration.facts import Facts

KILLS = 20
_TABLES = {"image_fingerprints": "sample_id", "copy_embeddings": "sample_id", "fingerprinted_shards": "shard_id"}


def fingerprint(config: str, dagster_home: str, began: "multiprocessing.synchronize.Event") -> None:
    """Materialize the landing and the fingerprints, in this process. Started in processes of their own."""
    os.environ |= {"RAISONNE_CONFIG": config, "DAGSTER_HOME": dagster_home}
    import dagster as dg

    from orchestration.defs.catalog import landing_shards
    from orchestration.defs.fingerprints import image_fingerprints
    from orchestration.runtime.resources import Warehouse

    with dg.DagsterInstance.ephemeral() as instance:
        began.set()
        assets = [landing_shards, image_fingerprints]
        run = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
        assert dg.materialize(assets, instance=instance, resources={"warehouse": Warehouse()}, run_config=run).success


@pytest.fixture(scope="module")
def processes() -> multiprocessing.context.ForkServerContext:
    """Return a starter of processes whose imports are done."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["orchestration.defs.fingerprints", "orchestration.runtime.resources", "onnxruntime"]
    )
    return context


def contents(home: Path) -> dict[str, list[dict]]:
    """Return every row of every table, apart from how long it took and when its files changed."""
    rows = {}
    for name, key in _TABLES.items():
        table: pa.Table = Facts(home / "facts")[name].read()
        kept = [column for column in table.column_names if column not in ("seconds", "recipe")]
        order = [(key, "ascending")] + ([("fingerprint", "ascending")] if "fingerprint" in kept else [])
        rows[name] = table.select(kept).sort_by(order).to_pylist()
    return rows


def test_twenty_kills_leave_what_an_undisturbed_run_leaves(
    landing: Landing, rows_of: Callable[[int, int], list[Row]], processes: multiprocessing.context.ForkServerContext
) -> None:
    for number in range(30):
        landing.shard(f"{number:05d}", rows_of(5 * number, 5))
    calm, shaken = landing.folder / "home", landing.folder / "shaken"

    def start(home: Path) -> tuple[multiprocessing.context.ForkServerProcess, "multiprocessing.synchronize.Event"]:
        config = landing.folder / f"{home.name}.toml"
        config.write_text(landing.config.read_text().replace('home = "home"', f'home = "{home.name}"'))
        began = processes.Event()
        process = processes.Process(target=fingerprint, args=(str(config), str(landing.folder), began))
        process.start()
        return process, began

    chance = random.Random(20)  # noqa: S311 -- the same instants on every run, as far as the machine allows
    done_before, midway = 0, 0
    for _ in range(KILLS):
        process, began = start(shaken)
        assert began.wait(60)
        process.join(chance.uniform(0.3, 1.6))
        if process.is_alive():
            os.kill(process.pid or 0, signal.SIGKILL)
        process.join(60)
        assert process.exitcode in (-signal.SIGKILL, 0)
        done = len({row["shard_id"] for row in contents(shaken)["fingerprinted_shards"]})
        assert done >= done_before, "what is done stays done"
        midway += process.exitcode == -signal.SIGKILL and done < 30
        done_before = done
    assert midway >= 5, f"only {midway} of {KILLS} kills came while there was work"

    for home in (shaken, calm):
        process, _ = start(home)
        process.join(120)
        assert process.exitcode == 0
    after, undisturbed = contents(shaken), contents(calm)
    for name, key in _TABLES.items():
        keys = [(row[key], row.get("fingerprint")) for row in after[name]]
        assert len(keys) == len(set(keys)), f"{name} has a key twice"
        assert after[name] == undisturbed[name], name
    assert len(after["image_fingerprints"]) == 150
