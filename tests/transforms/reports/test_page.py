"""Scales, thumbnails, and how data and text are made harmless before a browser sees them."""

import io
import json

import numpy as np
import pytest
from PIL import Image

from transforms.readable import legible, percent
from transforms.reports.drawings.thumbnails import thumbnail
from transforms.reports.duplicate_report import LogAxis
from transforms.reports.page import data_file, link


@pytest.mark.parametrize(("size", "expected"), [((480, 960), (240, 120)), ((30, 20), (20, 30)), ((4000, 1), (1, 240))])
def test_thumbnails_shrink_to_the_long_side_and_never_grow(size: tuple[int, int], expected: tuple[int, int]) -> None:
    small = Image.open(io.BytesIO(thumbnail(np.zeros((*size, 3), np.uint8))))
    assert (small.format, small.size, small.getexif()) == ("JPEG", expected, {})


@pytest.mark.parametrize("shape", [(4, 4), (4, 4, 4), (0, 4, 3)])
def test_a_thumbnail_of_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="uint8 of shape"):
        thumbnail(np.zeros(shape, np.uint8))


@pytest.mark.parametrize("text", ["</script><!--", "\u2028 \u2029", "\ud800", "'\"\\", "&amp;", "{{ 7 * 7 }}"])
def test_a_data_file_is_ascii_ends_no_script_and_holds_the_very_value(text: str) -> None:
    written = data_file("kind/3", {"value": [text]})
    assert written.isascii()
    assert not set(written) & set("<>&")
    name, value = json.loads(f"[{written.strip().removeprefix('deliver(').removesuffix(');')}]")
    assert (name, value) == ("kind/3", {"value": [text]})


def test_a_number_that_is_none_is_refused_and_not_written() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        data_file("kind/3", float("nan"))


def test_misleading_characters_are_named_and_what_is_cut_is_counted() -> None:
    assert legible("photo \u202egpj.exe\u200f\x07") == "photo ⟨U+202E⟩gpj.exe⟨U+200F⟩⟨U+0007⟩"
    assert legible("a\u200b\ufeff\U000e0041\xad") == "a⟨U+200B⟩⟨U+FEFF⟩⟨U+E0041⟩⟨U+00AD⟩"
    assert legible("می\u200cخواهم 👩\u200d🚀") == "می\u200cخواهم 👩\u200d🚀", "joiners are spelling"
    assert legible("a" * 1_500, 100) == "a" * 100 + "… (1,400 more characters)"


@pytest.mark.parametrize(
    "url",
    [
        *(
            "javascript:alert(1)",
            "data:text/html,x",
            " https://a.example",
            "http://a b",
            "https://a.example/\u202ex",
            None,
        ),
        *("//a.example", "https://bank.example@evil.example/", "http:///evil.example", "https://a.example/\u200bx"),
        *(
            "https://bank.example\uff0fevil.example/",
            "https://bank.example\u2044evil.example/",
            "https://a.example/" + "a" * 2000,
        ),
    ],
)
def test_only_web_addresses_that_read_as_they_lead_become_links(url: str | None) -> None:
    assert link(url) is None
    for harmless in ("https://a.example/x?y=1", "HTTP://müller.example:80/@user?to=b@c", "https://[::1]#x"):
        assert link(harmless) == harmless


def test_a_share_never_rounds_something_to_nothing() -> None:
    assert [percent(part, 10_000) for part in (0, 1, 5_000, 9_999, 10_000)] == ["0%", "<0.1%", "50%", ">99.9%", "100%"]


def test_the_axis_is_logarithmic_and_leaves_room_for_one() -> None:
    axis = LogAxis(7_000)
    assert axis.at(0) == 0 < axis.at(1)
    assert axis.at(100) - axis.at(10) == pytest.approx(axis.at(10) - axis.at(1), abs=0.01)
    assert [label for label, _ in axis.ticks] == ["1", "10", "100", "1k"]
