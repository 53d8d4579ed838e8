"""The benchmarks print every figure once, as JSON, and nothing else on standard output."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from tests.benchmarks.confirmations import Cases, table
from tests.benchmarks.planted import Photo, Set
from tests.conftest import picture
from transforms.matches.edits import EDITS, PART, WHOLE

ROOT = Path(__file__).resolve().parents[1]
FIGURES = {
    "hash": "hash_ratio hash_conformance_bits hash_two_workers",
    "feed": "feed_two_processes feed_share feed_remote",
    "rights": "rights_cost",
    "embed": "embed_efficiency_sscd embed_efficiency_clip",
    "fingerprint": "fingerprint_memory_growth fingerprint_rerun_s",
    "hamming": "hamming_recall hamming_vs_lance hamming_vs_duckdb hamming_vs_faiss hamming_vs_imagededup "
    "hamming_growth hamming_10m_s hamming_10m_gb hamming_skew hamming_skew_banded",
    "cosine": "cosine_efficiency cosine_cells_recall cosine_cells_1m_s",
    "clusters": "clusters_vs_scipy clusters_scale cluster_purity pair_precision pair_recall pair_recall_by_edit",
    "duplicates": "duplicates_new_shard",
    "match": "match_vs_matmul match_all_views_vs_matmul match_new_tenth verify_pairs_per_s_core",
    "evidence": "whole_confirmed part_confirmed false_confirmed confirmed_by_edit first_by_edit same_scene_confirmed "
    "nearest_confirmed same_mark_confirmed sample_whole_confirmed sample_part_confirmed sample_false_confirmed "
    "p_uniform_ks fdr_at_01 fdr_at_05 fdr_at_10 fdr_altered_at_01 fdr_altered_at_05 fdr_altered_at_10",
    "altered": "altered_whole_confirmed altered_part_confirmed altered_false_confirmed altered_candidates "
    "altered_pairs_per_s_core",
    "disc": "disc_micro_ap disc_recall_at_p90",
    "related": "related_vs_matmul find_1m_s find_index_recall concepts_1m_s concepts_purity "
    "atlas_first_s atlas_frames_per_s",
    "export": "csv_vs_copy parquet_vs_copy export_memory_growth report_open_s",
    "disclosures": "summary_10m_s",
    "claims": "claims_recall",
    "review": "review_open_s review_decide_ms",
    "scale": "hamming_100m_s hamming_100m_gb hamming_300m_s components_1b_s captions_20m_s derive_20m_s derive_20m_gb "
    "derive_growth publish_new_shard_s commit_growth lake_vs_file ray_kill",
    "guard": "guard_hash_p50_ms guard_hash_p99_ms guard_full_p50_ms guard_full_p99_ms guard_full_sscd_p99_ms "
    "guard_bytes_per_row_hash guard_bytes_per_row_full guard_load_s guard_hash_growth "
    "guard_evasion_held guard_lookups_per_s guard_lookups_vs_faiss "
    "guard_hash_vs_faiss_flat guard_hash_vs_faiss_multihash guard_embedding_vs_faiss_ivf guard_overload_p99_ms "
    "guard_fuzz_5xx",
    "gpu": "gpu_feed embed_gpu_vit_b_32 embed_gpu_sscd embed_gpu_vit_l_14 match_gpu_vs_matmul cosine_gpu_share "
    "cosine_gpu_10m_s cosine_gpu_cells_1m_s cosine_gpu_cells_10m_s",
}


def bench(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command, env = [sys.executable, "-m", "tests.benchmarks", *arguments], os.environ | environment
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=600, check=False)


def figures(output: str) -> list[dict]:
    """Read the lines, each with the design's keys and with a value or the reason why there is none."""
    found = [json.loads(line) for line in output.splitlines()]
    for figure in found:
        assert {"figure", "value", "unit", "goal", "against"} <= figure.keys()
        assert (figure["value"] is None) == bool(figure.get("why")), figure
    return found


def test_every_figure_is_printed_once() -> None:
    done = bench("--list")
    assert done.returncode == 0, done.stderr
    assert [f["figure"] for f in figures(done.stdout)] == " ".join(FIGURES.values()).split()


def test_a_group_is_measured_alone_and_says_what_it_lacks(tmp_path: Path) -> None:
    done = bench("evidence", RAISONNE_BENCH_PHOTOS=str(tmp_path))
    assert done.returncode == 0, done.stderr
    found = {f["figure"]: f for f in figures(done.stdout)}
    assert list(found) == FIGURES["evidence"].split()
    assert "RAISONNE_BENCH_PHOTOS" in found["part_confirmed"]["why"]


def test_an_unknown_group_is_refused_with_those_there_are() -> None:
    done = bench("hashing")
    assert done.returncode == 2
    assert not done.stdout
    assert "hamming" in done.stderr


def photo(seed: int, origin: str) -> Photo:
    file = io.BytesIO()
    picture(seed, 96, 64).save(file, "PNG")
    return Photo(f"{origin}{seed}", origin, seed % 2, file.getvalue())


def test_planted_generations_show_what_they_say_and_traps_nothing_that_was_trained_on() -> None:
    origins = ("bsds500", "same_scene", "sample")
    found = Set(
        tuple(photo(seed, origin) for origin in origins for seed in range(2)),
        tuple(photo(seed, origin) for origin in origins for seed in range(10, 14)),
    )
    planted = list(found.planted())
    copies, traps = [p for p in planted if p.source], [p for p in planted if not p.source]
    assert {p.edited for p in copies} == {edit.name for edit in EDITS}
    assert {p.edited for p in traps} == {edit.name for edit in EDITS} | {"none"}
    assert all(p.photo is p.source and p.photo in found.trained for p in copies)
    assert all(p.photo in found.never for p in traps)
    # nothing of another half, and nothing else that was trained on, gets into a picture
    assert all(p.other in found.never and p.other.half == p.photo.half for p in planted if p.other)
    assert all(p.other is not p.photo for p in planted)
    assert np.array_equal(copies[-1].picture(), copies[-1].picture())


def test_confirmations_are_counted_by_what_a_generation_shows() -> None:
    ours = np.array([[1, 0], [1, 0], [0, 0], [0, 1], [0, 0]], np.bool_)
    whole = np.array([[0.9, 0.2], [0.4, 0.7], [0.3, 0.6], [0.5, 0.1], [0.2, 0.8]], np.float32)
    found = Cases(
        edit=np.array(["blur", "collage", "inset", "none", "blur"]),
        kind=np.array([WHOLE, PART, PART, "none", WHOLE]),
        source=np.array([0, 1, 1, -1, -1]),
        half=np.array([0, 1, 0, 0, 1]),
        compared=ours,
        ours=ours,
        entire=ours,
        first=np.array([0, 0, -1, 1, -1]),
        whole=whole,
        views=whole,
        bits=np.array([[20, 256], [31, 32], [256, 256], [200, 200], [200, 31]]),
    )
    methods = found.methods()
    assert found.right(ours).tolist() == [True, False, False, False, False]
    assert np.argwhere(found.wrong(ours)).tolist() == [[1, 0], [3, 1]]  # a copy's wrong source, and a trap's
    assert np.argwhere(methods["sscd_50"]).tolist() == [[0, 0], [1, 1], [2, 1], [3, 0], [4, 1]]
    # half 0 is cut at the highest trap of half 1, 0.8, and half 1 at that of half 0, 0.5
    assert np.argwhere(methods["sscd_zero"]).tolist() == [[0, 0], [1, 1], [4, 1]]
    assert np.argwhere(methods["sscd_hindsight"]).tolist() == [[0, 0]]
    assert np.argwhere(methods["pdq_31"]).tolist() == [[0, 0], [1, 0], [4, 1]]
    first = {name: rows.tolist() for name, rows in found.ranked_first().items()}
    assert first["ours"] == [True, False, False, False, False]
    assert first["pdq"] == first["ours"]  # two equally far pictures, or none, rank nothing first
    assert first["sscd"] == [True, True, True, False, False]
    assert [line.split(" | ")[0].strip("| ") for line in table(found)[2:5]] == ["blur", "collage", "inset"]
