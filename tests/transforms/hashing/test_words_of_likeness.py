"""Hashes in words: turned and mirrored pictures are told by their hashes alone, and unrelated ones are not."""

import numpy as np
import pytest
from conftest import picture
from PIL import Image, ImageOps

from transforms.hashing.hashes import pdq
from transforms.hashing.likeness import TurnedHash, likeness


def hashed(image: Image.Image) -> str:
    return pdq(np.asarray(image)).hex


@pytest.mark.parametrize(
    ("turn", "said"),
    [
        (ImageOps.mirror, "mirrored"),
        (ImageOps.flip, "mirrored top to bottom"),
        (lambda image: image.rotate(180), "turned by 180°"),
        (lambda image: image.transpose(Image.Transpose.ROTATE_90), "turned by 90°"),
        (lambda image: image.transpose(Image.Transpose.ROTATE_270), "turned by 90°"),
        (lambda image: image.transpose(Image.Transpose.TRANSPOSE), "mirrored and turned by 90°"),
    ],
)
def test_a_turned_picture_is_told_by_its_hash(turn, said: str) -> None:  # noqa: ANN001
    shown = [picture(seed, 256, 256) for seed in range(8)]
    told = {TurnedHash(hashed(each)).likeness(hashed(turn(each))) for each in shown}
    assert told <= {f"{said}, nearly identical hash", f"{said}, similar hash"}
    assert {TurnedHash(hashed(each)).likeness(hashed(each)) for each in shown} == {"identical hash"}


def test_unrelated_pictures_are_neither_turned_nor_alike() -> None:
    hashes = [hashed(picture(seed, 256, 256)) for seed in range(24)]
    said = {TurnedHash(a).likeness(b) for i, a in enumerate(hashes) for b in hashes[:i]}
    assert said == {"different hash"}


def test_bits_in_words() -> None:
    words = ["identical hash", "nearly identical hash", "nearly identical hash", "similar hash", "similar hash"]
    assert [likeness(bits) for bits in (0, 1, 10, 11, 31, 32)] == [*words, "different hash"]
