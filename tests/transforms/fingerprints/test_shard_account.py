"""The account of a shard: what is a picture of no row, what is no picture, and which dumps are broken."""

import tarfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from conftest import add, encoded, picture

from transforms.fingerprints.ahead import WorkPace
from transforms.fingerprints.fingerprint import Rules
from transforms.fingerprints.row_matching import MetadataFile
from transforms.fingerprints.shard import Account, Job, fingerprint_shard


def account(dump: Path, url: str) -> Account:
    """Return the account of a dump whose metadata has one row."""
    metadata = dump.with_name("rows.parquet")
    pq.write_table(pa.table({"url": [url], "caption": ["c"]}), metadata)
    files = (MetadataFile(1, str(metadata)),)
    rules = Rules(1_000_000, 1_000_000, 0)
    *_, last = fingerprint_shard(Job(str(dump), str(dump.parent), files, {}, rules, WorkPace(8, 1)), {})
    assert isinstance(last, Account)
    return last


def tar(path: Path, **members: bytes) -> Path:
    with tarfile.open(path, "w") as archive:
        for name, data in members.items():
            add(archive, name.replace("_", "."), data)
    return path


def test_a_dump_without_pictures_of_its_rows_is_broken(tmp_path: Path) -> None:
    empty = account(tar(tmp_path / "0.tar"), "u")
    assert (empty.broken, empty.usable) == (f"{tmp_path}/0.tar holds no pictures; deliver it again", False)
    whole = tar(tmp_path / "1.tar", a_jpg=encoded(picture(1)), a_json=b'{"url": "u"}')
    assert account(whole, "u").usable
    other = account(whole, "another")
    assert (other.pictures, other.unlisted_examples, other.usable) == (1, ["a.jpg"], False)
    assert "none of its 1 picture belongs to a row of the metadata" in str(other.broken)


def test_an_entry_without_a_picture_that_no_row_lists_is_no_picture(tmp_path: Path) -> None:
    dump = tmp_path / "0.parquet"
    columns = {
        "url": ["u", "gone"],
        "key": ["a", "b"],
        "caption": ["c", "d"],
        "jpg": [encoded(picture(1)), None],
        "status": ["success", "failed_to_download"],
    }
    pq.write_table(pa.table(columns), dump)
    found = account(dump, "u")
    assert (found.pictures, found.unlisted, found.unlisted_examples) == (1, 0, [])
    assert [(each.reason, each.files, each.examples) for each in found.not_taken] == [
        ("an entry without a picture that no metadata row lists", 1, ("b",))
    ]
