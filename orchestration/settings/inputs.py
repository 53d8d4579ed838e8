"""The sections that name what is read: datasets, generations, opt-out lists, encoders, and what downloads may ask.

What belongs here: their keys. What does not: how files are found and read (`catalog/`, `transforms/`).
"""

from ipaddress import ip_network
from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from orchestration.settings.disclosure import DatasetDescription, ListDescription
from orchestration.settings.section import Name, Section

NO_ENCODER = "none"
"""The value of `encoders.copy` with which nothing is embedded."""


class DatasetFiles(Section):
    """Where a training set lies: its metadata and its image dump, on disk or in an object store."""

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
    def _says_where(self) -> "DatasetFiles":
        if not self.metadata and not self.images:
            raise ValueError("the dataset has neither `metadata` nor `images`; set at least one")
        if self.download and (self.images or not self.metadata):
            raise ValueError("`download` fetches the pictures of `metadata`; leave `images` out with it")
        return self

    @property
    def dump(self) -> str | None:
        """The glob of the image dump, also of one that is downloaded."""
        return f"{self.download}/**/*.tar" if self.download else self.images


class Dataset(DatasetDescription, DatasetFiles):
    """A training set: its metadata and its image dump, on disk or in an object store; and what disclosures say of it.

    What is for disclosures alone may all be left out. It changes no number, and `[disclosure]` says more.
    """


class Generations(Section):
    """Generated images and, if known, their prompts."""

    name: Name = Field(description="Name of the source, unique among datasets, generations and recalls.")
    path: str = Field(
        description="A folder of pictures, tars and parquets with pictures, linked folders included; one of these; or "
        "a glob. Prompts come from tables in it (`generations.*`, `metadata.*`, `part-*.json`), from `.json` and "
        "`.txt` beside a picture, and from the picture itself. A source that had pictures and has none stops a run."
    )


class RecallFiles(Section):
    """Where an opt-out list lies, or the pictures of which it is."""

    name: Name = Field(description="Name of the list, unique among datasets, generations and recalls.")
    path: str | None = Field(
        None,
        description="Glob of CSV, Parquet, JSON lines or text files. Columns, any of: `sample_id`, `url`, `host` (and "
        "the hosts below it), `sha256`, `pdq` (and `within`, bits in which a hash may differ from it). A text "
        "file holds one URL per line. A list without a file stops a run.",
    )
    pictures: str | None = Field(
        None,
        description="Folder or glob of pictures: rows that show one of them are withdrawn, by equal bytes, equal "
        "pixels, or PDQ hash in any of eight rotations and reflections. One that cannot be read stops a run.",
    )
    copies: bool = Field(
        True,
        description="Whether rows are withdrawn too that show a listed picture edited or in part, as aligned pixels or "
        "structure confirm, and rows one confirmed pair away from these.",
    )
    within: int | None = Field(
        None,
        ge=0,
        le=64,
        description="Bits of 256 in which the hash of a row may differ from a `pdq` of the list, or from a picture. "
        "None: none for a list, or what its column `within` says, up to `thresholds.pdq`, as for pictures.",
    )

    @model_validator(mode="after")
    def _names_something(self) -> "RecallFiles":
        if not self.path and not self.pictures:
            raise ValueError("the list has neither `path` nor `pictures`; set at least one")
        return self


class Recall(ListDescription, RecallFiles):
    """An opt-out list that names training rows, or a folder of pictures that they show."""


class Encoders(Section):
    """The models that embed pictures."""

    copy_: str = Field(
        "sscd",
        alias="copy",
        description="Encoder that finds copies: `sscd`, `sscd_distilled`, or `sscd:PATH` of a TorchScript checkpoint. "
        "`none`: nothing is embedded, and copies are found by bytes, pixels and PDQ alone; crops, collages and "
        "strong edits are not.",
    )
    semantic: str | None = Field(
        None,
        description="Encoder of meaning: `open_clip:MODEL/PRETRAINED`, where PRETRAINED is a tag of the hub or a "
        "safetensors file. None: no semantic embeddings.",
    )
    device: Annotated[str, StringConstraints(pattern="^(auto|cpu|cuda(:(0|[1-9][0-9]?))?)$")] = Field(
        "auto",
        description="What embeds: `auto` is a GPU where the encoder's library finds one, else the CPU. Or `cpu`; "
        "`cuda`; `cuda:1` and so on, without which a run does not begin. Plug-ins choose by themselves.",
    )

    @property
    def by_purpose(self) -> dict[str, str]:
        """The configured encoders, by purpose; without `copy` where nothing is embedded to find copies."""
        named = {"copy": None if self.copy_ == NO_ENCODER else self.copy_, "semantic": self.semantic}
        return {purpose: name for purpose, name in named.items() if name}


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
