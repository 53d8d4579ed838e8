"""The sections of `raisonne.toml`: every key, its default and its limits.

What belongs here: names, types, defaults and limits of settings. What does not: reading the file and explaining what is
wrong with it (`settings/settings.py`), what a setting does.
"""

from dataclasses import fields
from ipaddress import ip_network
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, BaseModel, ByteSize, ConfigDict, Field, model_validator

from transforms.alignment.policy import PixelLimits
from transforms.catalog.byte_limits import ByteLimits

if TYPE_CHECKING:
    from transforms.pictures import Bounds

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=100)]


class Section(BaseModel):
    """A part of the settings. It cannot be changed, and a key that it does not have is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Dataset(Section):
    """A training set: its metadata and its image dump, on disk or in an object store."""

    name: Name = Field(description="Name of the dataset, unique among datasets, generations and recalls.")
    metadata: str | None = Field(
        None, description="Glob of the metadata files. Leave it out where the dump holds all metadata itself."
    )
    images: str | None = Field(None, description="Glob of the image dump. Leave it out where there is none yet.")
    download: str | None = Field(
        None, description="Folder that `raisonne download` fills with the pictures; with it, leave `images` out."
    )
    redownload: str | None = Field(
        None, description="Glob of a second dump of the same rows, compared in `fingerprints.redownloads`."
    )

    @model_validator(mode="after")
    def _says_where(self) -> "Dataset":
        if not self.metadata and not self.images:
            raise ValueError("the dataset has neither `metadata` nor `images`; set at least one")
        if self.download and (self.images or not self.metadata):
            raise ValueError("`download` fetches the pictures of `metadata`; leave `images` out with it")
        return self

    @property
    def dump(self) -> str | None:
        """The glob of the image dump, also of one that is downloaded."""
        return f"{self.download}/**/*.tar" if self.download else self.images


class Generations(Section):
    """Generated images and, if known, their prompts."""

    name: Name = Field(description="Name of the source, unique among datasets, generations and recalls.")
    path: str = Field(
        description="A folder of pictures, tars and parquets with pictures, linked folders included; one of these; or "
        "a glob. Prompts come from tables in it (`generations.*`, `metadata.*`, `part-*.json`), from `.json` and "
        "`.txt` beside a picture, and from the picture itself. A source that had pictures and has none stops a run."
    )


class Recall(Section):
    """An opt-out list that names training rows."""

    name: Name = Field(description="Name of the list, unique among datasets, generations and recalls.")
    path: str = Field(
        description="Glob of CSV, Parquet, JSON lines or text files. Columns, any of: `sample_id`, `url`, `host` (and "
        "the hosts below it), `sha256`, `pdq`. A text file holds one URL per line. A list without a file stops a run."
    )


class Encoders(Section):
    """The models that embed pictures."""

    copy_: str = Field(
        "sscd",
        alias="copy",
        description="Encoder that finds copies: `sscd`, `sscd_distilled`, or `sscd:PATH` of a TorchScript checkpoint.",
    )
    semantic: str | None = Field(
        None,
        description="Encoder of meaning: `open_clip:MODEL/PRETRAINED`, where PRETRAINED is a tag of the hub or a "
        "safetensors file. None: no semantic embeddings.",
    )

    @property
    def by_purpose(self) -> dict[str, str]:
        """The configured encoders, by purpose."""
        return {"copy": self.copy_} | ({"semantic": self.semantic} if self.semantic else {})


_PIXELS = PixelLimits()


class Thresholds(Section):
    """The thresholds of the verdicts. `transforms/alignment/policy.py` is the policy of aligned pixels.

    Pictures are aligned at a long side of 320 pixels, or enlarged threefold where that is less, and compared in cells
    of 8 pixels.
    """

    pdq: int = Field(31, ge=0, le=31, description="Differing PDQ bits, of 256, up to which two hashes match.")
    pdq_quality: int = Field(50, ge=0, le=100, description="PDQ quality below which a hash says nothing.")
    similar: float = Field(
        0.5,
        gt=0,
        le=1,
        description="Cosine of copy embeddings from which two pictures are compared by pixels. 0.5 is the replication "
        "threshold of Somepalli et al. 2022.",
    )
    caption: float = Field(
        0.8, gt=0, le=1, description="Jaccard similarity of their words from which two captions are nearly equal."
    )
    candidate: float = Field(
        0.25, ge=0, le=1, description="Cosine of copy embeddings from which a generation's neighbour is kept."
    )
    structure: float = Field(
        _PIXELS.structure,
        gt=0,
        le=1,
        description="Standard deviation of a cell's values, in [0, 1], from which it is evidence.",
    )
    likeness: float = Field(_PIXELS.likeness, gt=0, le=1, description="Correlation from which a cell agrees.")
    gain: float = Field(
        _PIXELS.gain,
        gt=0,
        le=5,
        description="Natural logarithm of the ratio of a cell's contrast to the common one, up to which it agrees.",
    )
    colour: float = Field(
        _PIXELS.colour,
        gt=0,
        le=1,
        description="Difference of mean colours, in [0, 1], up to which a cell agrees.",
    )
    inliers: int = Field(
        _PIXELS.inliers,
        ge=4,
        le=600,
        description="Matched local features on one geometry from which a region can be confirmed.",
    )
    inliers_part: int = Field(
        _PIXELS.inliers_part,
        ge=4,
        le=600,
        description="Matched local features from which less must agree: a `solid` piece, or `agreement_whole`.",
    )
    cells: int = Field(
        _PIXELS.cells,
        ge=1,
        le=1600,
        description="Cells with structure from which a region can be confirmed.",
    )
    cells_whole: int = Field(
        _PIXELS.cells_whole,
        ge=1,
        le=1600,
        description="Cells with structure from which a region that is the whole of both pictures can be confirmed.",
    )
    agreement: float = Field(_PIXELS.agreement, gt=0, le=1, description="Share of a region's cells that must agree.")
    agreement_whole: float = Field(
        _PIXELS.agreement_whole,
        gt=0,
        le=1,
        description="Share of the cells that must agree where the region is the whole of both pictures and has "
        "`inliers_part` features.",
    )
    agreement_unmatched: float = Field(
        _PIXELS.agreement_unmatched,
        gt=0,
        le=1,
        description="Share of the cells that must agree where the region is the whole of both pictures and has fewer "
        "features.",
    )
    aligned_distance: float = Field(
        _PIXELS.aligned_distance,
        gt=0,
        le=1,
        description="Root mean square difference of aligned pixels, in [0, 1], up to which they agree.",
    )
    solid: int = Field(
        _PIXELS.solid,
        ge=1,
        le=1600,
        description="Agreeing cells in one piece that, with `inliers_part` features, confirm a copy by themselves.",
    )
    solid_share: float = Field(
        _PIXELS.solid_share,
        gt=0,
        le=1,
        description="Least product of a solid piece's share of the picture that it fills more and the agreement "
        "around it.",
    )
    masked_mse: float = Field(
        _PIXELS.masked_mse,
        gt=0,
        le=1,
        description="Mean squared difference of agreeing pixels, in [0, 1], up to which a solid piece counts.",
    )
    larger_share: float = Field(
        _PIXELS.larger_share,
        gt=0,
        le=1,
        description="Share that a region must have of the picture it fills more.",
    )
    smaller_share: float = Field(
        _PIXELS.smaller_share,
        gt=0,
        le=1,
        description="Share that a region must have of the picture it fills less.",
    )
    duplicate_overlap: float = Field(
        0.6, gt=0, le=1, description="Shared share of both pictures from which two training pictures are the same."
    )
    whole_overlap: float = Field(
        _PIXELS.whole_overlap,
        gt=0,
        le=1,
        description="Shared share of both pictures from which a generation shows the whole source.",
    )
    coverage: float = Field(
        0.95,
        ge=0,
        le=1,
        description="Share of the training rows that must have been searched before finding no copy is conclusive.",
    )

    @property
    def pixels(self) -> PixelLimits:
        """When aligned pixels confirm a copy."""
        chosen, limits = self.model_dump(), fields(PixelLimits)
        return PixelLimits(**{limit.name: chosen[limit.name] for limit in limits if limit.name in chosen})


_FILES = ByteLimits()


class Limits(Section):
    """Limits of time and memory. They do not change a result that fits within them."""

    pixels: int = Field(50_000_000, ge=1, description="Pixels of the largest picture that is decoded.")
    side: int = Field(100_000, ge=1, description="Pixels of the longest side of a picture that is decoded.")
    aspect: int = Field(10_000, ge=1, description="Times that one side of a picture may be as long as the other.")
    picture_memory: ByteSize = Field(
        ByteSize(2_000_000_000),
        ge=1_000_000,
        description="Bytes, or a size with its unit, that decoding one picture may take. There is a process a core.",
    )
    picture_seconds: float = Field(
        60.0, ge=0, allow_inf_nan=False, description="Seconds of a processor that decoding one picture may take."
    )
    member_bytes: int = Field(100_000_000, ge=1, description="Bytes of the largest file of a dump that is read.")
    text_bytes: ByteSize = Field(
        ByteSize(_FILES.text),
        ge=1,
        description="Bytes of the longest text that is read: a caption, a URL, a prompt, an entry of a list. This and "
        "the next three are bytes, or a size with its unit; a file that breaks one is failed with the reason.",
    )
    record_bytes: ByteSize = Field(
        ByteSize(_FILES.record),
        ge=1,
        description="Size of the longest record of JSON or CSV, and of a parquet's footer.",
    )
    batch_bytes: ByteSize = Field(
        ByteSize(_FILES.batch),
        ge=1,
        description="Bytes of a parquet that are decompressed at once, such as a page of each column, and of the texts "
        "of a dump's pictures or of a table of generations, which are held together.",
    )
    table_bytes: ByteSize = Field(
        ByteSize(_FILES.file),
        ge=1,
        description="Bytes of the largest file of metadata, table or list, decompressed; of a parquet, of its texts.",
    )
    batch: int = Field(64, ge=1, description="Pictures that are decoded and embedded at once.")
    neighbours: int = Field(10, ge=1, description="Training pictures that are kept for each generation.")
    null_sample: int = Field(
        256, ge=2, description="Training pictures from which the null distribution of scores is drawn."
    )
    commit_rows: int = Field(
        16_384,
        ge=1,
        description="Fingerprints held in memory before they are written; a shard of fewer is one commit.",
    )
    index_rows: int = Field(1_000_000, ge=1, description="Rows from which a fact table gets an index.")
    duckdb_memory: str = Field(
        "4GB",
        pattern=r"^\d+(\.\d+)?\s?(MB|GB|TB|MiB|GiB|TiB)$",
        description="Memory of DuckDB, with its unit, before it spills to disk.",
    )

    @property
    def bounds(self) -> "Bounds":
        """The bounds of a picture."""
        from transforms.pictures import Bounds  # with NumPy and Pillow, which reading settings does without

        return Bounds(self.pixels, self.side, self.aspect, int(self.picture_memory), self.picture_seconds)

    @property
    def of_files(self) -> ByteLimits:
        """Limits of files that are not pictures."""
        return ByteLimits(*map(int, (self.text_bytes, self.record_bytes, self.batch_bytes, self.table_bytes)))


Network = Annotated[str, AfterValidator(lambda text: str(ip_network(text)))]


class Download(Section):
    """What `raisonne download` asks, and how long it waits for an answer. Its options say how fast it asks."""

    allow_networks: tuple[Network, ...] = Field(
        (),
        description="Networks inside yours that pictures may come from, such as `10.1.0.0/16`. Any other address that "
        "is not public is refused, however it is spelled, named or redirected to.",
    )
    answer_s: float = Field(
        100,
        gt=0,
        description="Seconds in which an answer must be whole: name, connection, head, body and all redirects.",
    )
    redirects: int = Field(10, ge=0, description="Redirects that are followed.")
    proxy: bool = Field(
        False,
        description="Whether to ask through the proxies that the environment names (`https_proxy`). They connect by "
        "themselves and must refuse addresses inside your network; here only those written as numbers are refused.",
    )


class Search(Section):
    """Which parts of a generation are searched with; each costs an embedding, 25 to 50 ms on a CPU with `sscd`.

    The default, 11 views, finds a source that fills a quarter of the area or an inset of a third of the side.
    """

    scales: Annotated[tuple[Annotated[float, Field(ge=0.1, lt=1)], ...], Field(max_length=4)] = Field(
        (0.5,),
        description="Sides of square tiles, as shares of the picture's; a source of about that size is found. 0.5 is 9 "
        "tiles, 0.33 is 16, 0.6 is 4.",
    )
    flips: Literal["none", "whole", "all"] = Field("whole", description="What is searched mirrored too.")


class Calibration(Section):
    """How p-values are calibrated: `matches.calibration`."""

    held_out: str | None = Field(
        None,
        description="Folder of pictures that were never trained on; the null distribution is drawn from them too.",
    )
    trials: int = Field(48, ge=0, description="Training pictures of which an edited copy is searched for.")
    tail: float = Field(0.9, ge=0.5, lt=1, description="Share of the null scores below the fitted tail.")
    level: float = Field(
        0.05, gt=0, lt=1, description="p-value up to which a match counts in the published error rates."
    )


class Joins(Section):
    """How training pictures are compared with each other."""

    cosine: Literal["auto", "exact", "approximate"] = Field(
        "auto",
        description="`exact` compares all embeddings with all, `approximate` only those of the same cells, and "
        "measures what that misses; `auto` is exact up to `exact_pictures`.",
    )
    exact_pictures: int = Field(
        2_000_000, ge=1, description="Different pictures up to which `auto` compares all with all."
    )
    cells: int | None = Field(
        None, ge=1, description="Cells of the approximate join. None: the square root of the count of pictures."
    )
    probes: int = Field(8, ge=1, description="Cells in which each picture is searched for.")
    recall_sample: int = Field(
        1_000, ge=1, description="Pictures compared with all others to measure the recall of the approximate join."
    )
    memory: ByteSize = Field(
        ByteSize(2_000_000_000),
        ge=16_000_000,
        description="Bytes, or a size with its unit, that a join may hold besides one hash per picture.",
    )


class Prompts(Section):
    """How prompts are searched for among captions, besides literally and normalised."""

    semantic: bool = Field(
        True,
        description="Whether to search by meaning too, where `encoders.semantic` is an open_clip model. Every "
        "different caption is then embedded once.",
    )
    similar: float = Field(
        0.8,
        gt=0,
        le=1,
        description="Cosine of prompt and caption from which a caption brings a candidate. Pixels decide, so a low "
        "value costs comparisons, never a verdict. Only the nearest `limits.neighbours` captions count.",
    )


_MOST = 1_000_000_000_000  # rows: more than any training set has
_ONCE = AfterValidator(lambda numbers: tuple(sorted(set(numbers))))


class Policies(Section):
    """What `duplicates.policies` compares; a policy is named after its number, such as `drop-from-10`."""

    keep: Annotated[tuple[Annotated[int, Field(ge=1, le=_MOST)], ...], _ONCE] = Field(
        (1, 2, 5, 10), description="Rows that stay of every picture, one policy per number."
    )
    drop_from: Annotated[tuple[Annotated[int, Field(ge=2, le=_MOST)], ...], _ONCE] = Field(
        (10, 100), description="Rows from which a picture is removed altogether, one policy per number."
    )
    distance: Annotated[tuple[Annotated[int, Field(ge=0, le=256)], ...], _ONCE] = Field(
        (0, 10),
        description="PDQ bits from their representative up to which rows are removed, one policy per number. One row "
        "of each picture stays.",
    )


class Memorization(Section):
    """The tests of the literature (Carlini et al. 2023, Somepalli et al. 2022) and their thresholds."""

    epsilon: float = Field(
        0.15, gt=0, le=1, description="Tiled distance up to which two generations of a prompt are near."
    )
    clique: int = Field(
        10, ge=2, description="Generations of a prompt, all near each other, from which the prompt is flagged."
    )
    delta: float = Field(
        0.15,
        gt=0,
        le=1,
        description="Tiled distance to a source up to which it is extracted; the paper's (l2, 0.15)-extraction.",
    )
    neighbours: int = Field(
        50, ge=1, le=1_000, description="Training pictures that the small-image ratio takes the mean distance to."
    )
    alpha: float = Field(0.5, gt=0, description="Factor of the mean distance in the small-image ratio.")
    replication: float = Field(0.5, gt=0, le=1, description="Copy score above which a generation replicates.")
    generations: int = Field(
        500, ge=2, description="Generations of a prompt that are compared with each other at most."
    )
    eidetic_pictures: int = Field(
        50, ge=1, description="Different pictures of a source's cluster that are compared with it at most."
    )
    outlier_neighbours: int = Field(
        50,
        ge=1,
        description="Other pictures that an outlier is far from; the paper takes 1,000 of 860 million.",
    )
    outlier_sample: int = Field(1_000, ge=1, description="Training pictures that sources are ranked among.")


class Reports(Section):
    """How much of a warehouse its pages hold; the tables hold all of it, and a page says what it leaves out."""

    clusters: int = Field(100_000, ge=0, description="Repeated pictures that are listed, most repeated first.")
    members: int = Field(1_000, ge=1, description="Rows that are listed of each repeated picture.")
    thumbnails: int = Field(1_000, ge=0, description="Repeated pictures of which a small copy is kept.")
    pictured: int = Field(
        50,
        ge=0,
        description="Repeated pictures of which each different file is kept as a small copy too, at most 24.",
    )
    cases: int = Field(
        200, ge=0, description="Confirmed copies that are shown side by side, each with a page of its own."
    )


class Compute(Section):
    """Where fingerprints are computed."""

    engine: Literal["local", "ray"] = Field(
        "local", description="`local` computes in this process, `ray` on a cluster."
    )
    ray_address: str | None = Field(
        None, description="Address of the cluster, as `ray.init` takes it. None: start one on this machine."
    )
    ray_workers: int = Field(2, ge=1, description="Ray workers, each with the encoders loaded.")
    ray_cpus: float = Field(1, ge=0, description="CPUs that one worker holds.")
    ray_gpus: float = Field(0, ge=0, description="GPUs that one worker holds.")


class Publishing(Section):
    """How many published versions stay, and how long a run waits for another."""

    keep: int = Field(5, ge=2, description="Published versions that stay.")
    coverage_drop: float = Field(
        0.1,
        ge=0,
        le=1,
        description="Share of a dataset's rows that could be searched in the published version. A version in which "
        "more of them can no longer be searched is held back, until `raisonne run --accept-drop` accepts it.",
    )
    lock_wait_s: float = Field(600, ge=0, description="Seconds that a run waits for another to end.")


class Signatures(Section):
    """Who must have signed the bundles that `raisonne check` and `raisonne serve` take."""

    trusted_keys: tuple[str, ...] = Field(
        (),
        description="Files of public keys, PEM, Ed25519; a bundle that none of them signed is refused. None: no "
        "signature is asked for.",
    )
