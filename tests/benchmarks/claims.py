"""Claims: how many of a portfolio's trained pictures are found, and how many others falsely, beside SSCD alone.

What belongs here: a training set with edited copies of half of a portfolio, and counting. What does not: searching
(`orchestration/matches/claims.py`), the edits (`labelled.py`).
"""

import io
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from PIL import Image, ImageOps

from orchestration.facts import Facts
from orchestration.facts.training_pictures import TrainingPictures
from orchestration.matches.claims import CONFIRMED, ClaimedPicture, ClaimFile, ClaimSearcher
from orchestration.matches.search import read_search
from orchestration.settings import Settings
from tests.benchmarks.data import RULES
from tests.benchmarks.figures import Figure, Measured, NotMeasured, say, seconds
from tests.benchmarks.labelled import EDITS, PHOTOS
from tests.benchmarks.scale_warehouse import fingerprint_rows
from transforms import encoders
from transforms.encoders import Encoder
from transforms.fingerprints.fingerprint import fingerprint
from transforms.fingerprints.views import VIEWS

_PORTFOLIO, _TRAINED, _PLANTED, _ENCODER = 200, 100, 100_000, "sscd_distilled"
_SHARES = (0.5, 0.33, 0.2)
_FIRST = 1 << 26  # id of the first row of shard 1


def _trained(photos: Sequence[Path], others: Sequence[Path]) -> list[bytes]:
    """Return edited copies of photographs, the edits in turn; a third of them lie within another photograph."""
    edits, found = list(EDITS.values()), []
    for number, photo in enumerate(photos):
        image = Image.open(photo).convert("RGB")
        if number % 3:
            found.append(edits[number % len(edits)](image))
        else:
            found.append(_inset(image, Image.open(others[number % len(others)]), _SHARES[number // 3 % len(_SHARES)]))
    return found


def _inset(image: Image.Image, other: Image.Image, share: float) -> bytes:
    """Lay a picture over that share of another one."""
    made, side = other.convert("RGB").resize((640, 480)), share**0.5
    made.paste(ImageOps.fit(image, (round(640 * side), round(480 * side))), (20, 30))
    file = io.BytesIO()
    made.save(file, "JPEG", quality=90)
    return file.getvalue()


def _plant(folder: Path, encoder: Encoder, pictures: Sequence[bytes]) -> Facts:
    """Write the facts of a training set: the pictures, and 100,000 rows of random hashes and vectors."""
    facts, rows, vectors = Facts(folder / "facts"), [], []
    with tarfile.open(folder / "00001.tar", "w") as archive:
        for number, data in enumerate(pictures):
            info = tarfile.TarInfo(f"{number:09d}.jpg")
            info.size = len(data)
            at = archive.offset + 512
            archive.addfile(info, io.BytesIO(data))
            print_, picture = fingerprint(data, RULES)
            assert picture is not None
            place = {"member": info.name, "member_offset": at, "member_size": len(data)}
            rows.append({"sample_id": _FIRST + number, "shard_id": 1, "key": f"{number:09d}"} | place | print_.row())
            vectors.append(encoder.embed([encoder.prepare(picture)])[0])
    table = facts["image_fingerprints"]
    planted = fingerprint_rows(table.schema, 2, np.arange(_PLANTED), np.arange(_PLANTED))
    known = pa.Table.from_pylist(rows, table.schema)
    table.append([*known.to_batches(), planted])
    noise = np.random.default_rng(1).standard_normal((_PLANTED, encoder.id.dimension), dtype=np.float32)
    noise /= np.linalg.norm(noise, axis=1, keepdims=True)
    stored = np.concatenate([np.stack(vectors), noise])
    ids = pa.concat_arrays([known["sample_id"].combine_chunks(), planted.column("sample_id")])
    embeddings = facts.embeddings("copy_embeddings", str(encoder.id), encoder.id.dimension)
    values = pa.FixedSizeListArray.from_arrays(pa.array(stored.ravel()), encoder.id.dimension)
    shards = pa.array([1] * len(rows) + [2] * _PLANTED, pa.int64())
    columns = pa.table({"sample_id": ids, "shard_id": shards, "vector": values}).cast(embeddings.schema)
    embeddings.append(columns.to_batches())
    schema = facts["landing_shards"].schema
    shard = {"shard_id": 1, "dataset": "d", "shard": "00001", "images_path": str(folder / "00001.tar")}
    facts["landing_shards"].replace([pa.Table.from_pylist([dict.fromkeys(schema.names) | shard], schema)], "")
    return facts


def _found(folder: Path, portfolio: Sequence[Path], training: Sequence[bytes]) -> tuple[list[ClaimedPicture], float]:
    """Return the claimed pictures with what they match, and SSCD's best cosine with any training row for each."""
    encoder = encoders.load(_ENCODER)
    facts = _plant(folder, encoder, training)
    settings = Settings(home=folder)
    search = read_search(facts, encoder.id, VIEWS, settings, len(portfolio))
    searcher = ClaimSearcher(search, encoder, RULES, TrainingPictures(facts, RULES.bounds), settings)
    found: list[ClaimedPicture] = []
    taken = seconds(lambda: found.extend(searcher.find([ClaimFile(photo.name, photo) for photo in portfolio])))
    return found, taken


def _recall() -> Measured:
    photos = sorted((PHOTOS / "bsds500").glob("*.jpg"))
    if len(photos) < _PORTFOLIO + 50:
        raise NotMeasured(f"no {_PORTFOLIO + 50} photographs in {PHOTOS / 'bsds500'}; set RAISONNE_BENCH_PHOTOS")
    order = np.random.default_rng(24).permutation(len(photos))
    portfolio, others = [photos[n] for n in order[:_PORTFOLIO]], [photos[n] for n in order[_PORTFOLIO:]]
    # what the insets lie in is nobody's claim, and trained on in no other way
    beside, around = others[: len(others) // 2], others[len(others) // 2 :]
    training = [*_trained(portfolio[:_TRAINED], around), *(photo.read_bytes() for photo in beside)]
    with tempfile.TemporaryDirectory() as folder:
        found, taken = _found(Path(folder), portfolio, training)
    right, false = 0, 0
    for number, each in enumerate(found):
        rows = {int(row) for match in each.matches if match.verdict in CONFIRMED for row in match.rows}
        own = {_FIRST + number} if number < _TRAINED else set()
        right += bool(rows & own)
        false += bool(rows - own)
    alone = _alone(portfolio, training)
    parts = {"false_claims": false, "sscd_alone": alone, "pictures_per_s": len(found) / taken}
    say(f"  {right} of {_TRAINED} found, {false} false; SSCD alone at no false one {alone:.3f}")
    return Measured(right / _TRAINED, parts)


def _alone(portfolio: Sequence[Path], training: Sequence[bytes]) -> float:
    """Return the recall of SSCD's cosine of whole pictures, at the threshold that no picture passes falsely."""
    encoder = encoders.load(_ENCODER)

    def vector(data: bytes) -> np.ndarray:
        _, picture = fingerprint(data, RULES)
        assert picture is not None
        return encoder.embed([encoder.prepare(picture)])[0]

    known = np.stack([vector(data) for data in training])
    cosine = np.stack([vector(photo.read_bytes()) for photo in portfolio]) @ known.T
    own = np.zeros_like(cosine, dtype=bool)
    own[np.arange(_TRAINED), np.arange(_TRAINED)] = True
    threshold = cosine[~own].max()
    return float((cosine[own] > threshold).mean())


FIGURES = (
    Figure(
        "claims_recall",
        "share",
        ">= 0.99",
        f"SSCD's cosine of whole pictures at no false claim; {_PORTFOLIO} photographs (RAISONNE_BENCH_PHOTOS), "
        f"{_TRAINED} of them trained on, edited or within another photograph, among {_PLANTED:,} planted rows and 50 "
        "photographs; a claim is false if a row is confirmed that shows another picture",
        _recall,
    ),
)
