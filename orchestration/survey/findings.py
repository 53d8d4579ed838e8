"""The training sets and generations in a folder, each with the reason why it is taken for one.

What belongs here: putting files together to what a section of the settings names. What does not: walking
(`survey/places.py`), looking into files (`survey/contents.py`), what a finding is and which belong together
(`survey/joining.py`), the file that is written (`survey/settings_file.py`).

A folder is taken for generations because it was named so, because of its name, because it holds a table of
generations, or because its pictures or columns say how they were made. It is taken for training pictures because there
is metadata, or because of its name. Where nothing tells, it is taken for training pictures, and the user is asked.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from orchestration.survey import contents
from orchestration.survey.contents import Content, Kind
from orchestration.survey.joining import GENERATED, TRAINED, Finding, together, words
from orchestration.survey.places import PASSED_BY, Place
from orchestration.survey.sampling import (
    USELESS,
    Files,
    heads,
    like_it,
    looked_into,
    looked_until_usable,
    pattern,
    rows_of,
    spread,
)
from transforms.catalog.landing import PARQUET
from transforms.readable import count
from transforms.storage.file_limits import ByteLimits

_DUMPS = 16  # tars and parquets of a source of generations that are looked into


class Found(NamedTuple):
    """Something that is not used, why, and whether it could not be looked into."""

    path: Path
    reason: str
    unread: bool = False


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
        found = self._of(root)
        self.unused = list(dict.fromkeys(self.unused))  # a folder may be looked into twice, to tell what it is
        return found

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
        return together(place, [finding for each in place.below for finding in self._of(each)])

    def _generated(self, place: Place) -> str | None:
        """Return why a whole folder is taken for generations, or None."""
        if place.path.resolve() in self._named:
            return "--generations names it"
        table = next((path.name for path, _ in place.tables if not path.name.lower().startswith("metadata")), None)
        if table and (place.pictures or place.below):
            return f"it holds the table {table}"
        return f"its folder is called {place.path.name}" if words(place.path) & GENERATED else None

    def _generations(self, place: Place, reason: str) -> Finding:
        """Return a source: all that lies below a folder, as the reader of generations takes it."""
        within = list(place.within())
        for each in within[1:]:
            self._leave_unread(each)
        dumps = [file for each in within for file in (*each.tars, *each.parquets)]
        seen = looked_into(dumps, self._of_dump, _DUMPS)
        self._leave_files(seen)
        tables = [file for each in within for file in each.tables]
        read = looked_into(tables, self._of_records, _DUMPS)
        self._leave_files({path: each for path, each in read.items() if each.kind is Kind.BROKEN})
        packed, estimated = rows_of(seen, {Kind.PICTURES, Kind.GENERATIONS}, dumps)
        samples = [path for each in within for path, _ in each.pictures[:2]]
        samples += [path for path, each in seen.items() if each.kind not in USELESS]
        return Finding(
            place.path,
            generated=True,
            reason=reason,
            pictures=packed + sum(len(each.pictures) for each in within),
            bytes=place.bytes(),
            estimated=estimated,
            samples=tuple(samples),
        )

    def _of_records(self, path: Path, size: int) -> Content:
        if path.suffix.lower() in PARQUET:
            return contents.of_parquet(path, self._limits)
        return contents.of_text(path, size, self._limits)

    def _of_dump(self, path: Path, size: int) -> Content:
        """Look into a dump of generations. A parquet without pictures is of no use as one."""
        if path.suffix.lower() == ".tar":
            return contents.of_tar(path, size)
        seen = contents.of_parquet(path, self._limits)
        if seen.kind is not Kind.METADATA:
            return seen
        return Content(Kind.OTHER, f"no pictures among generations, though {seen.reason}")

    def _shards(self, place: Place) -> list[Finding]:
        """Return the training set, or the generations, of a folder of tars, parquets and metadata."""
        parquets = looked_into(place.parquets, self._of_records)
        texts = looked_into(place.texts, self._of_records)
        tars = looked_until_usable(place.tars, contents.of_tar)
        seen = {**parquets, **texts, **tars}
        self._leave_files(seen)
        kinds = {each.kind for each in seen.values()} - USELESS
        below = [finding for each in place.below if not each.is_dump_beside(place) for finding in self._of(each)]
        self._leave(place, deep=False)
        if not kinds:
            if more := len(place.parquets) + len(place.texts) + len(place.tars) - len(seen):
                told = f"{count(more, 'more file')} not looked into, as those that were are of no use"
                self.unused.append(Found(place.path, told, unread=True))
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
        folders = [each for each in place.below if each.is_dump_beside(place)]
        like = dump or next((path for path, _ in place.tars), None)  # the run says what is wrong with its tars
        images = "/*" if folders and not place.tars else f"/*{like.suffix}" if like else None
        listed = like_it(metadata, (*place.parquets, *place.texts))
        dumps = like_it(like, (*place.tars, *place.parquets))
        self._leave_beside(place, (*listed, *dumps), seen, (metadata, dump))
        rows, unsure = rows_of(seen, {Kind.METADATA}, listed)
        pictures, guessed = rows_of(seen, {Kind.PICTURES}, dumps)
        pictures += sum(len(each.pictures) for folder in folders for each in folder.within())
        reason = seen[metadata].reason if metadata else seen[dump].reason if dump else None
        return Finding(
            place.path,
            generated=False,
            reason=reason or self._by_name(place),
            metadata=pattern(metadata) if metadata else None,
            images=images,
            rows=rows or pictures,
            pictures=pictures,
            bytes=place.bytes(own=not folders),
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
        said = contents.made(heads([path for path, _ in spread(pictures, contents.LOOKED_AT)]))
        if said:
            return self._generations(place, said)
        texts = looked_into(place.texts, self._of_records)
        metadata = next((path for path, each in texts.items() if each.kind is Kind.METADATA), None)
        self._leave_files(texts)
        self._leave_beside(place, [(path, 0) for path in (metadata,) if path], texts, (metadata,))
        self._leave(place)
        objection = None
        if inside:
            names = ", ".join(str(found.place.relative_to(place.path)) for found in inside[:3])
            objection = f"other things lie within it ({names}); move its own pictures into a folder beside them"
        table = next((f"it holds the table {path.name}" for path, _ in place.tables), None)
        return Finding(
            place.path,
            generated=False,
            reason=texts[metadata].reason if metadata else table or self._by_name(place),
            metadata=f"/{metadata.name}" if metadata else None,
            images="",
            rows=texts[metadata].rows if metadata else len(pictures),
            pictures=len(pictures),
            bytes=place.bytes(),
            samples=tuple(path for path, _ in spread(pictures, 16)),
            objection=objection,
        )

    @staticmethod
    def _by_name(place: Place) -> str | None:
        return f"its folder is called {place.path.name}" if words(place.path) & TRAINED else None

    def _leave_unread(self, place: Place) -> None:
        self.unused += [Found(path, why, why not in PASSED_BY) for path, why in place.unread]

    def _leave_files(self, seen: Mapping[Path, Content]) -> None:
        for path, each in seen.items():
            if each.kind in USELESS:
                self.unused.append(Found(path, each.reason, each.kind is Kind.BROKEN))

    def _leave_beside(self, place: Place, used: Files, seen: Mapping[Path, Content], by: Sequence[Path | None]) -> None:
        """Leave files that the globs of the settings do not find."""
        taken, useless = {path for path, _ in used}, {path for path, each in seen.items() if each.kind in USELESS}
        files = [path for path, _ in (*place.parquets, *place.texts, *place.tars)]
        left = [path for path in files if path not in taken | useless]
        if left and (named := " and ".join(path.name for path in by if path)):
            told = f"{count(len(left), 'file')} such as {left[0].name} beside {named}, which is taken instead"
            self.unused.append(Found(place.path, f"{told}; give each kind a folder of its own"))

    def _leave(self, place: Place, *, deep: bool = True) -> None:
        for each in place.within() if deep else (place,):
            if each.others:
                names = ", ".join(path.name for path in each.others[:3])
                told = f"{count(len(each.others), 'file')} of no known kind, such as {names}"
                self.unused.append(Found(each.path, told))
            if deep and each is not place:
                self._leave_unread(each)
