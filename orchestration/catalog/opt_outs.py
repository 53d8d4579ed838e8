"""Finding the training rows that are withdrawn: by opt-out lists, and by what files or servers say, if honoured.

What belongs here: finding the lists of the settings, and matching their entries, and honoured statements, with rows.
What does not: reading the files (`transforms/catalog/opt_outs.py`), comparing pictures and hashes
(`catalog/likeness.py`, `matches/listed_copies.py`), the queries (`sql/queries/catalog/`), which counts leave withdrawn
rows out (`sql/`).
"""

import glob
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa

from orchestration.catalog import likeness, samples_view
from orchestration.catalog.likeness import ListedHashes
from orchestration.facts import Facts
from orchestration.facts.recipes import recipe
from orchestration.progress import say
from orchestration.runtime.resources import rules_of
from orchestration.settings import Settings
from orchestration.settings.inputs import Recall
from orchestration.settings.sections import Policies
from orchestration.warehouse.queries import query
from transforms.catalog import opt_outs
from transforms.catalog.opt_outs import KINDS, OptOutEntry, OptOutListError
from transforms.hashing.hashes import file_sha256
from transforms.readable import count
from transforms.storage.file_limits import ByteLimits

CODE = 2  # raise when the same lists would match other rows
_BATCH = 50_000
_MODELS = (
    samples_view.SAMPLES,
    "duplicates.url_keys",
)  # they decide which URLs are the same
_RIGHTS = "catalog.rights"  # what files and servers say
_PICTURE = "picture"
_ENTRIES = pa.schema({"list": pa.string(), "kind": pa.string(), "value": pa.string(), "within": pa.int64()})
_SHOWN = pa.schema({"entry": pa.int64(), "listed_sha256": pa.string()})
_TIES = {
    "pixels": ("image_fingerprints", ["sample_id", "pixel_sha256"], "pixel_sha256 is not null"),
    "pairs": ("duplicate_pairs", ["sample_id_a", "sample_id_b"], "method <> 'similar'"),
}
"""What says that two rows show one picture: a fact, its columns, and which rows."""
_QUERIES = {"sample_id": "sample_ids", "url": "urls", "host": "hosts", "sha256": "hashes", "pdq": "hashes"}


@dataclass(frozen=True)
class OptOutList:
    """An opt-out list of the settings.

    Attributes:
        name: As the settings call it.
        files: Its current files, each with its SHA-256.
        pictures: Likewise its pictures, each with its name below their folder in between.
        within: Bits in which the hash of a row may differ from what it names; None: the defaults.
        near: Whether a file may say itself within how many bits its hashes count.
        copies: Whether rows are withdrawn too that show a picture edited or in part.
    """

    name: str
    files: Sequence[tuple[Path, str]] = ()
    pictures: Sequence[tuple[Path, str, str]] = ()
    within: int | None = None
    copies: bool = True
    near: bool = False

    def batches(self, limits: ByteLimits) -> Iterator[tuple[Path, list[OptOutEntry]]]:
        """Yield the entries of all files in batches, each batch with its file.

        Args:
            limits: Of a file's size.
        """
        for path, _ in self.files:
            for batch in opt_outs.batches(path, limits):
                yield path, batch


def find_lists(recalls: Iterable[Recall]) -> list[OptOutList]:
    """Find the files of every list in the settings. Raises OptOutListError for a list that is missing or unreadable."""
    return [_find_list(each) for each in recalls]


def require_lists(recalls: Iterable[Recall]) -> None:
    """Raise OptOutListError for a list without a file. Reads none of them: it is asked before a run begins its work."""
    for each in recalls:
        _paths(each)
        _pictures(each)


def listed_files(recalls: Iterable[Recall]) -> list[Path]:
    """Return the files of all lists, and their pictures. Raises OptOutListError for a list without one."""
    return [path for each in recalls for path in (*_paths(each), *_pictures(each))]


def _pictures(recall: Recall) -> list[Path]:
    return likeness.find_pictures(recall.name, recall.pictures) if recall.pictures else []


def _paths(recall: Recall) -> list[Path]:
    if recall.path is None:
        return []
    found = map(Path, sorted(glob.glob(recall.path, recursive=True)))  # noqa: PTH207
    paths = [path for path in found if path.is_file() or not path.exists()]  # a link to nothing is listed: see likeness
    if not paths:
        raise OptOutListError(
            f"the opt-out list {recall.name} has no file at {recall.path}; put it there, correct `path`, or remove it "
            "from `recalls` if it is withdrawn"
        )
    return paths


def _find_list(recall: Recall) -> OptOutList:
    paths, pictures = _paths(recall), _pictures(recall)
    try:
        files = [(path, file_sha256(path)) for path in paths]
        shown = [(path, likeness.name_of(path, recall.pictures or ""), file_sha256(path)) for path in pictures]
        near = any(map(opt_outs.mentions_bits, paths))
        return OptOutList(recall.name, files, shown, recall.within, recall.copies, near)
    except OSError as error:
        place = error.filename or recall.path or recall.pictures
        raise OptOutListError(f"{place} cannot be read: {error.strerror}; check its permissions") from error


def is_current(facts: Facts, settings: Settings, lists: Sequence[OptOutList]) -> bool:
    """Return whether `recalled_rows` is of these lists and policies, and of the training rows of now.

    Args:
        facts: All fact tables.
        settings: Which statements of files are honoured, and how hashes are compared.
        lists: As `find_lists` returns them.
    """
    return facts["recalled_rows"].recipe == _recipe(facts, settings, lists)


def update_recalled_rows(facts: Facts, settings: Settings, lists: Sequence[OptOutList]) -> dict[str, int]:
    """Update the table of withdrawn rows. Does nothing if neither the lists nor the rows changed.

    Args:
        facts: All fact tables; `recalled_rows` and `opt_out_hits` are written, and what is known of listed pictures is
            read.
        settings: Settings of the view of training rows, and which statements of files are honoured.
        lists: As `find_lists` returns them.

    Returns:
        Counts by name: entries of each kind, entries without a matching row, and unusable entries.

    Raises:
        OptOutListError: If a list cannot be read to its end. The table is then unchanged.
    """
    table, made_by = facts["recalled_rows"], _recipe(facts, settings, lists)
    if table.recipe == made_by:
        return {}
    honour = settings.policies.honour
    if not lists and not honour:
        facts["opt_out_hits"].clear()
        table.replace([], made_by)
        return {}
    models = (*_MODELS, _RIGHTS) if honour else _MODELS
    with samples_view.open_view(facts, settings, models) as con:
        unusable = _load_entries(con, lists, settings.limits.of_files)
        kinds = dict(con.execute("select kind, count(*) from entries group by kind").fetchall())
        _match(con, facts, kinds)
        _match_likeness(con, facts, settings, lists)
        honoured = _honour(con, facts, settings.policies)
        reader = con.execute(query("catalog/opt_out_rows")).to_arrow_reader(_BATCH)
        table.replace((pa.Table.from_batches([batch]) for batch in reader), made_by)
        [(idle,)] = con.execute("select count(*) from entries anti join matches using (entry)").fetchall()
    if lists:
        say(f"opt-out lists: {count(sum(kinds.values()), 'entry', 'entries')}, of which {idle:,} match no training row")
    if honour:
        say(f"policies.honour: {count(honoured, 'row')} withdrawn by what files or servers say, copies included")
    return {f"entries by {kind}": kinds[kind] for kind in (*KINDS, _PICTURE) if kind in kinds} | {
        "entries that match nothing": idle,
        "entries that cannot match": unusable,
        **({"rows that files or servers reserve": honoured} if honour else {}),
    }


def _recipe(facts: Facts, settings: Settings, lists: Sequence[OptOutList]) -> str:
    policies, cut = settings.policies, settings.thresholds
    versions = [facts[name].version for name in ("landing_shards", "image_fingerprints") if lists]
    # a file's ending decides how it is read
    files = [(each.name, [(path.suffix.lower(), sha256) for path, sha256 in each.files]) for each in lists]
    parts: list[object] = [versions, files, samples_view.rules(_MODELS) if lists else {}]
    if policies.honour:
        read = ["landing_shards", "image_fingerprints", "picture_rights"]
        read += ["duplicate_pairs"] if policies.honour_copies else []
        honoured = [list(policies.honour), policies.honour_copies, [facts[name].version for name in read]]
        parts.append([*honoured, samples_view.rules((*_MODELS, _RIGHTS))])
    shown = [[each.name, each.within, [file[1:] for file in each.pictures]] for each in lists]
    if any(each.near or each.within is not None or each.pictures for each in lists):
        parts.append(["likeness", shown, cut.pdq, cut.pdq_quality, rules_of(settings)])
    if copied := [each.name for each in lists if each.copies and each.pictures]:
        parts.append(["copies", copied, facts["listed_copies"].version, facts["duplicate_pairs"].version])
    return recipe("recalls", CODE, *parts)


def _load_entries(con: duckdb.DuckDBPyConnection, lists: Sequence[OptOutList], limits: ByteLimits) -> int:
    """Create the table `entries`. Return the count of entries that are neither ids nor hashes and cannot match."""
    con.execute("create temp table listed (list varchar, kind varchar, value varchar, within bigint)")
    unusable = 0
    for each in lists:
        for path, batch in each.batches(limits):
            usable = [entry for entry in batch if opt_outs.usable(entry)]  # DuckDB would read 4.07e18 as another id
            if len(usable) < len(batch) and not unusable:
                kind, value, _ = next(entry for entry in batch if not opt_outs.usable(entry))
                say(f"warning: {path}: an entry is not a valid {kind} and matches nothing: {value[:80]!r}")
            unusable += len(batch) - len(usable)
            if usable:
                columns = [[each.name] * len(usable), *(list(column) for column in zip(*usable, strict=True))]
                con.register("arriving", pa.table(columns, schema=_ENTRIES))
                con.execute("insert into listed from arriving")
                con.unregister("arriving")
        for _, name, _ in each.pictures:
            con.execute("insert into listed values (?, ?, ?, null)", [each.name, _PICTURE, name])
    con.execute(f"create temp table entries as {query('catalog/opt_out_entries')}")
    return unusable


def _match(con: duckdb.DuckDBPyConnection, facts: Facts, kinds: Iterable[str]) -> None:
    """Create the table `matches` of the entries of these kinds."""
    con.execute("create temp table matches (sample_id ubigint, entry bigint)")
    for name in dict.fromkeys(_QUERIES[kind] for kind in KINDS if kind in kinds):
        if name == "hashes":  # a stream, which can be read once
            columns, where = ["sample_id", "sha256", "pdq"], "sha256 is not null"
            con.register("hashes", facts["image_fingerprints"].dataset().scanner(columns, where).to_reader())
        con.execute(f"insert into matches {query(f'catalog/opt_out_{name}')}")


def _match_likeness(
    con: duckdb.DuckDBPyConnection, facts: Facts, settings: Settings, lists: Sequence[OptOutList]
) -> None:
    """Add to `matches` the rows that show a listed picture, or that are near a listed hash, and keep the evidence."""
    asked, cut, shown = ListedHashes(), settings.thresholds, list[Mapping[str, object]]()
    named = any(each.pictures for each in lists)
    pictures = {row["listed_sha256"]: row for row in facts["listed_pictures"].read().to_pylist()} if named else {}
    for each in lists:
        of_list = "select entry, key, within from entries where list = ? and kind = ? order by entry"
        most = cut.pdq if each.within is None else each.within  # a file may ask for less
        for entry, key, within in (
            con.execute(of_list, [each.name, "pdq"]).fetchall() if each.within or each.near else ()
        ):
            if radius := min(most, within) if within is not None else each.within:
                asked.add_hash(entry, key, radius)
        entries = con.execute(of_list, [each.name, _PICTURE]).fetchall()
        for (entry, _, _), (_, _, digest) in zip(entries, each.pictures, strict=True):
            asked.add_picture(entry, pictures[digest], most)
            if each.copies:
                shown.append({"entry": entry, "listed_sha256": digest})
    table = facts["opt_out_hits"]
    if not asked.entries and not asked.digests:
        table.clear()
        return
    con.execute("create temp table near (entry bigint, sample_id ubigint, method varchar, distance integer)")
    con.execute(f"create temp table copies as {query('catalog/opt_out_no_copies')}")
    if shown:
        _find_copies(con, facts, shown)
    for hits in likeness.hits(facts, asked, cut.pdq_quality, settings.memory.joins):
        con.register("arriving", hits)
        con.execute("insert into near from arriving")
        con.unregister("arriving")
    con.execute(f"insert into matches {query('catalog/opt_out_near')}")
    reader = con.execute(query("catalog/opt_out_hits")).to_arrow_reader(_BATCH)
    table.replace((pa.Table.from_batches([batch]) for batch in reader), "")


def _find_copies(con: duckdb.DuckDBPyConnection, facts: Facts, shown: Sequence[Mapping[str, object]]) -> None:
    """Add to `copies` the rows that show a listed picture as pixels or structure confirm, and rows tied to these.

    Args:
        con: The view of the samples.
        facts: The fact tables.
        shown: The entries that name pictures, each with the SHA-256 of its file.
    """
    copies = facts["listed_copies"].read()
    if not copies.num_rows:
        return
    con.register("shown", pa.Table.from_pylist(list(shown), _SHOWN))
    con.register("listed_copies", copies)
    _load_ties(con, facts)
    con.execute(f"insert into copies {query('catalog/opt_out_shown')}")
    for name in ("shown", "listed_copies"):
        con.unregister(name)


def _load_ties(con: duckdb.DuckDBPyConnection, facts: Facts) -> None:
    """Create the tables `pixels` and `pairs`, which say which rows show one picture, unless they are there."""
    for name, (fact, columns, where) in _TIES.items():
        con.register("arriving", facts[fact].dataset().scanner(columns, where).to_reader())
        con.execute(f"create temp table if not exists {name} as select * from arriving")  # noqa: S608 -- our own name
        con.unregister("arriving")


def _honour(con: duckdb.DuckDBPyConnection, facts: Facts, policies: Policies) -> int:
    """Create the table `honoured` of the rows that statements withdraw. Return their count."""
    con.execute("create temp table honoured (sample_id ubigint, kind varchar, value varchar)")
    if not policies.honour:
        return 0
    con.execute(f"insert into honoured {query('catalog/opt_out_honoured')}", {"signals": list(policies.honour)})
    if policies.honour_copies:
        _load_ties(con, facts)
        con.execute(f"insert into honoured {query('catalog/opt_out_copies')}")
    [(rows,)] = con.execute("select count(*) from honoured").fetchall()
    return int(rows)
