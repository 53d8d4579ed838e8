"""Matches of a warehouse that grew, shrank and grew again: row by row those of one that was made at once."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from conftest import Landing, Row, encoded, picture
from PIL import Image

from orchestration.duplicates.pixel_comparisons import PixelComparisons
from orchestration.facts import Facts
from orchestration.facts.schemas.matches import ALTERATION
from orchestration.matches import candidates, neighbour_lists, search

type Rows = Callable[[int, int], list[Row]]

_TABLES = ("matches.candidates", "matches.evidence", "provenance.sources")


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int, int]]:
    """Return what each run did: generations and pictures searched, pairs compared by pixels."""
    done: list[tuple[int, int, int]] = []
    update, compare = search.update_lists, candidates.GenerationComparer.compare

    def updated(searched: search.GenerationSearch, generations: pa.Table) -> search.SearchCounts:
        counts = update(searched, generations)
        done.append((counts.generations, counts.pictures, 0))
        return counts

    def compared(
        self: candidates.GenerationComparer, gathered: Iterator, count: int, comparisons: PixelComparisons
    ) -> None:
        compare(self, gathered, count, comparisons)
        done[-1] = (*done[-1][:2], comparisons.compared)

    monkeypatch.setattr(candidates, "update_lists", updated)
    monkeypatch.setattr(candidates.GenerationComparer, "compare", compared)
    return done


def tables(landing: Landing) -> dict[str, list[tuple]]:
    return {table: landing.query(f"select * from {table} order by all") for table in _TABLES}  # noqa: S608


def stop(_: neighbour_lists.KeptLists, new: object) -> None:
    raise OSError("the disk is full")


def generate(landing: Landing, name: str, image: Image.Image) -> None:
    (landing.folder / "generations" / name).write_bytes(encoded(image))


@pytest.mark.thorough
def test_any_history_gives_the_matches_of_one_run(
    landing: Landing, rows_of: Rows, counted: list[tuple[int, int, int]], tmp_path: Path
) -> None:
    collage = picture(80)
    collage.paste(picture(4).resize((128, 96)), (100, 40))
    shards = {"a": rows_of(0, 4), "b": rows_of(4, 3), "c": [*rows_of(7, 3), *rows_of(1, 1)]}
    shards["c"].append(
        Row("https://x.org/2", "larger", encoded(picture(2).resize((320, 240))))
    )  # it comes to represent 2
    for name in ("a", "b"):
        landing.shard(name, shards[name])
    generate(landing, "part.jpg", collage)
    generate(landing, "copy.jpg", picture(2).transpose(Image.Transpose.FLIP_LEFT_RIGHT))
    landing.run_here()
    assert counted.pop()[:2] == (2, 7)

    landing.run_here()
    assert counted == [], "nothing changed: nothing is even looked at"

    landing.shard("c", shards["c"])
    with pytest.MonkeyPatch.context() as patch:  # it stops when lists know of new pictures and the notes do not
        patch.setattr(neighbour_lists.KeptLists, "end", stop)
        with pytest.raises(AssertionError, match="the disk is full"):
            landing.run_here()
    landing.run_here()
    generations, pictures, compared = counted.pop()
    assert (generations, pictures) == (0, 4)
    assert 0 < compared <= 8, "only new pairs"

    removed = {path: path.read_bytes() for path in (landing.folder / "laion").glob("b.*")}
    for path in removed:
        path.unlink()
    landing.run_here()
    assert counted.pop()[:2] == (0, 0)
    for path, data in removed.items():
        path.write_bytes(data)
    generate(landing, "exact.jpg", picture(8))
    generate(landing, "altered.jpg", relit(picture(3)))
    landing.run_here()
    assert counted.pop()[:2] == (2, 3)

    once = Landing(tmp_path / "once")
    once.write_config()
    for name, rows in shards.items():
        once.shard(name, rows)
    for path in (landing.folder / "generations").iterdir():
        (once.folder / "generations" / path.name).write_bytes(path.read_bytes())
    once.run_here()
    grown, made = tables(landing), tables(once)
    for table in _TABLES:
        assert grown[table] == made[table], table
        assert len(made[table]) >= 3
    verdicts = dict(landing.query("select generation_id, verdict from provenance.generations"))
    strictly = {"gen/part.jpg": "partial_copy", "gen/copy.jpg": "copy", "gen/exact.jpg": "exact"}
    assert verdicts == {**strictly, "gen/altered.jpg": "altered_copy"}
    [(changes, region)] = landing.query(
        "select altered_by, region from provenance.sources where verdict = 'altered_copy'"
    )
    assert {"recoloured", "relit"} <= set(changes)
    assert region["width"] > 0.9

    refused = as_of_an_older_release(Facts(landing.home / "facts"))
    assert refused
    counted.clear()
    landing.run_here()
    generations, pictures, compared = counted.pop()
    assert (generations, pictures) == (0, 0)
    assert 0 < compared <= refused, "what pixels had confirmed as a whole is not compared again"
    assert tables(landing) == made


def relit(image: Image.Image) -> Image.Image:
    """Turn the colours, and let the light fall from the right."""
    values = np.asarray(image)[:, :, [2, 0, 1]] * np.linspace(0.35, 1.1, image.width)[:, None]
    return Image.fromarray(np.clip(values, 0, 255).astype(np.uint8))


def as_of_an_older_release(facts: Facts) -> int:
    """Let the facts be as before altered copies and what is around parts; returns how many outcomes that changes."""
    compared, evidence = facts["match_comparisons"], facts["match_evidence"]
    rows = compared.read().to_pylist()
    refused = [row for row in rows if '"made_by"' in row["outcome"]]
    parts = [row for row in rows if row not in refused and json.loads(row["outcome"])["moved"] is not None]
    assert parts
    for row in refused:
        row["outcome"] = json.dumps(json.loads(row["outcome"])["alignment"])
    for row in rows:
        older = json.loads(row["outcome"])
        row["outcome"] = json.dumps(older and {name: value for name, value in older.items() if name != "moved"})
    compared.upsert(pa.Table.from_pylist(rows, compared.schema))
    evidence.dataset().drop_columns(["altered", "moved", *ALTERATION])
    evidence.forget_recipe()
    return len(refused) + len(parts)
