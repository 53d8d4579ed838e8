"""What the next run costs: what is counted of what is due, and what it rests on."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from bundles import Blurred
from conftest import encoded, picture

from orchestration.catalog import shards
from orchestration.facts import Facts
from orchestration.outlook.bill import bill
from orchestration.outlook.due import due_work
from orchestration.settings import Settings
from orchestration.survey.costs import Amounts
from tests.orchestration.survey.test_findings import tar
from transforms import encoders


@pytest.fixture
def chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Return settings of a tar of four pictures, a folder of three, rows in two files, and two generations."""
    monkeypatch.setattr(encoders, "load", lambda _, device: Blurred())
    data = [encoded(picture(seed, 64, 48)) for seed in range(9)]
    tar(tmp_path / "tars" / "0.tar", {f"{number}.jpg": data[number] for number in range(4)})
    for folder, numbers in (("photos", (4, 5, 6)), ("made", (7, 8))):
        (tmp_path / folder).mkdir()
        for number in numbers:
            (tmp_path / folder / f"{number}.jpg").write_bytes(data[number])
    (tmp_path / "photos" / "notes.txt").write_text("no picture")
    (tmp_path / "rows").mkdir()
    urls = [f"https://e.org/{number}" for number in range(1_000)]
    pq.write_table(pa.table({"url": urls, "caption": urls}), tmp_path / "rows" / "0.parquet")
    lines = "".join(f"{url},a picture\n" for url in urls[:50])
    (tmp_path / "rows" / "1.csv").write_text(f"url,caption\n{lines}")
    datasets = [
        {"name": "tars", "images": str(tmp_path / "tars" / "*.tar")},
        {"name": "photos", "images": str(tmp_path / "photos")},
        {"name": "parquet", "metadata": str(tmp_path / "rows" / "*.parquet")},
        {"name": "csv", "metadata": str(tmp_path / "rows" / "*.csv")},
    ]
    made = [{"name": "made", "path": str(tmp_path / "made")}]
    return Settings.model_validate({"home": str(tmp_path / "home"), "datasets": datasets, "generations": made})


def test_what_is_due_is_counted_by_the_file(chosen: Settings) -> None:
    priced = bill(due_work(chosen).inputs, chosen)
    assert priced.amounts.pictures == 7 and priced.amounts.generations == 2
    assert priced.amounts.known_rows == priced.amounts.known_pictures == 0
    assert priced.amounts.rows == 1_050
    assert priced.cost and priced.cost.seconds["training pictures"] > 0
    assert priced.rates and "measured on" in priced.rates.told


def test_what_was_inspected_is_known(chosen: Settings) -> None:
    facts = Facts(chosen.home / "facts")
    landed = list(shards.inspect_shards(shards.discover(chosen), [], chosen, chosen.home / "fetched"))
    shards.commit_shards(facts, [], landed)
    amounts = bill(due_work(chosen).inputs, chosen).amounts
    assert amounts == Amounts(rows=0, known_rows=1_057, pictures=7, generations=2)


def test_pictures_that_cannot_be_measured_have_no_price(chosen: Settings, tmp_path: Path) -> None:
    inputs = due_work(chosen).inputs
    (tmp_path / "tars" / "0.tar").unlink()
    for path in [*(tmp_path / "photos").glob("*.jpg"), *(tmp_path / "made").glob("*.jpg")]:
        path.write_bytes(b"no picture")
    priced = bill(inputs, chosen)
    assert priced.amounts.pictures and (priced.cost, priced.rates) == (None, None)


def test_rows_alone_are_priced_without_a_picture(chosen: Settings) -> None:
    rows = chosen.model_copy(update={"datasets": chosen.datasets[2:], "generations": ()})
    priced = bill(due_work(rows).inputs, rows)
    assert priced.amounts.pictures == 0 and priced.cost and priced.cost.seconds["captions"] > 0
    assert priced.rates and priced.rates.told == "measured on a join of made-up hashes"
