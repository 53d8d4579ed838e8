"""Pictures meet their rows by all that both state, and a weak agreement never overrides a strong difference."""

import hashlib
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.catalog.columns import stated
from transforms.catalog.landing import ROW_BITS
from transforms.dumps.members import Member
from transforms.fingerprints.row_matching import Matches, MetadataFile, match_rows

_URLS = [f"https://e.org/{name}.jpg" for name in "abcd"]
_CAPTIONS = [f"caption {name}" for name in "abcd"]


def _member(key: str, url: str | None = None, caption: str | None = None, **more: str | int) -> Member:
    return Member(key, f"{key}.jpg", 0, 1, url=url, caption=caption, **more)


def _pictures(keys: Sequence[str], *, url: bool = True) -> list[Member]:
    return [_member(key, u if url else None, c) for key, u, c in zip(keys, _URLS, _CAPTIONS, strict=False)]


def _met(members: Sequence[Member], tmp_path: Path, *files: dict[str, object]) -> Matches:
    paths = []
    for number, columns in enumerate(files):
        path = tmp_path / f"{number}.parquet"
        pq.write_table(pa.table(columns), path)
        paths.append(MetadataFile(number, str(path)))
    return match_rows(members, paths)


def _rows(members: Sequence[Member], tmp_path: Path, *files: dict[str, object]) -> list[int | None]:
    return list(_met(members, tmp_path, *files).ids)


_FOREIGN = [["x", "y", "z", "w"], [3, 2, 1, 0], [None] * 4, ["3", "2", "1", "0"], [3.0, 2.0, 1.0, 0.0]]


@pytest.mark.parametrize("keys", _FOREIGN, ids=str)
def test_keys_of_something_else_leave_url_and_caption_to_decide(tmp_path: Path, keys: list) -> None:
    columns = {"key": keys, "url": _URLS, "caption": _CAPTIONS}
    assert _rows(_pictures("0123"), tmp_path, columns) == [0, 1, 2, 3]
    assert _rows(_pictures("0123"), tmp_path, {"key": keys, "url": _URLS}) == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (["./0001", "./0002"], ["0001", "0002"]),
        (["folder/0001", "folder/0002"], ["0001", "0002"]),
        (["0001", "0002"], ["folder/0001", "other/0002"]),
        (["0001", "0002"], [r"folder\0001.jpg", r"folder\0002.JPG"]),
        (["000000001", "000000002"], [1, 2]),
        (["000000001", "000000002"], [1.0, 2.0]),
        (["000000001", "000000002"], ["1.0", "2.0"]),
        (["part/000", "part/001"], ["0", "1"]),
        (["a/0001", "b/0001"], ["./a/1.jpg", "./b/1.jpg"]),
    ],
)
def test_keys_that_lost_zeros_or_carry_folders_and_endings_still_count(
    tmp_path: Path, ours: list, theirs: list
) -> None:
    pictures = [_member(key) for key in ours]
    assert _rows(pictures, tmp_path, {"key": theirs, "url": _URLS[:2], "caption": ["t", "t"]}) == [0, 1]


def test_a_key_without_its_folder_does_not_choose_between_two(tmp_path: Path) -> None:
    columns = {"key": ["0001"], "url": _URLS[:1], "caption": ["t"]}
    assert _rows([_member("a/0001"), _member("b/0001")], tmp_path, columns) == [None, None]
    columns = {"key": ["a/0001", "b/0001"], "url": _URLS[:2], "caption": ["t", "t"]}
    assert _rows([_member("0001")], tmp_path, columns) == [None]


@pytest.mark.parametrize(
    ("picture", "row", "differs"),
    [
        ({"key": "0", "url": _URLS[0]}, {"key": "0", "url": _URLS[1]}, "key of row 0 of 0.parquet, but another url"),
        (
            {"key": "0", "uid": "7"},
            {"key": "0", "url": _URLS[1], "uid": "8"},
            "key of row 0 of 0.parquet, but another uid",
        ),
        (
            {"key": "0", "sha256": "a" * 64},
            {"key": "0", "url": _URLS[1], "sha256": "b" * 64},
            "key of row 0 of 0.parquet, but another sha256",
        ),
        (
            {"key": "0", "uid": "7", "md5": "a" * 32},
            {"key": "1", "url": _URLS[1], "uid": 7, "md5": "b" * 32},
            "uid of row 0 of 0.parquet, but another md5 and key",
        ),
    ],
)
def test_what_contradicts_a_weaker_agreement_is_not_that_row(
    tmp_path: Path, picture: dict, row: dict, differs: str
) -> None:
    found = _met([_member(**picture)], tmp_path, {name: [value] for name, value in row.items()} | {"caption": ["t"]})
    assert found == Matches([None], 1, [f"0.jpg: {differs}"])


def test_a_picture_that_meets_its_row_names_what_differs(tmp_path: Path) -> None:
    columns = {"key": ["9", "1"], "url": _URLS[:2], "caption": [_CAPTIONS[0], "anew"]}
    found = _met(_pictures("01"), tmp_path, columns)
    assert found.ids == [0, 1]
    assert found.contradictions == 2
    assert found.examples == [
        "0.jpg: url and caption of row 0 of 0.parquet, but another key",
        "1.jpg: url and key of row 1 of 0.parquet, but another caption",
    ]
    assert _met(_pictures("0123"), tmp_path, {"key": list("0123"), "url": _URLS, "caption": _CAPTIONS}).examples == []


def test_pictures_without_a_url_meet_rows_by_hash_name_key_and_caption(tmp_path: Path) -> None:
    rows = {
        "url": _URLS,
        "caption": _CAPTIONS,
        "key": ["k0", "k1", "k2", "k3"],
        "uid": pa.array([2**64 - 1, 1, 2, 3], pa.uint64()),
        "sha256": ["a" * 64, "B" * 64, "c" * 64, "d" * 64],
    }
    pictures = [
        _member("x", sha256="b" * 64),
        _member("k1", uid=str(2**64 - 1)),
        _member("y", caption=f"{_CAPTIONS[2]}\n"),
        _member("k3", caption="written anew"),
    ]
    assert _rows(pictures, tmp_path, rows) == [1, 0, 2, 3]


def test_a_digest_in_bytes_is_its_digits(tmp_path: Path) -> None:
    rows = {"url": _URLS[:1], "caption": ["t"], "sha256": pa.array([b"\xab" * 32], pa.binary(32))}
    assert _rows([_member("x", sha256="ab" * 32)], tmp_path, rows) == [0]


@pytest.mark.parametrize("name", ["sha256", "md5"])
def test_a_picture_that_states_nothing_meets_the_row_of_its_bytes(tmp_path: Path, name: str) -> None:
    data = {"x.jpg": b"first", "y.jpg": b"second", "0.jpg": b"another"}
    digests = [hashlib.new(name, data[each]).hexdigest() for each in ("y.jpg", "x.jpg", "x.jpg")]
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"url": _URLS[:3], "caption": _CAPTIONS[:3], name: digests, "key": ["a", "b", "0"]}), path)
    pictures = [_member("x"), _member("y"), _member("0"), _member("z", _URLS[3], sha256=digests[0])]
    data["z.jpg"] = b"second"
    found = match_rows(pictures, [MetadataFile(0, str(path))], lambda member: data[member.name])
    assert list(found.ids) == [1, 0, 2, None], "a key counts before: the picture may have been written anew"


def test_a_url_decides_against_a_caption_written_anew_where_it_leaves_no_choice(tmp_path: Path) -> None:
    assert _rows(_pictures("01"), tmp_path, {"url": _URLS[:2], "caption": ["anew", "anew too"]}) == [0, 1]
    two_rows = {"url": [_URLS[0], _URLS[0]], "caption": ["anew", "anew too"]}
    assert _met(_pictures("0"), tmp_path, two_rows) == Matches(
        [None], 1, ["0.jpg: url of row 0 of 0.parquet, but another caption"]
    )


def test_another_spelling_of_a_url_is_no_contradiction(tmp_path: Path) -> None:
    ours = ["http://E.org/a%20b.jpg?x=1&y=2", "https://e.org/caf%C3%A9#top", "https://e.org/other"]
    theirs = ["https://e.org/a b.jpg?x=1&amp;y=2", " https://e.org/café", "https://e.org/another"]
    pictures = [_member(str(n), url, "t") for n, url in enumerate(ours)]
    found = _met(pictures, tmp_path, {"key": ["0", "1", "2"], "url": theirs, "caption": ["t"] * 3})
    assert (found.ids, found.contradictions) == ([0, 1, None], 1)


def test_any_of_several_captions_counts(tmp_path: Path) -> None:
    rows = {"url": [_URLS[0]] * 2, "caption": ["p", "q"], "text": [_CAPTIONS[1], _CAPTIONS[0]]}
    assert _rows(_pictures("0"), tmp_path, rows) == [1]


def test_a_row_of_a_sure_picture_is_not_given_to_another(tmp_path: Path) -> None:
    columns = {"key": ["a", "b"], "url": [_URLS[0]] * 2, "caption": ["t", "t"]}
    pictures = [_member("z", _URLS[0], "t"), _member("b"), _member("a", _URLS[0], "t")]
    assert _rows(pictures, tmp_path, columns) == [None, 1, 0]


def test_missing_values_are_no_agreement(tmp_path: Path) -> None:
    rows = {"url": ["nan", "None"], "caption": ["p", "q"], "uid": ["null", "n/a"], "key": ["0", "1"]}
    pictures = [_member("x", "nan", "z", uid="null"), _member("1", "None", "q", uid="n/a")]
    assert _rows(pictures, tmp_path, rows) == [None, 1]


def test_many_equal_rows_and_pictures_meet_in_order_over_files(tmp_path: Path) -> None:
    files = [{"url": [_URLS[0]] * 3_000, "caption": ["t"] * 3_000}] * 2
    pictures = [_member(f"{n:09d}", _URLS[0], "t") for n in range(5_000)]
    expected = [*range(3_000), *(n | 1 << ROW_BITS for n in range(2_000))]
    assert _rows(pictures, tmp_path, *files) == expected


@pytest.mark.parametrize(
    "kind", [pa.large_string(), pa.string_view(), pa.binary(), pa.dictionary(pa.int8(), pa.string())]
)
def test_text_of_any_layout_is_text(tmp_path: Path, kind: pa.DataType) -> None:
    encoded = [url.encode() for url in _URLS[:2]] if kind == pa.binary() else _URLS[:2]
    urls = pa.array(_URLS[:2]).dictionary_encode() if pa.types.is_dictionary(kind) else pa.array(encoded, kind)
    assert _rows(_pictures("01"), tmp_path, {"url": urls, "caption": _CAPTIONS[:2]}) == [0, 1]


def test_of_several_pictures_of_one_row_the_first_is_the_rows() -> None:
    pictures = [Member("", "row 4", 4, 1), Member("", "row 4, 2nd", 4, 1), Member("", "row 0", 0, 1)]
    assert match_rows(pictures, [MetadataFile(0, "never read", own=True)]).ids == [4, None, 0]


_SOME = st.sampled_from([None, "a", "b", " a", "nan", ""])
_KEYS = st.sampled_from(["0", "1", "01", "./1", "x/1.jpg", "2"])


@given(
    st.lists(st.tuples(_KEYS, _SOME, _SOME, _SOME, _SOME), max_size=8),
    st.lists(st.tuples(st.none() | _KEYS, _SOME, _SOME, _SOME, _SOME), min_size=1, max_size=8),
)
def test_whatever_both_sides_state_a_row_is_given_once_and_never_against_its_url(
    pictures: list[tuple], rows: list[tuple]
) -> None:
    names = ("key", "url", "caption", "uid", "sha256")
    members = [Member(each[0], "picture", 0, 1, **dict(zip(names[1:], each[1:], strict=True))) for each in pictures]
    columns = {name: pa.array(values, pa.string()) for name, *values in zip(names, *rows, strict=True)}
    with tempfile.NamedTemporaryFile(suffix=".parquet") as file:
        pq.write_table(pa.table(columns), file.name)
        found = match_rows(members, [MetadataFile(0, file.name)])
    given_rows = [at for at in found.ids if at is not None]
    assert len(set(given_rows)) == len(given_rows)
    for picture, at in zip(pictures, found.ids, strict=True):
        if at is not None:
            urls = {stated(picture[1]), stated(rows[at][1])} - {None}
            assert len(urls) < 2, (picture, rows[at])
            same = [i for i in range(5) if stated(picture[i]) and stated(picture[i]) == stated(rows[at][i])]
            assert same or picture[0].endswith(("1", "1.jpg")), "a row that a picture has nothing in common with"


def test_every_row_of_a_placeholder_meets_a_picture_of_its_bytes(tmp_path: Path) -> None:
    members = [_member(str(n), sha256="0" * 64) for n in range(40)]
    assert sorted(_rows(members, tmp_path, {"sha256": ["0" * 64] * 40, "url": [None] * 40})) == list(range(40))


def test_of_rows_with_the_same_bytes_key_and_caption_choose(tmp_path: Path) -> None:
    same = "0" * 64
    members = [_member("a", caption="first", sha256=same), _member("b", caption="second", sha256=same)]
    columns = {"sha256": [same] * 2, "key": ["b", "a"], "caption": ["second", "first"]}
    met = _met(members, tmp_path, columns)
    assert (list(met.ids), met.contradictions) == ([1, 0], 0)


def test_where_a_strong_identifier_repeats_what_else_agrees_chooses(tmp_path: Path) -> None:
    members = [_member("0", _URLS[0], "b"), _member("1", _URLS[0], "a")]
    assert _rows(members, tmp_path, {"url": [_URLS[0]] * 2, "caption": ["a", "b"], "uid": ["7", "7"]}) == [1, 0]
    members = [_member("0", uid="-1", caption="b"), _member("1", uid="-1", caption="a")]
    assert _rows(members, tmp_path, {"uid": ["-1"] * 2, "caption": ["a", "b"]}) == [1, 0]
    columns = {"url": [_URLS[0]] * 30, "caption": [f"c{n}" for n in range(30)]}
    assert _rows([_member("0", _URLS[0], "c20")], tmp_path, columns) == [20]
