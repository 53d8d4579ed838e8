"""The curator's duplicate-frequency report: one HTML page that needs nothing but itself.

What belongs here: the shape of the report's numbers, the words and scales they are shown with, thumbnails. What
does not: counting (`sql/duplicates/`, `sql/reports/`), choosing which pictures to show, writing files. The page's
structure, style and script are in `templates/duplicate_frequency.html.j2`.

The page shows text that strangers wrote, so three rules hold. Jinja2 escapes every value. A Content-Security-Policy
admits the page's own style and script by hash, `data:` pictures, and nothing from any network. Characters that
change how their neighbours read (bidirectional overrides, controls) are printed by name.
"""

import base64
import hashlib
import io
import math
import re
from dataclasses import dataclass

import jinja2
import numpy as np
import numpy.typing as npt
from PIL import Image

VERDICTS = {
    "exact": "the same bytes or pixels as a training picture",
    "copy": "a whole training picture, confirmed by aligned pixels",
    "partial_copy": "a region of a training picture, confirmed by aligned pixels",
    "similar": "close to a training picture, not confirmed by pixels",
    "no_match_found": "nothing found among the training rows that were searched",
}
"""The words of a verdict, strongest first, with what each one says."""

_JPEG = b"\xff\xd8\xff"
_AXIS_START = -0.25  # a bar for the value 1 needs some length: the axis starts at 10^-0.25
# Controls, line and paragraph separators, bidirectional embeddings, overrides and isolates, lone surrogates.
_MISLEADING = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")


@dataclass(frozen=True)
class Coverage:
    """How many pictures have a usable fingerprint of one kind, and why the others have none."""

    fingerprint: str
    expected: int
    ok: int
    low_quality: int
    failed: int
    missing: int

    @property
    def not_searched(self) -> int:
        """Pictures that this fingerprint could not compare."""
        return self.expected - self.ok


@dataclass(frozen=True)
class Band:
    """Pictures seen between so many and so many times: `"1"`, `"2"`, `"3-4"`, … `"100-999"`.

    share_of_rows: the band's rows over all counted rows, between 0 and 1.
    """

    band: str
    clusters: int
    rows: int
    share_of_rows: float


@dataclass(frozen=True)
class RepeatedPicture:
    """One picture that several training rows show.

    hosts, captions, licenses: distinct samples, most frequent first; they may be fewer than the `distinct_` counts.
    A licence of None, "" or "?" is shown as unknown. max_distance_to_representative: PDQ bits, None if not measured.
    thumbnail: JPEG bytes from `thumbnail()`, None if the picture could not be read.
    """

    cluster_id: int
    representative_id: int
    duplicate_count: int
    exact_count: int
    near_count: int
    distinct_urls: int
    distinct_captions: int
    distinct_hosts: int
    max_distance_to_representative: float | None
    hosts: tuple[str, ...]
    licenses: tuple[str | None, ...]
    captions: tuple[str, ...]
    unsafe: bool
    thumbnail: bytes | None


@dataclass(frozen=True)
class VerdictCount:
    """How many generated images got one verdict."""

    verdict: str
    generations: int


@dataclass(frozen=True)
class GenerationsSearched:
    """What the generations were compared with.

    generations: generated images in the warehouse. searched, searchable: training rows with a usable fingerprint,
    out of how many; the least of any generation where they differ (`provenance.generations`).
    """

    generations: int
    searched: int
    searchable: int


@dataclass(frozen=True)
class DuplicateReport:
    """Everything the page says.

    rows: training rows. images: rows with a picture. clusters: pictures that at least two rows show.
    rows_in_clusters: rows that show one of those. largest: rows of the most repeated picture.
    coverage: one entry a fingerprint. pictures: the most repeated; need not be all of them.
    """

    title: str
    version: int
    published_at: str
    datasets: tuple[str, ...]
    rows: int
    images: int
    clusters: int
    rows_in_clusters: int
    largest: int
    coverage: tuple[Coverage, ...]
    bands: tuple[Band, ...]
    pictures: tuple[RepeatedPicture, ...]
    verdicts: tuple[VerdictCount, ...]
    generations_searched: GenerationsSearched


@dataclass(frozen=True)
class LogAxis:
    """A logarithmic axis from just below 1 to just above `maximum`; positions are percentages of its length."""

    maximum: int

    def at(self, value: int) -> float:
        """Where `value` lies on the axis; 0 for nothing."""
        if value < 1:
            return 0.0
        end = math.log10(max(self.maximum, 10)) + 0.08
        return round(100 * (math.log10(value) - _AXIS_START) / (end - _AXIS_START), 3)

    @property
    def ticks(self) -> list[tuple[str, float]]:
        """Powers of ten up to the maximum, with short labels."""
        powers = range(int(math.log10(max(self.maximum, 10))) + 1)
        return [(_short(10**power), self.at(10**power)) for power in powers]


def render(report: DuplicateReport) -> str:
    """Render the report as one HTML page that loads nothing and runs only its own script.

    Pictures come most repeated first. Captions of any length are kept whole, folded after their beginning.

    Raises ValueError for a thumbnail that is not a JPEG.
    """
    for picture in report.pictures:
        if picture.thumbnail is not None and not picture.thumbnail.startswith(_JPEG):
            raise ValueError(f"the thumbnail of cluster {picture.cluster_id} is no JPEG; make it with thumbnail()")
    return (
        environment()
        .get_template("duplicate_frequency.html.j2")
        .render(
            report=report,
            pictures=sorted(report.pictures, key=lambda picture: (-picture.duplicate_count, picture.cluster_id)),
            gaps=[part for part in report.coverage if part.not_searched > 0],
            axis=LogAxis(max((band.rows for band in report.bands), default=0)),
            verdicts=sorted(report.verdicts, key=lambda count: _strength(count.verdict)),
            without_verdict=max(
                0, report.generations_searched.generations - sum(count.generations for count in report.verdicts)
            ),
            meanings=VERDICTS,
        )
    )


def thumbnail(picture: npt.NDArray[np.uint8], long_side: int = 240) -> bytes:
    """Shrink a picture to a small JPEG: its pixels, re-encoded, without the original's bytes or metadata.

    picture: uint8 of shape (h, w, 3), RGB. long_side: pixels of the longer side; smaller pictures keep their size.

    Raises ValueError for another shape or type.
    """
    if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != np.uint8 or picture.size == 0:
        raise ValueError(f"a picture must be uint8 of shape (h, w, 3), not {picture.dtype} of {picture.shape}")
    image = Image.fromarray(picture)
    image.thumbnail((long_side, long_side), Image.Resampling.LANCZOS)
    encoded = io.BytesIO()
    image.save(encoded, "JPEG", quality=82, optimize=True)
    return encoded.getvalue()


def environment() -> jinja2.Environment:
    """Return how pages are rendered: every value escaped, an undefined one an error, with filters for text."""
    made = jinja2.Environment(
        loader=jinja2.PackageLoader("transforms"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "base64": _base64,
        "count": _count,
        "csp_hash": _csp_hash,
        "legible": _legible,
        "licences": _licences,
        "percent": _percent,
        "range": _range,
    }
    return made


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _count(number: int, one: str = "", many: str = "") -> str:
    """Print a count with thousands separated, and its noun where one is given."""
    noun = one if number == 1 else many or one + "s"
    return f"{number:,} {noun}" if one else f"{number:,}"


def _csp_hash(source: str) -> str:
    digest = hashlib.sha256(source.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"


def _legible(text: str, limit: int | None = None) -> str:
    """Name the characters that would change how their neighbours read, and cut after `limit` of the others."""
    if limit is not None and len(text) > limit:
        text = text[:limit] + "…"
    return _MISLEADING.sub(lambda found: f"⟨U+{ord(found[0]):04X}⟩", text)


def _licences(licenses: tuple[str | None, ...]) -> list[str]:
    """List the distinct licences that the metadata states, "unknown" last for those it does not."""
    stated = [license_.strip() if license_ else "" for license_ in licenses] or [""]
    known = [license_ for license_ in dict.fromkeys(stated) if license_ not in ("", "?")]
    return known if len(known) == len(set(stated)) else [*known, "unknown"]


def _percent(part: float, whole: float = 1) -> str:
    """Print a share that never rounds something to nothing, or nearly all to all."""
    if not whole:
        return "none"
    share = 100 * part / whole
    if 0 < share < 0.1:
        return "<0.1%"
    if 99.9 < share < 100:
        return ">99.9%"
    return f"{share:.1f}%".replace(".0%", "%")


def _range(band: str) -> str:
    return _legible(re.sub(r"\d+", lambda number: f"{int(number[0]):,}", band.replace("-", "–")))


def _short(number: int) -> str:
    for size, suffix in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if number >= size:
            return f"{number // size}{suffix}"
    return str(number)


def _strength(verdict: str) -> int:
    return list(VERDICTS).index(verdict) if verdict in VERDICTS else len(VERDICTS)
