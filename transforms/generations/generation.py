"""A generated image that was found, and where its bytes are.

What belongs here: the values that finding returns. What does not: finding (`generations/sources.py`), reading
(`generations/addresses.py`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from transforms.catalog.not_taken import NotTaken
from transforms.generations.statements import PictureStatement


class GenerationsError(ValueError):
    """A source of generations cannot be used; the message names the setting or the file, and the fix."""


@dataclass(frozen=True)
class Generation:
    """A generated image and what tables state of it, as recipes hold it; None for what is not stated."""

    generation_id: str
    source: str
    path: str
    model: str | None = None
    prompt: str | None = None
    seed: int | None = None


@dataclass(frozen=True)
class Location:
    """Where the bytes of a file are.

    Attributes:
        path: The file, or the tar or parquet that holds it.
        size: Of the bytes.
        stamp: Changes with them: when `path` was modified, in nanoseconds.
        member: Its name in the tar or parquet, or None for a file.
        offset: Where a tar holds it, or its row in a parquet.
    """

    path: str
    size: int
    stamp: int
    member: str | None = None
    offset: int = 0


@dataclass(frozen=True)
class FoundGeneration:
    """A generated image that was found.

    Attributes:
        generation: Its names, and what the first table that names it states.
        location: Where its bytes are.
        stated: What tables state of it, the nearest table first.
        sidecars: Files that may describe it, in the order in which they are believed.
        refusal: Why its bytes must not be read, or None.
    """

    generation: Generation
    location: Location
    stated: Sequence[PictureStatement] = ()
    sidecars: Sequence[Location] = ()
    refusal: str | None = None

    @property
    def generation_id(self) -> str:
        """Its id: the source and the path below it."""
        return self.generation.generation_id


@dataclass
class FoundGenerations:
    """The generations of all sources.

    Attributes:
        generations: In order of their paths, source by source.
        not_taken: By source of the settings, what was found and is no generation, and the rows and pictures of tables
            that do not meet.
    """

    generations: list[FoundGeneration] = field(default_factory=list)
    not_taken: Mapping[str, Sequence[NotTaken]] = field(default_factory=dict)
