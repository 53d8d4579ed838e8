"""Calibration in a whole run: who is sampled, what is kept, and p-values that SQL and Python agree on."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from orchestration.facts import SCHEMAS, Facts
from orchestration.facts.training_pictures import StoredPicture
from orchestration.matches import candidates
from orchestration.matches import null_distribution as scores
from tests.conftest import Landing, Row, encoded, picture
from transforms.matches import null_distribution
from transforms.pictures import Bounds, Pixels


def test_growth_computes_only_what_is_new(
    landing: Landing, rows_of: Callable[[int, int], list[Row]], monkeypatch: pytest.MonkeyPatch
) -> None:
    held_out = landing.folder / "held out"
    held_out.mkdir()
    (held_out / "never.jpg").write_bytes(encoded(picture(900)))
    (held_out / "trained.jpg").write_bytes(encoded(picture(3)))
    (held_out / "broken.jpg").write_bytes(b"no picture")
    landing.write_config('[calibration]\nheld_out = "held out"\ntrials = 3\n[limits]\nnull_sample = 4\n')
    (landing.folder / "generations" / "copy.jpg").write_bytes(encoded(picture(2).resize((200, 150))))
    (landing.folder / "generations" / "other.jpg").write_bytes(encoded(picture(901)))
    landing.shard("00000", rows_of(0, 6))
    landing.run_here(tables=("matches.calibration", "matches.evidence", "matches.significance"))
    facts = Facts(landing.home / "facts")
    before = embedded(facts)
    rows = facts["calibration_pictures"].read().to_pylist()
    assert sum(row["edit"] == "" for row in rows) == 5, "four training pictures, and one that was held out"
    assert [row["path"] for row in rows if row["path"]] == [str(held_out / "never.jpg")], "a trained one is no such"
    assert sum(row["edit"] != "" for row in rows) == 3
    assert all(row["sample_id"] != row["nearest_id"] for row in rows if row["edit"] == "")
    counts = landing.query("select population, rule, pictures, held_out from matches.calibration where operating_point")
    assert ("not_trained", "p_value", 5, 1) in counts and ("not_trained", "pixels", 5, 1) in counts
    assert ("not_trained", "structure", 5, 1) in counts
    assert all(row["altered"] is not None for row in rows if row["confirmed"] is not None)
    assert not any(row["altered"] for row in rows if row["edit"] == "")
    null = null_distribution.fit([row["score"] - row["background"] for row in rows if row["edit"] == ""], 0.9)
    told = landing.query("select normalised_score, p_value from matches.evidence order by all")
    assert null.p_values([score for score, _ in told]) == pytest.approx([p for _, p in told])
    significance = dict(landing.query("select generation_id, p_value from matches.significance"))
    assert significance["gen/copy.jpg"] == pytest.approx(1 / 6), "as low as five pictures allow"
    assert significance["gen/other.jpg"] > 1 / 6

    landing.shard("00001", rows_of(10, 6))
    landing.run_here(tables=False)
    after = embedded(facts)
    wanted = facts["calibration_pictures"].read(["pixel_sha256", "edit"]).to_pylist()
    named = {(digest, edit.partition(" ")[0]) for digest, edit in after}
    assert named == {(row["pixel_sha256"], row["edit"]) for row in wanted}, "what left the sample is forgotten"
    fillings = {edit.partition(" ")[2] for _, edit in after if edit}
    assert fillings <= {digest for digest, edit in after if not edit}, "an edit is filled with a picture of the sample"
    kept = before.keys() & after.keys()
    assert kept and all(before[key] == after[key] for key in kept)
    names = [name for name in SCHEMAS if name.startswith(("calibration", "null", "generation"))]
    seen = [facts[name].version for name in names]
    landing.run_here(tables=False)
    assert [facts[name].version for name in names] == seen, "nothing is done twice"

    comparisons, embeddings = facts["calibration_comparisons"], facts["calibration_embeddings"].version
    made_by = set(comparisons.read()["recipe"].to_pylist())
    monkeypatch.setattr(candidates, "CODE", candidates.CODE + 1)
    landing.run_here(tables=False)
    assert made_by.isdisjoint(comparisons.read()["recipe"].to_pylist()), "pixels say how often the new comparing errs"
    assert facts["calibration_embeddings"].version == embeddings


def test_a_comparison_that_failed_once_is_made_by_the_next_run(
    landing: Landing, rows_of: Callable[[int, int], list[Row]]
) -> None:
    landing.write_config("[calibration]\ntrials = 2\n[limits]\nnull_sample = 4\n")
    landing.shard("00000", rows_of(0, 5))
    (landing.folder / "generations" / "copy.jpg").write_bytes(encoded(picture(2)))

    def unreadable(self: StoredPicture, bounds: Bounds) -> Pixels:
        raise OSError("the disk was away")

    def compare(*args: object) -> list[scores.CalibrationMatch]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(StoredPicture, "pixels", unreadable)
            return real(*args)  # type: ignore[arg-type]

    real = scores.compare
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scores, "compare", compare)
        landing.run_here(tables=False)
    facts = Facts(landing.home / "facts")
    rows = facts["calibration_pictures"].read(["confirmed", "failure"]).to_pylist()
    assert len(rows) == 6 and all("the disk was away" in row["failure"] for row in rows)
    landing.run_here(tables=False)
    rows = facts["calibration_pictures"].read(["edit", "confirmed", "failure"]).to_pylist()
    assert len(rows) == 6 and not any(row["failure"] for row in rows)
    assert not any(row["confirmed"] is None for row in rows)
    version = facts["calibration_pictures"].version
    landing.run_here(tables=False)
    assert facts["calibration_pictures"].version == version


def embedded(facts: Facts) -> dict[tuple[str, str], float]:
    """Return one number of each calibrating picture's first view."""
    rows = facts["calibration_embeddings"].read(where="view = 'whole'").to_pylist()
    return {(row["pixel_sha256"], row["edit"]): float(np.float32(row["vector"][0])) for row in rows}


def test_a_folder_that_is_not_there_is_named(landing: Landing, rows_of: Callable[[int, int], list[Row]]) -> None:
    landing.write_config('[calibration]\nheld_out = "nowhere"\n')
    landing.shard("00000", rows_of(0, 1))
    with pytest.raises(AssertionError, match=r"no folder of held-out pictures at .*nowhere; correct"):
        landing.run_here()
    assert not Path(landing.home / "raisonne.duckdb").exists()
