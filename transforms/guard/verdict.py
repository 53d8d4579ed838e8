"""The guard's answer: its words, its policy, its evidence.

What belongs here: the shape of an answer, and its sentences. What does not: checking a picture (`guard/check.py`).

The guard uses the words of the warehouse: `exact` has the same meaning. `similar` covers what the warehouse, which
aligns pixels, calls `copy`, `partial_copy` or `similar`.
"""

from dataclasses import asdict, dataclass
from typing import Any

ALLOW, BLOCK, UNAVAILABLE = "allow", "block", "unavailable"
EXACT, SIMILAR, NO_MATCH_FOUND, NOT_SEARCHED = "exact", "similar", "no_match_found", "not_searched"
BYTES, PIXELS, PDQ, EMBEDDING, P_VALUE = "sha256", "pixels", "pdq", "embedding", "p_value"
OVERRIDE = "override"
DECISIONS = (ALLOW, BLOCK, UNAVAILABLE)
VERDICTS = (EXACT, SIMILAR, NO_MATCH_FOUND, NOT_SEARCHED)
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
    """

    pdq: int
    pdq_quality: int
    copy_score: float
    p_value: float | None
    at_least: int


@dataclass(frozen=True)
class Evidence:
    """The measurement that decided, and its threshold. Cheaper methods come first.

    method: sha256 or pixels (equal: 0), pdq (bits of 256), embedding (cosine), p_value, or override.
    """

    method: str
    value: float
    threshold: float


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


def nothing_near(policy: Policy, searched: "Searched") -> str:
    """Return the sentence of an allowance: what was searched without a match.

    Args:
        policy: The thresholds.
        searched: The extent of the search.
    """
    of = f" that {policy.at_least} or more rows show" if policy.at_least > 1 else ""
    rules = f"none within {policy.pdq} bits by perceptual hash"
    if EMBEDDING in searched.fingerprints:
        rules += f", none with a cosine of {policy.copy_score:g} or more"
    return f"of the {searched.pictures:,} training pictures searched{of}: {rules}"


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
        region: The nearest view of the image: x, y, width, height, in fractions.
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
    """

    bundle: str
    fingerprints: tuple[str, ...]
    rows: int
    searchable: int
    coverage: float
    pictures: int
    recall: float | None
    overrides: str


@dataclass(frozen=True)
class Verdict:
    """The guard's answer for one image.

    Attributes:
        decision: `allow`, `block`, or `unavailable`, which is not a permission.
        verdict: `exact`, `similar`, `no_match_found` or `not_searched`.
        reason: a sentence.
        evidence: The measurement that decided, if one did.
        sources: Best first, at most 10 of `sources_found`.
        p_value: How often a picture outside the training set has a best match this strong; None if a hash decided, or
            nothing is calibrated.
        temporary: Whether trying again may help: time or memory was short, or a file was changed.
        sha256: Of the file; None without one.
        pixel_sha256: Of the pixels; None if they cannot be read.
        override: The curator's entry that decided, if one did.
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

    @property
    def allowed(self) -> bool:
        """Whether the image may be shown: every check was done, and none found a reason to block."""
        return self.decision == ALLOW

    def as_dict(self) -> dict[str, Any]:
        """Return the verdict for JSON. Ids become text: they have 63 bits, and JavaScript's numbers 53."""
        fields = asdict(self)
        for source in fields["sources"]:
            source["cluster_id"], source["sample_id"] = str(source["cluster_id"]), str(source["sample_id"])
        return fields
