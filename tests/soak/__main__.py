"""Disturbs a warehouse for an hour, and asks whether anyone could tell: `python -m tests.soak [--minutes N]`.

What belongs here: the order of things, and the figures, one line of JSON each on standard output. What does not: how
runs are disturbed (`runs.py`), what lands (`inputs.py`), what readers see (`readers.py`).

Runs are killed at commits and at any time, two at once, on a full disk; shards come, change and go, and odd files land.
Meanwhile eight readers look at the published file. At the end an undisturbed run over what then lies there, in a home
of its own, has to publish the same tables.
"""

import argparse
import json
import random
import signal
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # as pytest does: `conftest` and the tests themselves

import duckdb
from conftest import Landing
from test_kills import UNLIKE, Home, fill

from tests.soak.inputs import Inputs, rows_of
from tests.soak.readers import Readers
from tests.soak.runs import Runs, disk

_READERS = 8
_HISTORY = ("warehouse.versions", "warehouse.tables", "warehouse.shards", "provenance.timeline")
"""Tables that tell what was published before, which of two homes is never the same."""
_JOINS = "joins"
"""The column that counts by how many joins the pictures were compared: fewer where all came at once."""


def figure(name: str, value: float, unit: str, goal: str, **parts: object) -> bool:
    """Print a figure as the benchmarks do, and return whether it is what it should be.

    Args:
        name: Of the figure.
        value: What was counted.
        unit: Of the value.
        goal: `0`, or `reported`.
        parts: What the value is made of.
    """
    said = {"figure": f"soak_{name}", "value": value, "unit": unit, "goal": goal, "parts": parts}
    print(json.dumps(said, ensure_ascii=False), flush=True)
    return goal != "0" or value == 0


def contents(home: Path) -> dict[str, list[str]]:
    """Return the rows of every published table, in an order of their own, without what tells of one run."""
    with duckdb.connect(str(home / "raisonne.duckdb"), read_only=True) as con:
        names = con.execute("select schema_name || '.' || table_name from duckdb_tables() order by all").fetchall()
        tables = {name: con.table(name) for (name,) in names if name not in _HISTORY}
        return {
            name: sorted(map(repr, table.select(*_told(table.columns)).fetchall())) for name, table in tables.items()
        }


def _told(columns: list[str]) -> list[duckdb.Expression]:
    return [duckdb.ColumnExpression(name) for name in columns if name not in UNLIKE and name != _JOINS]


def soak(folder: Path, minutes: float, seed: int, readers: int = _READERS) -> bool:
    """Soak for some minutes, and return whether nothing was found.

    Args:
        folder: An empty folder.
        minutes: How long runs are disturbed; the undisturbed ones come on top.
        seed: Of what happens by chance. When a process dies is up to the machine.
        readers: How many read meanwhile.
    """
    draw, landing = random.Random(seed), Landing(folder)  # noqa: S311 -- nothing secret
    fill(landing, rows_of)
    inputs = Inputs(landing, draw)
    shaken = Home(landing, "shaken")
    with disk(shaken.home) as own_disk:
        runs = Runs(shaken.config, shaken.home, draw, own_disk=own_disk)
        assert runs.whole(), "the first run, which nothing disturbs, fails"
        watching = Readers(shaken.home / "raisonne.duckdb", folder, readers)
        until, changes = time.monotonic() + 60 * minutes, 0
        while time.monotonic() < until:
            for _ in range(draw.randrange(3)):
                inputs.change()
                changes += 1
            runs.disturbed()
        last = runs.whole()
        seen = watching.end()
        calm = Home(landing, "calm")
        undisturbed = Runs(calm.config, calm.home, draw, own_disk=False).whole()
        unlike: list[str] = []
        if last and undisturbed:
            one, other = contents(shaken.home), contents(calm.home)
            unlike = sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))
            for name in unlike:
                rows, others = set(one.get(name, ())), set(other.get(name, ()))
                first = [*sorted(rows - others)[:2], *sorted(others - rows)[:2]]
                print(f"{name}: {len(rows - others)} and {len(others - rows)} rows, {first}", file=sys.stderr)
    kills = sum(count for how, count in runs.ended.items() if how.endswith("killed"))
    held = [
        figure("runs", sum(runs.ended.values()), "runs", "reported", **runs.ended, changes=changes, seed=seed),
        figure("kills", kills, "runs", "reported"),
        figure("hung", runs.ended["hung"], "runs", "0"),
        figure("reads", seen.reads, "reads", "reported", versions=len(seen.versions)),
        figure("read_errors", seen.errors.total(), "reads", "0", **dict(seen.errors.most_common(5))),
        figure("mixed_versions", len(seen.mixed), "versions", "0", backwards=seen.backwards),
        figure("differences", len(unlike), "tables", "0", tables=unlike),
        figure("last_run_failed", int(not last) + int(not undisturbed), "runs", "0"),
    ]
    return all(held)


def main() -> int:
    """Soak as the arguments say."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    asked = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that what was mounted is unmounted
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        return 0 if soak(Path(folder), asked.minutes, asked.seed) else 1


if __name__ == "__main__":
    sys.exit(main())
