"""The words of normalised captions, as sets of hashes on disk.

What belongs here: splitting captions into words, the sets, and the similarity of two. What does not: choosing the
captions to compare (`duplicates/caption_buckets.py`), normalising captions (`sql/functions/normalised_caption.sql`).

Spaces separate words. In scripts written without spaces (Han, Kana, Thai, Lao, Burmese, Khmer), every two neighbouring
characters are a word. Words are represented by 64-bit hashes.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numba as nb
import numpy as np
import numpy.typing as npt
import pyarrow as pa


@dataclass(frozen=True)
class WordSets:
    """The words of n captions, on disk.

    Attributes:
        words: uint64 of shape (k,), hashes, sorted and without repeats within a caption.
        offsets: int64 of shape (n + 1,), where the words of each caption begin.
    """

    words: npt.NDArray[np.uint64]
    offsets: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.offsets) - 1


def word_sets(batches: Iterable[pa.Array], folder: Path) -> WordSets:
    """Write the words of captions, in order. Memory: some ten times the text of a batch.

    Args:
        batches: Normalised strings without NULLs, with single spaces between words.
        folder: Folder for the files of words, and of where those of each caption begin.
    """
    words, begins, count, total = Path(folder, "words.bin"), Path(folder, "begins.bin"), 0, 0
    with words.open("wb") as file, begins.open("wb") as places:
        np.zeros(1, np.int64).tofile(places)
        for texts in batches:
            sets = sets_of(texts)
            sets.words.tofile(file)
            (sets.offsets[1:] + total).tofile(places)
            count, total = count + len(sets), total + len(sets.words)
    return WordSets(map_file(words, np.dtype(np.uint64), (total,)), map_file(begins, np.dtype(np.int64), (count + 1,)))


def sets_of(texts: pa.Array) -> WordSets:
    """Return the words of normalised captions, in memory."""
    plain = texts.cast(pa.large_string())
    _, starts, data = plain.buffers()
    ends = np.frombuffer(starts, np.int64)[plain.offset : plain.offset + len(plain) + 1]
    words, counts = _hashed(np.frombuffer(data or b"\0", np.uint8), ends)
    return WordSets(words, np.concatenate([[0], np.cumsum(counts)]).astype(np.int64))


def map_file(path: Path, kind: np.dtype, shape: tuple[int, ...]) -> np.ndarray:
    """Map a file into memory as an array.

    Args:
        path: The file, created or extended as needed.
        kind: Type of the elements.
        shape: Shape of the array.
    """
    if 0 in shape:
        return np.zeros(shape, kind)
    with path.open("ab") as file:
        file.truncate(int(np.prod(shape)) * kind.itemsize)
    return np.asarray(np.memmap(path, kind, mode="r+", shape=shape))


@nb.njit(inline="always")
def mixed(x):  # noqa: ANN001, ANN201
    """Spread a hash over all bits (the last steps of SplitMix64).

    Args:
        x: uint64.
    """
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


@nb.njit(inline="always")
def _without_spaces(c):  # noqa: ANN001, ANN202
    """Return whether a character is of a script that is written without spaces."""
    return (
        0x0E00 <= c < 0x0F00  # Thai, Lao
        or 0x1000 <= c < 0x10A0  # Burmese
        or 0x1780 <= c < 0x1800  # Khmer
        or 0x3040 <= c < 0x3100  # Hiragana, Katakana
        or 0x3400 <= c < 0xA000  # Han
        or 0xF900 <= c < 0xFB00
        or 0x20000 <= c < 0x40000
    )


@nb.njit(cache=True, nogil=True)
def _hashed(data, ends):  # noqa: ANN001, ANN202
    """Return the words of each text, hashed, sorted and distinct, end to end, and how many each has.

    Decodes UTF-8 by hand: the lead byte says how many bytes a character has. `word` is the FNV-1a hash of the word
    being read. In scripts without spaces, `previous` is the last character and `run` how many there were: two
    neighbours make a word, and a single character makes one of its own.
    """
    out = np.empty((ends[-1] - ends[0]) // 2 + len(ends), np.uint64)  # a word has a space, a character has three bytes
    sizes = np.zeros(len(ends) - 1, np.int64)
    basis, prime = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3)  # FNV-1a
    total = 0
    for text in range(len(ends) - 1):
        n = total
        word, letters = basis, 0  # of the word that is being read
        previous, run = np.uint64(0), 0  # of the characters without spaces that are being read
        at, end = ends[text], ends[text + 1]
        while at <= end:
            lead = np.int64(data[at]) if at < end else 32
            length = 1 if lead < 0x80 else 2 if lead < 0xE0 else 3 if lead < 0xF0 else 4
            character = lead if length == 1 else lead & (0x7F >> length)
            for more in range(at + 1, min(at + length, end)):
                character = (character << 6) | (np.int64(data[more]) & 0x3F)
            alone = length > 2 and _without_spaces(character)
            if letters and (alone or character == 32):
                out[n] = mixed(word)
                n, word, letters = n + 1, basis, 0
            if run == 1 and not alone:
                out[n] = mixed(previous)
                n += 1
            if alone:
                if run:
                    out[n] = mixed(previous * prime + np.uint64(character))
                    n += 1
                previous, run = np.uint64(character), run + 1
            else:
                run = 0
                if character != 32:
                    for place in range(at, min(at + length, end)):
                        word = (word ^ np.uint64(data[place])) * prime
                    letters += 1
            at += length
        if n > total:
            out[total:n].sort()
            kept = total + 1
            for place in range(total + 1, n):
                if out[place] != out[place - 1]:
                    out[kept] = out[place]
                    kept += 1
            n = kept
        sizes[text] = n - total
        total = n
    return out[:total], sizes


@nb.njit(inline="always")
def jaccard(words, a, a_end, b, b_end, threshold):  # noqa: ANN001, ANN201
    """Return the Jaccard similarity of two sets, 0 where their sizes alone keep it below the threshold.

    Args:
        words: Sorted hashes of all sets, see `WordSets`.
        a: Where the first set begins.
        a_end: Where it ends.
        b: Where the second set begins.
        b_end: Where it ends.
        threshold: Least similarity of interest.
    """
    return jaccard_of(words, a, a_end, words, b, b_end, threshold)


@nb.njit(inline="always")
def jaccard_of(left, a, a_end, right, b, b_end, threshold):  # noqa: ANN001, ANN201
    """Return the Jaccard similarity of two sets of different arrays, as `jaccard` does.

    Args:
        left: Sorted hashes of sets.
        a: Where the first set begins.
        a_end: Where it ends.
        right: Sorted hashes of other sets.
        b: Where the second set begins.
        b_end: Where it ends.
        threshold: Least similarity of interest.
    """
    small, large = min(a_end - a, b_end - b), max(a_end - a, b_end - b)
    if small / large < threshold:
        return 0.0
    total, common = small + large, 0
    while a < a_end and b < b_end:
        x, y = left[a], right[b]
        common += x == y
        a += x <= y
        b += y <= x
    return common / (total - common)
