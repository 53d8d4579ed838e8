"""Entries of clusters that are copied from the pages of another version are those that would be made anew."""

import random
import shutil
from pathlib import Path
from typing import Any

import duckdb
import pytest

from orchestration.facts import Facts
from orchestration.reports import clusters, gallery
from orchestration.reports.page_data import DataFolder
from orchestration.reports.pictures import PictureReader
from orchestration.settings import Settings
from orchestration.settings.sections import Reports
from orchestration.warehouse import build
from orchestration.warehouse.version import HISTORY
from tests.benchmarks import warehouse
from tests.benchmarks.warehouse import FIRST_ID
from tests.planted import MODELS
from transforms.hashing import hashes

CLUSTERS, SHARDS, FIRST = 40, 4, FIRST_ID >> 26
LIMITS = Reports(clusters=36, members=50, thumbnails=6, pictured=2)
_DERIVED = ("duplicates.counts", "reports.repeated_pictures")
_MOVED = "({0} + ((({0} - {1}) // 8192) % {2}) * 67108864)::ubigint"
_IDS = {"catalog.samples": ("sample_id",), "fingerprints.images": ("sample_id",)} | {
    "duplicates.clusters": ("sample_id", "cluster_id", "representative_id")
}
_SPREAD = "".join(
    f"update {table} set {', '.join(f'{c} = {_MOVED.format(c, FIRST_ID, SHARDS)}' for c in columns)}"  # noqa: S608
    f" where sample_id >= {FIRST_ID};"
    for table, columns in _IDS.items()
)
"""Puts the clusters into several shards, one after the other."""
_MADE = f"""
    update warehouse.versions set run_id = 'run 3';
    insert into warehouse.shards by name
    select unnest(['catalog.samples', 'fingerprints.images']) as table_name, shard_id, 3 as made_in
    from range({FIRST}, {FIRST + SHARDS}) as made(shard_id);
"""  # noqa: S608


_CHANGES = (
    """
    insert into warehouse.versions by name
    select * replace ({number} as version, 'run {number}' as run_id) from warehouse.versions where version = 3;
    update warehouse.shards set made_in = {number} where shard_id = {shard} and table_name = '{table}';
    update {table} set {columns} where sample_id >> 26 = {shard} and sample_id % 5 = 0;
    """,
    "delete from duplicates.clusters where cluster_id = {cluster} and rank >= 3 and rank % 2 = 1;",
    "update duplicates.clusters set method = 'pixels' where cluster_id = {cluster} and rank = 2;",
    """
    insert into provenance.sources by name
    select 'gen/1.png' as generation_id, 1 as rank, 'copy' as verdict, 0.1 as q_value, cluster_id,
        cluster_id as sample_id
    from {cluster};
    """,
)


def changed(number: int, draw: random.Random) -> str:
    """Return SQL by which a version differs from the one before: rows of a shard, of a cluster, or a generation."""
    caption = f"caption = 'written in {number}'"
    table, columns = draw.choice([("catalog.samples", caption), ("fingerprints.images", "width = width + 1")])
    shard, cluster = FIRST + draw.randrange(SHARDS), f"(from ids limit 1 offset {draw.randrange(CLUSTERS)})"
    ids = "create or replace temp table ids as from (select distinct cluster_id from duplicates.clusters order by 1);"
    change = draw.choice(_CHANGES)
    return ids + change.format(number=number, shard=shard, cluster=cluster, table=table, columns=columns)


_LIMITED = ({"thumbnails": 7}, {"thumbnails": 6}, {"thumbnails": 0, "pictured": 4})


class Pages:
    """The data of clusters of versions that follow each other, each written anew and with what the last one had."""

    def __init__(self, folder: Path, made: Path) -> None:
        self.folder, self.number, self.limits = folder, 3, LIMITS
        self.database = shutil.copy(made, folder / "w.duckdb")

    def written(self, name: str, earlier: DataFolder | None) -> dict[str, bytes]:
        data = DataFolder(self.folder / name)
        with duckdb.connect(str(self.database), read_only=True) as con:
            extent = gallery.extent(con, self.limits)
            clusters.write(con, data, extent, self.limits.pictured, PictureReader(self.gone), {}, earlier)
        return {str(file.relative_to(data.path)): file.read_bytes() for file in data.path.rglob("*.js")}

    def gone(self, sample_id: int) -> None:
        raise OSError(f"row {sample_id} is gone")

    def next(self, sql: str) -> None:
        """Make a version, and hold its pages against those that are made anew."""
        self.number += 1
        facts, settings, nothing = Facts(self.folder / "facts"), Settings(home=self.folder), HISTORY.empty_table()
        inputs = build.Inputs(facts, facts.versions(), settings, nothing, nothing)
        with build.open_build(self.database, settings) as con:
            con.execute(sql)
            for model in (each for each in MODELS if each.name in _DERIVED):
                build.provide(con, model.inputs, inputs)
                build.materialize(con, model)
        last = DataFolder(self.folder / f"pages {self.number - 1}")
        assert self.written(f"pages {self.number}", last) == self.written(f"anew {self.number}", None)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the first version's file."""
    file = tmp_path_factory.mktemp("made") / "w.duckdb"
    warehouse.make(file, CLUSTERS, _SPREAD + _MADE)
    return file


@pytest.fixture
def summaries(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The ids of clusters whose entries are made, not copied."""
    made: list[int] = []
    real = clusters._summary
    monkeypatch.setattr(
        clusters, "_summary", lambda about, *rest: made.append(about["cluster_id"]) or real(about, *rest)
    )
    return made


@pytest.mark.parametrize(
    ("versions", "others"),
    [(3, [{"members": 3}]), pytest.param(7, [*_LIMITED, {"members": 3}], marks=pytest.mark.thorough)],
)
def test_copied_entries_are_those_that_would_be_made_anew(
    tmp_path: Path, made: Path, summaries: list[int], versions: int, others: list[dict[str, int]]
) -> None:
    pages, draw = Pages(tmp_path, made), random.Random(5)  # noqa: S311 -- it draws changes
    pages.next("")
    assert len(summaries) == 2 * LIMITS.clusters
    copied = []
    for number in range(5, 5 + versions):
        summaries.clear()
        pages.next(changed(number, draw))
        copied.append(2 * LIMITS.clusters - len(summaries))
    assert LIMITS.clusters // 2 < min(copied) < max(copied) < LIMITS.clusters - LIMITS.pictured

    for limits in others:
        summaries.clear()
        pages.limits = LIMITS.model_copy(update=limits)
        pages.next("")
    assert len(summaries) == 2 * LIMITS.clusters, "entries of other settings are made anew"
    pages.limits = LIMITS
    pages.next("")

    # what is not whole, and what is of no known version
    for file in (tmp_path / f"pages {pages.number}" / "clusters").iterdir():
        file.write_text(file.read_text().replace("of picture 7", "of picture 9"))
    summaries.clear()
    pages.next("")
    assert len(summaries) > LIMITS.clusters + LIMITS.pictured
    summaries.clear()
    pages.next("update warehouse.versions set run_id = null;")
    assert len(summaries) == 2 * LIMITS.clusters


# The CODE and a hash of the entry that it wrote. If the entry is another, pages that were written before hold entries
# that must not be copied: raise `clusters.CODE`.
GOLDEN = (1, "e7a0cc04138285f6")


def test_the_entry_of_known_rows_is_the_one_that_the_code_of_this_number_wrote() -> None:
    about: dict[str, object] = {
        "cluster_id": 7, "position": 9, "representative_id": 7, "duplicate_count": 3, "exact_count": 1,
        "recalled_count": 1, "files": 2, "pixels": 2, "size_count": 2, "sizes": [["60 × 40", "2"], ["40 × 60", "1"]],
        "methods": [["representative", "1"], ["pdq", "2"]], "distinct_urls": 3, "distinct_captions": 2,
        "distinct_hosts": 2, "licenses": ["CC BY 4.0", "l" * 130], "unsafe": False, "generation_count": 0,
        "generations": [],
    }  # fmt: skip
    members: list[dict[str, object]] = [
        {
            "sample_id": 7, "method": "representative", "far": 0, "aligned": None, "sha256": "a", "pixel_sha256": "p",
            "pdq": "0f" * 32, "width": 60, "height": 40, "url": "https://a.example/1.jpg", "url_host": "a.example",
            "caption": "A caption", "license": "CC BY 4.0",
        },
        {
            "sample_id": 8, "method": "pdq", "far": 4, "aligned": 2, "sha256": "b", "pixel_sha256": "q",
            "pdq": "0f" * 31 + "00", "width": 40, "height": 60, "url": "javascript:alert(1)", "url_host": None,
            "caption": "é\u202e" + "x" * 500, "license": None,
        },
        {
            "sample_id": 9, "method": "pdq", "far": 40, "aligned": 1, "sha256": "b", "pixel_sha256": "q",
            "pdq": None, "width": 61, "height": 40, "url": None, "url_host": "b.example", "caption": None,
            "license": "l" * 130,
        },
    ]  # fmt: skip
    summary = clusters._summary(about, members, clusters._groups(members), {})
    entry = clusters._item(7, None, summary | {"pictures": 0})
    assert (clusters.CODE, hashes.sha256(entry.encode())[:16]) == GOLDEN, entry


def test_entries_that_are_lost_while_they_are_copied_are_made_anew(
    tmp_path: Path, made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pages, real, asked = Pages(tmp_path, made), clusters._clusters, []
    whole = pages.written("before", None)

    def lost(*about: Any) -> Any:  # noqa: ANN401 -- as it is asked
        for file in (tmp_path / "before" / "clusters").iterdir() if not asked else ():
            file.unlink()
            file.mkdir()  # is there, and cannot be read
        asked.append(about)
        return real(*about)

    monkeypatch.setattr(clusters, "_clusters", lost)
    assert pages.written("after", DataFolder(tmp_path / "before")) == whole
    assert len(asked) == 1 + LIMITS.clusters - LIMITS.pictured
