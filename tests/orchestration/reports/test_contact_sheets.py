"""Contact sheets: a PDF for each owner, whatever strangers wrote, the same each time."""

import re
from pathlib import Path

import duckdb
import numpy as np
import pytest
from conftest import picture

from orchestration.reports.contact_sheets import files
from orchestration.reports.pictures import PictureReader
from tests.benchmarks import warehouse
from tests.benchmarks.warehouse import FIRST_ID
from transforms.reports.contact_sheet import ContactSheet, SheetPicture, draw, plain

_SOURCES = f"""
    update catalog.samples set url_host = 'evil/../host', url = 'javascript:alert(1)', license = '=1+1'
    where sample_id = {FIRST_ID + 8_192};
    insert into catalog.rights by name
    select {FIRST_ID}::ubigint as sample_id, 'صورة (\u202eana)' as creator;
    insert into provenance.sources by name
    select 'gen/' || i || '.png' as generation_id, 1 as rank, ({FIRST_ID} + 8192 * i)::ubigint as sample_id,
        ({FIRST_ID} + 8192 * i)::ubigint as cluster_id, if(i = 0, 'copy', 'similar') as verdict, 5 as duplicate_count
    from range(3) as made(i);
"""  # noqa: S608 -- our own text


@pytest.fixture(scope="module")
def con(tmp_path_factory: pytest.TempPathFactory) -> duckdb.DuckDBPyConnection:
    file = tmp_path_factory.mktemp("sheets") / "w.duckdb"
    warehouse.make(file, 5, _SOURCES)
    made = duckdb.connect(str(file), read_only=True)
    made.execute("set timezone = 'UTC'")
    return made


def shown(row: int) -> np.ndarray:
    if row % 2:
        return np.asarray(picture(row % 3, 64, 48))
    raise OSError("its shard is gone")


def test_each_host_gets_a_sheet_of_its_pictures(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    written = files.write(con, tmp_path / "sheets", PictureReader(shown), most=4)
    assert len(written) == len(set(written)) == 4 and {path.parent for path in written} == {tmp_path / "sheets"}
    pages = [path.read_bytes() for path in written]
    assert all(data.startswith(b"%PDF-") and b"/URI" not in data for data in pages)
    assert [path.read_bytes() for path in files.write(con, tmp_path / "again", PictureReader(shown), most=4)] == pages
    [one] = files.write(con, tmp_path / "sheets", PictureReader(shown), "creator")
    assert re.fullmatch(r"ana-[0-9a-f]{8}\.pdf", one.name)


def test_a_sheet_has_as_many_pages_as_its_pictures_need() -> None:
    blank = SheetPicture(None, "flagged unsafe", "partial_copy", None, None, 1, 1, "g")
    for count, pages in ((0, 1), (12, 1), (13, 2)):
        data = draw(ContactSheet("host.example", 3, "2026", [blank] * count))
        assert len(re.findall(rb"/Type /Page\b(?!s)", data)) == pages


def test_text_of_any_script_is_written_by_number_or_as_it_is() -> None:
    assert plain("Ana Müller", 40) == "Ana Müller"
    assert plain("صا\u202e\n", 40) == "<U+0635><U+0627><U+202E><U+000A>"
    assert plain("x" * 50, 10) == "xxxxxxx..."
