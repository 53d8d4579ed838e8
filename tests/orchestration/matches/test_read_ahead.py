"""Pictures that are read while others are embedded: in order, with the vectors and failures of one after the other."""

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from conftest import encoded, picture
from PIL import Image

from orchestration.facts.training_pictures import StoredPicture, TrainingPictures
from orchestration.guard import export_renditions
from orchestration.matches import calibration
from orchestration.matches.calibration import CalibrationPicture, ReadablePicture, embed_views
from orchestration.matches.claims import ClaimFile, ClaimSearcher
from orchestration.provenance.cliques import PromptGenerations, largest_clique
from transforms.alignment.policy import PixelLimits
from transforms.encoders import EncoderId, Prepared, Vectors
from transforms.fingerprints import feed
from transforms.fingerprints.ahead import WorkPace
from transforms.fingerprints.feed import Feed
from transforms.fingerprints.fingerprint import FAILED, Rules, fingerprint
from transforms.fingerprints.views import search_views
from transforms.guard.pixels import renditions
from transforms.hashing import hashes
from transforms.pictures import Pixels, decode
from transforms.pictures.confined.pool import DecoderPool
from transforms.pictures.scaling import Scaling

RULES = Rules(max_pixels=1_000_000, member_bytes=30_000_000, pdq_quality=50)
VIEWS = search_views()[:3]


class Mean:
    """An encoder that answers at once, and notes how many inputs each call had."""

    id = EncoderId("mean", "0" * 64, "", 3, "fp32")
    scaling = Scaling(24, 24, Image.Resampling.BICUBIC)

    def __init__(self, full_call: int = 1) -> None:
        self.calls: list[int] = []
        self.full_call = full_call

    def load(self) -> "Mean":
        return self

    def prepare(self, pixels: Pixels) -> Prepared:
        return self.scaling(pixels)

    def embed(self, prepared: Sequence[Prepared]) -> Vectors:
        self.calls.append(len(prepared))
        means = np.stack(prepared).mean(axis=(1, 2), dtype=np.float64).astype(np.float32) + 1
        return means / np.linalg.norm(means, axis=1, keepdims=True)

    def of_views(self, data: bytes) -> Vectors:
        """Return the vectors of a picture's views, made one after the other."""
        pixels = decode(data, RULES.bounds)
        return self.embed([self.prepare(view.cut(pixels)) for view in VIEWS])


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / f"{number}.jpg" for number in range(7)]
    for number, path in enumerate(paths):
        path.write_bytes(b"no picture" if number == 4 else encoded(picture(number, 90, 60)))
    return paths


def test_views_for_calibration_are_those_of_one_picture_after_the_other(files: list[Path], pool: DecoderPool) -> None:
    some = [ReadablePicture(CalibrationPicture(path.name, path=str(path)), 1_000_000) for path in files]
    encoder = Mean()
    made = embed_views(some, RULES.bounds, cast(Any, encoder), VIEWS, WorkPace(3, 2))
    assert list(made.failures) == [4] and not made.failures[4].away
    assert encoder.calls == [9, 6, 3], "three pictures a call, and the one that cannot be read takes no other's place"
    expected = [encoder.of_views(path.read_bytes()) for n, path in enumerate(files) if n != 4]
    assert made.vectors.tolist() == np.concatenate(expected).tolist()
    none = embed_views(some[4:5], RULES.bounds, cast(Any, encoder), VIEWS, WorkPace(3, 2))
    assert none.vectors.shape == (0, 3) and list(none.failures) == [0]


def test_held_out_pictures_are_told_in_the_order_of_their_paths(
    files: list[Path], pool: DecoderPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr(calibration, "say", said.append)
    files[6].write_bytes(files[0].read_bytes())
    trained = hashes.from_hex([hashes.pixel_sha256(decode(files[2].read_bytes(), RULES.bounds))])
    reader = SimpleNamespace(index=SimpleNamespace(digests=trained, heads=np.array([0])), rules=RULES)
    found = calibration._held_out(cast(Any, reader), map(str, files))
    assert sorted(Path(str(each.path)).name for each in found) == ["0.jpg", "1.jpg", "3.jpg", "5.jpg"]
    assert found == sorted(found, key=lambda each: each.digest)
    assert [Path(each.split(": ")[1]).name for each in said] == ["2.jpg", "4.jpg", "6.jpg"]


@pytest.mark.parametrize(("full_call", "many", "calls"), [(1, False, [3] * 6), (12, True, [12, 6])])
def test_claimed_pictures_are_those_of_one_after_the_other(
    files: list[Path], pool: DecoderPool, full_call: int, many: bool, calls: list[int]
) -> None:
    encoder = Mean(full_call)
    search: Any = SimpleNamespace(views=VIEWS)
    searcher = ClaimSearcher(search, encoder, RULES, cast(Any, None), cast(Any, None))
    claimed = [ClaimFile(path.name, path) for path in [*files, files[0].with_name("gone.jpg")]]
    fed = Feed(RULES, {"copy": encoder}, VIEWS, dihedral=True, expected=feed.WORTH if many else len(files))
    found = searcher._read(claimed, fed)
    assert encoder.calls == calls
    assert list(found) == [each.name for each in claimed]
    for path in files:
        print_, vectors = found[path.name]
        alone, _ = fingerprint(path.read_bytes(), RULES, dihedral=True)
        assert print_.row() == alone.row()
        if print_.status != FAILED:
            assert vectors is not None and vectors.tolist() == encoder.of_views(path.read_bytes()).tolist()
            assert print_.dihedral is not None and print_.dihedral.tolist() == cast(Any, alone.dihedral).tolist()
    assert found["4.jpg"][1] is None and found["4.jpg"][0].status == FAILED
    assert found["gone.jpg"] == (found["gone.jpg"][0], None)
    assert found["gone.jpg"][0].failure == "cannot be opened: No such file or directory"


def test_a_clique_is_of_the_generations_that_can_be_read(files: list[Path], pool: DecoderPool) -> None:
    files[6].write_bytes(files[0].read_bytes())
    asked = PromptGenerations("p", tuple((path.stem, str(path)) for path in files))
    found = largest_clique(asked, 0.01, RULES.bounds, 3)
    assert (found.compared, sorted(found.members)) == (6, ["0", "6"])
    assert found.failure is not None and found.failure.startswith("1 cannot be read, such as 4: ")


def test_small_copies_are_in_order_until_the_budget_is_spent(
    files: list[Path], pool: DecoderPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stored(number: int) -> StoredPicture:
        return StoredPicture(str(files[0].parent), files[number].name, 0, files[number].stat().st_size)

    monkeypatch.setattr(TrainingPictures, "locate", lambda _, ids: {each: stored(each) for each in ids})
    monkeypatch.setattr(export_renditions, "CORES", 3)
    rows = [(70 + number, number) for number in range(len(files))]
    settings = SimpleNamespace(home=files[0].parent, limits=SimpleNamespace(bounds=RULES.bounds))
    con = SimpleNamespace(execute=lambda *_: SimpleNamespace(fetchall=lambda: rows))
    published: Any = SimpleNamespace(settings=settings, con=con)
    limits = PixelLimits()
    alone = {
        70 + n: renditions.encoded(decode(files[n].read_bytes(), RULES.bounds), limits) for n in (0, 1, 2, 3, 5, 6)
    }
    chosen = export_renditions._Chosen(published, 1_000_000, limits)
    assert list(chosen.batches()) == list(alone.items())
    assert chosen.unread == 1 and chosen.example.startswith("row 4: ")
    budget = sum(len(alone[70 + n]) for n in (0, 1, 2)) + 1
    chosen = export_renditions._Chosen(published, budget, limits)
    assert [cluster for cluster, _ in chosen.batches()] == [70, 71, 72] and chosen.spent == budget - 1
