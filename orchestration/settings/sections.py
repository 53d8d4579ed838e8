"""The sections of the settings that say how a run computes and publishes: `[search]`, `[joins]`, `[reports]` and so on.

What belongs here: their keys, defaults and bounds. What does not: what is read (`settings/inputs.py`), thresholds and
limits (`settings/thresholds.py`, `settings/limits.py`), reading the file (`settings/settings.py`).
"""

from typing import Annotated, Literal

from pydantic import AfterValidator, ByteSize, Field

from orchestration.settings.section import Section
from orchestration.settings.targets import FILE, LakeAddress


class Search(Section):
    """Which parts of a generation are searched with; each costs an embedding, 25 to 50 ms on a CPU with `sscd`.

    The default, 11 views, finds a source that fills a quarter of the area or an inset of a third of the side. By
    meaning, the whole generation is searched with alone.
    """

    scales: Annotated[tuple[Annotated[float, Field(ge=0.1, lt=1)], ...], Field(max_length=4)] = Field(
        (0.5,),
        description="Sides of square tiles, as shares of the picture's; a source of about that size is found. 0.5 is 9 "
        "tiles, 0.33 is 16, 0.6 is 4.",
    )
    flips: Literal["none", "whole", "all"] = Field("whole", description="What is searched mirrored too.")
    related: int = Field(
        20,
        ge=0,
        le=100,
        description="Training pictures nearest in meaning that `provenance.related` has of each generation, where "
        "`encoders.semantic` is set. 0: none are searched for. They say what a generation resembles, never what it "
        "copies, and change no verdict.",
    )


class Calibration(Section):
    """How p-values are calibrated: `matches.calibration`."""

    held_out: str | None = Field(
        None,
        description="Folder of pictures that were never trained on; the null distribution is drawn from them too.",
    )
    without_generations: bool = Field(
        False,
        description="Whether to draw the null distribution although there are no generations, a minute or more of "
        "work. A guard of such a warehouse has p-values and error rates only then.",
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
    probes: int = Field(
        64,
        ge=1,
        description="Cells in which each picture is searched for: more find more, and take longer. "
        "`duplicates.methods` says what is found.",
    )
    recall_sample: int = Field(
        1_000, ge=1, description="Pictures compared with all others to measure the recall of the approximate join."
    )
    memory: ByteSize | None = Field(
        None,
        ge=16_000_000,
        description="Bytes, or a size with its unit, that a join may hold besides the training pictures. None: a "
        "quarter of `limits.memory`. Joining hashes in memory takes 104 bytes a hash; more hashes than that are joined "
        "on the disk of `home`, 72 bytes each. Each Ray worker may hold as much.",
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


class Concepts(Section):
    """Clusters of meaning among the training pictures, where `encoders.semantic` is set: `provenance.concepts`."""

    count: int | None = Field(
        None,
        ge=0,
        le=65_536,
        description="Concepts. None: the square root of the count of different pictures, at most 4,096. 0: none.",
    )


_MOST = 1_000_000_000_000  # rows: more than any training set has
_IN_ORDER = AfterValidator(lambda names: tuple(dict.fromkeys(names)))
_ONCE = AfterValidator(lambda numbers: tuple(sorted(set(numbers))))


class Policies(Section):
    """What `duplicates.policies` compares; a policy is named after its number, such as `drop-from-10`.

    `honour` and `honour_copies` say which rows are withdrawn although no list names them.
    """

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
    stays: Annotated[
        tuple[Literal["largest", "sharpest", "best_license", "longest_caption", "earliest"], ...], _IN_ORDER
    ] = Field(
        ("largest",),
        description="Which row of a picture stays, by these in order: `largest` in pixels, `sharpest` by the quality "
        "of its perceptual hash, `best_license` (public domain, CC BY, CC BY-SA, other CC, other statements; a row "
        "whose licence is unknown never stays in place of another), `longest_caption`, `earliest` in the dataset, "
        "which also decides between equal ones. What was decided in `raisonne review` goes before all.",
    )
    semdedup: Annotated[tuple[Annotated[float, Field(ge=0.001, le=1)], ...], _ONCE] = Field(
        (),
        description="Cosine distance by meaning within which a picture of the same concept makes another redundant "
        "(SemDeDup, Abbas et al. 2023), one policy per number, to three decimals. Needs `encoders.semantic`.",
    )
    honour: Annotated[tuple[Literal["plus", "c2pa", "headers"], ...], _IN_ORDER] = Field(
        (),
        description="Statements that withdraw a row as an opt-out list does: `plus` (`plus:DataMining` prohibits), "
        "`c2pa` (the manifest does not allow training; needs `rights.c2pa`), `headers` (the server said so). "
        "`catalog.rights` says which rows have which.",
    )
    honour_copies: bool = Field(
        False,
        description="Whether these statements withdraw the rows, too, that show the same picture and say nothing. "
        "`duplicates.reserved` counts them.",
    )

    @property
    def numbers(self) -> dict[str, tuple[int, ...]]:
        """The numbers of the policies, by their rule; those by meaning, if any, in thousandths."""
        by_meaning = {"semdedup": tuple(round(1000 * each) for each in self.semdedup)} if self.semdedup else {}
        return {"keep": self.keep, "drop_from": self.drop_from, "distance": self.distance} | by_meaning


class Rights(Section):
    """How what pictures' files say of their creator and their use is read: `catalog.rights`."""

    c2pa: bool = Field(
        False,
        description="Whether C2PA manifests are verified and read, which takes the extra `c2pa`. Otherwise "
        "`catalog.rights` says that there is one, and where. Changed, the files are read again, and nothing else.",
    )
    anchors: tuple[str, ...] = Field(
        (),
        description="Files of certificates, PEM, of those who vouch for signers of manifests, such as the C2PA trust "
        "list. None: every signer is unknown.",
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
    """How much of a warehouse its pages and its workbook hold. The tables hold all; both say what they leave out."""

    clusters: int = Field(100_000, ge=0, description="Repeated pictures that are listed, most repeated first.")
    members: int = Field(1_000, ge=1, description="Rows that are listed of each repeated picture.")
    thumbnails: int = Field(1_000, ge=0, description="Repeated pictures of which a small copy is kept.")
    pictured: int = Field(
        50,
        ge=0,
        description="Repeated pictures of which each different file is kept as a small copy too, at most 24.",
    )
    workbook: int = Field(
        20_000,
        ge=1,
        description="Rows of each table in the workbook, the first ones; the CSV and Parquet files hold all.",
    )
    cases: int = Field(
        200, ge=0, description="Confirmed copies that are shown side by side, each with a page of its own."
    )
    similar: int = Field(50, ge=0, description="Cases that are only similar and are shown likewise, after these.")


class Compute(Section):
    """Where the heavy steps run: fingerprints, joins, comparisons by pixels, null scores, memorization."""

    engine: Literal["local", "ray"] = Field(
        "local", description="`local` computes in this process, `ray` on a cluster; the rows are the same."
    )
    ray_address: str | None = Field(
        None, description="Address of the cluster, as `ray.init` takes it. None: start one on this machine."
    )
    ray_workers: int = Field(
        2,
        ge=1,
        description="Ray workers, each with the encoders loaded. Work of one core, such as comparing pixels, has as "
        "many as these hold CPUs.",
    )
    ray_cpus: float = Field(1, ge=0, description="CPUs that one worker holds.")
    ray_gpus: float = Field(0, ge=0, description="GPUs that one worker holds.")


class Publishing(Section):
    """Where versions are published, how many of them and of the logs of runs stay, how long a run waits for another."""

    target: str = Field(
        FILE,
        repr=False,
        description="`file`, or a DuckLake that is published besides it: `ducklake:sqlite:FILE` for the readers of one "
        "machine, `ducklake:postgres:dbname=… host=… user=…` for any number. Whoever reads by these settings then "
        "reads the lake.",
    )
    data_path: str | None = Field(
        None,
        description="Where the lake's data lie: a folder, or `s3://BUCKET/FOLDER`, in which nothing else is. Default: "
        "as the lake's catalog says; of a new one with SQLite, the folder FILE.files.",
    )
    grace_hours: float = Field(
        24,
        ge=0,
        description="Hours for which the lake still has a version that `keep` newer ones have followed, for readers "
        "who have it open, and then its files.",
    )
    keep: int = Field(5, ge=2, description="Published versions that stay.")
    run_logs: int = Field(
        5,
        ge=1,
        description="Runs of which Dagster's log stays in `dagster` below the home, some 5 MB each. A run empties the "
        "logs of older ones; the list of runs stays, and so does the newest state of each table and shard.",
    )
    coverage_drop: float = Field(
        0.1,
        ge=0,
        le=1,
        description="Share of a dataset's rows that could be searched in the published version. A version in which "
        "more of them can no longer be searched is held back, until `raisonne run --accept-drop` accepts it.",
    )
    lock_wait_s: float = Field(600, ge=0, description="Seconds that a run waits for another to end.")

    @property
    def lake(self) -> LakeAddress | None:
        """The DuckLake that is published besides the file, or None. Raises AddressError."""
        return None if self.target == FILE else LakeAddress.read(self.target, self.data_path)


class Review(Section):
    """The curators' desk, `raisonne review`: how much it asks about, and how items are shared out."""

    items: int = Field(
        100_000, ge=1, description="Items of each queue, those nearest to a threshold or most repeated first."
    )
    sample: int = Field(
        100,
        ge=0,
        description="Items that are drawn at random of each group (method or verdict, near its threshold or far from "
        "it), for `catalog.review_precision`. Another number draws others besides.",
    )
    seed: str = Field("1", description="Another one draws another sample.")
    lease_s: float = Field(
        600, gt=0, description="Seconds for which an item is kept from others once somebody looks at it."
    )


class Signatures(Section):
    """Who must have signed the bundles that `raisonne check` and `raisonne serve` take."""

    trusted_keys: tuple[str, ...] = Field(
        (),
        description="Files of public keys (Ed25519, PEM or minisign); a bundle that none of them signed is refused. "
        "None: no signature is asked for.",
    )
