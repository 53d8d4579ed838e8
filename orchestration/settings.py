"""What the user may set: `raisonne.toml`, each key overridable by an environment variable.

What belongs here: names, types, defaults and limits of settings, and the errors that explain them. What does not:
what a setting does.

`RAISONNE_CONFIG` names the file. `RAISONNE_HOME`, `RAISONNE_THRESHOLDS__PDQ`, `RAISONNE_DATASETS` (JSON) and so on
override its keys: the section and the key, joined by two underscores. Paths in the file are relative to the file.
"""

import hashlib
import json
import os
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ByteSize, ConfigDict, Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=100)]


class SettingsError(ValueError):
    """The settings cannot be used; the message names the file, the key and the fix."""


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Dataset(_Section):
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


class Generations(_Section):
    """Generated images: a folder, with prompts in `generations.jsonl` or `generations.parquet` if there are any."""

    name: Name
    path: str


class Recall(_Section):
    """An opt-out list: a glob of CSV, Parquet, JSON lines or text files that name training rows.

    Columns, any of: `sample_id`, `url`, `host` (and the hosts below it), `sha256`, `pdq`. A text file is a URL a line.
    A list without a file stops a run.
    """

    name: Name
    path: str


class Encoders(_Section):
    """`copy` finds copies: `sscd`, `sscd_distilled`, or `sscd:PATH` of a TorchScript checkpoint.

    semantic, if any: `open_clip:MODEL/PRETRAINED`, where PRETRAINED is a tag of the hub or a safetensors file.
    """

    copy_: str = Field("sscd", alias="copy")
    semantic: str | None = None

    @property
    def chosen(self) -> dict[str, str]:
        """The encoders that are named, by what they are for."""
        return {"copy": self.copy_} | ({"semantic": self.semantic} if self.semantic else {})


class Thresholds(_Section):
    """Where the verdicts are cut.

    pdq: differing bits of 256 up to which two hashes show the same picture. pdq_quality: below it a hash says
    nothing. similar: cosine of copy embeddings from which two pictures are worth comparing by pixels (0.5 is the
    replication threshold of Somepalli et al. 2022). caption: Jaccard similarity of the words of two captions from which
    they nearly equal. candidate: cosine from which a generation's neighbour is kept.
    aligned_distance: root mean square of aligned pixels in [0, 1]. inliers: matched local features that agree on one
    geometry. duplicate_overlap, whole_overlap: shared share of both pictures from which two training pictures are the
    same picture, and a generation shows the whole of its source.
    """

    pdq: int = Field(31, ge=0, le=31)
    pdq_quality: int = Field(50, ge=0, le=100)
    similar: float = Field(0.5, gt=0, le=1)
    caption: float = Field(0.8, gt=0, le=1)
    candidate: float = Field(0.25, ge=0, le=1)
    aligned_distance: float = Field(0.1, gt=0, le=1)
    inliers: int = Field(4, ge=4)
    duplicate_overlap: float = Field(0.6, gt=0, le=1)
    whole_overlap: float = Field(0.8, gt=0, le=1)


class Limits(_Section):
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


class Joins(_Section):
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


_MOST = 1_000_000_000_000  # rows: more than any training set has
_ONCE = AfterValidator(lambda numbers: tuple(sorted(set(numbers))))


class Policies(_Section):
    """What `duplicates.policies` plays through.

    keep: rows that stay of every picture. drop_from: pictures with so many rows or more are removed altogether.
    distance: only rows up to so many PDQ bits from their representative go, one of each picture stays. A policy is
    named after its number: `keep-1`, `drop-from-10`, `distance-0`.
    """

    keep: Annotated[tuple[Annotated[int, Field(ge=1, le=_MOST)], ...], _ONCE] = (1, 2, 5, 10)
    drop_from: Annotated[tuple[Annotated[int, Field(ge=2, le=_MOST)], ...], _ONCE] = (10, 100)
    distance: Annotated[tuple[Annotated[int, Field(ge=0, le=256)], ...], _ONCE] = (0, 10)


class Compute(_Section):
    """Where fingerprints are computed: `local` in this process, or `ray` on a cluster.

    ray_address: as `ray.init` takes it; none starts a cluster on this machine. ray_workers: actors, each with the
    encoders loaded; ray_cpus, ray_gpus: what one of them holds.
    """

    engine: Literal["local", "ray"] = "local"
    ray_address: str | None = None
    ray_workers: int = Field(2, ge=1)
    ray_cpus: float = Field(1, ge=0)
    ray_gpus: float = Field(0, ge=0)


class Publishing(_Section):
    """How many published versions stay, and how long a run waits for another to end (seconds)."""

    keep: int = Field(5, ge=2)
    lock_wait_s: float = Field(600, ge=0)


class Settings(BaseSettings):
    """All settings of a warehouse. See the module's first lines for files and environment variables."""

    model_config = SettingsConfigDict(env_prefix="RAISONNE_", env_nested_delimiter="__", frozen=True, extra="forbid")

    home: Path = Path("data/warehouse")
    datasets: tuple[Dataset, ...] = ()
    generations: tuple[Generations, ...] = ()
    recalls: tuple[Recall, ...] = ()
    encoders: Encoders = Encoders()
    thresholds: Thresholds = Thresholds()
    limits: Limits = Limits()
    joins: Joins = Joins()
    policies: Policies = Policies()
    compute: Compute = Compute()
    publishing: Publishing = Publishing()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Let the environment win over the file."""
        return env_settings, init_settings

    @property
    def settings_hash(self) -> str:
        """A hash of every setting that a published number can depend on: not where files lie, nor speed."""
        kept = {
            "encoders": self.encoders.model_dump(),
            "thresholds": self.thresholds.model_dump(),
            "limits": self.limits.model_dump(include={"pixels", "member_bytes", "neighbours", "null_sample"}),
            "joins": self.joins.model_dump(exclude={"memory"}),
            "policies": self.policies.model_dump(),
            "names": sorted([d.name for d in self.datasets] + [g.name for g in self.generations]),
            "recalls": sorted(r.name for r in self.recalls),
        }
        return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()[:16]


def load(config: str | Path | None = None) -> Settings:
    """Read the settings from `config`, else from `RAISONNE_CONFIG`, else from `raisonne.toml` here.

    Raises SettingsError naming the file and what to do.
    """
    path = Path(config or os.environ.get("RAISONNE_CONFIG") or "raisonne.toml").resolve()
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SettingsError(
            f"no settings at {path}; pass --config FILE, set RAISONNE_CONFIG, or run where raisonne.toml lies"
        ) from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"{path} cannot be read as TOML: {error}") from error
    try:
        settings = Settings(**values)
    except ValidationError as error:
        raise SettingsError(f"{path}: " + "; ".join(_sentence(e) for e in error.errors())) from None
    return _resolved(settings, path.parent)


def _sentence(error: Any) -> str:  # noqa: ANN401 -- pydantic's own mapping
    key = ".".join(str(part) for part in error["loc"])
    if error["type"] == "extra_forbidden":
        return f"`{key}` is no setting; see the README for those there are"
    return f"`{key}`: {error['msg']} (got {error['input']!r})"


_PATHS = ("metadata", "images", "download", "redownload")


def _below(base: Path, path: str | None) -> str | None:
    return path if path is None or "://" in path else str(base / path)


def _resolved(settings: Settings, base: Path) -> Settings:
    named: tuple[Dataset | Generations | Recall, ...] = (*settings.datasets, *settings.generations, *settings.recalls)
    names = [each.name for each in named]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise SettingsError(
            f"the name {', '.join(twice)} is used twice; datasets, generations and recalls need names of their own"
        )
    return settings.model_copy(
        update={
            "home": base / settings.home,
            "datasets": tuple(
                d.model_copy(update={key: _below(base, getattr(d, key)) for key in _PATHS}) for d in settings.datasets
            ),
            "generations": tuple(g.model_copy(update={"path": str(base / g.path)}) for g in settings.generations),
            "recalls": tuple(r.model_copy(update={"path": str(base / r.path)}) for r in settings.recalls),
        }
    )
