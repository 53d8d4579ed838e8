"""A map of made-up points as files, for tests and benchmarks of its page."""

from pathlib import Path

import numpy as np

from orchestration.reports.page_data import DataFolder
from transforms.reports import atlas_page
from transforms.reports.atlas_page import CHUNK, PART, AtlasPage

HOSTILE = '</script><img src="https://evil.example/x" onerror="window.owned = 1">'


def write(folder: Path, points: int, generations: int, details: int | None = None) -> Path:
    """Write a map whose concepts lie in a grid, generations at the end, and return its page.

    Args:
        folder: An empty folder.
        points: All points.
        generations: Those that are generations, half of them confirmed copies.
        details: Files of details that are written; all by default.
    """
    rng, training = np.random.default_rng(5), points - generations
    concept = rng.integers(0, 16, points).astype(np.uint16)
    at = np.stack([concept % 4, concept // 4], axis=1) / 4 + 0.125 + rng.normal(0, 0.03, (points, 2))
    kind = np.where(np.arange(points) < training, 0, np.where(np.arange(points) % 2, 3, 2)).astype(np.uint8)
    data, at = DataFolder(folder / "pages" / "data"), at.clip(0, 1).astype(np.float32)
    licence = (np.arange(points) % 2).astype(np.uint8)
    for part, start in enumerate(range(0, points, CHUNK)):
        some = slice(start, start + CHUNK)
        data.write("places", part, atlas_page.places(at[some], kind[some], concept[some], licence[some]))
    files = -(-points // PART)
    for part in range(files if details is None else min(details, files)):
        rows = range(part * PART, min(points, (part + 1) * PART))
        about = [
            {"name": f"point {n}", "caption": HOSTILE, "picture": None, "unsafe": False, "facts": [["URL", HOSTILE]]}
            for n in rows
        ]
        data.write("points", part, about)
    page = AtlasPage(
        training=training,
        all_training=2 * training,
        generations=generations,
        all_generations=generations,
        concepts=[*(f"concept {n}, {HOSTILE}" for n in range(16)), "no concept"],
        licences=["CC0", HOSTILE],
        encoder="made up",
        pictured=0,
        version=3,
        published_at="2026-05-04 09:12 UTC",
    )
    file = folder / "atlas.html"
    file.write_text(atlas_page.render(page), encoding="utf-8")
    return file
