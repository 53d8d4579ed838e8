"""What each method makes of the labelled set: each test alone, imagededup, and the pipeline.

What belongs here: running the methods, one answer a method. What does not: the set (`labelled.py`), measuring the
answers (`duplicates/clusters.py`).
"""

import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from itertools import batched
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from orchestration.settings import Settings
from tests.benchmarks.data import RULES
from tests.benchmarks.figures import NotMeasured, say
from tests.benchmarks.labelled import PHOTOS, Item, items
from transforms import encoders
from transforms.alignment.comparer import Comparer, PixelComparison
from transforms.duplicates import members as membership
from transforms.duplicates import pairs as duplicates
from transforms.duplicates.components import Components, list_members
from transforms.duplicates.pairs import DuplicateThresholds, NearPairs
from transforms.encoders import Vectors
from transforms.fingerprints.embeddings import embed_distinct
from transforms.fingerprints.fingerprint import DIGESTS, OK, Fingerprint, fingerprint
from transforms.fingerprints.picture_set import COLUMNS, Pictures, Positions
from transforms.hashing.hashes import from_hex
from transforms.joins.cosine import join
from transforms.joins.hamming import join as hamming_join
from transforms.pictures import decode

_PHASH = (10, 4)  # bits of 64: imagededup's default, and a stricter one
_STRICT = 0.75  # cosine: 90% precision on DISC by SSCD's own account
_WORKERS = 2

Relation = npt.NDArray[np.bool_]  # (n, n), above the diagonal


@dataclass(frozen=True)
class Outcome:
    """What each method says about the labelled set.

    same: which pairs are the same picture. found: by method, which pairs it says are. clusters: by method, int64 (n,),
    the cluster of each picture, one of a kind where it is alone.
    """

    items: list[Item]
    same: Relation
    found: Mapping[str, Relation]
    clusters: Mapping[str, Positions]


@cache
def outcome() -> Outcome:
    """Run every method over the labelled set; minutes."""
    known, prints, vectors = _looked()
    settings = Settings().thresholds
    cut = DuplicateThresholds(settings.pdq, settings.similar, settings.duplicate_overlap, settings.pixels)
    names = np.unique([item.picture for item in known], return_inverse=True)[1]
    found = dict(_single(prints, vectors, cut)) | dict(_phash(known))
    clusters = {name: _closure(relation) for name, relation in found.items()}
    clusters |= _pipeline(known, prints, vectors, cut)
    found |= {name: _together(labels) for name, labels in clusters.items() if name not in found}
    return Outcome(known, _together(names), found, clusters)


def _looked() -> tuple[list[Item], list[Fingerprint], Vectors]:
    """Return the pictures that can be read, their fingerprints and their copy embeddings."""
    try:
        encoder = encoders.load("sscd")
    except encoders.EncoderUnavailable as error:
        raise NotMeasured(str(error)) from None
    known: list[Item] = []
    prints: list[Fingerprint] = []
    vectors = []

    def look(item: Item) -> tuple[Item, Fingerprint, Any]:
        print_, picture = fingerprint(item.data, RULES)
        return item, print_, None if picture is None else encoder.prepare(picture)

    began = time.perf_counter()
    with ThreadPoolExecutor(_WORKERS) as pool:
        for batch in batched(items(), 64):
            ready = [each for each in pool.map(look, batch) if each[2] is not None]
            if ready:
                keys = [str(print_.pixel_sha256) for _, print_, _ in ready]
                vectors.append(embed_distinct(encoder, keys, [prepared for _, _, prepared in ready]))
                known.extend(item for item, _, _ in ready)
                prints.extend(print_ for _, print_, _ in ready)
    taken = time.perf_counter() - began
    say(f"  {len(known):,} pictures hashed and embedded in {taken:.0f} s; photographs: {PHOTOS.exists()}")
    return known, prints, np.concatenate(vectors)


def _single(prints: list[Fingerprint], vectors: Vectors, cut: DuplicateThresholds) -> Iterator[tuple[str, Relation]]:
    """Yield the pairs of each test on its own."""
    yield "sha256", _together(np.unique([p.sha256 for p in prints], return_inverse=True)[1])
    hashes, comparable = from_hex([str(p.pdq) for p in prints]), np.array([p.status == OK for p in prints])
    words = hashes.view(np.uint64)
    bits = np.stack([np.bitwise_count(words ^ row).sum(axis=1) for row in words])
    yield "pdq", np.triu((bits <= cut.pdq) & comparable & comparable[:, None], 1)
    cosine = vectors @ vectors.T
    for least in (cut.similar, _STRICT):
        yield f"embedding_{100 * least:.0f}", np.triu(cosine >= least, 1)


def _phash(known: list[Item]) -> Iterator[tuple[str, Relation]]:
    """Yield what imagededup's perceptual hash finds. Its CNN needs weights that PyTorch's hub has and PyPI has not."""
    try:
        from imagededup.methods import PHash  # late: it imports torch and Matplotlib
    except ImportError:
        say("  imagededup is not installed: its parts are left out")
        return
    method = PHash(verbose=False)
    encoded = {
        str(i): method.encode_image(image_array=decode(item.data, RULES.max_pixels)) for i, item in enumerate(known)
    }
    for most in _PHASH:
        near = method.find_duplicates(encoding_map=encoded, max_distance_threshold=most)
        relation = np.zeros((len(known), len(known)), np.bool_)
        for one, others in near.items():
            relation[int(one), [int(other) for other in others]] = True
        yield f"phash_{most}", np.triu(relation | relation.T, 1)


def _pipeline(
    known: list[Item], prints: list[Fingerprint], vectors: Vectors, cut: DuplicateThresholds
) -> dict[str, Positions]:
    """Return what the confirmed pairs connect, and the final clusters, as the assets of `duplicates` make them."""
    began = time.perf_counter()
    rows = [
        {"sample_id": i}
        | {name: getattr(p, name) for name in COLUMNS[1:]}
        | {name: bytes.fromhex(getattr(p, name)) for name in DIGESTS}
        for i, p in enumerate(prints)
    ]
    kinds = {"sample_id": pa.uint64(), "status": pa.string(), "width": pa.int32(), "height": pa.int32()}
    schema = pa.schema([(name, kinds.get(name, pa.binary(32))) for name in COLUMNS])
    pictures = Pictures(
        [pa.RecordBatch.from_pylist(rows, schema)], len(rows), Path(tempfile.gettempdir()), 10**9
    )  # an id is a position
    comparer: Comparer[int] = Comparer(lambda number: decode(known[number].data, RULES.max_pixels), cut.pixels)
    same = cache(lambda a, b: comparer.same(a, b, cut.overlap))

    def compare(asked: Sequence[tuple[int, int]]) -> list[PixelComparison]:
        shown = [pictures.pixels_group[list(pair)].tolist() for pair in asked]
        with ThreadPoolExecutor(_WORKERS) as pool:
            return list(pool.map(lambda pair: same(*pair), shown))

    values, digests = pictures.hashed()[0][:], pictures.pixel_digests[:]
    hashes = [
        NearPairs(values[p.left], values[p.right], p.distance.astype(np.float64))
        for p in hamming_join.self_join(values, cut.pdq)
    ]
    embeddings = [
        NearPairs(digests[p.left], digests[p.right], p.score.astype(np.float64))
        for p in join.self_join(vectors[pictures.distinct], cut.similar)
    ]
    pairs = pa.concat_tables(duplicates.pairs(pictures, hashes, embeddings, cut, compare, 2 * _WORKERS))
    confirmed = pairs.filter(pc.not_equal(pairs["method"], "similar"))
    labels = membership.connect(pictures, confirmed.to_batches()).labels().astype(np.int64)
    worth = membership.open_pairs(pictures, embeddings, cut, labels)
    members = pa.concat_tables(membership.members(pictures, list_members(labels), cut, worth, compare))
    final = np.arange(len(known))
    final[members["sample_id"].to_numpy().astype(np.int64)] = members["representative_id"].to_numpy()
    say(f"  clustered in {time.perf_counter() - began:.0f} s, {same.cache_info().misses:,} comparisons by pixels")
    return {"connected": labels, "final": final}


def _together(labels: Positions) -> Relation:
    return np.triu(labels[:, None] == labels, 1)


def _closure(relation: Relation) -> Positions:
    found = Components(len(relation))
    found.add(*np.nonzero(relation))
    return found.labels().astype(np.int64)
