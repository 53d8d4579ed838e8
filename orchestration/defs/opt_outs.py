"""Which training rows are withdrawn? The asset `recalled_rows` of the stage `catalog`.

What belongs here: finding the opt-out lists, and meeting their entries with training rows. What does not: reading the
files (`transforms/catalog/opt_outs.py`), what a recalled row no longer counts in (`sql/`).
"""

import glob
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import duckdb
import pyarrow as pa

from orchestration.catalog import samples_view
from orchestration.defs.catalog import landing_shards
from orchestration.defs.fingerprints import image_fingerprints
from orchestration.facts.recipes import recipe
from orchestration.fingerprints.bookkeeping import forget_outdated_shards
from orchestration.progress import say
from orchestration.runtime import asset_metadata
from orchestration.runtime.resources import Warehouse
from orchestration.settings.sections import Recall
from orchestration.warehouse import build
from orchestration.warehouse.functions import words
from orchestration.warehouse.models import Model, load
from transforms.catalog import opt_outs
from transforms.catalog.opt_outs import KINDS, RecallListError
from transforms.hashing.hashes import file_sha256

CODE = 2  # raise when the same lists would match other rows
_HASHES = ("sha256", "pdq")
_BATCH = 50_000
_URL_KEYS = "duplicates.url_keys"
_MODELS = (samples_view.SAMPLES, _URL_KEYS)  # they decide what the URL of a row is, and which spellings of it are one
_ENTRIES = pa.schema({"list": pa.string(), "kind": pa.string(), "value": pa.string()})

_KEYED = """
create temp table entries as
select
    row_number() over () as entry, list, kind, value,
    case kind
        when 'url' then url_key(value)
        when 'host' then host_key(value)
        else lower(url_trimmed(value))
    end as key
from listed"""
# A statement for each kind of entry; only those that are needed run.
_MATCHES = {
    "sample_id": """
        select samples.sample_id, entries.entry
        from entries join catalog.samples on samples.sample_id = try_cast(entries.key as ubigint)
        where entries.kind = 'sample_id'""",
    "url": """
        select samples.sample_id, entries.entry
        from catalog.samples join entries on entries.key = url_key(samples.url)
        where entries.kind = 'url' and entries.key <> ''
        union all
        select rows.sample_id, entries.entry
        from duplicates.url_keys as rows join entries on normalised_url(entries.value) = rows.normalised_url
        where entries.kind = 'url'""",
    "host": """
        with hosts as (
            select distinct url_host, rtrim(url_host, '.') as host from catalog.samples where url_host is not null
        ),
        -- the host itself and every host above it, cut where a label ends
        above as (
            select url_host, unnest([
                array_to_string(string_split(host, '.')[label:], '.')
                for label in range(1, len(string_split(host, '.')) + 1)
            ]) as key
            from hosts
        ),
        listed_hosts as (
            select above.url_host, entries.entry
            from above join entries using (key) where entries.kind = 'host' and entries.key <> ''
        )
        select samples.sample_id, listed_hosts.entry from catalog.samples join listed_hosts using (url_host)""",
    "hashes": """
        select rows.sample_id, entries.entry
        from (select sample_id, unnest(['sha256', 'pdq']) as kind, unnest([sha256, pdq]) as key from hashes) as rows
        join entries using (kind, key)
        semi join catalog.samples using (sample_id)""",
}
_FIRST = """
select sample_id, list, kind, value
from matches join entries using (entry)
qualify row_number() over (partition by sample_id order by entry) = 1"""


@dataclass(frozen=True)
class _List:
    """An opt-out list of the settings, and its files as they are now with their SHA-256."""

    name: str
    files: Sequence[tuple[Path, str]]


@dg.asset(
    group_name="catalog",
    kinds={"lancedb", "duckdb"},
    owners=["team:data-engineering"],
    deps=[landing_shards, image_fingerprints],
    pool="cpu",
)
def recalled_rows(warehouse: Warehouse) -> dg.MaterializeResult:
    """The training rows that an opt-out list names, by id, URL, host or hash, and the entry that does.

    A list that is missing or cannot be read stops the run: its rows must not be published as if nobody had objected.
    """
    table = warehouse.facts["recalled_rows"]
    try:
        lists = [_found(recall) for recall in warehouse.settings.recalls]
        if lists:
            forget_outdated_shards(warehouse.facts)
        state = [warehouse.facts[name].version for name in ("landing_shards", "image_fingerprints") if lists]
        # the ending too: it says how a file is read
        listed = [(each.name, [(path.suffix.lower(), sha256) for path, sha256 in each.files]) for each in lists]
        rules = {name: words(model.select, build.SQL) for name, model in _models().items()} if lists else {}
        made_by = recipe("recalls", CODE, state, listed, rules)
        told = {} if table.recipe == made_by else _replace(warehouse, lists, made_by)
    except RecallListError as error:
        raise dg.Failure(f"nothing was published, the last version stands: {error}", allow_retries=False) from error
    return dg.MaterializeResult(metadata={**asset_metadata.fact(table), **told})


def _models() -> dict[str, Model]:
    return {model.name: model for model in load(build.SQL) if model.name in _MODELS}


def _found(recall: Recall) -> _List:
    paths = [Path(name) for name in sorted(glob.glob(recall.path, recursive=True)) if Path(name).is_file()]  # noqa: PTH207
    if not paths:
        raise RecallListError(
            f"the recall list {recall.name} has no file at {recall.path}; put it there, correct `path`, or remove it "
            "from `recalls` if it is withdrawn"
        )
    try:
        return _List(recall.name, [(path, file_sha256(path)) for path in paths])
    except OSError as error:
        raise RecallListError(
            f"{error.filename or recall.path} cannot be read: {error.strerror}; see its mode"
        ) from error


def _replace(warehouse: Warehouse, lists: Sequence[_List], made_by: str) -> dict[str, int | str]:
    """Write who is recalled. Returns how many entries of each kind there are, and how many match nothing."""
    table = warehouse.facts["recalled_rows"]
    if not lists:
        table.replace([], made_by)
        return {}
    with samples_view.opened(warehouse.facts, warehouse.settings, _MODELS) as con:
        unusable = _read(con, lists)
        con.execute(_KEYED)
        counts = dict(con.execute("select kind, count(*) from entries group by kind").fetchall())
        con.execute("create temp table matches (sample_id ubigint, entry bigint)")
        for kind, query in _MATCHES.items():
            if kind in counts or (kind == "hashes" and counts.keys() & set(_HASHES)):
                _provide_hashes(con, warehouse, kind)
                con.execute(f"insert into matches {query}")
        reader = con.execute(_FIRST).to_arrow_reader(_BATCH)
        table.replace((pa.Table.from_batches([batch]) for batch in reader), made_by)
        [(idle,)] = con.execute("select count(*) from entries anti join matches using (entry)").fetchall()
    told = {f"entries by {kind}": counts[kind] for kind in KINDS if kind in counts}
    say(f"recall lists: {sum(counts.values()):,} entries, of which {idle:,} match no training row")
    return told | {"entries that match nothing": idle, "entries that are no such thing": unusable}


def _read(con: duckdb.DuckDBPyConnection, lists: Sequence[_List]) -> int:
    """Fill the table `listed`. Returns how many entries cannot match, as they are no id and no hash."""
    con.execute("create temp table listed (list varchar, kind varchar, value varchar)")
    unusable = 0
    for each in lists:
        for path, batch in _batches(each):
            wrong = [entry for entry in batch if not opt_outs.usable(entry)]
            if wrong and not unusable:
                kind, value = wrong[0]
                say(f"warning: {path}: an entry is no {kind}, and matches nothing: {value[:80]!r}")
            unusable += len(wrong)
            right = [entry for entry in batch if opt_outs.usable(entry)]  # else DuckDB reads 4.07e18 as some other id
            if not right:
                continue
            rows = [[each.name] * len(right), *(list(column) for column in zip(*right, strict=True))]
            con.register("arriving", pa.table(rows, schema=_ENTRIES))
            con.execute("insert into listed from arriving")
            con.unregister("arriving")
    return unusable


def _batches(each: _List) -> Iterator[tuple[Path, list[opt_outs.Entry]]]:
    for path, _ in each.files:
        for batch in opt_outs.batches(path):
            yield path, batch


def _provide_hashes(con: duckdb.DuckDBPyConnection, warehouse: Warehouse, kind: str) -> None:
    if kind == "hashes":  # streamed: read once
        stored = warehouse.facts["image_fingerprints"].dataset()
        columns = ["sample_id", *_HASHES]
        con.register("hashes", stored.scanner(columns=columns, filter="sha256 is not null").to_reader())
