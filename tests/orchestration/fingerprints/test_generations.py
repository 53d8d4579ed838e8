"""Generations are fingerprinted once, and described anew when what describes them changes."""

import io
import json
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace

import lance
import numpy as np
import pyarrow as pa
import pytest
from PIL import Image, PngImagePlugin

from orchestration.catalog import absences
from orchestration.facts import Facts
from orchestration.facts.migration import migrate
from orchestration.facts.recipes import recipe
from orchestration.facts.table import Change
from orchestration.fingerprints import generations
from orchestration.fingerprints.generations import GenerationFingerprinter, complaints, find_generations
from orchestration.fingerprints.makers import BEFORE, Makers
from orchestration.settings.inputs import Generations
from transforms.catalog.columns import LandingError
from transforms.encoders import EncoderId, Prepared, Vectors
from transforms.fingerprints.ahead import WorkPace
from transforms.fingerprints.fingerprint import Rules
from transforms.fingerprints.views import VIEWS
from transforms.generations.generation import Generation
from transforms.pictures import Pixels

MOST = 1 << 20
RULES = Rules(1_000_000, MOST, 50)
VIEW = VIEWS[:1]


@dataclass
class Counting:
    """An encoder whose vectors are all equal, and that counts."""

    id: EncoderId = field(default_factory=lambda: EncoderId("counting", "0" * 64, "none", 4, "fp32"))
    embedded: int = 0

    def prepare(self, picture: Pixels) -> Prepared:
        return picture[:1, :1]

    def embed(self, prepared: Sequence[Prepared]) -> Vectors:
        self.embedded += len(prepared)
        return np.tile(np.float32([1, 0, 0, 0]), (len(prepared), 1))


@dataclass
class Source:
    """A folder of generations, and the facts about them."""

    folder: Path
    facts: Facts
    encoder: Counting = field(default_factory=Counting)

    @property
    def settings(self) -> list[Generations]:
        return [Generations(name="gen", path=str(self.folder))]

    def update(self) -> dict[str, int]:
        makers = Makers(RULES, {"copy": "counting"}, lambda name: self.encoder)
        fingerprinter = GenerationFingerprinter(self.facts, makers, VIEW, WorkPace(4, 2))
        found = find_generations(self.settings, MOST).generations
        absences.empty_sources(self.facts, self.settings, {each.generation.source for each in found})
        return fingerprinter.update(found)

    def rows(self) -> dict[str, dict]:
        rows = self.facts["generation_fingerprints"].read().to_pylist()
        return {row["generation_id"].removeprefix("gen/"): row for row in rows}


@pytest.fixture
def source(tmp_path: Path) -> Source:
    (tmp_path / "gen").mkdir()
    for number in range(3):
        (tmp_path / "gen" / f"{number}.png").write_bytes(png(number))
    return Source(tmp_path / "gen", Facts(tmp_path / "facts"))


def png(number: int, **texts: str) -> bytes:
    info = PngImagePlugin.PngInfo()
    for key, text in texts.items():
        info.add_text(key, text)
    file = io.BytesIO()
    noise = np.random.default_rng(number).integers(0, 256, (32, 32, 3), np.uint8)
    Image.fromarray(noise).save(file, "PNG", pnginfo=info)
    return file.getvalue()


def counts(**named: int) -> dict[str, int]:
    none = {"fingerprinted now": 0, "failed now": 0, "described anew": 0, "gone": 0}
    return none | {name.replace("_", " "): count for name, count in named.items()}


def test_a_prompt_that_changes_costs_no_fingerprint(source: Source) -> None:
    assert source.update() == counts(fingerprinted_now=3)
    assert source.update() == counts() and source.encoder.embedded == 3
    table = source.folder / "generations.jsonl"
    table.write_text(json.dumps({"file_name": "0.png", "prompt": "a tower", "seed": 2**64 - 1}))
    assert source.update() == counts(described_anew=1)
    assert source.update() == counts() and source.encoder.embedded == 3
    row = source.rows()["0.png"]
    assert (row["prompt"], row["seed_number"], row["described_by"]) == (
        "a tower",
        Decimal(2**64 - 1),
        "generations.jsonl",
    )
    assert row["status"] == "ok" and len(row["dihedral_pdq"]) == 8
    (source.folder / "1.txt").write_text("a bridge")
    table.unlink()
    assert source.update() == counts(described_anew=2)
    assert [source.rows()[name]["prompt"] for name in ("0.png", "1.png")] == [None, "a bridge"]


def test_what_changed_is_fingerprinted_and_what_is_gone_is_deleted_and_said(
    source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    source.update()
    warnings: list[str] = []
    monkeypatch.setattr(generations, "say", warnings.append)
    webui = "a tower\nNegative prompt: blurry\nSteps: 20, Sampler: Euler a, Seed: 7, Model: v1-5"
    (source.folder / "0.png").write_bytes(png(9, parameters=webui))
    (source.folder / "1.png").unlink()
    (source.folder / "broken.png").write_bytes(b"<html>")
    assert source.update() == counts(fingerprinted_now=2, failed_now=1, gone=1)
    assert warnings == ["warning: 1 of 3 generations of 'gen' are gone, such as gen/1.png"]
    rows = source.rows()
    said = ("prompt", "negative_prompt", "seed_number", "sampler", "steps", "model", "described_by")
    expected = ["a tower", "blurry", 7, "Euler a", 20, "v1-5", "PNG parameters"]
    assert [rows["0.png"][name] for name in said] == expected
    assert rows.keys() == {"0.png", "2.png", "broken.png"} and "not a picture" in rows["broken.png"]["failure"]
    assert source.facts["generation_embeddings"].read().num_rows == 2


def test_facts_of_the_release_before_are_kept_and_described_once(
    source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    (source.folder / "generations.jsonl").write_text(json.dumps({"file_name": "0.png", "prompt": "a tower", "seed": 7}))
    source.update()
    table = source.facts["generation_fingerprints"]
    before = {
        row["generation_id"]: row | {"recipe": recipe_before(source, row["generation_id"])}
        for row in table.read().to_pylist()
    }
    names = ["generation_id", "source", "path", "model", "prompt", "encoder", "recipe", "dihedral_pdq", "status",
             "failure", "sha256", "pixel_sha256", "pdq", "pdq_quality", "width", "height"]  # fmt: skip
    schema = pa.schema([table.schema.field(name) for name in names] + [pa.field("seed", pa.int64())])
    old = [{**{name: row[name] for name in names}, "seed": row["seed_number"] and 7} for row in before.values()]
    lance.write_dataset(pa.Table.from_pylist(old, schema), table.uri, mode="overwrite")
    assert migrate(source.facts).tables[Change.EVOLVED] == ["generation_fingerprints"]
    assert source.update() == counts(described_anew=3)
    assert source.encoder.embedded == 3 and source.rows()["0.png"]["seed_number"] == 7
    opened: list[str] = []
    monkeypatch.setattr(generations, "stores", SimpleNamespace(open_file=opened.append))
    assert source.update() == counts() and not opened


def test_a_file_that_cannot_be_opened_is_not_good_by_older_code(
    source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    source.update()
    table = source.facts["generation_fingerprints"]
    olden = {"recipe": recipe_before(source, "gen/1.png"), "description_recipe": None}
    table.upsert(pa.Table.from_pylist([source.rows()["1.png"] | olden], table.schema))

    def refuse(path: str) -> None:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(generations, "stores", SimpleNamespace(open_file=refuse))
    assert source.update() == counts(fingerprinted_now=1)


def recipe_before(source: Source, generation_id: str) -> str:
    """Return the recipe of a generation as the release before wrote it: with what a table states."""
    path = source.folder / generation_id.removeprefix("gen/")
    said = (None, "a tower", 7) if path.name == "0.png" else (None, None, None)
    generation = Generation(generation_id, "gen", str(path), *said)
    stat = path.stat()
    parts = (BEFORE, str(source.encoder.id), RULES, generation, tuple(VIEW), stat.st_size, stat.st_mtime_ns)
    return recipe("generation fingerprints", *parts)


def test_members_of_archives_are_fingerprinted(source: Source) -> None:
    with tarfile.open(source.folder / "part.tar", "w") as archive:
        for name, data in {"0.png": png(5), "0.json": b'{"prompt": "a tower"}', "1.png": b"no picture"}.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    assert source.update() == counts(fingerprinted_now=5, failed_now=1)
    row = source.rows()["part.tar/0.png"]
    assert (row["path"], row["prompt"], row["described_by"]) == (
        f"{source.folder}/part.tar :: 0.png",
        "a tower",
        ".json",
    )
    assert source.update() == counts()


def test_a_source_that_lost_all_its_pictures_stops_the_run(source: Source) -> None:
    source.update()
    for path in source.folder.iterdir():
        path.unlink()
    lost = r"nothing found at .* has 3 generations of it; correct `path` of \[\[generations\]\] 'gen'"
    with pytest.raises(LandingError, match=lost):
        source.update()
    assert len(source.rows()) == 3
    empty = Source(source.folder, Facts(source.folder / "facts"))
    assert empty.update() == counts()


def test_what_does_not_meet_is_said(source: Source) -> None:
    (source.folder / "generations.csv").write_text("file_name\ngone.png\n")
    said = complaints(find_generations(source.settings, MOST))
    assert f"{source.folder}/generations.csv: a row that names no picture (1, such as gone.png)" in said
    assert len(said) == 2 and "(3, such as 0.png, 1.png, 2.png)" in said[0]
    assert generations.find_generations([], MOST).generations == []
