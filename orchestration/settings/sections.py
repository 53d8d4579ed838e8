"""The sections of `raisonne.toml`: every key, its default and its limits.

What belongs here: names, types, defaults and limits of settings. What does not: reading the file and explaining what is
wrong with it (`settings/settings.py`), what a setting does.
"""

from dataclasses import fields
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ByteSize, ConfigDict, Field, model_validator

from transforms.alignment import policy

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=100)]


class Section(BaseModel):
    """A part of the settings. It cannot be changed, and a key that it does not have is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Dataset(Section):
    """A training set: its metadata and its image dump, globs of landing files on disk or in an object store.

    metadata may be left out where the dump says everything itself (folders, parquet with bytes), images where there
    is none yet. download: a folder that `raisonne download` fills with the pictures. redownload: a second dump of the
    same rows, compared with the first in `fingerprints.redownloads`.
    """

    name: Name
    metadata: str | None = None
    images: str | None = None
    download: str | None = None
    redownload: str | None = None

    @model_validator(mode="after")
    def _says_where(self) -> "Dataset":
        if not self.metadata and not self.images:
            raise ValueError("neither `metadata` nor `images` says where the dataset lies")
        if self.download and (self.images or not self.metadata):
            raise ValueError("`download` fetches the pictures of `metadata`; leave `images` out with it")
        return self

    @property
    def dump(self) -> str | None:
        """The glob of the image dump, also of one that is downloaded."""
        return f"{self.download}/**/*.tar" if self.download else self.images


class Generations(Section):
    """Generated images: a folder, with prompts in `generations.jsonl` or `generations.parquet` if there are any."""

    name: Name
    path: str


class Recall(Section):
    """An opt-out list: a glob of CSV, Parquet, JSON lines or text files that name training rows.

    Columns, any of: `sample_id`, `url`, `host` (and the hosts below it), `sha256`, `pdq`. A text file is a URL a line.
    A list without a file stops a run.
    """

    name: Name
    path: str


class Encoders(Section):
    """`copy` finds copies: `sscd`, `sscd_distilled`, or `sscd:PATH` of a TorchScript checkpoint.

    semantic, if any: `open_clip:MODEL/PRETRAINED`, where PRETRAINED is a tag of the hub or a safetensors file.
    """

    copy_: str = Field("sscd", alias="copy")
    semantic: str | None = None

    @property
    def chosen(self) -> dict[str, str]:
        """The encoders that are named, by what they are for."""
        return {"copy": self.copy_} | ({"semantic": self.semantic} if self.semantic else {})


class Thresholds(Section):
    """Where the verdicts are cut.

    pdq: differing bits of 256 up to which two hashes show the same picture. pdq_quality: below it a hash says
    nothing. similar: cosine of copy embeddings from which two pictures are worth comparing by pixels (0.5 is the
    replication threshold of Somepalli et al. 2022). caption: Jaccard similarity of the words of two captions from which
    they nearly equal. candidate: cosine from which a generation's neighbour is kept.
    duplicate_overlap, whole_overlap: shared share of both pictures from which two training pictures are the same, and
    a generation shows the whole of its source. coverage: share of the training rows that must have been searched
    before finding no copy says anything; below it that answer is shown as inconclusive.

    The others say when aligned pixels confirm a copy; `transforms/alignment/policy.py` is the policy. Pictures are
    compared in cells of 8 pixels at a long side of 320, or enlarged threefold where that is less. structure: standard
    deviation from which a cell is evidence. likeness, gain, colour: a cell agrees where its correlation is at least so
    high, its contrast strays so little from the common one (natural logarithm), and its colour lies so little off. A
    region is confirmed by `inliers` matched local features on one geometry, so many `cells` (`cells_whole` where it is
    the whole of both pictures), the share `agreement` of them agreeing (of the whole of both, `agreement_whole` with
    `inliers_part` features, and `agreement_unmatched` with fewer), aligned_distance, the root mean square of its
    aligned pixels in [0, 1], and its share of the picture it fills more and of the other (larger_share, smaller_share).
    Or by `inliers_part` features and a `solid` piece of so many agreeing cells, whatever else the region shows: its
    share of the picture that it fills more, times the agreement around it, is at least solid_share, and what agrees has
    at most masked_mse.
    """

    pdq: int = Field(31, ge=0, le=31)
    pdq_quality: int = Field(50, ge=0, le=100)
    similar: float = Field(0.5, gt=0, le=1)
    caption: float = Field(0.8, gt=0, le=1)
    candidate: float = Field(0.25, ge=0, le=1)
    structure: float = Field(0.015, gt=0, le=1)
    likeness: float = Field(0.95, gt=0, le=1)
    gain: float = Field(0.3, gt=0, le=5)
    colour: float = Field(0.05, gt=0, le=1)
    inliers: int = Field(4, ge=4, le=600)
    inliers_part: int = Field(24, ge=4, le=600)
    cells: int = Field(90, ge=1, le=1600)
    cells_whole: int = Field(40, ge=1, le=1600)
    agreement: float = Field(0.75, gt=0, le=1)
    agreement_whole: float = Field(0.55, gt=0, le=1)
    agreement_unmatched: float = Field(0.9, gt=0, le=1)
    aligned_distance: float = Field(0.1, gt=0, le=1)
    solid: int = Field(200, ge=1, le=1600)
    solid_share: float = Field(0.2, gt=0, le=1)
    masked_mse: float = Field(0.02, gt=0, le=1)
    larger_share: float = Field(0.28, gt=0, le=1)
    smaller_share: float = Field(0.08, gt=0, le=1)
    duplicate_overlap: float = Field(0.6, gt=0, le=1)
    whole_overlap: float = Field(0.8, gt=0, le=1)
    coverage: float = Field(0.95, ge=0, le=1)

    @property
    def pixels(self) -> policy.PixelLimits:
        """When aligned pixels confirm a copy."""
        chosen, limits = self.model_dump(), fields(policy.PixelLimits)
        return policy.PixelLimits(**{limit.name: chosen[limit.name] for limit in limits if limit.name in chosen})


class Limits(Section):
    """What bounds time and memory. None of it changes a result that fits within it.

    pixels: the largest picture that is decoded. batch: pictures decoded and embedded at once. neighbours: training
    pictures kept for each generation. null_sample: training pictures from which the null distribution is drawn.
    commit_rows: fingerprints held in memory before they are written; a shard of fewer is one commit. index_rows:
    fact tables of that many rows get an index.
    """

    pixels: int = Field(50_000_000, ge=1)
    member_bytes: int = Field(100_000_000, ge=1)
    batch: int = Field(64, ge=1)
    neighbours: int = Field(10, ge=1)
    null_sample: int = Field(256, ge=2)
    commit_rows: int = Field(16_384, ge=1)
    index_rows: int = Field(1_000_000, ge=1)
    duckdb_memory: str = Field("4GB", pattern=r"^\d+(\.\d+)?\s?(MB|GB|TB|MiB|GiB|TiB)$")


class Search(Section):
    """Which parts of a generation are searched with; each costs an embedding, 25 to 50 ms on a CPU with `sscd`.

    scales: sides of square grids of tiles, shares of the picture's; 0.5 is 9 tiles, 0.33 is 16, 0.6 is 4, and a source
    is found in about its size. flips: what is searched mirrored too. The default, 11 views, finds a source that fills a
    quarter of the area or an inset of a third of the side; the figures are with `transforms.catalog.generations.views`.
    """

    scales: Annotated[tuple[Annotated[float, Field(ge=0.1, lt=1)], ...], Field(max_length=4)] = (0.5,)
    flips: Literal["none", "whole", "all"] = "whole"


class Calibration(Section):
    """How sure a match is: `matches.calibration`.

    held_out: a folder of pictures that were never trained on; the null distribution is drawn from them too. trials:
    training pictures of which an edited copy is looked for; the null sample is `limits.null_sample`. tail: share of
    the null scores below the fitted tail. level: p-value up to which a match counts in the published error rates.
    """

    held_out: str | None = None
    trials: int = Field(48, ge=0)
    tail: float = Field(0.9, ge=0.5, lt=1)
    level: float = Field(0.05, gt=0, lt=1)


class Joins(Section):
    """How training pictures are compared with each other.

    cosine: `exact` compares all embeddings with all, `approximate` only those of the same cells, and measures what
    that misses; `auto` is exact up to `exact_pictures` different pictures. cells: clusters of the approximate join, by
    default the square root of the pictures; probes: cells that each picture is looked for in; recall_sample: pictures
    compared with all others to measure the recall. memory: what a join may hold besides a hash of each picture.
    """

    cosine: Literal["auto", "exact", "approximate"] = "auto"
    exact_pictures: int = Field(2_000_000, ge=1)
    cells: int | None = Field(None, ge=1)
    probes: int = Field(8, ge=1)
    recall_sample: int = Field(1_000, ge=1)
    memory: ByteSize = Field(ByteSize(2_000_000_000), ge=16_000_000)


class Prompts(Section):
    """How prompts are looked for among captions, besides as they are and normalised.

    semantic: by meaning too, where `encoders.semantic` is an open_clip model; every different caption is then embedded
    once. similar: cosine of the two texts from which that brings a candidate. Which of them it was is for pixels to
    say, so a low one costs comparisons, never a verdict; and only the nearest `limits.neighbours` captions count.
    """

    semantic: bool = True
    similar: float = Field(0.8, gt=0, le=1)


_MOST = 1_000_000_000_000  # rows: more than any training set has
_ONCE = AfterValidator(lambda numbers: tuple(sorted(set(numbers))))


class Policies(Section):
    """What `duplicates.policies` plays through.

    keep: rows that stay of every picture. drop_from: pictures with so many rows or more are removed altogether.
    distance: only rows up to so many PDQ bits from their representative go, one of each picture stays. A policy is
    named after its number: `keep-1`, `drop-from-10`, `distance-0`.
    """

    keep: Annotated[tuple[Annotated[int, Field(ge=1, le=_MOST)], ...], _ONCE] = (1, 2, 5, 10)
    drop_from: Annotated[tuple[Annotated[int, Field(ge=2, le=_MOST)], ...], _ONCE] = (10, 100)
    distance: Annotated[tuple[Annotated[int, Field(ge=0, le=256)], ...], _ONCE] = (0, 10)


class Memorization(Section):
    """The tests of the literature (Carlini et al. 2023, Somepalli et al. 2022), and where they are cut.

    epsilon: tiled distance up to which two generations of a prompt are near. clique: so many that are near each other
    flag the prompt. delta: tiled distance to a source up to which it is extracted; the paper's (l2, 0.15)-extraction.
    neighbours, alpha: of the small-image ratio. replication: copy score above which a generation replicates.
    generations: of a prompt, compared with each other at most. eidetic_pictures: different pictures of a source's
    cluster compared with it at most. outlier_neighbours: other pictures that an outlier is far from (the paper takes
    1,000 of 860 million). outlier_sample: training pictures that sources are ranked among.
    """

    epsilon: float = Field(0.15, gt=0, le=1)
    clique: int = Field(10, ge=2)
    delta: float = Field(0.15, gt=0, le=1)
    neighbours: int = Field(50, ge=1, le=1_000)
    alpha: float = Field(0.5, gt=0)
    replication: float = Field(0.5, gt=0, le=1)
    generations: int = Field(500, ge=2)
    eidetic_pictures: int = Field(50, ge=1)
    outlier_neighbours: int = Field(50, ge=1)
    outlier_sample: int = Field(1_000, ge=1)


class Reports(Section):
    """How much of a warehouse its pages hold; the tables hold all of it, and a page says what it leaves out.

    clusters: repeated pictures that are listed, most repeated first. members: rows listed of each of them. thumbnails:
    of so many a small copy is kept, of the first `pictured` also one of each different file among their members (24 at
    most). cases: confirmed copies shown side by side, each with a page of its own.
    """

    clusters: int = Field(100_000, ge=0)
    members: int = Field(1_000, ge=1)
    thumbnails: int = Field(1_000, ge=0)
    pictured: int = Field(50, ge=0)
    cases: int = Field(200, ge=0)


class Compute(Section):
    """Where fingerprints are computed: `local` in this process, or `ray` on a cluster.

    ray_address: as `ray.init` takes it; none starts a cluster on this machine. ray_workers: actors, each with the
    encoders loaded; ray_cpus, ray_gpus: what one of them holds.
    """

    engine: Literal["local", "ray"] = "local"
    ray_address: str | None = None
    ray_workers: int = Field(2, ge=1)
    ray_cpus: float = Field(1, ge=0)
    ray_gpus: float = Field(0, ge=0)


class Publishing(Section):
    """How many published versions stay, and how long a run waits for another to end (seconds)."""

    keep: int = Field(5, ge=2)
    lock_wait_s: float = Field(600, ge=0)
