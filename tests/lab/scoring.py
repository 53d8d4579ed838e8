"""Our verdicts against what is known: who was trained on, and which picture a sample really is nearest to.

What belongs here: precision, recall, calibration and false positives of a published warehouse. What does not: the
numbers that the warehouse publishes itself (`results.py`).

Of a real generation nobody knows whether it is a copy. Two things are known without the warehouse: which pictures were
trained on, so that a copy of a decoy is wrong; and its distance to every picture at the model's own size, without
hashes, embeddings or alignment. A picture is reproduced where that distance, over half the mean distance to the 50
pictures next to it, is below 1 (after Carlini et al. 2023, section 5.1). That is a proxy: `chance` says how often a
photograph that copies nothing passes for a reproduction, and a sample that reproduces is near a picture of its prompt.
"""

import csv
import io
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import batched, pairwise
from pathlib import Path

import duckdb
import numpy as np
import numpy.typing as npt
from PIL import Image

from tests.lab import dataset
from tests.lab.recipe import Places
from transforms.intervals import wilson

CONFIRMED = ("exact", "copy", "partial_copy")
ALTERED = (*CONFIRMED, "altered_copy")
RATIOS = (0.0, 0.5, 0.75, 1.0, 1.2, float("inf"))
"""Bounds of the bands of the small-image ratio."""
ALPHA, AROUND, LEVELS = 0.5, 50, (0.01, 0.05, 0.1, 0.25, 0.5, 0.75)
type Picture = str
type Share = dict[str, float | int | None]

_SOURCES = """
select generations.generation_id, generations.verdict, generations.p_value, generations.q_value, sources.dataset,
    sources.shard, sources.row_number, sources.verdict as said
from provenance.generations as generations
left join (
    select sources.generation_id, sources.rank, sources.verdict, samples.dataset, samples.shard, samples.row_number
    from provenance.sources as sources join catalog.samples as samples using (sample_id)
) as sources using (generation_id)
order by generations.generation_id, sources.rank"""


_READABLE = "select generation_id, path, prompt from catalog.generations where status <> 'failed'"


@dataclass(frozen=True)
class Judged:
    """A generation and its likely sources, best first: picture, verdict, and whether the picture was trained on."""

    generation_id: str
    verdict: str
    p_value: float | None
    q_value: float | None
    sources: tuple[tuple[Picture, str, bool], ...]

    @property
    def copied(self) -> list[tuple[Picture, bool]]:
        """The pictures it is confirmed to copy, and whether each was trained on."""
        return [(picture, trained) for picture, said, trained in self.sources if said in CONFIRMED]

    @property
    def altered(self) -> list[tuple[Picture, bool]]:
        """The same, with those of which it is confirmed to be an altered copy."""
        return [(picture, trained) for picture, said, trained in self.sources if said in ALTERED]


@dataclass(frozen=True)
class Nearest:
    """The picture nearest to a generation. ratio: of the distances, below 1 where it is reproduced. trained: on it.
    prompted: its caption is the generation's prompt.
    """

    picture: Picture
    ratio: float
    trained: bool
    prompted: bool

    @property
    def reproduced(self) -> bool:
        """Whether it is far nearer than the pictures around."""
        return self.ratio < 1


def judged(database: Path, places: Places) -> list[Judged]:
    """Read every verdict of a published warehouse, with the pictures that the truth names for its sources."""
    names = {(row["dataset"], row["shard"], int(row["row_number"])): row["picture"] for row in dataset.truth(places)}
    found: dict[str, tuple[tuple, list]] = {}
    with duckdb.connect(str(database), read_only=True) as con:
        for generation, verdict, p, q, kind, shard, row, said in con.execute(_SOURCES).fetchall():
            _, sources = found.setdefault(generation, ((verdict, p, q), []))
            if said is not None:
                sources.append((names[kind, shard, row], said, kind == dataset.TRAINING))
    return [Judged(generation, *about, tuple(sources)) for generation, (about, sources) in found.items()]


def nearest(database: Path, places: Places, side: int) -> dict[str, Nearest]:
    """Return the picture nearest to each generation, of those in the index, by plain distance at the model's size."""
    names, known = _originals(places, side)
    with duckdb.connect(str(database), read_only=True) as con:
        files = con.execute(_READABLE).fetchall()
    about = {line["picture"]: line for line in dataset.truth(places)}
    found = {}
    for batch in batched(files, 64):
        made = np.stack([dataset.brought(Path(path).read_bytes(), side).ravel() for _, path, _ in batch])
        places_of, ratios = _ratios(_distances(made.astype(np.float32) / 255, known))
        for (generation, _, prompt), place, ratio in zip(batch, places_of, ratios, strict=True):
            line = about[names[place]]
            trained, prompted = line["dataset"] == dataset.TRAINING, line["caption"] == prompt
            found[generation] = Nearest(names[place], float(ratio), trained, prompted)
    return found


def chance(places: Places, side: int) -> dict[str, Share]:
    """Return how many photographs pass for a reproduction of another one: decoys of pictures that were trained on, and
    these of each other.
    """
    names, known = _originals(places, side)
    held = {line["picture"] for line in dataset.truth(places) if line["dataset"] == dataset.DECOYS}
    decoy = np.array([name in held for name in names])
    trained = _distances(known[~decoy], known[~decoy])
    others = trained[~np.eye(len(trained), dtype=bool)].reshape(len(trained), -1)
    passing = {"decoys": _ratios(_distances(known[decoy], known[~decoy]))[1] < 1, "trained": _ratios(others)[1] < 1}
    return {kind: share(int(by.sum()), len(by)) for kind, by in passing.items()}


def _ratios(apart: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.float32]]:
    """Return which picture is nearest, and its distance over half the mean of those next. apart: a row an image."""
    ordered = np.sort(apart, axis=1)
    return apart.argmin(axis=1), ordered[:, 0] / (ALPHA * ordered[:, 1 : AROUND + 1].mean(axis=1))


def _originals(places: Places, side: int) -> tuple[list[Picture], npt.NDArray[np.float32]]:
    """Return the pictures of the index, one a name: float32 (n, side * side * 3), values in [0,1]."""
    found = [(name, dataset.brought(data, side).ravel()) for name, data in _first_encoded(places)]
    return [name for name, _ in found], np.stack([picture for _, picture in found]).astype(np.float32) / 255


def pictures(places: Places, names: Collection[Picture]) -> dict[Picture, Image.Image]:
    """Return some pictures of the index."""
    return {name: Image.open(io.BytesIO(data)).convert("RGB") for name, data in _first_encoded(places) if name in names}


def next_nearest(places: Places, shown: Sequence[tuple[Image.Image, Picture]], side: int) -> list[Picture]:
    """Return for each image the picture nearest to it of those that are not the one named beside it."""
    names, known = _originals(places, side)
    made = np.stack([np.asarray(image.resize((side, side))).ravel() for image, _ in shown])
    apart = _distances(made.astype(np.float32) / 255, known)
    ranked = [[names[place] for place in row.argsort()[:2]] for row in apart]
    return [next(name for name in pair if name != source) for pair, (_, source) in zip(ranked, shown, strict=True)]


def _first_encoded(places: Places) -> Iterator[tuple[Picture, bytes]]:
    wanted = {
        (line["dataset"], line["shard"], int(line["row_number"])): line["picture"]
        for line in dataset.truth(places)
        if line["edit"] == "original"
    }
    for name in (dataset.TRAINING, dataset.DECOYS):
        for (shard, row), data, _ in dataset.read(places.home / name):
            if picture := wanted.get((name, shard, row)):
                yield picture, data


def _distances(a: npt.NDArray[np.float32], b: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return root mean squares between rows."""
    squares = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1) - 2 * a @ b.T
    return np.sqrt(np.maximum(squares, 0) / a.shape[1])


def scored(verdicts: Sequence[Judged], near: Mapping[str, Nearest]) -> dict[str, object]:
    """Score the verdicts of a model's samples."""
    known = [(each, near[each.generation_id]) for each in verdicts if each.generation_id in near]
    copies = [(each, by) for each, by in known if each.copied]
    real = [(each, by) for each, by in known if by.reproduced]
    plain = [each.p_value for each, by in known if not by.reproduced and each.p_value is not None]
    called = [(each, by) for each, by in known if each.q_value is not None and each.q_value <= 0.05]
    return {
        "generations": len(verdicts),
        "verdicts": dict(sorted(Counter(each.verdict for each in verdicts).items())),
        "reproduced": share(len(real), len(known)),
        "names_a_decoy": share(sum(any(not trained for _, trained in each.copied) for each in verdicts), len(verdicts)),
        "precision": share(sum(by.reproduced and _names(each, by) for each, by in copies), len(copies)),
        "names_the_nearest": share(sum(_names(each, by) for each, by in copies), len(copies)),
        "recall": share(sum(_names(each, by) for each, by in real), len(real)),
        "recall_altered": share(sum(by.picture in dict(each.altered) for each, by in real), len(real)),
        "names_a_decoy_altered": share(
            sum(any(not trained for _, trained in each.altered) for each in verdicts), len(verdicts)
        ),
        "missed": sum(not each.copied for each, _ in real),
        "p_values": {
            "of": len(plain),
            **{f"up_to_{level:g}": share(sum(p <= level for p in plain), len(plain)) for level in LEVELS},
        },
        "by_ratio": [_band(low, high, known) for low, high in pairwise(RATIOS)],
        "false_at_q_0.05": share(sum(not by.reproduced for _, by in called), len(called)),
    }


def _band(low: float, high: float, known: Sequence[tuple[Judged, Nearest]]) -> dict[str, object]:
    """Count the samples of a band. A decoy is nearest by chance alone, a picture of the prompt hardly."""
    within = [(each, by) for each, by in known if low <= by.ratio < high]
    return {
        "from": low,
        "to": high if high < RATIOS[-1] else None,
        "decoy_is_nearest": share(sum(not by.trained for _, by in within), len(within)),
        "of_the_prompt": share(sum(by.prompted for _, by in within), len(within)),
        "confirmed": share(sum(_names(each, by) for each, by in within), len(within)),
    }


def _names(each: Judged, by: Nearest) -> bool:
    return any(picture == by.picture for picture, _ in each.copied)


def share(count: int, of: int) -> Share:
    """Return a share and Wilson's 95% interval of it; None where there is nothing to count."""
    low, high = wilson(count / of, of) if of else (None, None)
    return {"count": int(count), "of": of, "share": count / of if of else None, "low": low, "high": high}


def rehearsed(database: Path, places: Places) -> dict[str, dict[str, Share]]:
    """Score the verdicts of the rehearsal by kind.

    right: a confirmed source is a picture that it shows. wrong: a confirmed source is another one. named: it is
    among the likely sources, confirmed or not.
    """
    verdicts = {each.generation_id.split("/", 1)[1]: each for each in judged(database, places)}
    groups: dict[str, list[tuple[Judged, set[Picture]]]] = {}
    with (places.home / "rehearsal.csv").open(encoding="utf-8", newline="") as file:
        for line in csv.DictReader(file):
            groups.setdefault(line["kind"], []).append((verdicts[line["file_name"]], set(line["pictures"].split("|"))))
    return {kind: dict(_kind(pairs)) for kind, pairs in groups.items()}


def _kind(pairs: Sequence[tuple[Judged, set[Picture]]]) -> Iterator[tuple[str, Share]]:
    confirmed = [({picture for picture, _ in each.copied}, shown) for each, shown in pairs]
    yield "right", share(sum(bool(names & shown) for names, shown in confirmed), len(pairs))
    yield "wrong", share(sum(bool(names - shown) for names, shown in confirmed), len(pairs))
    named = [({picture for picture, _, _ in each.sources}, shown) for each, shown in pairs]
    yield "named", share(sum(bool(names & shown) for names, shown in named), len(pairs))
    yield "p_up_to_0.05", share(sum(each.p_value is not None and each.p_value <= 0.05 for each, _ in pairs), len(pairs))
