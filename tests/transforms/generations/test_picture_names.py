"""Rows name pictures as their writers saw them; each finds the one it means, or is refused."""

import unicodedata

import pytest

from transforms.generations.names import AmbiguousName, PictureNames

NAMES = [
    "a.png",
    "deep/b.png",
    "deep/é.png",
    "other/b.png",
    "only/c.PNG",
    "gen_\\udce9.png",
    "50% off #1.png",
    "back\\slash.png",
    "x/part.tar/000.png",
    "lost_\\udcff.png",
]
KNOWN = PictureNames(NAMES, "/data/gen")


@pytest.mark.parametrize(
    ("written", "name"),
    {
        "a.png": "a.png",
        " ./a.png\n": "a.png",
        "deep/../a.png": "a.png",
        ".\\a.png": "a.png",
        "deep\\b.png": "deep/b.png",
        "deep//b.png": "deep/b.png",
        "/data/gen/deep/b.png": "deep/b.png",
        "file:///data/gen/deep/b.png": "deep/b.png",
        "back\\slash.png": "back\\slash.png",
        "A.PNG": "a.png",
        "only/c.png": "only/c.PNG",
        "gen_\\udce9.png": "gen_\\udce9.png",
        "gen_é.png": "gen_\\udce9.png",
        "lost_\ufffd.png": "lost_\\udcff.png",
        "50%25%20off%20%231.png": "50% off #1.png",
        "50% off #1.png": "50% off #1.png",
        unicodedata.normalize("NFD", "deep/é.png"): "deep/é.png",
        "b.png": None,
        "deep/a.png": None,
        "": None,
        "..": None,
        "/": None,
    }.items(),
)
def test_a_path_is_found_however_it_is_written(written: str, name: str | None) -> None:
    assert KNOWN.by_path(written, "") == name


def test_a_path_below_the_folder_of_its_table_comes_first() -> None:
    known = PictureNames(["a.png", "deep/a.png", "deep/deep/a.png"], "/data/gen")
    assert known.by_path("a.png", "deep") == "deep/a.png"
    assert known.by_path("../a.png", "deep") == "a.png"
    assert known.by_path("deep/a.png", "deep") == "deep/deep/a.png"
    assert known.by_path("deep/a.png", "other") == "deep/a.png"


@pytest.mark.parametrize(
    ("written", "name"),
    {
        "C:\\out\\deep\\b.png": "deep/b.png",
        "/home/me/outputs/deep/b.png": "deep/b.png",
        "outputs/other/b.png": "other/b.png",
        "elsewhere/c.png": "only/c.PNG",
        "000": "x/part.tar/000.png",
        "é.png": "deep/é.png",
        "d.png": None,
        "c.jpg": None,
    }.items(),
)
def test_the_end_of_a_path_is_enough_where_one_picture_has_it(written: str, name: str | None) -> None:
    assert KNOWN.by_end(written, "") == name


def test_a_name_that_fits_several_is_refused() -> None:
    with pytest.raises(AmbiguousName, match=r"deep/b.png, other/b.png"):
        KNOWN.by_end("elsewhere/b.png", "")
    assert KNOWN.by_end("elsewhere/b.png", "deep") == "deep/b.png"
    twice = PictureNames([unicodedata.normalize(form, "é.png") for form in ("NFC", "NFD")], "/")
    assert twice.by_path("é.png", "") == "é.png"  # as it is written
    with pytest.raises(AmbiguousName):
        twice.by_path("É.png", "")


def test_a_name_that_many_pictures_share_is_found_below_its_folder_without_reading_all_of_them() -> None:
    many = sorted(f"{number:05d}/image.png" for number in range(20_000))
    known = PictureNames(many, "/data/gen")
    assert [known.by_end("C:\\out\\image.png", folder) for folder in ("00007", "19999")] == [many[7], many[19_999]]
    assert known.by_end("C:\\out\\image.png", "20000") is None
    with pytest.raises(AmbiguousName, match=r"00000/image.png, 00001/image.png"):
        known.by_end("C:\\out\\image.png", "")

    class Counted(list[str]):
        read = 0

        def __getitem__(self, at):  # noqa: ANN001, ANN204 -- as of a list
            found = super().__getitem__(at)
            Counted.read += len(found) if isinstance(at, slice) else 1
            return found

        def __iter__(self):  # noqa: ANN204 -- likewise
            Counted.read += len(self)
            return super().__iter__()

    known._bases["image.png"] = Counted(many)
    assert known.by_end("C:\\out\\image.png", "00007") == many[7]
    assert Counted.read < 100


def test_a_path_that_no_disk_holds_is_no_name() -> None:
    assert KNOWN.by_path("a/" * 500_000, "") is None
    assert KNOWN.by_end("a/" * 500_000, "") is None
