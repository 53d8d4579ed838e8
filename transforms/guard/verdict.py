"""The guard's answer: its words, its policy, its evidence.

What belongs here: the shape of an answer, and its sentences. What does not: checking a picture (`guard/check.py`).

The guard uses the words of the warehouse. `copy`, `partial_copy` and `altered_copy` are confirmed by pixels, for which
a bundle needs a rendition of the training picture. Without one, `similar` covers what the warehouse calls by any of the
four.
"""

from dataclasses import asdict, dataclass
from typing import Any

ALLOW, BLOCK, UNAVAILABLE = "allow", "block", "unavailable"
EXACT, SIMILAR, NO_MATCH_FOUND, NOT_SEARCHED = "exact", "similar", "no_match_found", "not_searched"
COPY, PARTIAL_COPY, ALTERED_COPY = "copy", "partial_copy", "altered_copy"
BYTES, PIXELS, PDQ, EMBEDDING, P_VALUE = "sha256", "pixels", "pdq", "embedding", "p_value"
OVERRIDE = "override"
DECISIONS = (ALLOW, BLOCK, UNAVAILABLE)
VERDICTS = (EXACT, COPY, PARTIAL_COPY, ALTERED_COPY, SIMILAR, NO_MATCH_FOUND, NOT_SEARCHED)
METHODS = (BYTES, PIXELS, PDQ, EMBEDDING, P_VALUE, OVERRIDE)


@dataclass(frozen=True)
class Policy:
    """The thresholds from which a picture is blocked.

    Attributes:
        pdq: Most differing bits of 256, the least over 8 rotations and reflections.
        pdq_quality: 0 to 100; a hash of lower quality is not compared.
        copy_score: Least cosine of copy embeddings, the best over the views.
        p_value: If set, p-values up to it block too.
        at_least: Least training rows of a picture in the bundle.
        pixels_decide: Whether a resemblance is let through that aligned pixels refuse.
        look_from: If set, cosine from which the nearest pictures are compared by pixels although it is below
            `copy_score`; a copy that pixels confirm is blocked.
    """

    pdq: int
    pdq_quality: int
    copy_score: float
    p_value: float | None
    at_least: int
    pixels_decide: bool = False
    look_from: float | None = None


@dataclass(frozen=True)
class Evidence:
    """The measurement that decided, and its threshold. Cheaper methods come first.

    method: sha256 or pixels (equal: 0), pdq (bits of 256), embedding (cosine), p_value, or override.
    """

    method: str
    value: float
    threshold: float


@dataclass(frozen=True)
class PixelFinding:
    """What aligned pixels say of an image and a training picture, by the warehouse's policy.

    Attributes:
        verdict: `copy`, `partial_copy` or `altered_copy` if they confirm one, else `similar`.
        region: The shared part on the image: x, y, width, height, in fractions. None if nothing could be aligned, like
            what follows.
        source_region: The same part on the training picture.
        mirrored: Whether the training picture was laid on mirrored.
        inliers: Matched local features inside the region.
        agreement: Share of the region's cells that agree.
        aligned_distance: Root mean square difference of aligned pixels.
        altered_by: What was changed in an altered copy.
    """

    verdict: str
    region: tuple[float, float, float, float] | None = None
    source_region: tuple[float, float, float, float] | None = None
    mirrored: bool | None = None
    inliers: int | None = None
    agreement: float | None = None
    aligned_distance: float | None = None
    altered_by: tuple[str, ...] = ()

    @property
    def confirmed(self) -> bool:
        """Whether pixels confirm a copy."""
        return self.verdict != SIMILAR


def confirmed(evidence: Evidence, finding: PixelFinding) -> str:
    """Return why an image is blocked that pixels confirm as a copy.

    Args:
        evidence: The measurement that led to the training picture.
        finding: What pixels say.
    """
    led = {
        PDQ: f"the perceptual hash differs in {evidence.value:.4g} of 256 bits",
        EMBEDDING: f"the copy embedding has a cosine of {evidence.value:.4g}",
        P_VALUE: f"a picture not trained on has so strong a match with p = {evidence.value:.4g}",
    }[evidence.method]
    what = {
        COPY: "a copy of the whole training picture",
        PARTIAL_COPY: "a copy of a part of the training picture",
        ALTERED_COPY: "an altered copy of the training picture",
    }[finding.verdict]
    by = f" ({', '.join(finding.altered_by)})" if finding.altered_by else ""
    return f"{what}{by}, confirmed by pixels; {led}"


def refused(evidence: Evidence, compared: int) -> str:
    """Return the sentence of a resemblance that was let through because pixels refuse it.

    Args:
        evidence: The measurement of the nearest.
        compared: Training pictures that the image was laid over.
    """
    return f"{sentence(evidence)}, but aligned pixels refuse all {compared} that it resembles"


def sentence(evidence: Evidence) -> str:
    """Return why an image is blocked."""
    value, limit = f"{evidence.value:.4g}", f"{evidence.threshold:g}"
    return {
        BYTES: "the file is that of a training picture, byte for byte",
        PIXELS: "the pixels are those of a training picture",
        PDQ: f"the perceptual hash differs in {value} of 256 bits from a training picture's; up to {limit} is blocked",
        EMBEDDING: f"the copy embedding has a cosine of {value} to a training picture's; from {limit} on is blocked",
        P_VALUE: f"a picture not trained on has so strong a match with p = {value}; up to {limit} is blocked",
    }[evidence.method]


def nothing_near(policy: Policy, searched: "Searched", flat: int | None = None) -> str:
    """Return the sentence of an allowance: what was searched without a match.

    Args:
        policy: The thresholds.
        searched: The extent of the search.
        flat: The quality of the image's hash, if it was too low to be compared.
    """
    of = f" that {policy.at_least} or more rows show" if policy.at_least > 1 else ""
    rules = f"none within {policy.pdq} bits by perceptual hash" if flat is None else not_by_hash(flat, policy)
    if EMBEDDING in searched.fingerprints:
        rules += f", none with a cosine of {policy.copy_score:g} or more"
    return f"of the {searched.pictures:,} training pictures searched{of}: {rules}"


def nothing_looked_up(turns: int, searched: "Searched") -> str:
    """Return the sentence of a look-up without a match, which is no permission.

    Args:
        turns: Rotations and reflections that were looked up by perceptual hash.
        searched: The extent of the bundle.
    """
    how = f"in {turns} of 8 turns" if turns else "by equality alone"
    return (
        f"of the {searched.pictures:,} training pictures none has these hashes, looked up {how}; "
        "only a check of the picture itself can allow it"
    )


def not_by_hash(quality: int, policy: Policy) -> str:
    """Return what an allowance says of a picture that was compared by its embedding, and not by hash.

    Args:
        quality: That of its hash.
        policy: The thresholds.
    """
    return f"not compared by perceptual hash: too flat (quality {quality} of 100, {policy.pdq_quality} needed)"


def too_flat(quality: int, policy: Policy) -> str:
    """Return why a picture cannot be compared by its perceptual hash.

    Args:
        quality: That of its hash, 0 to 100.
        policy: The thresholds.
    """
    return (
        f"the image has too little structure to be compared by perceptual hash (quality {quality} of 100, "
        f"{policy.pdq_quality} needed), and the bundle has no embeddings"
    )


@dataclass(frozen=True)
class Source:
    """A training picture that the image likely comes from. It is the nearest one, not a proven source.

    Attributes:
        cluster_id: That of the warehouse.
        sample_id: likewise.
        duplicate_count: Training rows that show the picture.
        recalled_count: Further rows that were recalled; the model was trained on them.
        recalled: Whether all rows were recalled.
        licenses: Those of the rows that were not recalled.
        exact: Whether bytes or pixels are equal.
        pdq_distance: Differing bits; None if not compared.
        copy_score: Cosine; None if not compared.
        region: The nearest view of the image, or what pixels confirm: x, y, width, height, in fractions.
        pixels: What aligned pixels say; None if they were not compared.
    """

    cluster_id: int
    sample_id: int
    dataset: str
    duplicate_count: int
    recalled_count: int
    recalled: bool
    url: str | None
    licenses: tuple[str, ...]
    exact: bool
    pdq_distance: int | None
    copy_score: float | None
    region: tuple[float, float, float, float] | None
    pixels: PixelFinding | None = None


@dataclass(frozen=True)
class Searched:
    """The extent of the search behind an answer.

    Attributes:
        bundle: Version of the warehouse, and digest of the bundle.
        fingerprints: Those that the bundle can compare.
        rows: Training rows in the bundle.
        searchable: Rows of the catalogue.
        coverage: Share of `searchable` that was compared by embedding, or by hash if the bundle has no embeddings.
        pictures: Different pictures in the bundle.
        recall: Measured share of embeddings above the threshold that the search finds; None without embeddings.
        overrides: Digest of the curators' list; empty without one.
        renditions: Pictures in the bundle that an image can be laid over.
    """

    bundle: str
    fingerprints: tuple[str, ...]
    rows: int
    searchable: int
    coverage: float
    pictures: int
    recall: float | None
    overrides: str
    renditions: int = 0


@dataclass(frozen=True)
class Verdict:
    """The guard's answer for one image.

    Attributes:
        decision: `allow`, `block`, or `unavailable`, which is not a permission.
        verdict: `exact`; `copy`, `partial_copy` or `altered_copy`, which pixels confirm; `similar`, `no_match_found` or
            `not_searched`.
        reason: a sentence.
        evidence: The measurement that decided, if one did.
        sources: Best first, at most 10 of `sources_found`.
        p_value: How often a picture outside the training set has a best match this strong; None if a hash decided,
            nothing is calibrated, or not every view was embedded in full.
        temporary: Whether trying again may help: time or memory was short, or a file was changed.
        sha256: Of the file; None without one.
        pixel_sha256: Of the pixels; None if they cannot be read.
        override: The curator's entry that decided, if one did.
        observed: Ids of clusters that the image resembles and that are observed, so that they block nothing.
        would: The decision that was not enforced, for a client in shadow mode.
    """

    decision: str
    verdict: str
    reason: str
    evidence: Evidence | None
    sources: tuple[Source, ...]
    sources_found: int
    p_value: float | None
    latency_ms: float
    policy: Policy
    searched: Searched
    temporary: bool = False
    sha256: str | None = None
    pixel_sha256: str | None = None
    override: str | None = None
    observed: tuple[int, ...] = ()
    would: str | None = None

    @property
    def allowed(self) -> bool:
        """Whether the image may be shown: every check was done, and none found a reason to block."""
        return self.decision == ALLOW

    def as_dict(self) -> dict[str, Any]:
        """Return the verdict for JSON. Ids become text: they have 63 bits, and JavaScript's numbers 53."""
        fields = asdict(self)
        for source in fields["sources"]:
            source["cluster_id"], source["sample_id"] = str(source["cluster_id"]), str(source["sample_id"])
        fields["observed"] = [str(each) for each in self.observed]
        return fields
