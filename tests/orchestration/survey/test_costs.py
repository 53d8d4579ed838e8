"""What is read to measure a first run."""

from pathlib import Path

import pytest
from bundles import Blurred
from conftest import encoded, picture

from orchestration.settings import Settings
from orchestration.survey import costs
from orchestration.survey.costs import Amounts, Cost, Rates
from orchestration.survey.joining import Finding
from tests.orchestration.survey.test_findings import tar
from transforms import encoders


@pytest.fixture(autouse=True)
def stacking(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measure with an encoder that cannot embed nothing, as those that stack pictures into one array."""
    monkeypatch.setattr(encoders, "load", lambda _, device: Blurred())


def finding(*samples: Path) -> list[Finding]:
    return [Finding(samples[0].parent, generated=False, images="", samples=samples)]


def small(member_bytes: int) -> Settings:
    return Settings.model_validate({"home": "home", "limits": {"member_bytes": member_bytes}})


def test_pictures_above_the_limit_are_not_read(tmp_path: Path) -> None:
    data = [encoded(picture(seed, 64, 48)) for seed in range(4)]
    large = data[0] + bytes(50_000)
    tar(tmp_path / "0.tar", {"0.jpg": large, "1.jpg": data[1], "../2.jpg": data[2]})
    (tmp_path / "0.jpg").write_bytes(large)
    (tmp_path / "3.jpg").write_bytes(data[3])
    samples = finding(tmp_path / "0.tar", tmp_path / "0.jpg", tmp_path / "3.jpg")
    assert list(costs._pictures(samples, small(40_000))) == [data[1], data[3]]


@pytest.mark.parametrize("broken", [0, 1, costs._WARM])
def test_without_a_picture_that_can_be_read_nothing_is_measured(tmp_path: Path, broken: int) -> None:
    files = [tmp_path / f"{number}.jpg" for number in range(max(1, broken))]
    for path in files[:broken]:
        path.write_bytes(b"no picture")
    assert costs.measure(finding(*files), small(40_000)) is None


def test_what_is_readable_after_broken_pictures_is_measured(tmp_path: Path) -> None:
    files = [tmp_path / f"{number}.jpg" for number in range(4)]
    for path in files:
        path.write_bytes(b"no picture")
    files[-1].write_bytes(encoded(picture(1, 64, 48)))
    rates = costs.measure(finding(*files), small(40_000))
    assert rates is not None and rates.told.startswith("measured on 1 of these pictures")


def test_a_few_pictures_are_measured_although_the_rest_are_broken(tmp_path: Path) -> None:
    for name, data in (("a", encoded(picture(1, 64, 48))), ("b", encoded(picture(2, 64, 48))), ("c", b"\xff\xd8\xff")):
        (tmp_path / f"{name}.jpg").write_bytes(data)
    rates = costs.measure(finding(*sorted(tmp_path.iterdir())), small(10**7))
    assert rates is not None and "measured on 2 of these pictures" in rates.told


def price(read: Amounts, **settings: object) -> Cost:
    rates = Rates(picture=0.01, view=0.005, pair=0.1, dimension=512, told="", core=1.0, cosine=1e-9)
    return costs.estimate(read, rates, Settings.model_validate({"home": "home", **settings}))


def test_what_is_known_costs_no_fingerprints_but_is_joined_with() -> None:
    known, new = 20_000_000, 10_000
    first = price(Amounts(rows=known, pictures=known))
    later = price(Amounts(rows=new, known_rows=known, pictures=new, known_pictures=known))
    assert first.seconds["training pictures"] == pytest.approx(known * 0.01)
    assert later.seconds["training pictures"] == pytest.approx(new * 0.01)
    hashes = price(Amounts(pictures=new)).seconds["joins"]
    assert hashes < later.seconds["joins"] < first.seconds["joins"]
    assert later.memory["joins and duplicates"] == pytest.approx(first.memory["joins and duplicates"], rel=0.01)
    assert later.first < first.first


def test_embeddings_are_compared_in_cells_where_the_join_takes_them() -> None:
    read = Amounts(pictures=5_000_000)
    exact, cells = (price(read, joins={"cosine": each}).seconds["joins"] for each in ("exact", "approximate"))
    assert exact > 10 * cells
    assert price(read).seconds["joins"] == cells


def test_nothing_new_costs_what_publishing_does() -> None:
    cost = price(Amounts(known_rows=1_000_000, known_pictures=1_000_000))
    assert [part for part, seconds in cost.seconds.items() if seconds] == ["tables and reports"]


def test_duckdb_holds_no_more_than_it_may() -> None:
    read = Amounts(rows=100_000_000)
    for key, values, apart in (("duckdb_memory", ("1GB", "8GB"), 7e9), ("memory", ("4 GB", "8 GB"), 2e9)):
        few, many = (price(read, limits={key: each}).memory["tables and reports"] for each in values)
        assert many - few == pytest.approx(apart)


def test_one_setting_lowers_what_pictures_and_joins_hold() -> None:
    read = Amounts(rows=1_000_000_000, pictures=1_000_000_000)
    few, many = (price(read, limits={"memory": each}).memory["joins and duplicates"] for each in ("4 GB", "8 GB"))
    assert many - few == pytest.approx(4e9 / 4 + 4e9 / 8), "a quarter is for joins, half a quarter for the arrays"


def test_the_rates_of_joins_are_measured() -> None:
    rates = costs.rates_without_pictures()
    assert 0.01 < rates.core < 1_000 and rates.cosine == 0
