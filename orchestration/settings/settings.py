"""The settings: `raisonne.toml`, each key overridable by an environment variable.

What belongs here: the list of sections, reading them, and the errors that explain them. What does not: the keys of a
section (`settings/{inputs,disclosure,thresholds,limits,sections}.py`), what a setting does.

`RAISONNE_CONFIG` names the file. `RAISONNE_HOME`, `RAISONNE_THRESHOLDS__PDQ`, `RAISONNE_DATASETS` (JSON) and so on
override its keys: the section and the key, joined by two underscores. Paths in the file are relative to the file.
"""

import hashlib
import json
import os
import tomllib
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from orchestration.settings.disclosure import Disclosure
from orchestration.settings.inputs import Dataset, Download, Encoders, Generations, Recall
from orchestration.settings.limits import Limits
from orchestration.settings.memory import MemoryParts
from orchestration.settings.sections import (
    Calibration,
    Compute,
    Concepts,
    Joins,
    Memorization,
    Policies,
    Prompts,
    Publishing,
    Reports,
    Review,
    Rights,
    Search,
    Signatures,
)
from orchestration.settings.targets import FILE, PREFIX, AddressError, LakeAddress
from orchestration.settings.thresholds import Thresholds

_RELATED = Search().related  # the hash of older settings, which had no such key, stays


class SettingsError(ValueError):
    """The settings cannot be used; the message names the file, the key and the fix."""


class Settings(BaseSettings):
    """All settings of a warehouse. See the module's first lines for files and environment variables."""

    model_config = SettingsConfigDict(env_prefix="RAISONNE_", env_nested_delimiter="__", frozen=True, extra="forbid")

    home: Path = Field(Path("data/warehouse"), description="Folder of the warehouse.")
    datasets: tuple[Dataset, ...] = ()
    generations: tuple[Generations, ...] = ()
    recalls: tuple[Recall, ...] = ()
    encoders: Encoders = Encoders()
    thresholds: Thresholds = Thresholds()
    limits: Limits = Limits()
    download: Download = Download()
    search: Search = Search()
    calibration: Calibration = Calibration()
    joins: Joins = Joins()
    policies: Policies = Policies()
    rights: Rights = Rights()
    prompts: Prompts = Prompts()
    concepts: Concepts = Concepts()
    memorization: Memorization = Memorization()
    reports: Reports = Reports()
    review: Review = Review()
    compute: Compute = Compute()
    publishing: Publishing = Publishing()
    guard: Signatures = Signatures()
    disclosure: Disclosure = Disclosure()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Let the environment win over the file.

        Args:
            settings_cls: Not used.
            init_settings: The file, as `load` passes it.
            env_settings: The environment.
            dotenv_settings: Not used.
            file_secret_settings: Not used.
        """
        return env_settings, init_settings

    @property
    def memory(self) -> MemoryParts:
        """The bytes that each kind of work may hold."""
        return MemoryParts.of(self.limits.memory, self.joins.memory, self.limits.duckdb_memory)

    @property
    def settings_hash(self) -> str:
        """A hash of every setting that a published number can depend on, without paths and settings of speed."""
        kept = {
            "encoders": self.encoders.model_dump(),
            "thresholds": self.thresholds.model_dump(),
            "limits": self.limits.model_dump(include={"pixels", "member_bytes", "neighbours", "null_sample"}),
            "search": self.search.model_dump(exclude={"related"}),
            **({"related": self.search.related} if self.search.related != _RELATED else {}),
            "calibration": self.calibration.model_dump(exclude={"held_out", "without_generations"}),
            "joins": self.joins.model_dump(exclude={"memory"}),
            "policies": self.policies.numbers,
            **({"stays": self.policies.stays} if self.policies.stays != ("largest",) else {}),
            **({"honour": [*self.policies.honour, self.policies.honour_copies]} if self.policies.honour else {}),
            **({"rights": self.rights.model_dump(include={"c2pa"})} if self.rights.c2pa else {}),
            "prompts": self.prompts.model_dump(),
            **({"concepts": self.concepts.model_dump()} if self.concepts != Concepts() else {}),
            "memorization": self.memorization.model_dump(),
            "names": sorted([d.name for d in self.datasets] + [g.name for g in self.generations]),
            "recalls": sorted(r.name for r in self.recalls),
        }
        return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()[:16]


def path(config: str | Path | None = None) -> Path:
    """Return the file of the settings: `config`, else what `RAISONNE_CONFIG` names, else `raisonne.toml` here."""
    return Path(config or os.environ.get("RAISONNE_CONFIG") or "raisonne.toml").resolve()


def load(config: str | Path | None = None) -> Settings:
    """Read the settings from `config`, else from `RAISONNE_CONFIG`, else from `raisonne.toml` here.

    Raises SettingsError naming the file and what to do.
    """
    file = path(config)
    try:
        values = tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SettingsError(
            f"no settings at {file}; pass --config FILE, set RAISONNE_CONFIG, or run in the folder of raisonne.toml"
        ) from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"{file} cannot be read as TOML: {error}") from error
    return _validated(values, file.parent, file)


def in_force(config: str | Path | None = None) -> Settings:
    """Read the settings as `load` does; the defaults and the environment if nothing names a file and none is here.

    For what works without a file. One that was named and is missing is an error all the same: it may say whom to trust.

    Args:
        config: The file, if one was named.

    Raises:
        SettingsError: As `load` does.
    """
    if config or os.environ.get("RAISONNE_CONFIG") or os.path.lexists(path()):
        return load(config)
    return _validated({}, path().parent, "the environment")


def _validated(values: dict[str, Any], base: Path, origin: object) -> Settings:
    try:
        settings = Settings(**values)
    except ValidationError as error:
        raise SettingsError(f"{origin}: " + "; ".join(_sentence(e) for e in error.errors())) from None
    return _resolved(settings, base)


def _sentence(error: Any) -> str:  # noqa: ANN401 -- pydantic's own mapping
    key = ".".join(str(part) for part in error["loc"])
    if error["type"] == "extra_forbidden":
        return f"unknown setting `{key}`; docs/reference/settings.md lists all settings"
    got = "" if key.startswith("publishing") else f" (got {error['input']!r})"  # there may be a password in it
    return f"`{key}`: {error['msg']}{got}"


_PATHS = ("metadata", "images", "download", "redownload")


def _below(base: Path, path: str | None) -> str | None:
    return path if path is None or "://" in path else str(base / path)


def _published_below(base: Path, publishing: Publishing) -> Publishing:
    """Return the section with absolute paths. Raises SettingsError for a target that cannot be read."""
    if publishing.target == FILE:
        return publishing
    try:
        lake = LakeAddress.read(publishing.target, publishing.data_path, base)
    except AddressError as error:
        raise SettingsError(f"`publishing.target` is no `{FILE}`, and no lake that can be used: {error}") from None
    target = f"{PREFIX}sqlite:{lake.catalog}" if lake.kind == "sqlite" else publishing.target
    return publishing.model_copy(update={"target": target, "data_path": lake.data})


def _resolved(settings: Settings, base: Path) -> Settings:
    named: tuple[Dataset | Generations | Recall, ...] = (*settings.datasets, *settings.generations, *settings.recalls)
    names = [each.name for each in named]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise SettingsError(
            f"the name {', '.join(twice)} is used twice; use different names for datasets, generations and recalls"
        )
    if "c2pa" in settings.policies.honour and not settings.rights.c2pa:
        raise SettingsError("`policies.honour` names c2pa, of which nothing is known; set `rights.c2pa = true`")
    home = base / settings.home
    if unusable := sorted({character for character in str(home) if character == "?" or not character.isprintable()}):
        raise SettingsError(
            f"`home`: {str(home)!r} contains {', '.join(map(repr, unusable))}, which DuckDB and Lance cannot open; "
            "choose another folder"
        )
    return settings.model_copy(
        update={
            "home": home,
            "datasets": tuple(
                d.model_copy(update={key: _below(base, getattr(d, key)) for key in _PATHS}) for d in settings.datasets
            ),
            "calibration": settings.calibration.model_copy(
                update={"held_out": _below(base, settings.calibration.held_out)}
            ),
            "publishing": _published_below(base, settings.publishing),
            "guard": settings.guard.model_copy(
                update={"trusted_keys": tuple(str(base / key) for key in settings.guard.trusted_keys)}
            ),
            "rights": settings.rights.model_copy(
                update={"anchors": tuple(str(base / each) for each in settings.rights.anchors)}
            ),
            "disclosure": settings.disclosure.model_copy(
                update={
                    "earlier": settings.disclosure.earlier
                    and tuple(
                        each.model_copy(update={"file": each.file and base / each.file})
                        for each in settings.disclosure.earlier
                    )
                }
            ),
            "generations": tuple(g.model_copy(update={"path": str(base / g.path)}) for g in settings.generations),
            "recalls": tuple(
                r.model_copy(update={key: _below(base, getattr(r, key)) for key in ("path", "pictures")})
                for r in settings.recalls
            ),
        }
    )
