"""Which shards are inspected again, and what is no fault of theirs."""

import csv
import errno
import json
import resource
from dataclasses import replace
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from orchestration.catalog.shards import commit_shards, discover, inspect_shards
from orchestration.facts import Facts
from orchestration.settings import settings
from orchestration.warehouse import landing_view
from transforms.catalog.columns import KNOWN

JPEG = b"\xff\xd8\xff\xe0" + bytes(60)


@pytest.mark.parametrize("dump", ["folder", "rows.parquet"])
def test_rows_that_an_older_release_listed_from_a_dump_are_listed_again_once(tmp_path: Path, dump: str) -> None:
    if dump == "folder":
        (tmp_path / dump).mkdir()
        for name in ("1.jpg", "no ending"):
            (tmp_path / dump / name).write_bytes(JPEG)
    else:
        pq.write_table(pa.table({"jpg": [JPEG], "img": [JPEG + b"2"], "caption": ["c"]}), tmp_path / dump)
    (tmp_path / "raisonne.toml").write_text(f'home = "home"\n[[datasets]]\nname = "d"\nimages = "{dump}"\n')
    loaded = settings.load(tmp_path / "raisonne.toml")
    found = discover(loaded)
    (landed,) = inspect_shards(found, [], loaded, tmp_path / "fetched")
    assert (landed.status, landed.rows) == ("ok", 2)
    older = replace(landed, rows=1, forms=None)
    (again,) = inspect_shards(found, [older], loaded, tmp_path / "fetched")
    assert again == landed
    same = replace(landed, rows=1)
    assert list(inspect_shards(found, [same], loaded, tmp_path / "fetched")) == [same]


def test_a_full_disk_is_no_fault_of_a_delivery(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("url,caption\nhttp://a.example/1.jpg,one\n")
    config = 'home = "home"\n[[datasets]]\nname = "d"\nmetadata = "rows.csv"\n'
    (tmp_path / "raisonne.toml").write_text(config)
    loaded = settings.load(tmp_path / "raisonne.toml")
    found = discover(loaded)
    (landed,) = inspect_shards(found, [], loaded, tmp_path / "fetched")
    assert landed.status == "ok"
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (Path(str(landed.readable_path)).stat().st_size - 1, before[1]))
    try:
        with pytest.raises(OSError, match="File too large") as full:
            list(inspect_shards(found, [], loaded, tmp_path / "fetched"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert full.value.errno == errno.EFBIG


def test_a_file_that_breaks_a_limit_is_failed_and_looked_at_again_once_the_limit_is_raised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    caption = pa.DictionaryArray.from_arrays(pa.array([0] * 9, pa.int32()), pa.array(["x" * 2_000_000]))
    pq.write_table(pa.table({"url": [f"u{n}" for n in range(9)], "caption": caption}), tmp_path / "1.parquet")
    pq.write_table(pa.table({"url": ["u"], "caption": ["c"]}), tmp_path / "2.parquet")
    (tmp_path / "raisonne.toml").write_text('home = "home"\n[[datasets]]\nname = "d"\nmetadata = "*.parquet"\n')
    loaded = settings.load(tmp_path / "raisonne.toml")
    known = list(inspect_shards(discover(loaded), [], loaded, tmp_path))
    assert [each.status for each in known] == ["failed", "ok"]
    assert known[0].failure == (
        f"{tmp_path}/1.parquet: caption of row 1 has 2,000,000 bytes, more than limits.text_bytes = 1,048,576; shorten "
        "it, or raise the limit"
    )
    assert list(inspect_shards(discover(loaded), known, loaded, tmp_path)) == known
    monkeypatch.setenv("RAISONNE_LIMITS__TEXT_BYTES", "2MiB")
    raised = settings.load(tmp_path / "raisonne.toml")
    assert [each.rows for each in inspect_shards(discover(raised), known, raised, tmp_path)] == [9, 1]


def test_a_limit_counts_as_raised_however_long_the_path_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "/".join("x" * 200 for _ in range(12))
    folder.mkdir(parents=True)
    pq.write_table(pa.table({"url": ["u"], "caption": ["x" * 2_000_000]}), folder / "1.parquet")
    (tmp_path / "raisonne.toml").write_text('home = "home"\n[[datasets]]\nname = "d"\nmetadata = "**/*.parquet"\n')
    loaded = settings.load(tmp_path / "raisonne.toml")
    (refused,) = inspect_shards(discover(loaded), [], loaded, tmp_path)
    assert refused.status == "failed" and refused.failure is not None
    assert refused.failure.startswith(str(tmp_path)) and len(refused.failure) < 2_010
    assert refused.failure.endswith("limits.text_bytes = 1,048,576; shorten it, or raise the limit")
    monkeypatch.setenv("RAISONNE_LIMITS__TEXT_BYTES", "2MiB")
    raised = settings.load(tmp_path / "raisonne.toml")
    assert [each.rows for each in inspect_shards(discover(raised), [refused], raised, tmp_path)] == [1]


_EXIF = {"Image Artist": "A. Maker, Zürich", "Image Copyright": "© 2020", "EXIF Flash": "no"}


@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl", "json"])
def test_what_a_downloader_noted_of_rights_counts_in_csv_and_json_too(tmp_path: Path, ending: str) -> None:
    long = {"Image Artist": "x" * 2_000_000, "MakerNote": "y" * 2_000_000}  # more than a text may have
    noted = [json.dumps(_EXIF), json.dumps({"EXIF Flash": "no"}), 'broken "Image Artist"', json.dumps(long)]
    rows = [
        {"url": f"u{at}", "caption": "c", "EXIF": exif, "X-Robots-Tag": tag, "tdm_reservation": reserved}
        for at, (exif, tag, reserved) in enumerate(
            zip(noted, ("noai", "", "otherbot: NoAI", "noindex"), ("", 1, 0, ""), strict=True)
        )
    ]
    with (tmp_path / f"rows.{ending}").open("w", encoding="utf-8", newline="") as file:
        if ending in ("csv", "tsv"):
            writer = csv.DictWriter(file, list(rows[0]), delimiter="\t" if ending == "tsv" else ",")
            writer.writeheader()
            writer.writerows(rows)
        else:
            rows[0] |= {"EXIF": _EXIF, "X-Robots-Tag": ["noai", "noindex"]}  # as other downloaders write it
            file.write(json.dumps(rows) if ending == "json" else "\n".join(map(json.dumps, rows)))
    config = f'home = "home"\n[[datasets]]\nname = "d"\nmetadata = "rows.{ending}"\n'
    (tmp_path / "raisonne.toml").write_text(config)
    loaded = settings.load(tmp_path / "raisonne.toml")
    found = discover(loaded)
    (landed,) = inspect_shards(found, [], loaded, tmp_path / "fetched")
    assert (landed.status, landed.rows, landed.repaired_rows) == ("ok", 4, 0), landed.failure
    facts = Facts(tmp_path / "facts")
    commit_shards(facts, [], [landed])
    with duckdb.connect() as con:
        landing_view.create(con, facts)
        read = con.execute('select exif, "x-robots-tag", tdm_reservation from landing_metadata order by url').fetchall()
    exif = [row[0] and json.loads(row[0]) for row in read]
    assert exif[:3] == [{name: _EXIF[name] for name in ("Image Artist", "Image Copyright")}, None, None]
    assert len(exif[3]["Image Artist"]) == 4_096
    assert read[0][1] == ("noai" if ending in ("csv", "tsv") else "noai, noindex")
    assert [row[1] for row in read[1:]] == [None, "otherbot: NoAI", "noindex"]
    assert [row[2] for row in read] == [None, "1", "0", None]
    # an older release left them out of its copy: it is written again once, and no fingerprint is made again
    older = replace(landed, forms=tuple(form for form in landed.forms or () if form.partition(" ")[2] in KNOWN))
    notes = facts["fingerprinted_shards"]
    done = {"shard_id": landed.shard_id, "fingerprint": "hashes", "recipe": "made"}
    notes.upsert(pa.Table.from_pylist([dict.fromkeys(notes.schema.names) | done], notes.schema))
    facts["landing_shards"].clear()
    commit_shards(facts, [], [older])
    notes.upsert(pa.Table.from_pylist([dict.fromkeys(notes.schema.names) | done], notes.schema))
    (again,) = inspect_shards(found, [older], loaded, tmp_path / "fetched")
    assert again == landed
    assert commit_shards(facts, [older], [again])["new or changed"] == 0
    assert facts["landing_shards"].read(["forms"])["forms"].to_pylist() == [list(landed.forms or ())]
    assert notes.read(["recipe"])["recipe"].to_pylist() == ["made"]
