"""Opt-outs by likeness: rows that show a listed picture, or whose hash is within bits of a listed one."""

import io
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import encoded, picture
from PIL import Image, ImageOps

from orchestration.catalog import opt_outs
from orchestration.facts import Facts
from orchestration.facts.schemas.tables import SCHEMAS
from orchestration.facts.training_pictures import TrainingPictures
from orchestration.matches.listed_copies import ListedCopies
from orchestration.matches.listed_pictures import ListedPrinter, listed_files
from orchestration.settings import Settings
from orchestration.settings.inputs import Recall
from transforms.catalog.opt_outs import OptOutListError
from transforms.fingerprints.ahead import WorkPace
from transforms.fingerprints.fingerprint import DIGESTS, Rules, fingerprint
from transforms.fingerprints.views import search_views

_SHARD = 3
_FIRST = _SHARD << 26
_RULES = Rules(max_pixels=1_000_000, member_bytes=10_000_000, pdq_quality=50)
_FLAT = encoded(Image.new("RGB", (64, 64), "red"), "PNG")
type Recalled = Callable[..., tuple[dict[int, tuple], list[tuple]]]


def _as_png(data: bytes) -> bytes:
    with Image.open(io.BytesIO(data)) as image:
        return encoded(image, "PNG")


_SHOWN = [
    encoded(picture(0)),
    _as_png(encoded(picture(1))),
    encoded(ImageOps.mirror(picture(2)).resize((180, 135)), quality=80),
    encoded(picture(3)),
    _FLAT,
    encoded(picture(5)),
]


@pytest.fixture
def recalled(tmp_path: Path) -> Recalled:
    """Return what looks lists up among six rows: gives who is withdrawn, by what, and the evidence."""
    facts = Facts(tmp_path / "facts")
    metadata = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"url": [f"https://a.org/{at}" for at in range(6)]}), metadata)
    shard = dict.fromkeys(SCHEMAS["landing_shards"].names) | {"shard_id": _SHARD, "dataset": "d", "shard": "s"}
    landed = [shard | {"status": "ok", "rows": 6, "readable_path": str(metadata)}]
    facts["landing_shards"].upsert(pa.Table.from_pylist(landed, SCHEMAS["landing_shards"]))
    rows = []
    for at, data in enumerate(_SHOWN):
        print_ = fingerprint(data, _RULES)[0].row()
        digests = {name: bytes.fromhex(str(print_[name])) for name in DIGESTS}
        where = {"sample_id": _FIRST + at, "shard_id": _SHARD}
        rows.append(dict.fromkeys(SCHEMAS["image_fingerprints"].names) | where | print_ | digests)
    facts["image_fingerprints"].upsert(pa.Table.from_pylist(rows, SCHEMAS["image_fingerprints"]))

    def look_up(*recalls: Recall) -> tuple[dict[int, tuple], list[tuple]]:
        settings = Settings(home=tmp_path, recalls=recalls)
        lists = opt_outs.find_lists(settings.recalls)
        ListedPrinter(facts, _RULES, None, search_views((), "none"), WorkPace(4, 1)).update(listed_files(lists))
        load = TrainingPictures(facts, settings.limits.bounds)
        copies = ListedCopies(facts, None, search_views((), "none"), load, settings)
        copies.update(listed_files(lists, copies=True))
        opt_outs.update_recalled_rows(facts, settings, lists)
        assert opt_outs.is_current(facts, settings, lists)
        versions = facts.versions()
        again = copies.update(listed_files(lists, copies=True))
        assert not again or list(again.values())[1:] == [0, 0, 0], "what waits for a dump is not tried in vain"
        opt_outs.update_recalled_rows(facts, settings, lists)
        assert facts.versions() == versions, "nothing changed"
        found = facts["recalled_rows"].read().sort_by("sample_id").to_pylist()
        hits = facts["opt_out_hits"].read().sort_by("sample_id").to_pylist()
        return (
            {row["sample_id"] - _FIRST: (row["list"], row["kind"], row["value"]) for row in found},
            [(row["sample_id"] - _FIRST, row["value"], row["method"], row["distance"]) for row in hits],
        )

    return look_up


def test_rows_that_show_a_listed_picture_are_withdrawn_with_the_evidence(tmp_path: Path, recalled: Recalled) -> None:
    folder = tmp_path / "portfolio" / "deeper"
    folder.mkdir(parents=True)
    for name, data in {
        "same.jpg": _SHOWN[0],
        "deeper/pixels.JPG": encoded(picture(1)),
        "deeper/mirrored.png": encoded(picture(2), "PNG"),
        "other.webp": encoded(picture(9), "WEBP"),
        "flat.png": _FLAT,
        "notes.txt": b"no picture",
    }.items():
        (tmp_path / "portfolio" / name).write_bytes(data)
    of_folder = Recall(name="maker", pictures=str(tmp_path / "portfolio"))
    found, hits = recalled(of_folder)
    assert found == {
        0: ("maker", "picture", "same.jpg"),
        1: ("maker", "picture", "deeper/pixels.JPG"),
        2: ("maker", "picture", "deeper/mirrored.png"),
        4: ("maker", "picture", "flat.png"),
    }
    assert [hit[:3] for hit in hits] == [
        (0, "same.jpg", "sha256"),
        (1, "deeper/pixels.JPG", "pixels"),
        (2, "deeper/mirrored.png", "pdq"),
        (4, "flat.png", "sha256"),
    ]
    assert 0 < hits[2][3] <= 31 and hits[0][3] == hits[1][3] == hits[3][3] == 0
    exactly, _ = recalled(Recall(name="maker", pictures=str(tmp_path / "portfolio"), within=0))
    assert 2 not in exactly and 0 in exactly
    (tmp_path / "portfolio" / "same.jpg").unlink()
    assert 0 not in recalled(of_folder)[0], "the folder changed"
    assert recalled() == ({}, []), "the list is withdrawn"


def test_a_hash_names_what_is_within_bits_where_the_list_says_so(tmp_path: Path, recalled: Recalled) -> None:
    own = str(fingerprint(_SHOWN[5], _RULES)[0].pdq)
    near = f"{int(own, 16) ^ 0b10101:064x}".upper()
    (tmp_path / "list.csv").write_text(f"pdq\n{near}\n")
    path = str(tmp_path / "list.csv")
    assert recalled(Recall(name="list", path=path)) == ({}, [])
    assert recalled(Recall(name="list", path=path, within=2)) == ({}, [])
    found, hits = recalled(Recall(name="list", path=path, within=3))
    assert (found, hits) == ({5: ("list", "pdq", near)}, [(5, near, "pdq", 3)])
    (tmp_path / "list.csv").write_text(f"pdq,within\n{near},3\n")
    assert recalled(Recall(name="list", path=path)) == (found, hits), "the list says so itself"
    assert recalled(Recall(name="list", path=path, within=2)) == ({}, []), "the settings allow less"
    (tmp_path / "list.csv").write_text(f"pdq,within\n{near},64\n{int(own, 16) ^ (2**40 - 1):064x},64\n")
    assert recalled(Recall(name="list", path=path)) == (found, hits), "no more than thresholds.pdq of one's own accord"


def test_a_folder_without_a_usable_picture_stops_the_run(tmp_path: Path, recalled: Recalled) -> None:
    place = tmp_path / "portfolio"
    place.mkdir()
    with pytest.raises(OptOutListError, match=r"the opt-out list maker has no picture at .*portfolio"):
        opt_outs.require_lists([Recall(name="maker", pictures=str(place))])
    (place / "broken.jpg").write_bytes(b"not a picture")
    with pytest.raises(OptOutListError, match=r"broken\.jpg is no usable picture: not a picture.*; replace it"):
        recalled(Recall(name="maker", pictures=str(place)))
    with pytest.raises(ValueError, match="neither `path` nor `pictures`"):
        Recall(name="nothing")


def test_pixels_that_cannot_be_read_leave_what_hashes_and_bytes_say(tmp_path: Path, recalled: Recalled) -> None:
    """The dump of these rows is gone: nothing is compared by pixels, and nothing is lost of what is known."""
    (tmp_path / "portfolio").mkdir()
    for name, data in {"same.jpg": _SHOWN[0], "mirrored.png": encoded(picture(2), "PNG")}.items():
        (tmp_path / "portfolio" / name).write_bytes(data)
    of_folder = Recall(name="maker", pictures=str(tmp_path / "portfolio"))
    _, hits = recalled(of_folder)
    assert [hit[:3] for hit in hits] == [(0, "same.jpg", "sha256"), (2, "mirrored.png", "pdq")]
    facts = Facts(tmp_path / "facts")
    waiting = facts["listed_comparisons"].read(["failure", "waiting"]).to_pylist()
    assert waiting and all(each["waiting"] and "is gone" in each["failure"] for each in waiting)
    assert facts["listed_copies"].read(["verdict"])["verdict"].to_pylist() == ["exact"]
    alone, _ = recalled(Recall(name="maker", pictures=str(tmp_path / "portfolio"), copies=False))
    assert set(alone) == {0, 2} and facts["listed_copies"].read().num_rows == 0, "copies are not asked for"
    assert facts["listed_pictures"].read().num_rows == 2
    assert recalled() == ({}, []) and facts["listed_pictures"].read().num_rows == 0


def test_listed_pictures_wait_for_the_first_training_picture(tmp_path: Path) -> None:
    (tmp_path / "portfolio").mkdir()
    (tmp_path / "portfolio" / "same.jpg").write_bytes(_SHOWN[0])
    facts = Facts(tmp_path / "facts")
    settings = Settings(home=tmp_path, recalls=(Recall(name="maker", pictures=str(tmp_path / "portfolio")),))
    files = listed_files(opt_outs.find_lists(settings.recalls))
    views = search_views((), "none")
    assert ListedPrinter(facts, _RULES, None, views, WorkPace(4, 1)).update(files) == {
        "listed pictures fingerprinted now": 1
    }
    copies = ListedCopies(facts, None, views, TrainingPictures(facts, settings.limits.bounds), settings)
    assert list(copies.update(files).values()) == [0, 0, 0, 0]
