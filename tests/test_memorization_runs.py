"""The tests of the literature through a whole run, and what they say of pictures that are gone."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import Landing, Row, encoded, picture
from PIL import Image

from orchestration.facts import Facts
from orchestration.provenance import cliques
from orchestration.provenance.cliques import Prompt
from orchestration.settings import Settings
from orchestration.settings.sections import Compute
from transforms.intervals import wilson

FACTS = ("prompt_cliques", "memorized_pairs", "eidetic_counts", "small_pictures", "outlier_scores")

TABLES = (
    "matches.evidence",
    "provenance.duplication_effect",
    "provenance.memorization",
    "provenance.outliers",
    "provenance.prompts",
    "provenance.replication",
)


def generations(landing: Landing, name: str, shown: list[Image.Image]) -> list[dict]:
    rows = []
    for number, each in enumerate(shown):
        file = f"{name}-{number:02d}.png"
        each.save(landing.folder / "generations" / file)
        rows.append({"file_name": file, "model": "planted", "prompt": name, "seed": number})
    return rows


def test_a_planted_prompt_is_flagged_and_its_source_extracted(
    landing: Landing, rows_of: Callable[[int, int], list[Row]]
) -> None:
    rows = rows_of(1, 4)
    again = Row("https://other.example.org/again.jpg", "again", rows[0].data)
    flat = Row("https://white.example.org/0.png", "white", encoded(Image.new("RGB", (256, 192), "white"), "PNG"))
    landing.shard("00000", [*rows, again, flat])
    pixels = np.asarray(picture(1)).astype(np.int64)
    rng = np.random.default_rng(3)
    near = [
        Image.fromarray((pixels + rng.integers(-6, 7, pixels.shape)).clip(0, 255).astype(np.uint8)) for _ in "x" * 10
    ]
    listed = generations(landing, "memorized", [*near, picture(50)])
    listed += generations(landing, "chain", [Image.blend(picture(60), picture(61), t) for t in (0, 0.3, 0.6, 0.9)])
    lines = "\n".join(map(json.dumps, listed))
    (landing.folder / "generations" / "generations.jsonl").write_text(lines)
    landing.run_here(tables=TABLES)
    found = landing.query(
        "select prompt, compared, largest_clique, clique_is_exact, flagged, len(members), confirmed_copies "
        "from provenance.prompts order by prompt"
    )
    assert found[0][:2] == ("chain", 4) and found[0][2] < 4 and found[0][3:5] == (True, False)
    assert found[1] == ("memorized", 11, 10, True, True, 10, 10)
    assert landing.query(
        "select count(*), bool_and(extracted and tile_l2 < 0.05), min(eidetic_k), bool_or(eidetic_k_is_bound), "
        "max(small_image_ratio) < 1, max(neighbours), count(failure) from provenance.memorization"
    ) == [(10, True, 2, False, True, 5, 0)]
    [(searched, replicated, rate, low, high)] = landing.query(
        "select searched, replicated, rate, rate_low, rate_high from provenance.replication"
    )
    alike = landing.query("select count(distinct generation_id) from matches.evidence where copy_score > 0.5")
    assert searched == 15 and [(replicated,)] == alike and replicated >= 10
    assert rate == replicated / 15 and (low, high) == pytest.approx(wilson(rate, 15))
    assert landing.query(
        "select neighbours, copied_by, duplicate_count from provenance.outliers where copied_by > 0"
    ) == [(4, 10, 2)]
    assert landing.query("select band, pictures, reproduced, extracted from provenance.duplication_effect") == [
        ("1", 3, 0, 0),
        ("2", 1, 1, 1),
    ]
    before = {name: Facts(landing.home / "facts")[name].version for name in FACTS}
    landing.run_here(tables=False)
    assert {name: Facts(landing.home / "facts")[name].version for name in FACTS} == before


def test_a_generation_that_is_gone_is_said_and_tried_again(tmp_path: Path) -> None:
    rows = []
    for number in range(3):
        path = tmp_path / f"{number}.png"
        picture(number).save(path)
        rows.append({"generation_id": f"g/{number}", "path": str(path), "pixel_sha256": str(number), "seed": number})
    (tmp_path / "1.png").unlink()
    cut = Settings(home=tmp_path).memorization
    prompt = Prompt("s", None, "p", tuple(rows))
    [row] = cliques.compare([(prompt, "made by")], cut, 1_000_000, Compute())
    assert row["recipe"] == "" and row["failure"].startswith("1 cannot be read, such as g/1: ")
    assert (row["compared"], len(row["members"]), row["clique_at_most"]) == (2, 1, 2)
    picture(1).save(tmp_path / "1.png")
    [row] = cliques.compare([(prompt, "made by")], cut, 1_000_000, Compute())
    assert row["recipe"] == "made by" and row["failure"] is None and row["clique_at_most"] == 1


def test_a_prompt_of_too_many_generations_says_what_it_left_out(tmp_path: Path) -> None:
    path = tmp_path / "same.png"
    picture(1).save(path)
    rows = tuple({"generation_id": f"g/{n}", "path": str(path), "pixel_sha256": "a", "seed": n} for n in range(4))
    cut = Settings(home=tmp_path, memorization={"generations": 3}).memorization
    [row] = cliques.compare([(Prompt("s", None, "p", rows), "made by")], cut, 1_000_000, Compute())
    assert (row["different"], row["compared"], len(row["members"]), row["clique_at_most"]) == (4, 3, 3, 4)
