"""The training sets and generations in a folder, each with the reason why it is taken for one.

What belongs here: putting files together to what a section of the settings names. What does not: walking
(`survey/places.py`), looking into files (`survey/contents.py`), the file that is written (`survey/settings_file.py`).

A folder is taken for generations because it was named so, because of its name, because it holds a table of
generations, or because its pictures or columns say how they were made. It is taken for training pictures because there
is metadata, or because of its name. Where nothing tells, it is taken for training pictures, and the user is asked.
"""

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from orchestration.survey import contents
from orchestration.survey.contents import Content, Kind
from orchestration.survey.places import PASSED_BY, Place
from transforms.catalog.byte_limits import ByteLimits
from transforms.readable import count

GENERATED = frozenset({"generation", "generations", "generated", "txt2img", "img2img", "synthetic"})
"""Words in a folder's name by which it is taken for generations."""
TRAINED = frozenset({"train", "training", "trained", "dataset", "datasets", "laion", "photo", "photos", "photographs"})
"""Words by which it is taken for training pictures."""
_LOOKED_INTO = 4  # parquets, or texts, of a folder


class Found(NamedTuple):
    """Something that is not used, why, and whether it could not be looked into."""

    path: Path
    reason: str
    unread: bool = False


@dataclass(frozen=True)
class Finding:
    """A training set or a source of generations.

    Attributes:
        place: Its folder.
        generated: Whether it is taken for generations.
        reason: What shows it; None where nothing does.
        metadata: The endings of its metadata, below the folder; the pattern `settings_file` makes a glob of.
        images: Likewise of its dump; "" for the folder itself, `/*` for each folder in it.
        rows: Rows of metadata.
        pictures: How many pictures there are.
        bytes: Of all its files.
        estimated: Whether the counts are estimates.
        samples: Some of its dumps or pictures, for measuring.
        objection: Why it cannot be used as it lies, or None.
        images_at: The folder of the dump if it is another one.
    """

    place: Path
    generated: bool
    reason: str | None = None
    metadata: str | None = None
    images: str | None = None
    rows: int = 0
    pictures: int = 0
    bytes: int = 0
    estimated: bool = False
    samples: tuple[Path, ...] = ()
    objection: str | None = None
    images_at: Path | None = None


class Survey:
    """Finds what lies in folders.

    Attributes:
        unused: What was found and is not used.
    """

    def __init__(self, named: Collection[Path], limits: ByteLimits) -> None:
        """Begin with what the user said.

        Args:
            named: Folders that hold generations.
            limits: Of what is read of a file.
        """
        self._named, self._limits = {path.resolve() for path in named}, limits
        self.unused: list[Found] = []

    def findings(self, root: Place) -> list[Finding]:
        """Return what a folder holds."""
        return self._of(root)

    def _of(self, place: Place) -> list[Finding]:
        self._leave_unread(place)
        if not place.holds_anything:
            self._leave(place)
            return []
        if reason := self._generated(place):
            return [self._generations(place, reason)]
        if place.tars or place.parquets or (place.texts and not place.pictures):
            return self._shards(place)
        if place.pictures:
            return [self._pictures(place)]
        self._leave(place, deep=False)
        return _together(place, [finding for each in place.below for finding in self._of(each)])

    def _generated(self, place: Place) -> str | None:
        """Return why a whole folder is taken for generations, or None."""
        if place.path.resolve() in self._named:
            return "--generations names it"
        table = next((path.name for path, _ in place.tables if not path.name.lower().startswith("metadata")), None)
        if table and (place.pictures or place.below):
            return f"it holds the table {table}"
        return f"its folder is called {place.path.name}" if _words(place.path) & GENERATED else None

    def _generations(self, place: Place, reason: str) -> Finding:
        """Return a source: all that lies below a folder, as the reader of generations takes it."""
        pictures, estimated, samples = 0, False, list[Path]()
        for each in place.within():
            if each is not place:
                self._leave_unread(each)
            pictures += len(each.pictures)
            samples += [path for path, _ in each.pictures[:2]]
            for path, size in (*each.tars, *each.parquets):
                seen = contents.of_tar(path, size) if path.suffix == ".tar" else contents.of_parquet(path, self._limits)
                pictures, estimated = pictures + seen.rows, estimated or seen.estimated
                samples.append(path)
        return Finding(
            place.path,
            generated=True,
            reason=reason,
            pictures=pictures,
            bytes=_bytes(place),
            estimated=estimated,
            samples=tuple(samples),
        )

    def _shards(self, place: Place) -> list[Finding]:
        """Return the training set, or the generations, of a folder of tars, parquets and metadata."""
        parquets = _looked_into(place.parquets, lambda path, _: contents.of_parquet(path, self._limits))
        texts = _looked_into(place.texts, lambda path, size: contents.of_text(path, size, self._limits))
        tars = _looked_into(place.tars, contents.of_tar, most=1)
        seen = {**parquets, **texts, **tars}
        self._leave_files(seen)
        kinds = {each.kind for each in seen.values()} - {Kind.OTHER, Kind.BROKEN}
        below = [finding for each in place.below if not _is_dump_of(place, each) for finding in self._of(each)]
        self._leave(place, deep=False)
        if not kinds:
            return below
        if Kind.GENERATIONS in kinds and Kind.METADATA not in kinds and Kind.PICTURES not in kinds:
            reason = next(each.reason for each in seen.values() if each.kind is Kind.GENERATIONS)
            names = ", ".join(str(found.place.relative_to(place.path)) for found in below[:3])
            objection = f"other things lie within it ({names}); move them out" if below else None
            return [replace(self._generations(place, reason), objection=objection)]
        if place.pictures:
            self.unused.append(
                Found(place.path, f"{count(len(place.pictures), 'picture')} beside shards; give them their own folder")
            )
        return [self._dataset(place, seen), *below]

    def _dataset(self, place: Place, seen: dict[Path, Content]) -> Finding:
        of = {path: each.kind for path, each in seen.items()}
        metadata = next((path for path, kind in of.items() if kind is Kind.METADATA), None)
        dump = next((path for path, kind in of.items() if kind is Kind.PICTURES), None)
        conflict = next((each.reason for each in seen.values() if each.kind is Kind.GENERATIONS), None)
        folders = [each for each in place.below if _is_dump_of(place, each)]
        images = "/*" if folders and not place.tars else f"/*{dump.suffix}" if dump else None
        rows, unsure = _rows(seen, Kind.METADATA, (*place.parquets, *place.texts))
        pictures, guessed = _rows(seen, Kind.PICTURES, place.tars if place.tars else place.parquets)
        pictures += sum(len(each.pictures) for folder in folders for each in folder.within())
        reason = seen[metadata].reason if metadata else seen[dump].reason if dump else None
        return Finding(
            place.path,
            generated=False,
            reason=reason or self._by_name(place),
            metadata=_pattern(metadata) if metadata else None,
            images=images,
            rows=rows or pictures,
            pictures=pictures,
            bytes=_bytes(place, own=not folders),
            estimated=unsure or guessed,
            samples=tuple(path for path, kind in of.items() if kind is Kind.PICTURES)
            or tuple(path for folder in folders for path, _ in folder.pictures[:4]),
            objection=f"some of its files hold generations ({conflict}); keep them in a folder of their own"
            if conflict
            else None,
        )

    def _pictures(self, place: Place) -> Finding:
        """Return what a folder of pictures is, with all that lies below it."""
        within, unused, inside = list(place.within()), len(self.unused), list[Finding]()
        for each in place.below:
            inside += [found for found in self._of(each) if found.generated or found.metadata or found.images != ""]
        self.unused = self.unused[:unused] if not inside else self.unused
        pictures = [picture for each in within for picture in each.pictures]
        said = contents.made(_heads([path for path, _ in _spread(pictures, contents.LOOKED_AT)]))
        if said:
            return self._generations(place, said)
        texts = _looked_into(place.texts, lambda path, size: contents.of_text(path, size, self._limits))
        metadata = next((path for path, each in texts.items() if each.kind is Kind.METADATA), None)
        self._leave_files(texts)
        self._leave(place)
        objection = None
        if inside:
            names = ", ".join(str(found.place.relative_to(place.path)) for found in inside[:3])
            objection = f"other things lie within it ({names}); move its own pictures into a folder beside them"
        table = next((f"it holds the table {path.name}" for path, _ in place.tables), None)
        return Finding(
            place.path,
            generated=False,
            reason=texts[metadata].reason
            if metadata
            else table or self._by_name(place),
            metadata=f"/{metadata.name}" if metadata else None,
            images="",
            rows=texts[metadata].rows if metadata else len(pictures),
            pictures=len(pictures),
            bytes=_bytes(place),
            samples=tuple(path for path, _ in _spread(pictures, 16)),
            objection=objection,
        )

    @staticmethod
    def _by_name(place: Place) -> str | None:
        return f"its folder is called {place.path.name}" if _words(place.path) & TRAINED else None

    def _leave_unread(self, place: Place) -> None:
        self.unused += [Found(path, why, why not in PASSED_BY) for path, why in place.unread]

    def _leave_files(self, seen: Mapping[Path, Content]) -> None:
        for path, each in seen.items():
            if each.kind in {Kind.OTHER, Kind.BROKEN}:
                self.unused.append(Found(path, each.reason, each.kind is Kind.BROKEN))

    def _leave(self, place: Place, *, deep: bool = True) -> None:
        for each in place.within() if deep else (place,):
            if each.others:
                names = ", ".join(path.name for path in each.others[:3])
                told = f"{count(len(each.others), 'file')} of no known kind, such as {names}"
                self.unused.append(Found(each.path, told))
            if deep and each is not place:
                self._leave_unread(each)


def _together(place: Place, found: list[Finding]) -> list[Finding]:
    """Put the parts of one training set together: folders of pictures, shards in folders, metadata beside its dump."""
    of_pictures = all(each.images == "" and not each.metadata and not each.objection for each in found)
    same = len({(each.metadata, each.images, each.generated) for each in found}) == 1
    children = all(each.place.parent == place.path for each in found)
    if len(found) > 1 and same and not found[0].generated and not any(each.objection for each in found):
        first = found[0]
        if of_pictures and children and len(found) == len([each for each in place.below if each.holds_anything]):
            return [_summed(place, found, images="/*", metadata=None)]
        if first.images and first.images != "/*":
            return [
                _summed(
                    place,
                    found,
                    images=f"/**{first.images}",
                    metadata=first.metadata and f"/**{first.metadata}",
                )
            ]
    rows = [each for each in found if each.metadata and not each.images and not each.generated]
    dumps = [each for each in found if each.images and not each.metadata and not each.generated]
    if len(rows) == len(dumps) == 1 and rows[0].place != dumps[0].place:
        joined = replace(rows[0], images=dumps[0].images, images_at=dumps[0].place, pictures=dumps[0].pictures)
        joined = replace(joined, bytes=joined.bytes + dumps[0].bytes, samples=dumps[0].samples)
        return [each for each in found if each not in (rows[0], dumps[0])] + [joined]
    return found


def _summed(place: Place, found: Sequence[Finding], *, images: str, metadata: str | None) -> Finding:
    named = f"its folder is called {place.path.name}" if _words(place.path) & TRAINED else None
    return Finding(
        place.path,
        generated=False,
        reason=found[0].reason if found[0].metadata or images != "/*" else named,
        metadata=metadata,
        images=images,
        rows=sum(each.rows for each in found),
        pictures=sum(each.pictures for each in found),
        bytes=sum(each.bytes for each in found),
        estimated=any(each.estimated for each in found),
        samples=tuple(sample for each in found[:8] for sample in each.samples[:4]),
    )


def _is_dump_of(place: Place, below: Place) -> bool:
    """Return whether a folder is the dump of the parquet of its name beside it, as img2dataset writes files."""
    return bool(below.pictures) and below.path.name in {path.stem for path, _ in place.parquets}


def _words(path: Path) -> set[str]:
    return set(re.findall(r"[a-z]+\d?[a-z]+|[a-z]+", path.name.lower()))


def _pattern(path: Path) -> str:
    ending = "".join(path.suffixes[-2:]) if path.suffix == ".gz" else path.suffix
    return f"/*{ending}"


def _bytes(place: Place, *, own: bool = False) -> int:
    kinds = ((each.pictures, each.tars, each.parquets, each.texts) for each in ((place,) if own else place.within()))
    return sum(size for lists in kinds for files in lists for _, size in files)


def _spread[T](items: Sequence[T], most: int) -> Sequence[T]:
    return items[:: max(1, -(-len(items) // most))]


def _looked_into(
    files: Sequence[tuple[Path, int]], look: Callable[[Path, int], Content], most: int = _LOOKED_INTO
) -> dict[Path, Content]:
    return {path: look(path, size) for path, size in _spread(files, most)}


def _rows(seen: dict[Path, Content], kind: Kind, files: Sequence[tuple[Path, int]]) -> tuple[int, bool]:
    """Return how many rows all files have, by those that were looked into, and whether that is an estimate."""
    of_kind = {path: each for path, each in seen.items() if each.kind is kind}
    sizes = dict(files)
    looked = sum(sizes.get(path, 0) for path in of_kind)
    rows = sum(each.rows for each in of_kind.values())
    endings = {path.suffix for path in of_kind}
    total = sum(size for path, size in files if path.suffix in endings)
    if not looked or total == looked:
        return rows, any(each.estimated for each in of_kind.values())
    return round(rows * total / looked), True


def _heads(paths: Sequence[Path]) -> Iterator[bytes]:
    for path in paths:
        try:
            with path.open("rb") as file:
                yield file.read(8 << 20)
        except OSError:
            continue  # the run says why it cannot be read
