"""Fact tables: keys, recipes and the tags that keep a published version's facts."""

from collections.abc import Iterator
from pathlib import Path

import lance
import numpy as np
import pyarrow as pa
import pytest

from orchestration.facts import Facts
from orchestration.facts.filters import is_in
from orchestration.facts.migration import migrate
from orchestration.facts.recipes import FORMAT
from orchestration.facts.table import Change, OlderTable
from transforms.encoders import EncoderMismatch


def scores(*ids: int) -> pa.Table:
    return pa.table({"sample_id": ids, "nearest_id": ids, "score": [0.5] * len(ids)})


@pytest.fixture
def facts(tmp_path: Path) -> Facts:
    return Facts(tmp_path / "facts")


def test_a_key_has_one_row_however_often_it_is_written(facts: Facts) -> None:
    table = facts["null_scores"]
    table.upsert(scores(1, 2))
    table.upsert(scores(2, 3))
    assert sorted(table.read(["sample_id"])["sample_id"].to_pylist()) == [1, 2, 3]


def test_a_table_whose_replacement_broke_off_has_no_recipe(facts: Facts) -> None:
    table = facts["null_scores"]
    assert (table.replace([scores(1, 2)], "first"), table.recipe) == (2, "first")

    def breaking() -> Iterator[pa.Table]:
        yield scores(3)
        raise OSError("the disk is full")

    with pytest.raises(Exception, match="disk is full"):
        table.replace(breaking(), "second")
    assert table.recipe == ""
    assert table.read().num_rows == 2, "what was there stays readable"


def test_tags_of_pruned_and_unpublished_versions_go(facts: Facts) -> None:
    for number in (1, 2, 3):
        facts["null_scores"].upsert(scores(number))
        facts.tag(number, facts.versions())
    facts.keep_tags({2, 3})
    tags = facts["null_scores"].dataset().tags.list()
    assert sorted(tags) == ["warehouse-2", "warehouse-3"]
    assert facts["null_scores"].dataset(tags["warehouse-2"]["version"]).count_rows() == 2


def test_a_deletion_of_nothing_makes_no_version(facts: Facts) -> None:
    before = facts["null_scores"].version
    facts["null_scores"].delete("sample_id = 7")
    assert facts["null_scores"].version == before


@pytest.mark.parametrize("name", ["plain.png", "it's.png", "a\\b'.png", "'; drop --", "\u202e.png"])
def test_any_name_can_be_looked_for(facts: Facts, name: str) -> None:
    table = facts["generation_fingerprints"]
    rows = [{"generation_id": n, "path": n} for n in (name, "other")]
    table.upsert(pa.Table.from_pylist(rows, table.schema))
    table.delete(is_in("generation_id", [name]))
    assert table.read(["generation_id"])["generation_id"].to_pylist() == ["other"]


def test_of_rows_with_one_key_the_last_counts(facts: Facts) -> None:
    table = facts["null_scores"]
    table.upsert(pa.table({"sample_id": [1, 2, 1], "nearest_id": [7, 8, 9], "score": [0.1, 0.2, 0.3]}))
    assert table.read().sort_by("sample_id")["nearest_id"].to_pylist() == [9, 8]


def test_reading_tables_that_do_not_exist_writes_nothing(facts: Facts) -> None:
    for table in facts:
        assert (table.version, table.recipe, table.read().num_rows) == (1, "", 0)
        assert table.read().schema.names == table.schema.names
        assert list(table.scan(table.schema.names[:1])) == []
        assert table.dataset(1).count_rows() == 0
        table.delete("true")
        table.clear()
    assert facts.embeddings("copy_embeddings", "tiny", 4).read().num_rows == 0
    assert facts["copy_embeddings"].encoder == ""
    assert not facts.folder.exists()


def test_migrating_twice_changes_nothing(facts: Facts, caplog: pytest.LogCaptureFixture) -> None:
    assert migrate(facts).tables == {Change.CREATED: [table.name for table in facts]}
    before = facts.versions()
    assert set(before.values()) == {1}
    again = migrate(facts)
    assert (again.tables, again.stale, again.sentences) == ({}, [], [])
    assert facts.versions() == before
    assert not caplog.records


def test_lancedb_opens_the_tables(facts: Facts) -> None:
    facts["null_scores"].upsert(scores(1, 2))
    import lancedb

    assert lancedb.connect(facts.folder).open_table("null_scores").count_rows() == 2


def vectors(dimension: int, *ids: int) -> pa.Table:
    drawn = np.random.default_rng(0).standard_normal((len(ids), dimension)).astype(np.float32)
    column = pa.FixedSizeListArray.from_arrays(pa.array(drawn.ravel()), dimension)
    return pa.table({"sample_id": ids, "shard_id": [0] * len(ids), "vector": column})


def test_a_table_of_another_encoder_is_refused_until_it_is_reset(facts: Facts) -> None:
    small, large = (facts.embeddings("copy_embeddings", name, d) for name, d in (("small 8-d", 8), ("large 16-d", 16)))
    small.upsert(vectors(8, 1, 2))
    facts.tag(1, facts.versions())
    for use in (large.read, lambda: large.upsert(vectors(16, 1)), lambda: large.scan(["vector"]), large.dataset):
        with pytest.raises(EncoderMismatch, match=r"vectors of small 8-d .* vectors of large 16-d; fingerprint again"):
            use()
    assert small.read().num_rows == 2, "a refusal changes nothing"
    any_ = facts["copy_embeddings"]
    assert any_.encoder == "small 8-d"
    any_.reset("large 16-d", 16)
    assert large.read().num_rows == 0
    large.upsert(vectors(16, 3))
    any_.reset("large 16-d", 16)  # it is that encoder's already
    assert large.read(["sample_id"])["sample_id"].to_pylist() == [3]
    assert (any_.encoder, any_.schema.field("vector").type.list_size) == ("large 16-d", 16)
    tagged = any_.dataset(any_.dataset().tags.list()["warehouse-1"]["version"])
    assert tagged.to_table()["vector"].type.list_size == 8
    with pytest.raises(EncoderMismatch, match="large 16-d"):
        small.read()


def test_an_empty_table_is_any_encoder_s(facts: Facts) -> None:
    assert facts["generation_embeddings"].read().num_rows == 0
    assert facts["generation_embeddings"].encoder == ""
    table = facts.embeddings("generation_embeddings", "tiny", 4)
    assert table.read().schema.field("vector").type.list_size == 4
    assert table.encoder == "", "reading binds nothing"
    table.upsert(pa.Table.from_pylist([{"generation_id": "g", "view": "all", "vector": [1.0] * 4}], table.schema))
    assert table.encoder == "tiny"
    with pytest.raises(KeyError, match="unknown embedding table null_scores"):
        facts.embeddings("null_scores", "tiny", 4)


def test_vectors_without_a_name_are_refused(facts: Facts) -> None:
    facts["copy_embeddings"].upsert(vectors(512, 1))
    with pytest.raises(EncoderMismatch, match="an encoder without a name"):
        facts.embeddings("copy_embeddings", "sscd", 512).read()
    assert facts["copy_embeddings"].encoder == "an encoder without a name"
    facts["copy_embeddings"].reset("sscd", 512)
    assert facts.embeddings("copy_embeddings", "sscd", 512).read().num_rows == 0


def test_shards_whose_vectors_are_reset_are_due_again(facts: Facts) -> None:
    notes = facts["fingerprinted_shards"]
    rows = [{"shard_id": 1, "fingerprint": name} for name in ("hashes", "copy", "semantic")]
    notes.upsert(pa.Table.from_pylist(rows, notes.schema))
    facts["copy_embeddings"].upsert(vectors(512, 1))
    facts["copy_embeddings"].reset("other", 8)
    assert sorted(notes.read()["fingerprint"].to_pylist()) == ["hashes", "semantic"]


def older(facts: Facts, name: str, rows: pa.Table) -> None:
    """Put a table of an older release in place of one."""
    lance.write_dataset(rows, facts[name].uri, mode="overwrite")


def scores_before_a_column_came(facts: Facts) -> pa.Schema:
    """Make `null_scores` of a release that had another column in place of `nearest_id`."""
    schema = facts["null_scores"].schema.remove(1).append(pa.field("odd", pa.string()))
    rows = pa.table({"sample_id": [1, 2], "score": [0.1, 0.2], "odd": ["a", "b"]})
    older(facts, "null_scores", rows.cast(schema))
    return schema


def test_reading_a_table_of_an_older_release_writes_nothing(facts: Facts) -> None:
    schema, table = scores_before_a_column_came(facts), facts["null_scores"]
    wanted = {"sample_id": [1, 2], "nearest_id": [None, None], "score": [0.1, 0.2]}
    assert table.read().to_pydict() == wanted
    assert table.read(["nearest_id"], "score < 0.15").to_pydict() == {"nearest_id": [None]}
    assert pa.Table.from_batches(table.scan(list(wanted))).to_pydict() == wanted
    with pytest.raises(ValueError, match="nobody"):
        table.read(["nobody"])
    for write in (table.upsert, lambda rows: table.append(rows.cast(table.schema).to_batches())):
        with pytest.raises(OlderTable, match=r"null_scores.lance is of an older release; `raisonne run` brings it up"):
            write(scores(3))
    assert table.version == 1
    assert table.dataset().schema.names == schema.names


def test_columns_that_came_and_went_leave_the_rows(facts: Facts, caplog: pytest.LogCaptureFixture) -> None:
    scores_before_a_column_came(facts)
    migration = migrate(facts)
    assert migration.tables[Change.EVOLVED] == ["null_scores"]
    assert migration.sentences == ["fact tables of an older release were brought up to date: null_scores"]
    table = facts["null_scores"]
    table.upsert(scores(2, 3))
    rows = table.read(["sample_id", "nearest_id", "score"]).sort_by("sample_id").to_pydict()
    assert rows == {"sample_id": [1, 2, 3], "nearest_id": [None, 2, 3], "score": [0.1, 0.5, 0.5]}
    assert sorted(table.dataset().schema.names) == ["nearest_id", "sample_id", "score"]
    table.delete("sample_id = 3")
    assert table.maintain(100)["compacted fragments"] > 0
    kept = table.read(["sample_id", "nearest_id", "score"]).sort_by("sample_id").to_pydict()
    assert kept == {"sample_id": [1, 2], "nearest_id": [None, 2], "score": [0.1, 0.5]}
    assert not caplog.records


def test_rows_from_before_a_column_came_survive_compaction(facts: Facts) -> None:
    table = facts["null_scores"]
    schema = table.schema.remove(1)
    older(facts, "null_scores", pa.table({"sample_id": [0], "score": [0.0]}).cast(schema))
    for number in range(1, 40):
        row = pa.table({"sample_id": [number], "score": [number / 8]}).cast(schema)
        lance.write_dataset(row, table.uri, mode="append")
    assert table.migrate() is Change.EVOLVED
    assert table.maintain(100)["compacted fragments"] == 40
    kept = table.read(["sample_id", "nearest_id", "score"]).sort_by("sample_id").to_pydict()
    assert kept == {
        "sample_id": list(range(40)),
        "nearest_id": [None] * 40,
        "score": [number / 8 for number in range(40)],
    }


def test_digests_that_were_text_become_bytes_in_one_commit_and_earlier_versions_stay_readable(facts: Facts) -> None:
    table, names = facts["image_fingerprints"], ("sha256", "pixel_sha256", "pdq")
    schema = pa.schema([field.with_type(pa.string()) if field.name in names else field for field in table.schema])
    schema = schema.remove(schema.get_field_index("member_size"))
    blank = dict.fromkeys(schema.names)
    digests = [{name: f"{10 * sample + at:064x}" for at, name in enumerate(names)} for sample in (1, 2)]
    rows = [blank | {"sample_id": at + 1, "status": "ok"} | digest for at, digest in enumerate(digests)]
    rows.append(blank | {"sample_id": 3, "status": "failed"})
    older(facts, table.name, pa.Table.from_pylist(rows, schema))
    wanted = [{name: bytes.fromhex(text) for name, text in digest.items()} for digest in digests]
    wanted.append(dict.fromkeys(names))

    assert table.read(names).to_pylist() == wanted
    assert table.read(["pdq"], "status = 'failed'").to_pylist() == [{"pdq": None}]
    columns = [*names, "member_size"]
    read = table.reader(1, columns, "sample_id > 1").read_all()
    assert read.to_pylist() == [row | {"member_size": None} for row in wanted[1:]]
    assert read.schema.field("pdq").type == table.schema.field("pdq").type
    with pytest.raises(OlderTable):
        table.append(table.schema.empty_table().to_batches() or [pa.RecordBatch.from_pylist([], table.schema)])

    assert table.migrate() is Change.EVOLVED
    assert (table.version, table.dataset().schema.names) == (2, table.schema.names)
    assert table.dataset().to_table(columns=list(names)).to_pylist() == wanted
    assert table.reader(1, columns).read_all() == table.reader(2, columns).read_all()
    assert table.migrate() is Change.NONE


def test_a_table_with_another_key_starts_anew(facts: Facts) -> None:
    table = facts["fingerprinted_shards"]
    key = table.schema.field("shard_id")
    columns = pa.schema([key, pa.field("encoder", pa.string())])
    older(facts, table.name, pa.table({"shard_id": [1, 2], "encoder": ["sscd", "sscd"]}).cast(columns))
    assert (table.read().num_rows, table.read(["fingerprint"]).schema.names) == (0, ["fingerprint"])
    assert lance.dataset(table.uri).count_rows() == 2, "reading it does not empty it"
    (said,) = migrate(facts).sentences
    assert said.endswith("they were emptied and are computed again: fingerprinted_shards")
    table.upsert(pa.Table.from_pylist([{"shard_id": 1, "fingerprint": "hashes"}], table.schema))
    assert table.read(["fingerprint"])["fingerprint"].to_pylist() == ["hashes"]
    assert table.dataset(version=1).to_table()["encoder"].to_pylist() == ["sscd", "sscd"], "what was there is not lost"


def test_a_migration_tells_of_changes_before_it_makes_them(facts: Facts) -> None:
    """One that is killed has said what it emptied, which the next one cannot know."""
    schema = pa.schema([facts["fingerprinted_shards"].schema.field("shard_id"), pa.field("encoder", pa.string())])
    older(facts, "fingerprinted_shards", pa.table({"shard_id": [1, 2], "encoder": ["a", "b"]}).cast(schema))
    told = []

    def tell(sentence: str) -> None:
        told.append((sentence, lance.dataset(facts["fingerprinted_shards"].uri).count_rows()))

    assert [(sentence, 2) for sentence in migrate(facts, tell).sentences] == told
    assert told and facts["fingerprinted_shards"].dataset().count_rows() == 0


def test_what_starts_anew_is_noted_as_done_no_more(facts: Facts) -> None:
    candidates, evidence = facts["match_candidates"], facts["match_evidence"]
    row = {"generation_id": "g", "sample_id": 1, "method": "copy"}
    candidates.replace([pa.Table.from_pylist([row], candidates.schema)], "made")
    index = evidence.schema.get_field_index("inliers")
    odd = evidence.schema.set(index, pa.field("inliers", pa.string()))
    older(facts, "match_evidence", pa.Table.from_pylist([row], odd))
    assert migrate(facts).tables[Change.EMPTIED] == ["match_evidence"]
    assert evidence.read().num_rows == 0
    assert (candidates.recipe, candidates.read().num_rows) == ("", 0)


def test_facts_whose_recipes_have_an_older_format_are_named_once(facts: Facts) -> None:
    table, notes, lists = (facts[n] for n in ("null_scores", "fingerprinted_shards", "neighbour_lists"))
    table.replace([scores(1)], "made by the release before")
    notes.upsert(pa.Table.from_pylist([{"shard_id": 1, "fingerprint": "hashes", "recipe": "before"}], notes.schema))
    lists.upsert(pa.Table.from_pylist([{"generation_id": "g", "recipe": "before"}], lists.schema))
    fits = facts["null_fits"]  # has no recipe of its own: `null_scores` notes that it is made
    fits.upsert(pa.Table.from_pylist([{"measure": "copy_score"}], fits.schema))
    before = {name: facts[name].version for name in (table.name, notes.name, lists.name, fits.name)}
    migration = migrate(facts)
    assert list(migration.stale) == ["neighbour_lists", "null_scores", "null_fits"]
    (said,) = migration.sentences
    assert "computed again once, because recipes have a new format: neighbour_lists, null_scores, null_fits; " in said
    assert {name: facts[name].version for name in before} == before, "nothing is lost until its successor is made"
    assert (facts.folder / "recipe_format").read_text() == f"{FORMAT}\n"
    assert migrate(facts).sentences == []
