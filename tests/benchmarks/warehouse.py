"""A warehouse of made-up rows, as large as asked for, built by SQL in seconds: no picture is decoded, no run is made.

What belongs here: base tables filled by SELECTs, and the models that are derived from them, built by their own SQL.
What does not: measuring, looking at pages.
"""

from pathlib import Path

import pyarrow as pa

from orchestration.facts import Facts
from orchestration.settings import Settings
from orchestration.warehouse import build, sql_folder
from orchestration.warehouse.models import load
from orchestration.warehouse.version import HISTORY

FIRST_ID = 2**62 + 1
"""Id of the first row and of the most repeated picture: no double holds it exactly."""

_STRIDE = 8_192  # ids of a cluster
_DERIVED = ("duplicates.counts", "duplicates.pictures", "duplicates.policies", "provenance.duplication_effect")
# Cluster i has 2 + 4,000 / (i + 1) rows, as repetition is spread on the web; besides them rows that nothing repeats.
_BASE = """
    create temp table members as
    select i, j, ({first} + i * {stride} + j)::ubigint as sample_id, ({first} + i * {stride})::ubigint as cluster_id
    from (select i, unnest(range(2 + 4000 // (i + 1))) as j from range({clusters}) as made(i));
    insert into catalog.samples by name
    select sample_id, 'made-up' as dataset, '00000' as shard, row_number() over (order by sample_id) - 1 as row_number,
        'https://host' || (i + j) % 997 || '.example.org/picture/' || i || '/' || j || '.jpg' as url,
        'host' || (i + j) % 997 || '.example.org' as url_host,
        'Caption ' || j % 7 || ' of picture ' || i || ', about as long as captions are on the web' as caption,
        256 as width, 192 as height, case i % 3 when 0 then 'cc-by' when 1 then 'pd' end as license,
        i % 50 = 7 as unsafe, false as recalled
    from members
    union all by name
    select ({first} - 1 - k)::ubigint as sample_id, 'made-up' as dataset, '00001' as shard, k as row_number,
        false as unsafe, false as recalled
    from range({clusters}) as alone(k);
    insert into fingerprints.images by name
    select sample_id, 'made-up' as dataset, 'ok' as status, sha256(i || '/' || j % 3) as sha256,
        sha256(i || '-' || j % 3) as pixel_sha256, sha256(i::varchar) as pdq, 80 as pdq_quality,
        256 - 8 * (j % 3) as width, 192 as height, j || '.jpg' as member
    from members
    union all by name
    select sample_id, dataset, 'ok' as status, sha256(sample_id::varchar) as sha256,
        sha256('p' || sample_id) as pixel_sha256, sha256('d' || sample_id) as pdq, 80 as pdq_quality, 256 as width,
        192 as height, false as not_downloaded, false as missing from catalog.samples where shard = '00001';
    insert into duplicates.clusters by name
    select sample_id, cluster_id, cluster_id as representative_id, j + 1 as rank, j + 1 as kept_rank,
        case when j = 0 then 'representative' when j % 3 = 0 then 'sha256' else 'pdq' end as method,
        (4 * (j % 3))::double as distance_to_representative
    from members;
    insert into fingerprints.coverage by name
    select 'made-up' as dataset, unnest(['pdq', 'sha256', 'sscd']) as fingerprint, count(*) + 9 as expected,
        count(*) as ok, 4 as low_quality, 3 as failed, 0 as not_downloaded,
        2 as missing, 0 as not_taken from catalog.samples;
    insert into warehouse.versions by name
    select 3 as version, timestamptz '2026-05-04 09:12:00+00' as published_at, map {{}} as lance_versions,
        [] as encoders, '' as settings_hash, '' as recipe;
"""


def make(path: Path, clusters: int, then: str = "") -> None:
    """Write a DuckDB file with that many clusters. then: SQL that changes rows before the rest is derived from them."""
    settings = Settings(home=path.parent)
    facts = Facts(path.parent / "facts")
    nothing: pa.Table = HISTORY.empty_table()
    models = load(sql_folder.SQL)
    with build.open_build(path, settings) as con:
        con.execute("set timezone = 'UTC'")
        inputs = build.Inputs(facts, facts.versions(), settings, nothing, nothing)
        build.provide(con, sorted({name for model in models for name in model.inputs}), inputs)
        for model in models:
            build.materialize(con, model)
        con.execute(_BASE.format(first=FIRST_ID, stride=_STRIDE, clusters=clusters) + then)
        for model in models:
            if model.name in _DERIVED or model.stage == "reports":
                build.materialize(con, model)
