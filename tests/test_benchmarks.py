"""The benchmarks print every figure once, as JSON, and nothing else on standard output."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FIGURES = {
    "hash": "hash_ratio hash_conformance_bits hash_two_workers",
    "embed": "embed_efficiency_sscd embed_efficiency_clip embed_gpu_vit_b_32 embed_gpu_vit_l_14",
    "fingerprint": "fingerprint_memory_growth fingerprint_rerun_s",
    "hamming": "hamming_recall hamming_vs_lance hamming_vs_duckdb hamming_vs_faiss hamming_vs_imagededup "
    "hamming_growth hamming_10m_s hamming_10m_gb hamming_skew hamming_skew_banded",
    "cosine": "cosine_efficiency cosine_cells_recall cosine_gpu_share",
    "clusters": "clusters_vs_scipy clusters_scale cluster_purity pair_precision pair_recall pair_recall_by_edit",
    "duplicates": "duplicates_new_shard",
    "match": "match_vs_matmul match_all_views_vs_matmul match_new_tenth verify_pairs_per_s_core",
    "evidence": "whole_confirmed part_confirmed false_confirmed p_uniform_ks fdr_at_01 fdr_at_05 fdr_at_10",
    "export": "csv_vs_copy parquet_vs_copy report_open_s",
    "guard": "guard_hash_p50_ms guard_hash_p99_ms guard_full_p99_ms guard_bytes_per_row_hash guard_bytes_per_row_full "
    "guard_load_s guard_hash_growth guard_hash_vs_faiss_flat guard_hash_vs_faiss_multihash "
    "guard_embedding_vs_faiss_ivf guard_overload_p99_ms guard_fuzz_5xx",
}


def bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.benchmarks", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)


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


def test_a_group_is_measured_alone() -> None:
    done = bench("evidence")
    assert done.returncode == 0, done.stderr
    assert [f["figure"] for f in figures(done.stdout)] == FIGURES["evidence"].split()


def test_an_unknown_group_is_refused_with_those_there_are() -> None:
    done = bench("hashing")
    assert done.returncode == 2
    assert not done.stdout
    assert "hamming" in done.stderr
