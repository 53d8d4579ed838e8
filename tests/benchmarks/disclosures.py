"""The summary of training content of many rows: its time and its memory. Hosts are spread as on the web."""

import tempfile
from pathlib import Path

import duckdb

from orchestration.reports.disclosures import files
from orchestration.settings import Settings
from tests.benchmarks import warehouse
from tests.benchmarks.alone import Result, alone
from tests.benchmarks.figures import Figure, Measured, say, seconds

_ROWS, _DOMAINS, _MEMORY = 10_000_000, 1_000_000, "2GB"
# The count of rows of a domain falls as its rank rises: the first of a million holds 7% of all rows.
_PLANTED = """
    create temp table rows as
    select i, floor(exp(hash(i) / 1.8446744073709552e19 * ln({domains} + 1)))::bigint as domain
    from range({rows}) as made(i);
    insert into catalog.samples by name
    select (i + 1)::ubigint as sample_id, 'large' as dataset, '00002' as shard, i as row_number,
        'https://img' || i % 7 || '.site' || domain || '.co.uk/picture/' || i || '.jpg' as url,
        'img' || i % 7 || '.site' || domain || '.co.uk' as url_host,
        'Caption of picture ' || i || ', about as long as captions are on the web' as caption,
        case i % 9 when 0 then 'cc-by-2.0' end as license, case i % 5 when 0 then 'de' else 'en' end as language,
        i % 50 = 7 as unsafe, i % 1000 = 3 as recalled
    from rows;
    insert into fingerprints.images by name
    select (i + 1)::ubigint as sample_id, 'large' as dataset, 'ok' as status, 256 + i % 512 as width, 192 as height,
        (2000 + hash(i + 1) % 60000)::bigint as bytes, false as not_downloaded, false as missing
    from rows;
    drop table rows;
"""


def plant(database: str, rows: int) -> Result:
    """Write a published file with so many rows."""
    warehouse.make(Path(database), 3, _PLANTED.format(rows=rows, domains=_DOMAINS))
    return {}


def write(database: str, folder: str) -> Result:
    """Write the summary of a published file. Returns the seconds it took."""
    settings = Settings(home=Path(folder), limits={"duckdb_memory": _MEMORY})
    with duckdb.connect(database, read_only=True) as con:
        con.execute("set timezone = 'UTC'")
        to = Path(folder, "summary")
        return {"s": seconds(lambda: files.write(con, settings, "training-summary", to))}


def _summary() -> Measured:
    with tempfile.TemporaryDirectory() as folder:
        parts = {}
        for rows in (_ROWS // 10, _ROWS):
            database = f"{folder}/{rows}.duckdb"
            alone(plant, database, rows)
            found = alone(write, database, folder)
            parts |= {f"{rows}_s": found["s"], f"{rows}_peak_gb": found["peak_gb"]}
            say(f"  {rows:,} rows: {found['s']:.1f} s, {found['peak_gb']:.2f} GB")
    return Measured(parts[f"{_ROWS}_s"], parts)


FIGURES = (
    Figure(
        "summary_10m_s",
        "s",
        "<= 60",
        f"{_ROWS:,} rows of {_DOMAINS:,} domains, from a published file to all files; DuckDB may hold {_MEMORY}",
        _summary,
    ),
)
