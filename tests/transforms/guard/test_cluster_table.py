"""The table of clusters is read as Arrow reads it, and refused where it is none."""

from pathlib import Path

import pyarrow as pa
import pytest

from transforms.guard.bundle_writer import CLUSTER_SCHEMA
from transforms.guard.clusters import table


def test_the_table_of_clusters_is_read_as_arrow_reads_it(tmp_path: Path) -> None:
    rows = [
        {
            "cluster_id": 2**63 + number,
            "sample_id": number,
            "dataset": "é" * (number % 3),
            "duplicate_count": number,
            "recalled_count": 1,
            "url": None if number % 5 == 2 else f"https://example.org/ü/{number}",
            "licenses": [f"licence {each}" for each in range(number % 4)],
        }
        for number in range(50)
    ]
    whole = pa.Table.from_pylist(rows, CLUSTER_SCHEMA)
    with pa.OSFile(str(tmp_path / "a"), "wb") as sink, pa.ipc.new_file(sink, CLUSTER_SCHEMA) as file:
        for start, count in ((0, 7), (7, 0), (7, 1), (8, 30), (38, 12)):
            file.write_batch(pa.RecordBatch.from_pylist(rows[start : start + count], CLUSTER_SCHEMA))
    with pa.OSFile(str(tmp_path / "b"), "wb") as sink, pa.ipc.new_file(sink, CLUSTER_SCHEMA) as file:
        file.write_table(whole.slice(3, 40))
    for name, expected in (("a", rows), ("b", rows[3:43])):
        found = table.read((tmp_path / name).read_bytes())
        assert [found.row(number) for number in range(len(found))] == expected
        assert [found.shown_by(number) for number in (0, 9)] == [expected[n]["duplicate_count"] + 1 for n in (0, 9)]
        assert found.column("cluster_id").tolist() == [row["cluster_id"] for row in expected]
        with pytest.raises(IndexError):
            found.row(len(expected))


def test_text_that_is_none_is_refused_wherever_it_is_cut(tmp_path: Path) -> None:
    row = {"cluster_id": 1, "sample_id": 1, "duplicate_count": 1, "recalled_count": 0, "licenses": []}
    rows = [row | {"dataset": "aé", "url": "x" * (1 << 20) + "é"}, row | {"dataset": "éa", "url": "b"}]
    with pa.OSFile(str(tmp_path / "a"), "wb") as sink, pa.ipc.new_file(sink, CLUSTER_SCHEMA) as file:
        file.write_table(pa.Table.from_pylist(rows, CLUSTER_SCHEMA))
    data = (tmp_path / "a").read_bytes()
    assert len(table.read(data)) == 2
    for before, after in (("aééa".encode(), b"a\xc3aa\xa9a"), (b"xx\xc3\xa9b", b"xx\xc3\xa9\xa9")):
        assert data.count(before) == 1
        with pytest.raises(ValueError, match="is not UTF-8"):
            table.read(data.replace(before, after))
    offsets = b"".join(each.to_bytes(4, "little") for each in (0, 3, 6))
    assert data.count(offsets) >= 1
    with pytest.raises(ValueError, match="is not UTF-8: a character is cut"):
        table.read(data.replace(offsets, b"".join(each.to_bytes(4, "little") for each in (0, 2, 6))))
