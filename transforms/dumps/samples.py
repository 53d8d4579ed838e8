"""The samples of a tar or folder: its pictures, each with what its sidecars say, and what else was found.

What belongs here: telling pictures, sidecars and other files apart, and finding the picture of each sidecar, wherever
in the dump its parts are. What does not: the layouts (`dumps/tars.py`, `dumps/folders.py`), what a sidecar says
(`dumps/sidecars.py`), tables of pictures (`dumps/picture_tables.py`).
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import BinaryIO, Protocol

from transforms.catalog.not_taken import NotTakenCounts
from transforms.dumps import first_bytes, names, sidecars
from transforms.dumps.members import SIDECAR_BYTES, ArchiveError, Listing, Member, too_large
from transforms.storage.file_limits import ByteLimits
from transforms.storage.system_files import HIDDEN, is_system_file

LEAVES = "refused: a link or device whose name leaves the archive"
UNREADABLE = "a file that cannot be opened"
_LARGE = f"a sidecar of more than {SIDECAR_BYTES:,} bytes"
_ALONE = "a sidecar without its picture"
_THUMBNAIL = "a thumbnail of another picture of its sample"
_TWICE = "a sidecar whose name another one has"
_GONE = (FileNotFoundError, PermissionError, NotADirectoryError, IsADirectoryError)


@dataclass(frozen=True, slots=True)
class Part:
    """A file within a tar or folder.

    Attributes:
        name: As text that a table can hold, with `/` between folders.
        offset: Where its bytes begin in the tar.
        size: In bytes.
        refusal: Why it must not be taken for a picture that can be read, or None.
        readable: Whether a sidecar of this refusal may be read: the name alone is refused.
        no_picture: Why it cannot be a picture whatever its name, or None.
    """

    name: str
    offset: int
    size: int
    refusal: str | None = None
    readable: bool = False
    no_picture: str | None = None


class PartSource(Protocol):
    """What reads the parts of a dump."""

    def first(self, part: Part, size: int) -> bytes:
        """Return the first bytes of a part.

        Args:
            part: The part.
            size: How many, at most.

        Raises:
            OSError: If it cannot be opened.
        """
        ...

    def open(self, part: Part) -> AbstractContextManager[BinaryIO]:
        """Open a part at its beginning. Raises OSError."""
        ...


@dataclass(slots=True)
class Picture:
    """A picture of a dump and where it comes among the parts."""

    number: int
    name: str
    stem: str
    member: Member


@dataclass
class Samples:
    """The parts of a dump, sorted. Memory: a record for each part, as of a listing.

    Attributes:
        place: The dump, as the counts name it.
        source: What opens its parts.
        member_bytes: Size above which a picture is refused.
        limits: Of tables, and of the texts of all pictures, which are held.
        names_count: Whether what is called a sidecar is one, because opening each file twice costs much.
        pictures: In order.
        tables: Tables of pictures, which `dumps/picture_tables.py` reads.
        counts: What is not taken.
        others: How many files are neither picture nor sidecar.
        names: Of all files, pictures or not.
    """

    place: str
    source: PartSource
    member_bytes: int
    limits: ByteLimits
    names_count: bool = False
    pictures: list[Picture] = field(default_factory=list)
    tables: list[Part] = field(default_factory=list)
    counts: NotTakenCounts = field(default_factory=NotTakenCounts)
    others: int = 0
    names: set[str] = field(default_factory=set)
    _sidecars: list[tuple[int, Part]] = field(default_factory=list)
    _held: int = 0

    def sort(self, parts: Iterable[Part]) -> None:
        """Tell pictures, sidecars, tables and other files apart, by names and first bytes."""
        for number, part in enumerate(parts):
            self.names.add(part.name)
            if is_system_file(part.name):
                self.counts.add(self.place, HIDDEN, part.name)
            elif part.no_picture:
                self.counts.add(self.place, part.no_picture, part.name)
            elif names.ending(part.name) in names.PICTURE_NAMES:
                self._take(number, part)
            elif part.refusal and not part.readable:
                self.counts.add(self.place, LEAVES if "leaves the archive" in part.refusal else part.refusal, part.name)
            elif part.name.rpartition("/")[2].lower() in names.TABLES:
                self.tables.append(part)
            else:
                self._by_first_bytes(number, part)

    def _by_first_bytes(self, number: int, part: Part) -> None:
        sidecar = names.ending(part.name) in names.RECORDS | names.TEXTS
        head = b""
        if not (sidecar and self.names_count):
            try:
                head = self.source.first(part, first_bytes.HEAD)
            except _GONE:
                self.counts.add(self.place, UNREADABLE, part.name)
                return
        if first_bytes.is_picture(head):
            self._take(number, part)
        elif not sidecar:
            self.others += 1
            self.counts.add(self.place, first_bytes.no_picture(head), part.name)
        elif part.size > SIDECAR_BYTES:
            self.counts.add(self.place, _LARGE, part.name)
        else:
            self._sidecars.append((number, part))

    def _take(self, number: int, part: Part) -> None:
        stem, refusal = names.stem(part.name), part.refusal or too_large(part.size, self.member_bytes)
        member = Member(stem, part.name, part.offset, part.size, refusal)
        self.pictures.append(Picture(number, part.name, stem, member))

    def key_as_webdataset(self) -> None:
        """Give each picture webdataset's key. Of several pictures of a sample, the one that its row is about has it.

        A thumbnail beside its picture is not taken: it would count as a copy.
        """
        stems = {picture.stem for picture in self.pictures}
        thumbnails = [each for each in self.pictures if names.is_thumbnail(each.stem, stems)]
        if thumbnails:
            self.counts.add(self.place, _THUMBNAIL, *(each.name for each in thumbnails))
            self.pictures = [each for each in self.pictures if not names.is_thumbnail(each.stem, stems)]
        by_key: dict[str, list[Picture]] = defaultdict(list)
        for picture in self.pictures:
            by_key[names.webdataset_key(picture.stem)].append(picture)
        for key, pictures in by_key.items():
            first = min(pictures, key=_place)
            for picture in pictures:
                picture.member.key = key if picture.stem == first.stem else picture.stem

    def annotate(self) -> None:
        """Give each picture what its sidecars say, and count the sidecars that say nothing of any."""
        of_pictures = self._sidecars_of_pictures()
        broken: dict[str, None] = {}
        for picture in self.pictures:
            for _, _, part, caption_alone in sorted(of_pictures.get(picture.number, ()), key=lambda each: each[:2]):
                said = sidecars.read_sidecar(names.ending(part.name), self._content(part))
                if said is None:
                    broken[part.name] = None
                else:
                    self.fill(picture.member, said, caption_alone=caption_alone)
        if broken:
            self.counts.add(self.place, sidecars.BROKEN, *broken)

    def fill(self, member: Member, said: sidecars.SidecarFields, *, caption_alone: bool) -> None:
        """Fill what is not yet known of a picture.

        Args:
            member: The picture.
            said: What is said of it.
            caption_alone: Whether the rest is of another picture of its sample.

        Raises:
            ArchiveError: If the texts of all pictures take more than a batch.
        """
        self._held += len(said.caption or "") + len(said.url or "")
        if self._held > self.limits.batch:
            raise ArchiveError(
                f"{self.place}: its captions and URLs take more than limits.batch_bytes = {self.limits.batch:,} bytes; "
                "split it, or raise the limit"
            )
        sidecars.fill(member, said, caption_alone=caption_alone)

    def _content(self, part: Part) -> bytes:
        try:
            return self.source.first(part, SIDECAR_BYTES)
        except _GONE:
            return b""

    def _sidecars_of_pictures(self) -> Mapping[int, list[tuple[bool, int, Part, bool]]]:
        """Return the sidecars of each picture, by its number: records first, the nearest name first."""
        named = _Names(self.pictures)
        groups: dict[tuple[str, str], list[tuple[int, Part]]] = defaultdict(list)
        for number, part in self._sidecars:
            groups[names.stem(part.name), names.ending(part.name)].append((number, part))
        found: dict[int, list[tuple[bool, int, Part, bool]]] = defaultdict(list)
        for (stem, ending), group in groups.items():
            rank, pictures = named.of_sidecar(stem, ending)
            if not pictures:
                self.counts.add(self.place, _ALONE, *(part.name for _, part in group))
                continue
            chosen = _nearest(pictures, group)
            first = min(pictures, key=_place).stem
            for picture, (_, part) in chosen:
                found[picture.number].append((ending not in names.RECORDS, rank, part, picture.stem != first))
            left = {number for number, _ in group} - {number for _, (number, _) in chosen}
            if left:
                self.counts.add(self.place, _TWICE, *(part.name for number, part in group if number in left))
        return found

    def listing(self, broken: str | None = None) -> Listing:
        """Return the pictures as they are known by now.

        Args:
            broken: Why the dump is not whole, or None.
        """
        return Listing([picture.member for picture in self.pictures], broken, self.counts.counts())


def _place(picture: Picture) -> tuple[int, int]:
    return names.place_in_sample(picture.stem), picture.number


class _Names:
    """Finds the pictures of a sidecar by its name."""

    def __init__(self, pictures: Iterable[Picture]) -> None:
        self._by_stem: dict[str, list[Picture]] = defaultdict(list)
        self._by_name: dict[str, list[Picture]] = defaultdict(list)
        self._by_shorter: dict[str, list[Picture]] = defaultdict(list)
        for picture in pictures:
            self._by_stem[picture.stem].append(picture)
            self._by_name[picture.stem + names.ending(picture.name)].append(picture)
            for shorter in names.shorter_stems(picture.stem):
                self._by_shorter[shorter].append(picture)

    def of_sidecar(self, stem: str, ending: str) -> tuple[int, Sequence[Picture]]:
        """Return how near the names are, and the pictures.

        Those are the pictures of the same stem; else the one whose whole name the stem is (`a.jpg.json`); else those
        whose stem goes on from it (`a.input.jpg` with `a.json`), masks excepted; else those that it goes on from
        (`a.jpg` with `a.caption.txt`).
        """
        if found := self._by_stem.get(stem):
            return 0, found
        folder, slash, last = stem.rpartition("/")
        if names.ending(stem) and (
            found := self._by_name.get(f"{folder}{slash}{last.rpartition('.')[0]}{names.ending(stem)}")
        ):
            return 1, found
        longer = (
            each for each in self._by_shorter.get(stem, ()) if names.goes_on_in_words(each.stem, stem, numbers=True)
        )
        if found := [each for each in longer if not names.is_mask(each.stem)]:
            return 2, found
        word = stem.rpartition(".")[2].lower()
        if ending in names.RECORDS or word in names.CAPTION_WORDS:
            for shorter in names.shorter_stems(stem):
                if names.goes_on_in_words(stem, shorter) and (found := self._by_stem.get(shorter)):
                    return 3, found
        return 4, ()


def _nearest(pictures: Sequence[Picture], group: Sequence[tuple[int, Part]]) -> list[tuple[Picture, tuple[int, Part]]]:
    """Return a sidecar for each picture.

    A tar may hold a name several times, as where two were put together: the n-th picture of a name has the n-th
    sidecar. Where there are not as many sidecars as pictures, each picture has the nearest.
    """
    by_name: dict[str, list[Picture]] = defaultdict(list)
    for picture in pictures:
        by_name[picture.name].append(picture)
    chosen = []
    for same in by_name.values():
        if len(same) == len(group):
            chosen += list(zip(same, group, strict=True))
        else:
            chosen += [(each, min(group, key=lambda side: (abs(side[0] - each.number), -side[0]))) for each in same]
    return chosen
