"""What has to agree for a picture to meet a row, the surest first.

What belongs here: the tiers, and the pictures and rows that agree by one. What does not: what pictures and rows state
(`fingerprints/identifiers.py`), reading rows (`fingerprints/metadata_rows.py`), the account
(`fingerprints/row_matching.py`).

Pictures of one identity in a tier get the rows of that identity in the order in which both come.
"""

from collections import Counter, deque
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from transforms.catalog.columns import HASH_COLUMNS, stated_caption
from transforms.fingerprints.identifiers import IDENTIFIERS, Identifiers
from transforms.fingerprints.metadata_rows import MetadataRow

_SPARE = 32  # rows held of an identity beside one per picture
_TRIED = 256  # rows that a picture tries where another row than the first may agree in more

type Values = Callable[[Identifiers, str], Collection[str]]
type Identities = Callable[[Identifiers], Iterable[Hashable]]


@dataclass
class _Slot:
    """The pictures and rows of one identity."""

    pictures: list[int] = field(default_factory=list)
    room: int = _SPARE
    rows: list[MetadataRow] = field(default_factory=list)
    seen: int = 0


@dataclass
class MatchTier:
    """Pictures and rows by an identity that both state.

    Attributes:
        of_picture: The identities of a picture.
        of_row: The identities of a row.
        excluding: Identifiers that exclude a row where they differ.
        unique: Whether it counts only if one picture and one row have the identity.
    """

    of_picture: Identities
    of_row: Identities
    excluding: Collection[str] = ()
    unique: bool = False
    _slots: dict[Hashable, _Slot] = field(default_factory=dict)

    def add(self, at: int, said: Identifiers, rivals: int) -> None:
        """Add a picture.

        Args:
            at: Its place in the dump.
            said: What it states.
            rivals: Pictures that may take rows of its identities.
        """
        for identity in self.of_picture(said):
            slot = self._slots.setdefault(identity, _Slot())
            slot.pictures.append(at)
            slot.room = max(slot.room, len(slot.pictures) + _SPARE, rivals + _SPARE)

    def offer(self, row: MetadataRow) -> None:
        """Keep a row if a picture may meet it."""
        if not self._slots:
            return
        for identity in self.of_row(row.said):
            if slot := self._slots.get(identity):
                slot.seen += 1
                if len(slot.rows) < slot.room:
                    slot.rows.append(row)

    def matches(
        self, said: Sequence[Identifiers], matched: dict[int, MetadataRow], taken: set[int], excluding: Collection[str]
    ) -> Iterator[tuple[int, MetadataRow]]:
        """Yield pictures without a row, each with the row that it meets.

        Args:
            said: What each picture of the dump states.
            matched: The pictures that have a row, by their places. The caller adds to it as it goes.
            taken: The ids of their rows, likewise.
            excluding: Identifiers that exclude a row where they differ.
        """
        for slot in self._slots.values():
            if self.unique and (slot.seen > 1 or len(slot.pictures) > 1):
                continue
            rows = deque(row for row in slot.rows if row.sample_id not in taken)
            for choose in (_agreeing, _first):  # a row that nothing contradicts is not given to another picture
                for at in slot.pictures if rows else ():
                    if at not in matched and (row := choose(rows, said[at], excluding)) is not None:
                        yield at, row


def _agreeing(rows: deque[MetadataRow], said: Identifiers, excluding: Collection[str]) -> MetadataRow | None:
    """Take the first row that differs from a picture in nothing that both state."""
    return _first(rows, said, {*excluding, *IDENTIFIERS}, _TRIED)


def _first(
    rows: deque[MetadataRow], said: Identifiers, excluding: Collection[str], tried: int = 8
) -> MetadataRow | None:
    for place in range(min(len(rows), tried)):
        row = rows[place]
        if not any(said.agrees(row.said, identifier) is False for identifier in excluding):
            del rows[place]
            return row
    return None


class Tiers:
    """All tiers of one reading of the metadata."""

    def __init__(self, said: Sequence[Identifiers], pictures: Iterable[int], *, loose: bool) -> None:
        """Add pictures.

        Args:
            said: What each picture of the dump states.
            pictures: The places of those that have no row.
            loose: Whether what gets lost or added on the way does not count.
        """
        self._said, self._loose = said, loose
        values = Identifiers.loosely if loose else Identifiers.of_kind
        self._with_url, self._by_caption = _with_url(values), _by_caption(values)
        # a URL is stronger than a caption that was written anew, where it leaves no choice
        self._by_url = [_by_url_alone(values)] if loose else []
        self._without_url = _without_url(values, unique=loose)  # pictures without a URL
        self._of_bare_rows = _without_url(values, unique=loose)  # pictures with one, where rows have none
        self._url = [at for at in pictures if said[at].of_kind("url")]
        self._seen_bare_row = False
        same_url = Counter(url for at in self._url for url in said[at].of_kind("url"))
        for at in pictures:
            rivals = max((same_url[url] for url in said[at].of_kind("url")), default=0)
            for tier in (*self._with_url, *self._by_caption, *self._by_url) if rivals else self._without_url:
                tier.add(at, said[at], rivals)

    def offer(self, row: MetadataRow) -> None:
        """Keep a row if a picture may meet it."""
        if row.said.of_kind("url"):
            tiers = (*self._with_url, *self._by_caption, *self._by_url, *self._without_url)
        else:
            self._add_for_bare_rows()
            tiers = (*self._without_url, *self._of_bare_rows)
        for tier in tiers:
            tier.offer(row)

    def _add_for_bare_rows(self) -> None:
        if not self._seen_bare_row:
            self._seen_bare_row = True
            for at in self._url:
                for tier in self._of_bare_rows:
                    tier.add(at, self._said[at], 0)

    def matches(self, matched: dict[int, MetadataRow], taken: set[int]) -> Iterator[tuple[int, MetadataRow]]:
        """Yield pictures without a row, each with the row that it meets.

        Args:
            matched: The pictures that have a row, by their places. The caller adds to it as it goes.
            taken: The ids of their rows, likewise.
        """
        order = [(tier, tier.excluding) for tier in self._with_url]
        order += [(tier, tier.excluding) for tier in self._by_caption]
        for both in zip(self._without_url, self._of_bare_rows, strict=True):
            order += [(tier, tier.excluding) for tier in both]
        # last, because a row may be another picture's by its name or key
        order += [(tier, ()) for tier in (*self._by_caption, *self._by_url)]
        for tier, excluding in order:
            yield from tier.matches(self._said, matched, taken, excluding)


def _with_url(values: Values) -> list[MatchTier]:
    """Return the tiers of a URL and one more. The row is a number that sidecars of `raisonne download` state."""

    def pairs_with(identifier: str) -> Identities:
        return lambda said: [(url, each) for url in values(said, "url") for each in values(said, identifier)]

    names = ("row", *HASH_COLUMNS, "uid", "key")
    return [MatchTier(pairs, pairs) for pairs in map(pairs_with, names)]


def _by_caption(values: Values) -> list[MatchTier]:
    """Return the tiers of a URL and a caption, and of a URL where one side states no caption."""

    def pairs(said: Identifiers) -> Iterable[Hashable]:
        return [(url, text) for url in values(said, "url") for text in values(said, "caption") or (None,)]

    def urls(said: Identifiers) -> Iterable[Hashable]:
        return values(said, "url")

    def bare_urls(said: Identifiers) -> Iterable[Hashable]:
        return () if said.loosely("caption") else values(said, "url")

    return [MatchTier(*sides, ("uid", "key")) for sides in ((pairs, pairs), (bare_urls, urls), (urls, bare_urls))]


def _by_url_alone(values: Values) -> MatchTier:
    def urls(said: Identifiers) -> Iterable[Hashable]:
        return values(said, "url")

    return MatchTier(urls, urls, unique=True)


def _without_url(values: Values, *, unique: bool) -> list[MatchTier]:
    """Return the tiers of pictures and rows of which not both state a URL."""

    def together(*identifiers: str) -> Identities:
        def found(said: Identifiers) -> Iterable[Hashable]:
            pairs: list[tuple[str, ...]] = [()]
            for identifier in identifiers:
                stated = [value for value in values(said, identifier) if stated_caption(value)]
                pairs = [(*before, value) for before in pairs for value in stated]
            return pairs

        return found

    def tier(*identifiers: str, excluding: Collection[str] = (), only: bool = unique) -> MatchTier:
        return MatchTier(together(*identifiers), together(*identifiers), excluding, only)

    stronger = (*HASH_COLUMNS, "uid")
    hashes = (*HASH_COLUMNS, "digest") if unique else HASH_COLUMNS
    return [
        # a placeholder is the picture of many rows: what else agrees tells which
        *(tier(each, other, only=False) for other in ("uid", "key", "caption") for each in hashes),
        *(tier(each, only=False) for each in hashes),
        tier("uid", excluding=HASH_COLUMNS, only=False),
        tier("key", "caption", excluding=stronger, only=False),
        tier("caption", excluding=stronger, only=True),
        *(tier(each, excluding=stronger) for each in (("path", "key") if unique else ("key",))),
    ]
