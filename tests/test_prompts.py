"""Prompts among captions: which rows they meet, which of these become candidates, and what is read again."""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import ROOT, Landing, Row, encoded, picture

from orchestration.catalog import samples_view
from orchestration.compute import named_encoders
from orchestration.facts import SCHEMAS, Facts
from orchestration.matches import caption_vectors, prompt_candidates, prompt_captions
from orchestration.settings import Settings
from tests import clip_checkpoint
from transforms.encoders import OpenClip

LOAD = named_encoders.loader("auto")
SHARED = ROOT.parent / "shared" / "data"
LAION = SHARED / "laion" / "laion400m_10000.parquet"
MEMORISED = SHARED / "memorized" / "sdv1_500_memorized.jsonl"
NO_PRINT = {field.name: None for field in SCHEMAS["image_fingerprints"]}
HUGE = "word " * 200_000
HOSTILE = ["'); drop table prompts; --", 'he said "hi"', "a\0b", HUGE, "😀 \t 😀", "café", "{x}%s$1", "🏳️\u200d🌈 flag"]


@dataclass(frozen=True)
class Kept:
    """What a warehouse keeps without a run: settings and facts."""

    settings: Settings
    facts: Facts


@pytest.fixture
def warehouse(tmp_path: Path) -> Kept:
    """A warehouse without a run, and without an encoder of texts."""
    return Kept(Settings(home=tmp_path / "home", limits={"neighbours": 3}), Facts(tmp_path / "home" / "facts"))


def land(warehouse: Kept, shard_id: int, captions: Sequence[str | None]) -> None:
    """Put the captions of a shard into the landing, or deliver it again."""
    warehouse.settings.home.mkdir(parents=True, exist_ok=True)
    path = warehouse.settings.home / f"{shard_id}.parquet"
    pq.write_table(pa.table({"TEXT": pa.array(captions, pa.string())}), path)
    row = dict.fromkeys(SCHEMAS["landing_shards"].names) | {
        "shard_id": shard_id,
        "dataset": "d",
        "shard": str(shard_id),
        "status": "ok",
        "readable_path": str(path),
        "metadata_size": path.stat().st_size,
        "metadata_mtime_ns": time.monotonic_ns(),
    }
    warehouse.facts["landing_shards"].upsert(pa.Table.from_pylist([row], SCHEMAS["landing_shards"]))


def picture_rows(warehouse: Kept, clusters: dict[int, Sequence[int]], failed: Sequence[int] = ()) -> None:
    """Give rows pictures: clusters by their representative; a cluster of one is written as none."""
    rows = [NO_PRINT | {"sample_id": i, "status": "ok"} for them in clusters.values() for i in them]
    rows += [NO_PRINT | {"sample_id": i, "status": "failed"} for i in failed]
    warehouse.facts["image_fingerprints"].upsert(pa.Table.from_pylist(rows, SCHEMAS["image_fingerprints"]))
    members = [
        {"sample_id": i, "representative_id": head} for head, them in clusters.items() for i in them if len(them) > 1
    ]
    table = warehouse.facts["cluster_members"]
    table.upsert(pa.Table.from_pylist(members, table.schema))


def met(warehouse: Kept, texts: Sequence[str]) -> set[tuple[str, int, str]]:
    """Bring the facts up to date with these prompts, and return what they meet: prompt, row, method."""
    wanted = prompt_captions.prompts(texts)
    prompt_captions.update(warehouse.facts, warehouse.settings, wanted)
    names = dict(zip(wanted["prompt_key"].to_pylist(), wanted["prompt"].to_pylist(), strict=True))
    found = warehouse.facts["prompt_captions"].read()
    assert all(row["shard_id"] == row["sample_id"] >> 26 for row in found.to_pylist())
    rows = [(names[row["prompt_key"]], row["sample_id"], row["method"]) for row in found.to_pylist()]
    assert len(rows) == len(set(rows))
    return set(rows)


def chosen(warehouse: Kept, shown: dict[str, str]) -> list[tuple[str, int, str, float]]:
    """Return the candidates of generations with these prompts."""
    wanted = prompt_captions.prompts(list(shown.values()))
    prompt_captions.update(warehouse.facts, warehouse.settings, wanted)
    table = pa.table({"generation_id": list(shown), "prompt": list(shown.values())})
    encoder = caption_vectors.text_encoder(warehouse.settings, LOAD)
    parts = list(prompt_candidates.choose(warehouse.facts, warehouse.settings, table, wanted, encoder))
    return [tuple(row.values()) for part in parts for row in part.to_pylist()]  # type: ignore[misc]


def test_a_prompt_meets_the_captions_that_equal_it_as_text(warehouse: Kept) -> None:
    land(warehouse, 0, ["A cat", "a  CAT!", "a cat on a mat", None, " ", "", "cafe\u0301", "café", "A cat"])
    assert met(warehouse, ["A cat", "a cat", "café", " ", "", "dog"]) == {
        ("A cat", 0, "prompt"),
        ("A cat", 1, "prompt_normalised"),
        ("A cat", 8, "prompt"),
        ("a cat", 0, "prompt_normalised"),
        ("a cat", 1, "prompt_normalised"),
        ("a cat", 8, "prompt_normalised"),
        ("café", 6, "prompt_normalised"),
        ("café", 7, "prompt"),
    }


def test_hostile_texts_meet_themselves_alone(warehouse: Kept) -> None:
    land(warehouse, 0, HOSTILE)
    assert met(warehouse, HOSTILE) == {(text, at, "prompt") for at, text in enumerate(HOSTILE)}


def test_only_what_is_new_is_read_and_the_facts_equal_a_recomputation(
    warehouse: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[tuple[int, int]] = []  # prompts and files of each scan
    real = prompt_captions._matches

    def matches(facts: Facts, settings: Settings, prompts: pa.Table, paths: Sequence[str]) -> Iterator[pa.RecordBatch]:
        read.append((len(prompts), len(paths)))
        return real(facts, settings, prompts, paths)

    monkeypatch.setattr(prompt_captions, "_matches", matches)

    def step(texts: Sequence[str], scans: Sequence[tuple[int, int]], *, recomputed: bool = False) -> None:
        read.clear()
        found = met(warehouse, texts)
        assert read == list(scans)
        if not recomputed:
            return
        versions = warehouse.facts.versions()
        assert met(warehouse, texts) == found
        assert warehouse.facts.versions() == versions, "nothing is written for nothing"
        for name in ("prompts", "prompt_shards", "prompt_captions"):
            warehouse.facts[name].clear()
        assert met(warehouse, texts) == found

    land(warehouse, 0, ["a", "b"])
    land(warehouse, 1, ["b", "c"])
    step(["a"], [(1, 2)])
    step(["a", "b"], [(1, 2)])
    land(warehouse, 2, ["A", "b"])
    step(["a", "b"], [(2, 1)])
    land(warehouse, 1, ["a"])
    step(["a", "b"], [(2, 1)], recomputed=True)
    step(["b"], [])
    warehouse.facts["landing_shards"].delete("shard_id = 0")
    step(["b", "c"], [(1, 2)], recomputed=True)


def test_rows_that_are_listed_from_a_dump_are_read_again_with_the_dump(
    warehouse: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    land(warehouse, 1, ["a dog"])
    table, read = warehouse.facts["landing_shards"], []
    [row] = table.read().to_pylist()
    row |= {"metadata_path": None, "metadata_size": None, "metadata_mtime_ns": None, "images_mtime_ns": 1}
    matches = prompt_captions._matches
    monkeypatch.setattr(prompt_captions, "_matches", lambda *given: read.append(given[-1]) or matches(*given))
    for delivered in (1, 1, 2):
        table.upsert(pa.Table.from_pylist([row | {"images_mtime_ns": delivered}], table.schema))
        prompt_captions.update(warehouse.facts, warehouse.settings, prompt_captions.prompts(["a dog"]))
    assert len(read) == 2, "of the first delivery and of the second one"


def test_a_killed_run_leaves_no_row_twice(warehouse: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    land(warehouse, 0, ["a", "A"])
    for table in ("prompt_shards", "prompts"):  # killed between the rows and the note that they are written
        with monkeypatch.context() as patched:
            real = type(warehouse.facts[table]).upsert

            def upsert(self: object, rows: pa.Table, real: Callable = real, table: str = table) -> int:
                if self.name == table:  # type: ignore[attr-defined]
                    raise KeyboardInterrupt
                return int(real(self, rows))

            patched.setattr(type(warehouse.facts[table]), "upsert", upsert)
            with pytest.raises(KeyboardInterrupt):
                met(warehouse, ["a"] if table == "prompt_shards" else ["a", "A"])
    assert met(warehouse, ["a", "A"]) == {
        ("a", 0, "prompt"),
        ("a", 1, "prompt_normalised"),
        ("A", 1, "prompt"),
        ("A", 0, "prompt_normalised"),
    }


def test_the_pictures_trained_on_most_under_a_caption_come_first(warehouse: Kept) -> None:
    land(warehouse, 0, ["a photo"] * 12 + ["A photo!"] * 3 + ["a photo", "a photo"])
    # 3 rows, 2 rows, two of one; a cluster of one exact and two normalised; rows without a usable picture
    picture_rows(warehouse, {1: [0, 1, 2], 4: [3, 4], 5: [5], 6: [6], 7: [7, 12, 13], 14: [14]}, failed=[8, 9])
    assert chosen(warehouse, {"g1": "a photo", "g2": "a photo", "g3": "A photo", "g4": "other", "g0": ""}) == [
        ("g1", 0, "prompt", 1.0),
        ("g1", 3, "prompt", 1.0),
        ("g1", 5, "prompt", 1.0),
        ("g1", 14, "prompt_normalised", 1.0),
        ("g2", 0, "prompt", 1.0),
        ("g2", 3, "prompt", 1.0),
        ("g2", 5, "prompt", 1.0),
        ("g2", 14, "prompt_normalised", 1.0),
        ("g3", 0, "prompt_normalised", 1.0),
        ("g3", 3, "prompt_normalised", 1.0),
        ("g3", 7, "prompt_normalised", 1.0),
    ]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The setting of a small open_clip model with weights of its own."""
    folder, name = tmp_path_factory.mktemp("clip"), "raisonne-prompts"
    return f"open_clip:{name}/{clip_checkpoint.make(folder, name)}"


def test_captions_of_like_meaning_are_found_and_embedded_once(
    warehouse: Kept, checkpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = LOAD(checkpoint)
    assert isinstance(encoder, OpenClip)
    similar = 0.05  # of weights that were never trained
    home, limits = warehouse.settings.home, {"neighbours": 3}
    settings = Settings(home=home, limits=limits, prompts={"similar": similar}, encoders={"semantic": checkpoint})
    warehouse = replace(warehouse, settings=settings)
    captions = ["a red house", "a blue house", "A red house!", *HOSTILE, "no picture", "the sea"]
    land(warehouse, 0, captions)
    picture_rows(warehouse, {at: [at] for at in range(len(captions)) if captions[at] != "no picture"})
    embedded: list[str] = []
    real = type(encoder).tokens
    monkeypatch.setattr(type(encoder), "tokens", lambda self, texts: (embedded.extend(texts), real(self, texts))[1])
    found = chosen(warehouse, {"g": "a red house"})
    assert {row[2] for row in found} == {"prompt", "prompt_normalised", "prompt_semantic"}
    assert len(embedded) == len(captions) - 1, "every different usable caption, and the prompt; none without a picture"

    distinct = [text for text in embedded[:-1] if text != "a red house"]
    cosines = encoder.embed_captions(["a red house"]) @ encoder.embed_captions(distinct).T
    best = sorted((float(c) for c in cosines[0] if c >= similar), reverse=True)[:3]
    scores = sorted((row[3] for row in found if row[2] == "prompt_semantic"), reverse=True)
    assert scores == pytest.approx(best, abs=1e-5)
    assert len(scores) == 3

    embedded.clear()
    land(warehouse, 0, [*captions[:-1], "a new caption"])
    chosen(warehouse, {"g": "a red house"})
    assert embedded == ["a new caption", "a red house"]
    assert warehouse.facts["caption_embeddings"].dataset().count_rows() == len(captions) - 2, "the sea is gone"
    off = settings.model_copy(update={"prompts": Settings(prompts={"semantic": False}).prompts})
    assert caption_vectors.text_encoder(off, LOAD) is None


def test_a_run_says_how_a_prompt_names_the_source(landing: Landing) -> None:
    seen = [encoded(picture(seed)) for seed in (1, 2, 3)]
    rows = [
        Row("https://e.org/1.jpg", "Another caption of it", seen[0]),
        Row("https://e.org/2.jpg", "A lighthouse, at dusk", seen[0]),
        Row("https://e.org/3.jpg", "Boats", seen[1]),
        Row("https://e.org/4.jpg", "A market", seen[2]),
    ]
    landing.shard("00000", rows)
    made = landing.folder / "generations"
    said = {"a.jpg": "A lighthouse, at dusk", "b.jpg": "boats!", "c.jpg": "else", "d.jpg": None}
    for name, seed in zip(said, (1, 2, 3, 1), strict=True):
        (made / name).write_bytes(encoded(picture(seed)))
    lines = [json.dumps({"file_name": name, "prompt": prompt}) for name, prompt in said.items()]
    (made / "generations.jsonl").write_text("\n".join(lines))
    landing.run_here(tables=["provenance.sources"])
    found = dict(landing.query("select generation_id, prompt_match from provenance.sources where rank = 1"))
    assert {name.rpartition("/")[2]: match for name, match in found.items()} == {
        "a.jpg": "exact",
        "b.jpg": "normalised",
        "c.jpg": None,
        "d.jpg": None,
    }
    facts = Facts(landing.home / "facts")
    candidates = facts["prompt_candidates"].read().to_pylist()
    assert [(row["generation_id"][-5:], row["sample_id"] & 0xFFFF, row["method"]) for row in candidates] == [
        ("a.jpg", 1, "prompt"),
        ("b.jpg", 2, "prompt_normalised"),
    ]
    version = facts["prompt_candidates"].version
    landing.run_here("generations_only", tables=False)
    assert facts["prompt_candidates"].version == version


@pytest.mark.skipif(not (LAION.exists() and MEMORISED.exists()), reason="the real captions are not here")
def test_real_captions_are_met(warehouse: Kept) -> None:
    captions = pq.read_table(LAION, columns=["TEXT"])["TEXT"].to_pylist()
    memorised = [json.loads(line)["caption"] for line in MEMORISED.read_text().splitlines()]
    land(warehouse, 0, [*captions, *memorised])
    found = met(warehouse, memorised)
    planted = {(text, len(captions) + at) for at, text in enumerate(memorised) if text.strip()}
    assert planted <= {(prompt, row) for prompt, row, method in found if method == "prompt"}
    with samples_view.open_view(warehouse.facts, warehouse.settings, prompt_captions.MODELS) as con:
        equal = con.execute(
            "select count(*) from catalog.samples join (select unnest(?) as prompt) on prompt = caption",
            [sorted(set(memorised))],
        ).fetchall()
    assert sum(method == "prompt" for _, _, method in found) == equal[0][0]
