"""The desk: who is shown which item, and taking their decisions.

What belongs here: the next item of a person, leases, decisions and undoing them, progress. What does not: the queues
(`review/queues.py`), keeping decisions (`facts/decision_log.py`), the web (`review/app.py`).

Two sessions are never given one item while the first still looks at it, unless a second opinion is asked for. A
decision is returned once the log has it on disk. One that is sent again, because its answer got lost, is the same.
"""

import logging
import threading
import time
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import chain

from orchestration.facts.decision_log import DecisionLog
from orchestration.review.queues import QUEUES, Item, Queue
from transforms.review.decisions import UNDO, Decision, checked, in_force

MODES = ("ranked", "sampled", "second")
_LOG = logging.getLogger("raisonne.review")
_TAKE_UP = 200  # decisions after which the log moves them into the fact table
type Key = tuple[str, str, str]


@dataclass(frozen=True)
class DeskSession:
    """A person at one page of a browser."""

    name: str
    page: str


@dataclass(frozen=True)
class Wish:
    """Which item somebody wants.

    Attributes:
        queue: The queue.
        mode: ranked (in its order), sampled (drawn at random), second (that somebody else decided).
        after: The position to go on from; -1 for the beginning.
        back: Whether to go back from there, to an item that may be decided already.
        found: The positions that a search found; None: all.
    """

    queue: str
    mode: str = "ranked"
    after: int = -1
    back: bool = False
    found: Sequence[int] | None = None


@dataclass
class _Leases:
    """Which session holds which item, and until when. A session holds one."""

    seconds: float
    clock: Callable[[], float]
    until: dict[Key, tuple[DeskSession, float]] = field(default_factory=dict)
    held: dict[DeskSession, Key] = field(default_factory=dict)

    def free_for(self, key: Key, session: DeskSession) -> bool:
        holder = self.until.get(key)
        return holder is None or holder[0] == session or holder[1] <= self.clock()

    def take(self, key: Key, session: DeskSession) -> None:
        self.release(session)
        self.until[key], self.held[session] = (session, self.clock() + self.seconds), key

    def release(self, session: DeskSession) -> None:
        key = self.held.pop(session, None)
        if key is not None and self.until.get(key, (None,))[0] == session:
            del self.until[key]


class Desk:
    """The queues of a version, and the people at them. Safe for threads."""

    def __init__(
        self,
        log: DecisionLog,
        queues: Mapping[str, Queue],
        lease_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Read what was decided before.

        Args:
            log: Keeps the decisions.
            queues: What is asked about.
            lease_s: Seconds for which an item is kept from others.
            clock: Seconds that only grow.
        """
        self._log, self.queues = log, queues
        self._lock = threading.Lock()
        self._leases = _Leases(lease_s, clock)
        self._of: dict[Key, list[Decision]] = {}
        self._by: dict[str, list[Decision]] = {}
        self._decided: set[Key] = set()
        self._answered_sample: set[Key] = set()
        self._unsaved = 0
        self._take_up()
        self._remember(log.all())

    def take(self, session: DeskSession, wish: Wish) -> Item | None:
        """Return the next item that a session may have, and keep it from others. None if there is none.

        Args:
            session: Who asks.
            wish: What is asked for.
        """
        with self._lock:
            queue = self.queues[wish.queue]
            for position in self._positions(queue, wish):
                key = queue.keys[position]
                if self._leases.free_for(key, session) and (wish.back or self._open(key, session.name, wish.mode)):
                    self._leases.take(key, session)
                    return queue[position]
            self._leases.release(session)
            return None

    @property
    def version(self) -> int:
        """The published version that is asked about."""
        return next(iter(self.queues.values())).version

    def renew(self, queues: Mapping[str, Queue]) -> None:
        """Go on with the queues of another version. Who holds which item, and what may be undone, stays."""
        with self._lock:
            self.queues = queues

    def held(self, session: DeskSession, queue: str) -> Item | None:
        """Return the item of a queue that a session holds: a page that is loaded again shows it again.

        Args:
            session: Who asks.
            queue: The queue.
        """
        with self._lock:
            key = self._leases.held.get(session)
            if key is None or key[0] != QUEUES[queue] or not self._leases.free_for(key, session):
                return None
            asked = self.queues[queue]
            position = asked.places.get(key)
            return None if position is None else asked[position]

    def decide(self, session: DeskSession, item: Item, given: Mapping[str, object]) -> Decision:
        """Keep a decision. It is on disk when this returns.

        Args:
            session: Who decides.
            item: About what.
            given: `answer`, and where they are there `decision_id`, `picture_b` of a picture to keep or cut away,
                `reason`, `seconds`, `mode` and `blind`.

        Raises:
            DecisionError: If it is no decision.
            OSError: If it cannot be kept.
        """
        mode = str(given.get("mode") or "ranked")
        drawn = item.sampled and mode != "ranked"
        said = {
            "decision_id": given.get("decision_id"),
            "decided_at": datetime.now(UTC),
            "decided_by": session.name,
            "kind": item.kind,
            "answer": given.get("answer"),
            "picture_a": item.picture_a,
            "picture_b": item.picture_b,
            "reason": given.get("reason"),
            "seconds": given.get("seconds"),
            "queue": mode if mode in MODES else "ranked",
            "blind": bool(given.get("blind")),
            "version_seen": item.version,
            "verdict_seen": item.verdict,
            "method_seen": item.method,
        }
        cut = item.kind == "cluster" and given.get("answer") == "different"
        if drawn and not cut:  # the pair was not drawn, its cluster was: that one's answer says so
            said |= {name: getattr(item, name) for name in ("stratum", "stratum_size", "probability")}
        if item.kind == "cluster" and given.get("answer") in ("keep", "different"):
            said["picture_b"] = given.get("picture_b")
            said["kind"] = "pair" if cut else "cluster"
        decision = checked(said)
        with self._lock:
            earlier = [each for each in self._of.get(_key(decision), ()) if each.decision_id == decision.decision_id]
            if earlier:  # sent again: its answer got lost
                return earlier[0]
            self._keep([decision])
            if _key(decision) == item.key:  # who cuts a picture out of a cluster is not done with the cluster
                self._leases.release(session)
        return decision

    def undo(self, session: DeskSession) -> tuple[Decision, Item | None] | None:
        """Take a person's last decision back that is not taken back yet. Returns it, and its item in a queue.

        Args:
            session: Who takes back.

        Raises:
            OSError: If it cannot be kept; then the decision stands.
        """
        with self._lock:
            mine = self._by.get(session.name, [])
            undone = {each.undoes for each in mine}
            last = next(
                (each for each in reversed(mine) if each.answer != UNDO and each.decision_id not in undone), None
            )
            if last is None:
                return None
            key = _key(last)
            taken = checked(
                last.as_dict()
                | {"decision_id": None, "decided_at": datetime.now(UTC), "answer": UNDO, "undoes": last.decision_id}
                | {"seconds": None, "reason": None, "version_seen": self.version}
            )
            self._keep([taken])
            for queue in self.queues.values():
                if (position := queue.places.get(key)) is not None:
                    self._leases.take(key, session)
                    return last, queue[position]
            return last, None

    def decisions(self, item: Item) -> list[Decision]:
        """Return the decisions about an item that hold, the earliest first."""
        with self._lock:
            return in_force(self._of.get(item.key, ()))

    def progress(self, name: str) -> dict[str, dict[str, int]]:
        """Return for each queue how many items it has, how many are open, and how many a person decided.

        Args:
            name: The person.
        """
        with self._lock:
            mine = {_key(each) for each in in_force(self._by.get(name, ()))}
            return {
                queue.name: {
                    "items": len(queue),
                    "open": len(queue) - sum(key in queue.places for key in self._decided),
                    "mine": sum(key in queue.places for key in mine),
                    "sampled": len(queue.sampled),
                    "sampled_open": sum(queue.keys[i] not in self._answered_sample for i in queue.sampled),
                }
                for queue in self.queues.values()
            }

    def close(self) -> None:
        """Move the decisions into the fact table."""
        with self._lock:
            self._take_up()

    def _take_up(self) -> None:
        try:
            self._log.take_up()
        except OSError as error:  # a full disk: they are in the file, and counted from there
            _LOG.warning("new decisions stay in %s until the next run: %s", self._log.file, error)

    def _positions(self, queue: Queue, wish: Wish) -> Iterable[int]:
        # another version may have been taken up since the search
        chosen: Sequence[int] = range(len(queue)) if wish.found is None else [i for i in wish.found if i < len(queue)]
        if wish.mode == "sampled":
            found = set(chosen)
            chosen = [i for i in queue.sampled if i in found]
            before = chosen.index(wish.after) if wish.after in chosen else 0
            behind = before + (wish.after in chosen)
        else:
            before, behind = bisect_left(chosen, wish.after), bisect_right(chosen, wish.after)
        if wish.back:
            return reversed(chosen[:before])
        # from where one is to the end, and then from the beginning: what was passed over comes again
        return chain(chosen[behind:], chosen[:behind])

    def _open(self, key: Key, name: str, mode: str) -> bool:
        if mode == "sampled":  # what was chosen to be decided otherwise is asked again, or the sample is not random
            return key not in self._answered_sample
        if mode != "second":
            return key not in self._decided
        return key in self._decided and all(each.decided_by != name for each in self._of[key])

    def _keep(self, decisions: Sequence[Decision]) -> None:
        self._log.add(decisions)  # on disk before anything is told
        self._remember(decisions)
        self._unsaved += len(decisions)
        if self._unsaved >= _TAKE_UP:
            self._unsaved = 0
            self._take_up()

    def _remember(self, decisions: Iterable[Decision]) -> None:
        changed = set()
        for each in decisions:
            keys = {_key(each)}
            if (
                each.kind == "cluster" and each.picture_b
            ):  # the picture to keep stands for the cluster in the next version
                keys.add((each.kind, each.picture_b, ""))
            for key in keys:
                self._of.setdefault(key, []).append(each)
            changed |= keys
            self._by.setdefault(each.decided_by, []).append(each)
        for key in changed:
            held = in_force(self._of[key])
            (self._decided.add if held else self._decided.discard)(key)
            drawn = held and in_force(each for each in self._of[key] if each.stratum or each.answer == UNDO)
            (self._answered_sample.add if drawn else self._answered_sample.discard)(key)


def _key(decision: Decision) -> Key:
    """Return the item that a decision is about."""
    if decision.kind in ("pair", "case"):
        return decision.kind, decision.picture_a, decision.picture_b or ""
    return decision.kind, decision.picture_a, ""
