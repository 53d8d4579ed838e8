"""The training set of the laboratory, as the warehouse reads any other, and the truth about it.

What belongs here: files. What does not: what is in them (`squares.py`, `ladder.py`).

The arithmetic of `recipes/small.toml`. 100 pictures a second on 2 quiet cores without AVX-512 (measured; 135 to 150
with it) make 192,000 pictures, 3,000 steps of 64, in 32 minutes. The ladder has 806 pictures in 3,192 rows, so
an epoch is 50 steps and there are 60: a picture of one row is seen 60 times, one of 128 rows 7,700 times, and the
rungs between them double. After deduplication every picture is seen 238 times, as often as one of 4 rows before,
which at 2,300 steps did not come back yet, so that longer trainings would tell less. An interval (Wilson, 95%) of 6
of 6 pictures begins at 0.61, of 3 of 6 at 0.19; one of 30 of 600 ends at 0.07. So the rungs 64 and 128 (14 pictures)
are told from 1 and 2 (680) even if only half of the former and a tenth of the latter come back. Of a caption that a
dozen pictures share 24 samples are drawn, of one that names a single picture 12, more than the ten of the papers'
clique test: 110 × 12 + 58 × 24 = 2,712.

Files are as small as the model's pictures: beside sources of twice the size, 10 of 12 samples with noise of 7 of 255
were confirmed, beside sources of their own size all.
"""

import csv
import io
import json
import shutil
import tarfile
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import batched
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from data.build_sample import Captions, Row, write_shard
from tests.lab import ladder, squares
from tests.lab.recipe import Pictures, Places, RecipeError, Sampling

COLUMNS = ("dataset", "shard", "row_number", "picture", "edit", "copies", "caption", "unique")
TRAINING, DECOYS = "training", "decoys"
"""Names of the datasets."""
_STAMP = "dataset.json"
type Key = tuple[str, int]
"""Where a row lies: shard and row number."""


@dataclass(frozen=True)
class Cast:
    """The parts that pictures play. trained: on the ladder. decoys: in the index, never trained on. unseen: neither."""

    trained: list[ladder.Planned]
    decoys: list[squares.Square]
    unseen: list[squares.Square]


def cast(photographs: Mapping[str, bytes], recipe: Pictures) -> Cast:
    """Decide which picture plays which part. A third of the pictures that are held out stays unseen."""
    trained, held = squares.split(photographs, recipe)
    unseen = max(1, len(held) // 3)
    return Cast(ladder.plan(trained, recipe), held[:-unseen], held[-unseen:])


@dataclass(frozen=True)
class _Made:
    row: Row
    planned: ladder.Planned


def build(photographs: Callable[[], Mapping[str, bytes]], recipe: Pictures, places: Places) -> bool:
    """Write the training set, the decoys and the truth, unless they are there. Returns whether it wrote.

    photographs: returns bytes by name. Raises RecipeError where what is there was made by another recipe.
    """
    if (places.home / _STAMP).exists():
        require(recipe, places)
        return False
    parts = cast(photographs(), recipe)
    captions = Captions(np.random.default_rng([recipe.seed, 3]))
    alone = [ladder.Planned(s, 0, captions.take(ladder.named(s)), unique=False) for s in parts.decoys]
    truth = []
    for folder, dataset, pictures in (places.training, TRAINING, parts.trained), (places.decoys, DECOYS, alone):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        truth += _write(folder, dataset, list(_rows(pictures, recipe)), recipe)
    with places.truth.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([COLUMNS, *truth])
    write_whole(places.home / _STAMP, json.dumps(recipe.model_dump(mode="json"), indent=1) + "\n")
    return True


def require(recipe: Pictures, places: Places) -> None:
    """Raise RecipeError where the dataset is not there, or was made by another recipe."""
    if not (places.home / _STAMP).exists():
        raise RecipeError(f"{places.home} holds no dataset; run `dataset` first")
    if json.loads((places.home / _STAMP).read_text("utf-8")) != recipe.model_dump(mode="json"):
        raise RecipeError(f"{places.home} holds a dataset of another recipe; choose another --home, or delete it")


def _rows(pictures: Sequence[ladder.Planned], recipe: Pictures) -> Iterator[_Made]:
    """Yield the rows of all pictures, shuffled, each at a URL of its own. A decoy has one row."""
    rng = np.random.default_rng([recipe.seed, 2])
    rows = []
    for planned in pictures:
        for edit, data, suffix, size in ladder.copies(planned, rng):
            host, code = rng.integers(400), rng.integers(2**63)
            url = f"https://host{host}.example.org/{planned.square.kind}-{code:016x}.{suffix}"
            rows.append(_Made(Row(planned.square.name, edit, url, planned.caption, data, suffix, size), planned))
    yield from (rows[i] for i in rng.permutation(len(rows)))


def _write(folder: Path, dataset: str, made: Sequence[_Made], recipe: Pictures) -> Iterator[list[object]]:
    """Write the shards; yield a line of the truth for each row."""
    rng = np.random.default_rng([recipe.seed, 4])
    for shard, part in enumerate(batched(made, recipe.a_shard)):
        write_shard(folder, shard, [each.row for each in part], rng)
        for number, each in enumerate(part):
            about = each.row.picture, each.row.edit, each.planned.copies, each.row.caption, int(each.planned.unique)
            yield [dataset, f"{shard:05d}", number, *about]


def truth(places: Places) -> list[dict[str, str]]:
    """Read the truth, a dictionary a row."""
    with places.truth.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def read(folder: Path) -> Iterator[tuple[Key, bytes, str]]:
    """Yield the rows of a dataset: where each lies, its picture's bytes and its caption."""
    for shard in sorted(folder.glob("*.tar")):
        with tarfile.open(shard) as archive:
            found: dict[str, bytes] = {}
            for member in archive:
                stem, _, suffix = member.name.partition(".")
                file = archive.extractfile(member)
                if file is None:
                    continue
                if suffix == "txt":  # the last of a row
                    key = shard.stem, int(stem.removeprefix(shard.stem))
                    yield key, found.pop("picture"), file.read().decode()
                elif suffix != "json":
                    found["picture"] = file.read()


def captions(lines: Iterable[Mapping[str, str]]) -> list[tuple[str, bool]]:
    """Return the different captions of the training rows, in order, and whether each names a single picture."""
    return sorted({(line["caption"], line["unique"] == "1") for line in lines if line["dataset"] == TRAINING})


def kept_twice(places: Places, left_out: Collection[Key]) -> int:
    """Count the pictures of which more than one row is left."""
    lines = (line for line in truth(places) if line["dataset"] == TRAINING)
    left = Counter(line["picture"] for line in lines if (line["shard"], int(line["row_number"])) not in left_out)
    return sum(count > 1 for count in left.values())


def repeated(places: Places, how: Sampling, left_out: Collection[Key]) -> dict[str, float]:
    """Return for each picture how likely it is among the samples of a model that only repeats the rows of a caption."""
    rows: dict[str, Counter[str]] = {}
    for line in truth(places):
        key = line["shard"], int(line["row_number"])
        if line["dataset"] == TRAINING and key not in left_out:
            rows.setdefault(line["caption"], Counter())[line["picture"]] += 1
    drawn = {caption: how.unique if unique else how.shared for caption, unique in captions(truth(places))}
    return {
        picture: 1 - (1 - count / counts.total()) ** drawn[caption]
        for caption, counts in rows.items()
        for picture, count in counts.items()
    }


def write_whole(path: Path, text: str) -> None:
    """Write a file that is there as a whole or not at all."""
    partial = path.with_suffix(".partial")
    partial.write_text(text, "utf-8")
    partial.replace(path)


def brought(data: bytes, side: int) -> npt.NDArray[np.uint8]:
    """Decode a picture to uint8 of shape (side, side, 3)."""
    image = Image.open(io.BytesIO(data)).convert("RGB")
    return np.asarray(image if image.size == (side, side) else image.resize((side, side), Image.Resampling.LANCZOS))
