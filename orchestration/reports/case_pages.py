"""The case page of one generation as a file.

What belongs here: reading the pictures of a case, the words for its numbers, writing the page. What does not: reading
the case itself (`reports/cases.py`), the look of the page (`transforms/reports/case_page.py`).
"""

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from orchestration.reports.cases import Case, value_text
from orchestration.reports.page_data import Publication
from orchestration.reports.pictures import PictureReader
from orchestration.settings.thresholds import Thresholds
from transforms import pictures
from transforms.generations import addresses
from transforms.hashing.likeness import likeness
from transforms.pictures import Bounds, Pixels
from transforms.regions import Box
from transforms.reports import case_page
from transforms.reports.case_page import CasePage, LikelySource, Measurement, OverruledSource
from transforms.reports.drawings.reliability_plot import ReliabilityPoint
from transforms.reports.found_page import ListedPicture
from transforms.storage import staging

_MEASURES = {
    "p_value": "how often a picture that is not in the training set would have a best match this strong",
    "q_value": "the share of false matches to expect if every match at least this strong were reported",
    "copy_score": "cosine of the copy-detection embeddings: 1 is the same, 0 unrelated",
    "normalised_score": "copy score, less what the generation shares with other training pictures; p rests on it",
    "pdq_distance": "how alike the perceptual hashes are, over 8 turns and mirrorings; in brackets the bits of 256",
    "inliers": "local features that agree on one way of laying the source over the generation",
    "aligned_distance": "difference of the aligned pixels in the region, root mean square: 0 equal, 1 black on white",
    "geometry": "how the source is laid over the generation: the fewest freedoms that explain the features",
    "cells": "cells of the region with structure to compare, those at its edge left out",
    "agreement": "share of these cells that agree",
    "solid": "agreeing cells of the largest piece that agrees nearly everywhere, those at its edge included",
    "moved": "share of what disagrees around the region that lies elsewhere in the source, as in another photograph of "
    "one scene: 0 of a copy",
    "aligned_tile_l2": "difference of the aligned pixels in the worst of 16 tiles of the region",
    "masked_mse": "mean squared difference of the pixels in the cells that agree",
    "structural_similarity": "SSIM over the region: 1 is the same",
    "altered_by": "what was changed in an altered copy; pixels refused it by the measures above",
    "overlap_generation": "the region's share of the generation",
    "overlap_source": "the region's share of the source",
    "mirrored": "whether the source is mirrored in the generation",
}
_CUTS = {
    "pdq": "differing bits of 256 up to which two perceptual hashes show the same picture",
    "similar": "cosine of the copy embeddings from which two pictures are similar",
    "aligned_distance": "difference of aligned pixels up to which a copy is confirmed",
    "inliers": "agreeing local features that an alignment needs, unless a whole picture agrees nearly everywhere",
    "agreement": "share of the region's cells that must agree, all of the region being copied",
    "inliers_part": "agreeing local features that an alignment needs where only a part of the region agrees",
    "solid_share": "share of the picture that a solid piece must fill where only that is copied, times the agreement",
    "whole_overlap": "share of both pictures from which a copy counts as whole",
    "altered_agreement": "share of the cells whose structure must agree in an altered copy of the whole picture",
    "altered_agreement_part": "share of the cells that must agree closely in an altered copy of a part",
    "altered_roughness": "how rough a displacement may be: of things that moved against each other it jumps",
    "altered_exact_share": "share of the clearest features to lie exactly in place where something covers a copy",
    "coverage": "share of the training rows to be searched before finding no copy means that there is none",
}

_RELATED = 6  # pictures on the page; the table has all
_RULES = {"pixels": "aligned pixels", "structure": "aligned pixels, or structure (altered copies)"}
_POPULATIONS = {
    "not_trained": "pictures that are no copies and were flagged as one",
    "whole": "edited copies that keep most of a training picture and were missed",
    "part": "copies of a region of a training picture that were missed",
}


@dataclass(frozen=True)
class CasePages:
    """Builds the case pages of one published version.

    Attributes:
        publication: The version.
        thresholds: The settings' thresholds, shown where the published evidence does not state its own.
        bounds: What a generated image may have and need.
        pictures: Reader of the training pictures.
    """

    publication: Publication
    thresholds: Thresholds
    bounds: Bounds
    pictures: PictureReader

    def page(self, case: Case) -> CasePage:
        """Return the page of a case with its pictures. A picture that cannot be read leaves its reason instead."""
        about = case.generation
        shown, failure = _try(lambda: pictures.decode(addresses.read(about["path"]), self.bounds))
        return CasePage(
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
            coverage=case.coverage,
            thresholds=self._thresholds(case),
            sources=tuple(self._sources(case.sources)),
            source_count=about["sources"],
            errors=error_rates(case.reliability),
            reliability=reliability_points(case.reliability),
            version=self.publication.number,
            published_at=self.publication.published_at,
            unsearched=about.get("unsearched"),
            not_compared=about.get("not_compared") or 0,
            by_hashes=about.get("searched_by") == "hashes",
            overruled=tuple(OverruledSource(**row) for row in case.overruled),
            related=tuple(self._related(case.related[:_RELATED])),
            related_count=len(case.related),
            unrelated=case.unrelated,
        )

    def _related(self, listed: Sequence[Mapping[str, Any]]) -> Iterator[ListedPicture]:
        small = self.pictures.thumbnails_of([row["sample_id"] for row in listed])
        return map(_related, listed, small)

    def _thresholds(self, case: Case) -> tuple[Measurement, ...]:
        # The published version's thresholds where it states them: the settings may have changed since.
        values = self.thresholds.model_dump()
        for row in case.sources:
            values |= row.get("thresholds") or {}
        values["coverage"] = case.generation["required_coverage"]
        return tuple(
            Measurement(name.replace("_", " "), value_text(values[name]), meaning) for name, meaning in _CUTS.items()
        )

    def _sources(self, listed: Sequence[Mapping[str, Any]]) -> Iterator[LikelySource]:
        return map(_source, listed, self.pictures.each([row["sample_id"] for row in listed], lambda pixels: pixels))


def _related(row: Mapping[str, Any], small: str | None) -> ListedPicture:
    notes = [("nearer than", f"the nearest picture of {row['percentile']:.0%} of generations")]
    if row["verdict"]:
        notes.append(("by pixels", f"a likely source too: {row['verdict'].replace('_', ' ')}, see above"))
    return ListedPicture(
        row["sample_id"],
        row["score"],
        row["duplicate_count"],
        small,
        row["url"],
        row["caption"],
        row["license"],
        row["recalled"],
        row["unsafe"],
        tuple(notes),
    )


def _source(row: Mapping[str, Any], made: Pixels | Exception) -> LikelySource:
    shown, failure = (None, _reason(made)) if isinstance(made, Exception) else (made, None)
    aligned = row["homography"] is not None
    return LikelySource(
        rank=row["rank"],
        verdict=row["verdict"],
        sample_id=row["sample_id"],
        file=row["picture"] or "not known",
        picture=shown,
        failure=failure,
        homography=tuple(row["homography"]) if aligned else None,
        region=_box(row["region"]) if aligned else None,
        source_region=_box(row["source_region"]) if aligned else None,
        measurements=tuple(
            Measurement(_label(name), _value(name, row[name]), meaning)
            for name, meaning in _MEASURES.items()
            if name in row
        ),
        duplicate_count=row["duplicate_count"],
        recalled_count=row["recalled_count"],
        recalled=row["recalled"],
        hosts=row["hosts"],
        licenses=tuple(row["licenses"] or ()),
        url=row["url"],
        caption=row["caption"],
        unsafe=row["unsafe"],
        creator=row.get("creator"),  # an older version says nothing of it
        reserved_rows=row.get("reserved_rows") or 0,
    )


def _value(name: str, value: object) -> str:
    if name == "pdq_distance" and isinstance(value, int):
        return f"{likeness(value)} ({value})"
    return value_text(value)


def error_rates(reliability: Iterable[Mapping[str, Any]]) -> tuple[Measurement, ...]:
    """Return how often each rule was wrong at the level where it is applied, from rows of matches.calibration."""
    return tuple(_error(row) for row in reliability if row["operating_point"] and row["pictures"])


def reliability_points(reliability: Iterable[Mapping[str, Any]]) -> tuple[ReliabilityPoint, ...]:
    """Return how often p-values of pictures that are no copies fell below each level."""
    return tuple(
        ReliabilityPoint(row["level"], row["share"], row["low"], row["high"])
        for row in reliability
        if row["population"] == "not_trained" and row["rule"] == "p_value" and row["pictures"]
    )


def write(page: CasePage, file: Path, reports: str | None = None) -> Path:
    """Write a case page, completely or not at all.

    Args:
        page: The page.
        file: The file to write.
        reports: Relative path from the page to the folder of the reports, if it is in one.

    Returns:
        The file.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    with staging.whole(file) as partial:
        partial.write_text(case_page.render(page, reports), encoding="utf-8")
    return file


def without_folders(page: CasePage) -> CasePage:
    """Remove the folders of this machine from a page's file names, because the page is mailed and archived."""
    sources = (replace(source, file=_without_folder(source.file)) for source in page.sources)
    return replace(page, path=_without_folder(page.path), sources=tuple(sources))


def file_name(generation_id: str) -> str:
    """Return the file name of a generation's page. No two generations share one, whatever characters they hold."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", generation_id).strip(".-")[:80]
    return f"{plain}-{hashlib.sha256(generation_id.encode()).hexdigest()[:8]}.html"


def _without_folder(path: str) -> str:
    file, separator, member = path.partition(" :: ")
    return file.rpartition("/")[2] + separator + member


def _error(row: Mapping[str, Any]) -> Measurement:
    rule = _RULES.get(row["rule"], f"p-value up to {row['level'] or 0:g}")
    wrong = row["flagged"] if row["error"] == "false_positive" else row["pictures"] - row["flagged"]
    return Measurement(rule, f"{wrong:,} of {row['pictures']:,}", _POPULATIONS[row["population"]])


def _try(load: Callable[[], Pixels]) -> tuple[Pixels | None, str | None]:
    """Return the picture, or None and the reason why it cannot be read."""
    try:
        return load(), None
    except (OSError, ValueError) as error:
        return None, _reason(error)


def _reason(error: Exception) -> str:
    said = error.strerror if isinstance(error, OSError) else None  # the page names the file beside it
    return said or str(error) or type(error).__name__


def _label(column: str) -> str:
    return {"p_value": "p-value", "q_value": "q-value"}.get(column, column.replace("_", " "))


def _box(region: Mapping[str, float] | None) -> Box | None:
    return Box(**region) if region and None not in region.values() else None
