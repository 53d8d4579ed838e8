"""Odd files, transparency, frames and flat images through a whole run, and what is computed again after older code."""

import json
import zlib
from collections.abc import Callable
from dataclasses import dataclass

import pyarrow as pa
import pytest
from conftest import Landing, Row, encoded, picture
from PIL import Image, ImageDraw
from PIL.PngImagePlugin import PngInfo

from orchestration.facts import Facts
from orchestration.fingerprints.due_shards import due_shards
from orchestration.fingerprints.generations import GenerationFingerprinter, find_generations
from orchestration.fingerprints.makers import BEFORE, Makers
from orchestration.fingerprints.shards import ShardFingerprinter
from orchestration.settings import Settings
from orchestration.settings.inputs import Generations
from transforms import encoders
from transforms.fingerprints.ahead import WorkPace
from transforms.fingerprints.fingerprint import Rules
from transforms.fingerprints.views import search_views

OLD = "0" * 64  # a digest that no picture has


def drawing(seed: int) -> Image.Image:
    """Return white lines on transparent ground, of which white shows nothing."""
    image = Image.new("RGBA", (240, 180), (0, 0, 0, 0))
    draw = ImageDraw.Draw(image)
    for number in range(12):
        x, y = (seed * 67 + number * 41) % 200, (seed * 29 + number * 53) % 150
        draw.line((x, y, (x * 3 + 50 * seed) % 240, (y * 5 + 31 * number) % 180), "white", 5)
    return image


def with_workflow(image: Image.Image) -> bytes:
    """Return a PNG with a text that inflates to more than Pillow reads."""
    info = PngInfo()
    info.add(b"zTXt", b"workflow\0\0" + zlib.compress(bytes(3_000_000)))
    return encoded(image, "PNG", pnginfo=info)


TRAINED = {
    "plain": encoded(picture(1), "PNG"),
    "workflow": with_workflow(picture(1)),
    "photo": encoded(picture(2)),
    "cut": encoded(picture(3))[:3000],
    **{f"white {seed}": encoded(drawing(seed), "PNG") for seed in (1, 2, 3)},
    "black": encoded(Image.new("RGB", (256, 192))),
}
GENERATED = {
    **{f"black {number}": encoded(Image.new("RGB", (256, 192)), "PNG") for number in range(11)},
    "workflow": with_workflow(picture(1)),
    "untrained": encoded(drawing(9), "PNG"),
    "moving": encoded(picture(40), "GIF", save_all=True, append_images=[picture(2)]),
}


@dataclass(frozen=True)
class Odd:
    """The landing after its run."""

    landing: Landing

    def column(self, sql: str) -> dict:
        return dict(self.landing.query(sql))


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Odd:
    landing = Landing(tmp_path_factory.mktemp("odd"))
    landing.write_config()
    landing.shard("00000", [Row(f"https://images.example.org/{name}", name, data) for name, data in TRAINED.items()])
    rows = []
    for number, (name, data) in enumerate(GENERATED.items()):
        (landing.folder / "generations" / f"{name}.png").write_bytes(data)
        prompt = "a risky prompt" if name.startswith("black") else name
        rows.append({"file_name": f"{name}.png", "prompt": prompt, "model": "m", "seed": number})
    (landing.folder / "generations" / "generations.jsonl").write_text("\n".join(map(json.dumps, rows)))
    landing.run_here()
    return Odd(landing)


def test_metadata_of_any_size_decides_nothing(odd: Odd) -> None:
    notes = odd.column("select caption, note from catalog.samples join fingerprints.images using (sample_id)")
    assert {name for name, note in notes.items() if note} == {"workflow"}
    assert "metadata was left out" in notes["workflow"]
    assert odd.column("select caption, method from duplicates.clusters join catalog.samples using (sample_id)") == {
        "plain": "representative",
        "workflow": "pixels",
    }
    found = odd.landing.query(
        "select verdict, duplicate_count, conclusive from provenance.generations "
        "where generation_id = 'gen/workflow.png'"
    )
    assert found == [("exact", 2, True)]


def test_drawings_that_are_equal_on_white_are_different(odd: Odd) -> None:
    assert odd.landing.query("select sum(removed_rows) from duplicates.policies where policy = 'keep-1'") == [(1,)]
    [(verdict,)] = odd.landing.query(
        "select verdict from provenance.generations where generation_id = 'gen/untrained.png'"
    )
    assert verdict in ("similar", "no_match_found")


def test_a_first_frame_is_no_conclusive_look(odd: Odd) -> None:
    [(verdict, conclusive, unsearched)] = odd.landing.query(
        "select verdict, conclusive, unsearched from provenance.generations where generation_id = 'gen/moving.png'"
    )
    assert verdict in ("similar", "no_match_found") and not conclusive and "several frames" in unsearched


def test_flat_images_are_counted_as_flat_and_prove_nothing(odd: Odd) -> None:
    assert odd.landing.query(
        "select generations, flat, different, largest_clique, flagged, searched, replicated, confirmed_copies "
        "from provenance.prompts where prompt = 'a risky prompt'"
    ) == [(11, 11, 0, 0, False, 0, 0, 0)]
    assert odd.landing.query("select generations, flat, searched from provenance.replication") == [(14, 11, 3)]
    assert odd.landing.query("select distinct generation_id from provenance.memorization") == [("gen/workflow.png",)]


def test_a_run_after_older_code_computes_again_what_may_show_more(odd: Odd) -> None:
    """Nothing that is certain to be an opaque picture of 8 bits is computed again; what failed is."""
    landing, facts = odd.landing, Facts(odd.landing.home / "facts")
    before = odd.column("select caption, pixel_sha256 from catalog.samples join fingerprints.images using (sample_id)")
    settings = Settings(home=landing.home)
    rules = Rules(settings.limits.pixels, settings.limits.member_bytes, settings.thresholds.pdq_quality)
    makers = Makers(rules, {"copy": "sscd_distilled"}, encoders.load)
    _change(
        facts, "fingerprinted_shards", lambda row: {"recipe": "", "maker": makers.digests(BEFORE)[row["fingerprint"]]}
    )
    failed, older = {"status": "failed", "failure": "as it was"}, {"pixel_sha256": bytes.fromhex(OLD)}
    _change(facts, "image_fingerprints", lambda row: failed if row["status"] == "failed" else older)
    fingerprinter = GenerationFingerprinter(facts, makers, search_views([], "none"), WorkPace(batch=4, workers=1))
    named = [Generations(name="gen", path=str(landing.folder / "generations"))]
    current = find_generations(named, rules.member_bytes).generations
    assert {len(set(fingerprinter._recipes_before(each))) for each in current} == {3}
    made_by = {each.generation_id: fingerprinter._recipes_before(each)[1] for each in current}
    _change(
        facts,
        "generation_fingerprints",
        lambda row: (
            {"pixel_sha256": OLD, "recipe": made_by[row["generation_id"]], "description_recipe": "of older code"}
            | ({"status": "failed"} if row["generation_id"] == "gen/black 3.png" else {})
        ),
    )
    counted = fingerprinter.update(current)
    assert counted == {"fingerprinted now": 3, "failed now": 0, "described anew": len(current) - 3, "gone": 0}
    again = {row["generation_id"] for row in _rows(facts, "generation_fingerprints") if row["pixel_sha256"] != OLD}
    assert again == {"gen/untrained.png", "gen/moving.png", "gen/black 3.png"}
    [(_, account)] = ShardFingerprinter(facts, makers, settings, WorkPace(batch=4, workers=1), landing.home).run(
        due_shards(facts, makers)
    )
    assert account.reused == 4
    shown = {row["sample_id"]: row for row in _rows(facts, "image_fingerprints")}
    names = odd.column("select sample_id, caption from catalog.samples")
    after = {names[key]: row for key, row in shown.items()}
    assert {name for name, row in after.items() if row["pixel_sha256"] == older["pixel_sha256"]} == {
        "plain",
        "workflow",
        "photo",
        "black",
    }
    assert all(after[f"white {seed}"]["pixel_sha256"].hex() == before[f"white {seed}"] for seed in (1, 2, 3))
    assert "truncated" in after["cut"]["failure"]


def _rows(facts: Facts, table: str) -> list[dict]:
    return facts[table].read().to_pylist()


def _change(facts: Facts, table: str, changed: Callable[[dict], dict]) -> None:
    rows = [row | changed(row) for row in _rows(facts, table)]
    facts[table].upsert(pa.Table.from_pylist(rows, facts[table].schema))
