"""A warehouse by hashes alone: nothing is embedded, and everything says so. An encoder can come later, and go again."""

from collections.abc import Callable

import pytest
from conftest import Landing, Row, encoded, picture

from orchestration.facts import Facts
from orchestration.guard import export as guard_export
from orchestration.outlook import due
from orchestration.reports import case_text, cases
from orchestration.settings import load
from orchestration.warehouse import publishing
from orchestration.warehouse.queries import query
from transforms import encoders
from transforms.encoders import Encoder
from transforms.guard import Guard

_TABLES = ("duplicates.pairs", "duplicates.counts", "matches.candidates", "matches.evidence", "provenance.sources")


def choose(landing: Landing, encoder: str) -> None:
    text = landing.config.read_text()
    for name in ("none", "sscd_distilled"):
        text = text.replace(f'copy = "{name}"', f'copy = "{encoder}"')
    landing.config.write_text(text)


def tables(landing: Landing) -> dict[str, list[tuple]]:
    return {table: landing.query(f"select * from {table} order by all") for table in _TABLES}  # noqa: S608


def test_hashes_first_and_an_encoder_later(
    landing: Landing, rows_of: Callable[[int, int], list[Row]], monkeypatch: pytest.MonkeyPatch
) -> None:
    choose(landing, "none")
    again = Row("https://mirror.example.org/0", "picture 0", encoded(picture(0).resize((200, 150)), quality=70))
    landing.shard("00000", [*rows_of(0, 5), again])
    for name, image in (
        ("exact.jpg", picture(3)),
        ("whole.jpg", picture(1).resize((220, 165))),
        ("part.jpg", picture(4).crop((30, 20, 220, 170))),
    ):
        (landing.folder / "generations" / name).write_bytes(encoded(image))

    def never(name: str, device: str) -> Encoder:
        raise AssertionError(f"{name} is loaded")

    with monkeypatch.context() as patch:
        patch.setattr(encoders, "load", never)
        landing.run_here()
        chosen = load(landing.config)
        assert due.due_work(chosen).lines == ()
        assert "joins of training pictures: done, of hashes alone: encoders.copy is none" in due.due_work(chosen).idle
    answers = "select verdict, conclusive, p_value, searched, searched_by from provenance.generations order by 1"
    assert landing.query(answers) == [
        ("copy", True, None, 6, "hashes"),
        ("exact", True, None, 6, "hashes"),
        ("no_match_found", False, None, 6, "hashes"),
    ]
    assert landing.query("select distinct fingerprint from fingerprints.coverage order by 1") == [("pdq",), ("sha256",)]
    assert landing.query("select method from duplicates.methods where not computed") == [("embedding",)]
    assert landing.query("select duplicate_count, near_count, min_similarity from duplicates.counts") == [(2, 1, None)]
    assert landing.query("select count(*) from matches.calibration") == [(0,)]
    assert landing.query("select encoders from warehouse.versions") == [([],)]
    assert landing.query("select rate from provenance.replication") == [(None,)]
    assert landing.query(query("summary/searched")) == [("6 of 6 training rows (100.0%), by hashes alone",)]
    with publishing.connect(landing.home) as con:
        said = "\n".join(case_text.lines(cases.read(con, "gen/part.jpg")))
        assert "inconclusive: searched by hashes alone" in said
        with pytest.raises(guard_export.GuardExportError, match=r"encoders.copy is none.*--hashes-only"):
            guard_export.write(con, chosen, guard_export.BundleOptions())
        bundle = guard_export.write(con, chosen, guard_export.BundleOptions(hashes_only=True))
    assert Guard.load(bundle).check(encoded(picture(3))).decision == "block"
    by_hashes = tables(landing)

    facts = Facts(landing.home / "facts")
    hashes = facts["image_fingerprints"].version
    choose(landing, "sscd_distilled")
    dump, away = landing.folder / "laion" / "00000.tar", landing.folder / "away.tar"
    dump.rename(away)
    assert any("no encoder embedded 1 shard" in each for each in due.due_work(load(landing.config)).stops)
    with pytest.raises(AssertionError, match=r"no encoder embedded 1 shard, such as tiny/00000, .* are gone: put them"):
        landing.run_here()
    away.rename(dump)
    landing.run_here()
    assert facts["image_fingerprints"].version == hashes, "only embeddings are computed"
    assert facts["copy_embeddings"].dataset().count_rows() == 6
    verdicts = dict(landing.query("select generation_id, verdict from provenance.generations"))
    assert verdicts == {"gen/exact.jpg": "exact", "gen/whole.jpg": "copy", "gen/part.jpg": "partial_copy"}
    assert landing.query("select count(*) from provenance.sources where p_value is null") == [(0,)]
    embedded = facts["copy_embeddings"].version

    choose(landing, "none")
    landing.run_here(tables=_TABLES)
    assert tables(landing) == by_hashes
    assert facts["copy_embeddings"].version == embedded, "they stay for when the settings name the encoder again"
