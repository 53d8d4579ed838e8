"""What the guard answers, and by which rules.

What belongs here: the words, the rules and the shape of an answer. What does not: looking a picture up
(`guard/check.py`).

The words are the warehouse's as far as they can be without the training pictures: `exact` is the same; `similar` covers
what the warehouse, which lays pictures over each other, calls `copy`, `partial_copy` or `similar`.
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
    """From where on a picture is blocked.

    pdq: differing bits of 256, the least over 8 rotations and reflections. pdq_quality: 0 to 100, below it a hash says
    nothing. copy_score: cosine of copy embeddings, the best over the views. p_value: if set, p-values up to it block
    too. at_least: how often a picture was trained on to be in the bundle.
    """

    pdq: int
    pdq_quality: int
    copy_score: float
    p_value: float | None
    at_least: int


@dataclass(frozen=True)
class Evidence:
    """What decided: what was measured, and the threshold that it passed. Cheaper methods are asked first.

    method: sha256 or pixels (equal: 0), pdq (bits of 256), embedding (cosine), p_value, or override.
    """

    method: str
    value: float
    threshold: float


def sentence(evidence: Evidence) -> str:
    """Say why something is blocked."""
    value, limit = f"{evidence.value:.4g}", f"{evidence.threshold:g}"
    return {
        BYTES: "the file is that of a training picture, byte for byte",
        PIXELS: "the pixels are those of a training picture",
        PDQ: f"the perceptual hash differs in {value} of 256 bits from a training picture's; up to {limit} is blocked",
        EMBEDDING: f"the copy embedding has a cosine of {value} to a training picture's; from {limit} on is blocked",
        P_VALUE: f"a picture not trained on has so strong a match with p = {value}; up to {limit} is blocked",
    }[evidence.method]


def nothing_near(policy: Policy, searched: "Searched") -> str:
    """Say what was looked for in vain, and among what."""
    of = f" that {policy.at_least} or more rows show" if policy.at_least > 1 else ""
    rules = f"none within {policy.pdq} bits by perceptual hash"
    if EMBEDDING in searched.fingerprints:
        rules += f", none with a cosine of {policy.copy_score:g} or more"
    return f"of the {searched.pictures:,} training pictures searched{of}: {rules}"


def too_flat(quality: int, policy: Policy) -> str:
    """Say why a picture cannot be compared by its perceptual hash."""
    return (
        f"the image has too little structure to be compared by perceptual hash (quality {quality} of 100, and from "
        f"{policy.pdq_quality} on it says something), and the bundle has no embeddings"
    )


@dataclass(frozen=True)
class Source:
    """A training picture that the image likely comes from. Likely, not certain: it is what lies nearest.

    cluster_id, sample_id: of the warehouse. duplicate_count: training rows that show it; recalled_count: further ones
    that were recalled, on which the model was trained all the same. recalled: all of them were. licenses: of the rows
    that were not recalled. pdq_distance, copy_score: None where not measured.
    region: the view of the image that was nearest, as x, y, width and height in fractions.
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
    """What an answer rests on.

    bundle: version of the warehouse and digest of the bundle. fingerprints: what the bundle can compare. rows: training
    rows behind it. coverage: the share of the catalogue's `searchable` rows that the image was compared with by
    embedding, or by perceptual hash where the bundle has no embeddings. pictures: different ones.
    recall: measured share of the embeddings above the threshold that the search finds, None where nothing is embedded.
    overrides: digest of the curators' list, empty without one.
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

    decision: allow, block, or unavailable, which is no permission either. verdict: exact, similar, no_match_found or
    not_searched. reason: a sentence. sources: best first, at most 10 of `sources_found`. p_value: how often a picture
    that was not trained on has a best match this strong; None where hashes settled it, or nothing is calibrated.
    temporary: trying again may help, where it was time or memory that was short, or a file was changed.
    sha256, pixel_sha256: of the image; None where there was no file, or no picture. override: the curator's entry that
    decided, if one did.
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
        """Whether the image may be shown: only where everything was checked and nothing was found."""
        return self.decision == ALLOW

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON takes it. Ids are text: they have 63 bits, and JavaScript's numbers 53."""
        said = asdict(self)
        for source in said["sources"]:
            source["cluster_id"], source["sample_id"] = str(source["cluster_id"]), str(source["sample_id"])
        return said
