"""The guard, which answers while a model generates: not built yet."""

from tests.benchmarks.figures import Figure, not_measured

_GOALS = {
    "guard_hash_p50_ms": ("ms", 3),
    "guard_hash_p99_ms": ("ms", 10),
    "guard_full_p99_ms": ("ms", 120),
    "guard_bytes_per_row_hash": ("bytes", 64),
    "guard_bytes_per_row_full": ("bytes", 200),
    "guard_load_s": ("s", 2),
}

FIGURES = tuple(
    Figure(name, unit, f"<= {goal}", "1,000,000 rows", not_measured("the guard is not built yet"))
    for name, (unit, goal) in _GOALS.items()
)
