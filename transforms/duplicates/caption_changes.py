"""Groups of nearly equal captions after some captions came, went or became more or less frequent.

What belongs here: which captions change their group, exactly as if all were grouped anew. What does not: finding near
captions (`duplicates/caption_neighbours.py`), grouping all of them (`duplicates/caption_groups.py`).

Captions are ordered by falling frequency, then by key. Each is tied to the first earlier head that is near, or is a
head itself. So what a caption becomes depends on earlier near captions alone, and a change spreads only to later ones:

- A changed caption (it came, or its frequency changed) is decided anew, and so are those near it and those tied to it.
- Another caption is decided anew if the head it was tied to is none any more, or comes later than it did. Else its head
  stays, unless a changed caption, or one that became a head, is nearer to the beginning: for those that did not change
  are in the order in which they were.
- A caption that becomes a head concerns the later ones near it; one that is no head any more, those tied to it.

They are decided in their order, so that whatever one depends on is decided before.
"""

import heapq
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

type Tie = tuple[bytes, float]
"""The head that a caption is tied to, and their similarity. A head is tied to itself."""
_ROUNDS = 8


class CaptionStore(Protocol):
    """Captions as they are now, and the groups as they were, by key. Each call may read all captions once."""

    def near(self, keys: Collection[bytes]) -> Mapping[bytes, Mapping[bytes, float]] | None:
        """Return the captions near each of some, with their similarity. None: it would take too long."""
        ...

    def counts(self, keys: Collection[bytes]) -> Mapping[bytes, int]:
        """Return how often captions are there now; 0 for those that are gone."""
        ...

    def ties(self, keys: Collection[bytes]) -> Mapping[bytes, Tie]:
        """Return what captions were tied to, of those that were tied to another one."""
        ...

    def members(self, heads: Collection[bytes]) -> Mapping[bytes, Collection[bytes]]:
        """Return the captions that were tied to each head, itself left out."""
        ...


@dataclass
class _Known:
    """What was asked of the store so far. `found_by` is `near` the other way round."""

    near: dict[bytes, Mapping[bytes, float]] = field(default_factory=dict)
    found_by: dict[bytes, dict[bytes, float]] = field(default_factory=dict)
    counts: dict[bytes, int] = field(default_factory=dict)
    ties: dict[bytes, Tie] = field(default_factory=dict)
    members: dict[bytes, Collection[bytes]] = field(default_factory=dict)

    def add_near(self, found: Mapping[bytes, Mapping[bytes, float]]) -> None:
        self.near.update(found)
        for key, others in found.items():
            for other, similarity in others.items():
                self.found_by.setdefault(other, {})[key] = similarity

    def read(self, store: CaptionStore, keys: Collection[bytes]) -> None:
        """Ask for all but what is near."""
        ties, members = store.ties(keys), store.members(keys)
        self.ties.update({key: ties.get(key, (key, 1.0)) for key in keys})
        self.members.update({key: members.get(key, ()) for key in keys})
        self.counts.update(store.counts(keys))


def regroup(store: CaptionStore, before: Mapping[bytes, int]) -> dict[bytes, Tie] | None:
    """Return what captions are tied to now, of all that may have changed; those that are gone are not among them.

    Args:
        store: The captions and their groups.
        before: The changed captions, with how often each was there before; 0 for new ones.

    Returns:
        None if grouping all captions anew takes less time.
    """
    known = _Known()
    known.counts.update(store.counts(before))
    wanted = {key for key in before if known.counts[key]}
    for _ in range(_ROUNDS):
        found = store.near(wanted) if wanted else {}
        if found is None:
            return None
        known.add_near(found)
        decision = _Decision(known, before)
        while not decision.decide():
            known.read(store, decision.unknown)
            decision = _Decision(known, before)
        wanted = decision.wanted
        if not wanted:
            return decision.ties
    return None


class _Decision:
    """Decides what captions are tied to, as far as what is known allows.

    Attributes:
        ties: Of the captions that may have changed.
        wanted: Captions of which the near ones must be known first.
        unknown: Captions of which everything else must be known first.
    """

    def __init__(self, known: _Known, before: Mapping[bytes, int]) -> None:
        self.ties: dict[bytes, Tie] = {}
        self.wanted: set[bytes] = set()
        self.unknown = ({key for each in known.near.values() for key in each} | before.keys()) - known.ties.keys()
        self._known, self._before = known, before
        self._queue: list[tuple[int, bytes]] = []
        self._queued: set[bytes] = set()

    def decide(self) -> bool:
        """Decide all that may have changed. Return whether nothing is unknown; near captions may still be wanted."""
        if self.unknown:
            return False
        for key in self._before:
            self._push(self._known.members[key])
            if self._known.counts[key]:
                self._push([key])
                self._push_later(key)
        while self._queue:
            self._settle(heapq.heappop(self._queue)[1])
        return not self.unknown

    def _settle(self, key: bytes) -> None:
        """Decide one caption; all earlier ones are decided."""
        known, changed = self._known, key in self._before
        head, similarity = known.ties[key]
        if head not in known.ties:
            self.unknown.add(head)
            return
        whole = changed or not self._stays(key, head)
        if whole and key not in known.near:
            self.wanted.add(key)
            return
        if whole:
            self.ties[key] = self._first(key, known.near[key], None)
            if changed:  # what is near it is in the queue already
                return
        else:
            # what did not change, and is near and earlier, was no head before either
            found = known.found_by.get(key, {})
            others = {each: s for each, s in found.items() if each in self._before or each in self.ties}
            self.ties[key] = self._first(key, others, None if head == key else (head, similarity))
        self._spread(key, was_head=head == key)

    def _spread(self, key: bytes, *, was_head: bool) -> None:
        is_head = self.ties[key][0] == key
        if was_head and not is_head:
            self._push(self._known.members[key])
        elif is_head and not was_head:
            if key not in self._known.near:
                self.wanted.add(key)
                return
            self._push_later(key)

    def _first(self, key: bytes, others: Mapping[bytes, float], best: Tie | None) -> Tie:
        """Return the first head before a caption, among others near it and one that stays; itself if there is none."""
        for other, similarity in others.items():
            earlier = self._order(other) < self._order(best[0] if best else key)
            if earlier and self._order(other) < self._order(key) and self._is_head(other):
                best = other, similarity
        return best or (key, 1.0)

    def _stays(self, key: bytes, head: bytes) -> bool:
        """Return whether the head of an unchanged caption still is the first of those that did not change either."""
        if head == key:
            return True
        if not self._is_head(head) or self._order(head) > self._order(key):
            return False
        return head not in self._before or self._order(head) <= (-self._before[head], head)

    def _is_head(self, key: bytes) -> bool:
        if not self._known.counts[key]:
            return False
        if key in self.ties:
            return self.ties[key][0] == key
        return self._before.get(key, 1) > 0 and self._known.ties[key][0] == key

    def _order(self, key: bytes) -> tuple[int, bytes]:
        return -self._known.counts[key], key

    def _push_later(self, key: bytes) -> None:
        self._push(other for other in self._known.near[key] if self._order(other) > self._order(key))

    def _push(self, keys: Iterable[bytes]) -> None:
        for key in keys:
            if key not in self._known.ties:
                self.unknown.add(key)
            elif self._known.counts[key] and key not in self._queued:
                self._queued.add(key)
                heapq.heappush(self._queue, self._order(key))
