"""Fingerprinting many rows: what a second run costs, and whether memory grows with the rows."""

from tests.benchmarks.figures import Figure, not_measured

_WHY = "not measured yet: it needs 100,000 landed pictures, fingerprinted once before"

FIGURES = (
    Figure("fingerprint_rerun_s", "s", "<= 10", "100,000 known rows, run again", not_measured(_WHY)),
    Figure("fingerprint_memory_growth", "ratio", "<= 1.1", "peak memory at 10,000 rows", not_measured(_WHY)),
)
