"""The case page of one generation as a file.

What belongs here: reading the pictures of a case, the words for its numbers, writing the page. What does not: reading
the case itself (`reports/cases.py`), what the page looks like (`transforms/reports/case_page.py`).
"""

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from orchestration.reports.cases import Facts, text
from orchestration.settings import Settings
from orchestration.warehouse import staging
from transforms import pictures
from transforms.pictures import Pixels
from transforms.regions import Box
from transforms.reports import case_page
from transforms.reports.case_page import Case, Number, Source
from transforms.reports.duplicate_report import Coverage
from transforms.reports.reliability_plot import Point

_MEASURES = {
    "p_value": "how often a picture that is not in the training set would have a best match this strong",
    "q_value": "the share of false ones to expect if every generation matched this strongly were reported",
    "copy_score": "cosine of the copy-detection embeddings: 1 is the same, 0 unrelated",
    "normalised_score": "that, less what the generation has in common with other training pictures; p rests on it",
    "pdq_distance": "bits of 256 in which the perceptual hashes differ, the least over 8 rotations and reflections",
    "inliers": "local features that agree on one way of laying the source over the generation",
    "aligned_distance": "difference of the aligned pixels in the region, root mean square: 0 equal, 1 black on white",
    "geometry": "how the source is laid over the generation: the fewest freedoms that explain the features",
    "cells": "cells of the region with structure to compare, those at its edge left out",
    "agreement": "share of these cells that agree",
    "solid": "agreeing cells of the largest piece that agrees nearly everywhere, those at its edge included",
    "aligned_tile_l2": "difference of the aligned pixels in the worst of 16 tiles of the region",
    "masked_mse": "mean squared difference where they agree",
    "structural_similarity": "SSIM over the region: 1 is the same",
    "overlap_generation": "the region's share of the generation",
    "overlap_source": "the region's share of the source",
    "mirrored": "whether the source is mirrored in the generation",
}
_CUTS = {
    "pdq": "differing bits of 256 up to which two perceptual hashes show the same picture",
    "similar": "cosine of the copy embeddings from which two pictures are similar",
    "aligned_distance": "difference of aligned pixels up to which a copy is confirmed",
    "inliers": "agreeing local features that an alignment needs, but for a whole picture that agrees nearly everywhere",
    "agreement": "share of the region's cells that must agree, all of the region being copied",
    "inliers_part": "the same where only a part of the region agrees",
    "solid_share": "share of the picture that a solid piece must fill where only that is copied, times the agreement",
    "whole_overlap": "share of both pictures from which a copy is a whole one",
    "coverage": "share of the training rows to be searched before finding no copy means that there is none",
}


def gather(case: Facts, settings: Settings, version: tuple[int, str], picture: Callable[[int], Pixels]) -> Case:
    """Read a case's pictures. One that cannot be read is said, and the rest is shown.

    version: its number and when it was published. picture: reads a training row's pixels; OSError or ValueError where
    it is gone or changed.
    """
    about = case.generation
    shown, failure = _read(lambda: pictures.decode(Path(about["path"]).read_bytes(), settings.limits.pixels))
    return Case(
        generation_id=about["generation_id"],
        path=about["path"],
        verdict=about["verdict"],
        conclusive=about["conclusive"],
        picture=shown,
        failure=about["failure"] or failure,
        model=about["model"],
        prompt=about["prompt"],
        searched=about["searched"],
        searchable=about["searchable"],
        required_coverage=about["required_coverage"],
        coverage=tuple(Coverage(*row) for row in case.coverage),
        thresholds=_thresholds(case, settings),
        sources=tuple(_source(row, picture) for row in case.sources),
        sources_found=about["sources"],
        errors=errors(case.reliability),
        reliability=points(case.reliability),
        version=version[0],
        published_at=version[1],
    )


def errors(reliability: Iterable[Mapping[str, Any]]) -> tuple[Number, ...]:
    """Return how often each rule was wrong where it is applied. reliability: rows of matches.calibration."""
    return tuple(_error(row) for row in reliability if row["operating_point"] and row["pictures"])


def points(reliability: Iterable[Mapping[str, Any]]) -> tuple[Point, ...]:
    """Return how often p-values fell below each level for pictures that are no copies."""
    return tuple(
        Point(row["level"], row["share"], row["low"], row["high"])
        for row in reliability
        if row["population"] == "not_trained" and row["rule"] == "p_value" and row["pictures"]
    )


def write(case: Case, file: Path, report_at: str | None = None) -> Path:
    """Write the page, all of it or nothing. Returns the file. report_at: see `case_page.render`."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with staging.whole(file) as partial:
        partial.write_text(case_page.render(case, report_at), encoding="utf-8")
    return file


def without_folders(case: Case) -> Case:
    """Return a case that names files without the folders of this machine: its page is mailed and archived."""
    sources = (replace(source, place=_name(source.place)) for source in case.sources)
    return replace(case, path=_name(case.path), sources=tuple(sources))


def _name(place: str) -> str:
    file, inside, member = place.partition(" :: ")
    return file.rpartition("/")[2] + inside + member


def file_name(generation_id: str) -> str:
    """Return a name for the page of a generation: no two share one, whatever characters they hold."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", generation_id).strip(".-")[:80]
    return f"{plain}-{hashlib.sha256(generation_id.encode()).hexdigest()[:8]}.html"


_POPULATIONS = {
    "not_trained": "pictures that are no copies and were flagged as one",
    "whole": "edited copies that keep most of a training picture and were missed",
    "part": "copies of a region of a training picture that were missed",
}


def _error(row: Mapping[str, Any]) -> Number:
    rule = "aligned pixels" if row["rule"] == "pixels" else f"p-value up to {row['level']:g}"
    wrong = row["flagged"] if row["error"] == "false_positive" else row["pictures"] - row["flagged"]
    return Number(rule, f"{wrong:,} of {row['pictures']:,}", _POPULATIONS[row["population"]])


def _read(load: Callable[[], Pixels]) -> tuple[Pixels | None, str | None]:
    try:
        return load(), None
    except OSError as error:
        return None, error.strerror or str(error) or type(error).__name__  # the page names the file beside it
    except ValueError as error:
        return None, str(error) or type(error).__name__


def _named(column: str) -> str:
    return {"p_value": "p-value", "q_value": "q-value"}.get(column, column.replace("_", " "))


def _thresholds(case: Facts, settings: Settings) -> tuple[Number, ...]:
    # The published version's where it states them: the file of settings may have changed since.
    stood = settings.thresholds.model_dump()
    for row in case.sources:
        stood |= row.get("thresholds") or {}
    stood["coverage"] = case.generation["required_coverage"]
    return tuple(Number(name.replace("_", " "), text(stood[name]), meaning) for name, meaning in _CUTS.items())


def _source(row: Mapping[str, Any], picture: Callable[[int], Pixels]) -> Source:
    shown, failure = _read(lambda: picture(row["sample_id"]))
    aligned = row["homography"] is not None
    return Source(
        rank=row["rank"],
        verdict=row["verdict"],
        sample_id=row["sample_id"],
        place=row["picture"] or "not known",
        picture=shown,
        failure=failure,
        homography=tuple(row["homography"]) if aligned else None,
        region=_box(row["region"]) if aligned else None,
        source_region=_box(row["source_region"]) if aligned else None,
        numbers=tuple(
            Number(_named(name), text(row[name]), meaning) for name, meaning in _MEASURES.items() if name in row
        ),
        duplicate_count=row["duplicate_count"],
        recalled_count=row["recalled_count"],
        recalled=row["recalled"],
        hosts=row["hosts"],
        licenses=tuple(row["licenses"] or ()),
        url=row["url"],
        caption=row["caption"],
        unsafe=row["unsafe"],
    )


def _box(region: Mapping[str, float] | None) -> Box | None:
    return Box(**region) if region and None not in region.values() else None
