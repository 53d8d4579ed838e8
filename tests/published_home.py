"""A home with published versions of made-up rows, in seconds and without a run.

What belongs here: publishing what `tests/benchmarks/warehouse.py` makes. What does not: damaging it (`test_damage.py`).
"""

from pathlib import Path

import duckdb

from orchestration.warehouse import macros, publishing, sql_folder
from tests.benchmarks import warehouse

CLUSTERS = 20


def publish(home: Path, versions: int) -> Path:
    """Publish that many versions, which differ in their number. Returns the settings file."""
    with publishing.writer(home, run="the test", wait_s=0):
        for number in range(1, versions + 1):
            build = publishing.begin(home, "the test", from_current=number > 1)
            if number == 1:
                warehouse.make(build, CLUSTERS)
            with duckdb.connect(str(build)) as con:
                macros.create(con, macros.load(sql_folder.SQL))
                con.execute("update warehouse.versions set version = ?", [number])
            publishing.publish(home, build, number, keep=versions)
    return configure(home)


def configure(home: Path) -> Path:
    """Write the settings of a home beside it. Returns the file."""
    config = home.with_suffix(".toml")
    config.write_text(
        f'home = "{home}"\n[[datasets]]\nname = "made-up"\nmetadata = "nowhere/*.parquet"\n'
        '[encoders]\ncopy = "sscd_distilled"\n'
    )
    return config
