"""Hash tables of digests of 32 bytes: which are equal, and which of a set has a value.

What belongs here: exact equality. What does not: digests that are only close (`joins/hamming/join.py`), reading them
from tables and files (`hashing/digest_arrays.py`, `storage/scratch.py`).

A slot holds 32 bits of a digest's hash, its tag, and the digest's number plus one. The place of a slot is by another
hash, so most different digests differ in tags already. Both hashes are multilinear over words of 32 bits with secret
random keys, so that any two different digests, even chosen ones, collide with a chance of 2⁻³² in each (Lemire, Kaser:
"Strongly universal string hashing is fast", 2014). The keys change the time it takes, never a result.
"""

import secrets
from functools import cached_property

import numba as nb
import numpy as np
import numpy.typing as npt

from transforms.hashing.digest_arrays import BYTES, DigestRows, PickedDigests, Rows

Numbers = npt.NDArray[np.uint32]
_CHUNK = 1 << 16  # digests read at once
_WORDS = BYTES // 4
_MOST = 2**32 - 2  # digests that a table numbers
_SLOTS = 1.5  # for each digest
_HELD = BYTES + 4 + int(8 * _SLOTS)  # bytes of a different digest while equal ones are found
_FILL = 0.9  # of a table is filled by a part of its size, for parts differ


def firsts(values: DigestRows, memory: int, into: Numbers | None = None) -> Numbers:
    """Return for each digest the index of the first one that equals it.

    As many different digests as memory takes are held at once, and the values read again for the others.

    Args:
        values: The digests.
        memory: Bytes that may be held besides the result.
        into: Where the result is put, uint32 of shape (n,); None for a new array.

    Raises:
        ValueError: If there are more digests than 32 bits number.
    """
    require_few(values)
    into = np.empty(len(values), np.uint32) if into is None else into
    room = max(_CHUNK, memory // _HELD)
    parts = 1 if len(values) <= room else int(np.ceil(len(values) / (_FILL * room)))
    part, keys = 0, _new_keys()
    while part < parts:
        if _first_part(values, (part, parts), keys, min(room, len(values)), into):
            part += 1
        else:
            room *= 2  # so uneven a part is as good as impossible
    return into


@nb.njit(cache=True, nogil=True)
def count_leaders(group: Numbers) -> int:
    """Return how many groups `firsts` found."""
    found = 0
    for i in range(len(group)):
        found += np.int64(group[i]) == i
    return found


@nb.njit(cache=True, nogil=True)
def leaders(group: Numbers, into: Numbers) -> Numbers:
    """Return the indices of the first of each group, ascending.

    Args:
        group: What `firsts` returned.
        into: Where they are put, uint32, as many as there are groups.
    """
    found = 0
    for i in range(len(group)):
        if np.int64(group[i]) == i:
            into[found] = i
            found += 1
    return into


class Lookup:
    """Finds digests in a set: uint8 of shape (n, 32), without repeats.

    Memory: 12 bytes a digest besides the digests, from the first look on. No choice of digests, such as perceptual
    hashes that begin alike, makes it slow.
    """

    def __init__(self, digests: Rows | PickedDigests) -> None:
        """Read nothing yet. Raises ValueError if there are more than 32 bits number."""
        require_few(digests)
        self._digests, self._keys = digests, _new_keys()
        self._index: npt.NDArray[np.integer] = np.empty(0, np.uint32)
        base = digests
        if isinstance(digests, PickedDigests):
            base, self._index = digests.values, digests.positions
        self._base = _words(np.ascontiguousarray(base)).view()
        self._base.flags.writeable = False  # whatever it was: one type for the compiled loop

    @cached_property
    def _slots(self) -> npt.NDArray[np.uint64]:
        slots = np.zeros(int(_SLOTS * len(self._digests)) + 1, np.uint64)
        for start in range(0, len(self._digests), _CHUNK):
            _insert(_words(_writable(self._digests[start : start + _CHUNK])), start, self._keys, slots)
        return slots

    def find(self, digests: Rows) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
        """Return, for digests of shape (m, 32), the index of each in the set, and whether the set has it."""
        position, found = np.zeros(len(digests), np.int64), np.zeros(len(digests), np.bool_)
        for start in range(0, len(digests), _CHUNK):
            part = slice(start, start + _CHUNK)
            asked = _words(_writable(digests[part]))
            _find(asked, self._keys, self._slots, self._base, self._index, position[part], found[part])
        return position, found


def require_few(values: DigestRows) -> None:
    """Raise ValueError if there are more digests than 32 bits number."""
    if len(values) > _MOST:
        raise ValueError(f"{len(values):,} digests are more than the {_MOST:,} that are told apart")


def _new_keys() -> npt.NDArray[np.uint64]:
    return np.frombuffer(secrets.token_bytes(2 * (_WORDS + 1) * 8), np.uint64).reshape(2, _WORDS + 1)


def _words(digests: Rows) -> Numbers:
    """Return digests as words. Raises ValueError for anything but uint8 of shape (n, 32), C-contiguous."""
    if digests.ndim != 2 or digests.shape[1] != BYTES or digests.dtype != np.uint8 or not digests.flags.c_contiguous:
        raise ValueError(
            f"digests must be uint8 of shape (n, 32), C-contiguous, not {digests.dtype} of {digests.shape}"
        )
    return digests.view(np.uint32)


def _writable(digests: Rows) -> Rows:
    """Return digests for a compiled loop, which is compiled once for arrays that may be written."""
    return np.require(digests, requirements=["C", "A", "W"])


def _first_part(
    values: DigestRows, which: tuple[int, int], keys: npt.NDArray[np.uint64], room: int, into: Numbers
) -> bool:
    """Find the first of equal digests of a part, given by number and count; return whether the different ones fit."""
    held, first = np.empty((room, _WORDS), np.uint32), np.empty(room, np.uint32)
    slots, found = np.zeros(int(_SLOTS * room) + 1, np.uint64), 0
    for start in range(0, len(values), _CHUNK):
        words = _words(_writable(values[start : start + _CHUNK]))
        found = _group(words, start, which, keys, (slots, held, first), found, into)
        if found < 0:
            return False
    return True


@nb.njit(inline="always")
def _hash(words, keys):  # noqa: ANN001, ANN202
    total = keys[0]
    for word in range(_WORDS):
        total += keys[word + 1] * np.uint64(words[word])
    return total >> np.uint64(32)


@nb.njit(inline="always")
def _equal(a, b):  # noqa: ANN001, ANN202
    for word in range(_WORDS):  # noqa: SIM110
        if a[word] != b[word]:
            return False
    return True


@nb.njit(nogil=True, cache=True)
def _group(words, start, which, keys, table, found, into):  # noqa: ANN001, ANN202
    """Put the digests of a part into the table. Return how many different ones it has, or -1 if it is full."""
    part, parts = np.uint64(which[0]), np.uint64(which[1])
    slots, held, first = table
    size, half, low, one = np.uint64(len(slots)), np.uint64(32), np.uint64(0xFFFFFFFF), np.uint64(1)
    for i in range(len(words)):
        place = _hash(words[i], keys[0]) * parts
        if place >> half != part:
            continue
        tag = _hash(words[i], keys[1])
        at = ((place & low) * size) >> half
        while True:
            slot = slots[at]
            if slot == np.uint64(0):
                if found == len(held):
                    return -1
                held[found] = words[i]
                first[found] = start + i
                into[start + i] = start + i
                found += 1
                slots[at] = (tag << half) | np.uint64(found)
                break
            other = np.int64(slot & low) - 1
            if slot >> half == tag and _equal(held[other], words[i]):
                into[start + i] = first[other]
                break
            at += one
            if at == size:
                at = np.uint64(0)
    return found


@nb.njit(nogil=True, cache=True)
def _insert(words, start, keys, slots):  # noqa: ANN001, ANN202
    size, half, one = np.uint64(len(slots)), np.uint64(32), np.uint64(1)
    for i in range(len(words)):
        at = (_hash(words[i], keys[0]) * size) >> half
        while slots[at] != np.uint64(0):
            at += one
            if at == size:
                at = np.uint64(0)
        slots[at] = (_hash(words[i], keys[1]) << half) | np.uint64(start + i + 1)


@nb.njit(nogil=True, cache=True)
def _find(words, keys, slots, base, index, position, found):  # noqa: ANN001, ANN202
    """Look digests up. index: where in `base` those of the set are; empty if it has them in this order."""
    size, half, low, one = np.uint64(len(slots)), np.uint64(32), np.uint64(0xFFFFFFFF), np.uint64(1)
    for i in range(len(words)):
        at = (_hash(words[i], keys[0]) * size) >> half
        tag = _hash(words[i], keys[1])
        while slots[at] != np.uint64(0):
            number = np.int64(slots[at] & low) - 1
            if slots[at] >> half == tag and _equal(base[index[number] if len(index) else number], words[i]):
                position[i], found[i] = number, True
                break
            at += one
            if at == size:
                at = np.uint64(0)
