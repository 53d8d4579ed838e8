"""Views are embedded small first, and in full where that leaves doubt."""

from collections.abc import Sequence
from pathlib import Path

import bundles
import numpy as np
import pytest
from bundles import Blurred
from conftest import encoded, picture
from PIL import Image

from transforms.encoders import Prepared, Vectors
from transforms.fingerprints.views import View
from transforms.guard import Guard, Looks
from transforms.pictures import Pixels, decode
from transforms.pictures.scaling import Scaling
from transforms.regions import Box


class Previewing(Blurred):
    """An encoder of 16 × 16 pixels that tells by 8 × 8 what is worth more."""

    preview = Scaling(8, 8, Image.Resampling.BOX)

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[int, int]] = []
        self.first: list[Prepared] = []

    def embed(self, prepared: Sequence[Prepared]) -> Vectors:
        """See Encoder."""
        self.first = self.first or list(prepared)
        self.asked.append((len(prepared), prepared[0].shape[0]))
        return super().embed([np.asarray(Image.fromarray(each).resize((16, 16))) for each in prepared])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    files = [encoded(picture(seed)) for seed in range(6)]
    return bundles.write(tmp_path / "bundle", files, Blurred())


def inset(seed: int) -> Pixels:
    """Return a picture that shows another one in a quarter of it."""
    ground, part = picture(300), picture(seed).resize((128, 96))
    ground.paste(part, (128, 96))
    return decode(encoded(ground, quality=95), 10**6)


def test_only_what_a_preview_leaves_in_doubt_is_embedded_in_full(folder: Path) -> None:
    model = Previewing()
    guard, every = Guard.load(folder, model), Guard.load(folder, model, looks=Looks(every_view=True))
    model.asked.clear()
    found, whole = guard.check(inset(3)), every.check(inset(3))
    assert model.asked[0] == (11, 8) and model.asked[1][1] == 16 and model.asked[1][0] < 12
    assert model.asked[2:] == [(12, 16)]
    for verdict in (found, whole):
        assert (verdict.decision, verdict.sources[0].cluster_id) == ("block", 1003)
        assert verdict.sources[0].region == (0.5, 0.5, 0.5, 0.5)
    assert found.sources[0].copy_score == whole.sources[0].copy_score
    assert found.p_value is None and whole.p_value is not None


def test_a_p_value_needs_every_view(folder: Path) -> None:
    model = Previewing()
    guard = Guard.load(folder, model).varied({"p_value": 0.5, "copy_score": 1.0})
    model.asked.clear()
    assert guard.check(inset(3)).p_value is not None
    assert model.asked == [(12, 16)]


def test_near_the_threshold_every_view_is_in_doubt(folder: Path) -> None:
    model = Previewing()
    guard = Guard.load(folder, model).varied({"copy_score": 0.36})
    model.asked.clear()
    guard.check(inset(3))
    assert model.asked[0] == (11, 8) and model.asked[1][0] > 6
    model.asked.clear()
    guard.varied({"copy_score": 0.3}).check(inset(3))
    assert model.asked == [(12, 16)], "a preview would save nothing"


def test_a_small_view_is_cut_of_the_whole_where_that_shows_as_much(folder: Path) -> None:
    """An encoder that stretches what it is given to 16 pixels has 8 of half a side; of one that crops, others."""
    found = {}
    for crop in (None, False, True):
        for side in (8, 12):
            model = Previewing()
            model.preview = Scaling(side, side, Image.Resampling.BOX)
            if crop is not None:
                model.scaling = Scaling(16, 16, Image.Resampling.BOX, crop)
            guard = Guard.load(folder, model)
            model.first = []
            guard.check(inset(3))
            found[crop, side] = np.stack(model.first).astype(int)
    for side in (8, 12):
        np.testing.assert_array_equal(found[True, side], found[None, side])
    np.testing.assert_array_equal(found[False, 12], found[None, 12], "8 pixels are too few for 12")
    assert np.abs(found[False, 8] - found[None, 8]).max() <= 1


class Telling(Previewing):
    """An encoder that tells parts of the whole by what it has of that."""

    scaling = Scaling(16, 16, Image.Resampling.BOX)

    def with_parts(self, prepared: Prepared, boxes: Sequence[Box]) -> tuple[Vectors, Vectors]:
        """See Encoder."""
        parts = [View("part", box).cut(prepared) for box in boxes]
        return self.embed([prepared]), self.embed(parts)


def test_parts_of_the_whole_stand_for_their_previews(folder: Path) -> None:
    """The whole is embedded once, its parts come with it, and of the rest only the nearest two are in full."""
    model = Telling()
    guard, every = Guard.load(folder, model), Guard.load(folder, model, looks=Looks(every_view=True))
    model.asked.clear()
    found = guard.check(inset(3))
    assert model.asked[:3] == [(1, 16), (9, 8), (2, 8)], "the whole, its tiles, then what is mirrored and negative"
    assert len(model.asked) == 4 and model.asked[3][1] == 16 and 2 <= model.asked[3][0] < 11
    whole = every.check(inset(3))
    assert (found.decision, found.sources) == (whole.decision, whole.sources)
    model.asked.clear()
    assert guard.varied({"copy_score": 1.0}).check(decode(encoded(picture(400)), 10**6)).decision == "allow"
    assert model.asked[3] == (2, 16)
