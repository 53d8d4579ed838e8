"""Disclosures of a published version: every number has its query, and nothing that nobody stated is stated."""

import csv
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from orchestration import settings as toml
from orchestration.reports.disclosures import files
from orchestration.reports.disclosures.earlier import EarlierUnreadable
from orchestration.reports.exports import NotInVersion
from orchestration.settings import Settings, SettingsError
from orchestration.warehouse.queries import query
from tests.benchmarks import warehouse

_HOSTILE = "<script>alert(1)</script>"
_ROWS = f"""
    update fingerprints.images set bytes = 1000 + sample_id % 7;
    update catalog.samples set dataset = 'crawl', url_host = host, license = '{_HOSTILE}|x`', language = 'sw'
    from (
        select sample_id, ['=cmd.com', 'a.b.bücher.example.co.uk', '10.0.0.1', '{_HOSTILE}'][1 + (rank % 4)] as host
        from (
            select sample_id, row_number() over (order by sample_id) - 1 as rank
            from catalog.samples where url is null
        )
    ) as hosts
    where hosts.sample_id = samples.sample_id;
    update fingerprints.images set bytes = null where sample_id = (select min(sample_id) from fingerprints.images);
    insert into catalog.rights by name
    select sample_id, dataset, true as reserved, ['plus', 'c2pa'] as reserved_by, '{_HOSTILE}' as digital_source_type
    from catalog.samples where dataset = 'crawl' limit 2;
"""  # noqa: S608 -- text of our own
STATED = """
[[datasets]]
name = "made-up"
metadata = "nowhere/*.parquet"
access = "public"
title = "Made up"
url = "https://example.org/made-up"
collected = "2019-01/2021-06"

[[datasets]]
name = "crawl"
metadata = "elsewhere/*.parquet"
access = "crawled"
collected = "2023-05/.."

[[recalls]]
name = "known"
path = "lists/known.csv"
purpose = "illegal"
version = "2026-11"

[disclosure]
provider = "Exa <b>mple</b> & Söhne"
contact = " "
models = [{name = "exa-1.0", placed_on_market = "2026-09-01"}]
smaller_provider = true
code_of_practice = false
version = "2"
"""


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("disclosures") / "published.duckdb"
    warehouse.make(path, 12, _ROWS)
    return path


@pytest.fixture
def con(database: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(str(database), read_only=True) as con:
        con.execute("set timezone = 'UTC'")
        yield con


def settings(folder: Path, text: str) -> Settings:
    (folder / "raisonne.toml").write_text(f'home = "home"\n{text}', encoding="utf-8")
    return toml.load(folder / "raisonne.toml")


def written(con: duckdb.DuckDBPyConnection, chosen: Settings, folder: Path, name: str = "training-summary") -> dict:
    files.write(con, chosen, name, folder)
    return json.loads((folder / f"{name.replace('-', '_')}.json").read_bytes())


def answers(form: dict) -> dict[str, dict[str, Any]]:
    found = [answer for section in form["sections"] for answer in section["answers"]]
    assert len({answer["key"] for answer in found}) == len(found)
    return {answer["key"]: answer for answer in found}


def domains(folder: Path) -> list[dict[str, str]]:
    with (folder / "domains.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_every_number_is_given_by_a_query_that_gives_it_again(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    form = written(con, settings(tmp_path, STATED), tmp_path / "out")
    found = answers(form)
    assert {answer["status"] for answer in found.values()} == {"measured", "stated", "to be completed", "unknown"}
    assert [key for key, answer in found.items() if answer["status"] == "unknown"] == ["overview.languages"]
    for answer in found.values():
        assert (answer["status"] == "measured") <= bool(answer.get("queries")), answer["key"]
        assert set(answer.get("queries", ())) <= form["queries"].keys()
        if answer["status"] == "to be completed":
            assert answer["value"] is None and answer["to_be_completed_by"], answer["key"]
    [totals] = con.execute(form["queries"]["disclosures/totals"]["sql"]).to_arrow_table().to_pylist()
    assert found["overview.modalities"]["value"]["pictures"] == totals["rows"]
    assert found["overview.size"]["value"]["bytes"] == totals["bytes"]
    assert con.execute("select sum(bytes) from fingerprints.images").fetchall() == [(totals["bytes"],)]
    assert found["rights.reserved_by_files"]["rows"] == [["c2pa", 2, 2], ["plus", 2, 2]]
    assert form["warehouse_version"] == 3 and found["overview.size"]["warehouse_version"] == 3


def test_what_nobody_stated_is_to_be_completed_and_never_made_up(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    nothing = settings(tmp_path, '[[datasets]]\nname = "made-up"\nmetadata = "nowhere/*.parquet"\n')
    form = written(con, nothing, tmp_path / "out")
    assert not [answer["key"] for answer in answers(form).values() if answer["status"] == "stated"]
    assert {"disclosure.provider", "datasets.made-up.access", "datasets.crawl.access"} <= set(form["to_be_completed"])
    assert "name no dataset crawl any more" in " ".join(form["warnings"])
    found = answers(written(con, settings(tmp_path, STATED), tmp_path / "out"))
    assert found["provider.name"]["value"] == "Exa <b>mple</b> & Söhne"
    assert found["provider.contact"]["status"] == "to be completed", "white space states nothing"
    assert found["rights.code_of_practice"] | {"text": "No."} == found["rights.code_of_practice"]
    assert found["models"]["to_be_completed_by"] == ["disclosure.models.builds_on"]
    assert "datasets.made-up.version" in found["datasets.public"]["to_be_completed_by"]
    assert found["datasets.licensed"]["text"] == "None." and found["datasets.licensed"]["status"] == "stated"
    assert found["overview.latest_collection"]["value"] == {"latest": "2023-05", "goes_on": ["crawl"]}


@pytest.mark.parametrize(
    ("stated", "answered"),
    [
        ('version = "N/A"', "document.version"),
        ('contact = "not applicable."', "provider.contact"),
        ('user_data = "TBD"', "users.stated"),
    ],
)
def test_not_applicable_is_no_answer(
    con: duckdb.DuckDBPyConnection, tmp_path: Path, stated: str, answered: str
) -> None:
    found = answers(written(con, settings(tmp_path, f"[disclosure]\n{stated}\n"), tmp_path / "out"))
    assert found[answered]["status"] == "to be completed"
    none = answers(written(con, settings(tmp_path, '[disclosure]\nuser_data = "none"\n'), tmp_path / "none"))
    assert none["users.stated"]["status"] == "stated"


def test_what_reviewers_take_points_off_for_is_answered_or_told(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    """The usual losses of published summaries, one after another."""
    earlier = 'published = "2026"\nearlier = [{version = "1", published = "2026-08-02"}]\n'
    losing = STATED.replace('contact = " "', 'contact = "info@example.org"') + earlier
    _, form = files.write(con, settings(tmp_path, losing), "training-summary", tmp_path / "out")
    found = answers(json.loads((tmp_path / "out" / "training_summary.json").read_bytes()))
    # no version, and which training set it is of
    assert found["document.version"]["value"] == "2" and found["document.warehouse"]["value"]["version"] == 3
    assert answers(written(con, settings(tmp_path, ""), tmp_path / "none"))["document.version"]["value"] is None
    # no link to earlier versions
    assert {"disclosure.earlier.url", "disclosure.earlier.file"} <= set(found["document.earlier"]["to_be_completed_by"])
    # dates without a format, general contacts
    assert form.advice == (
        "disclosure.contact is a general address: name an office or a person that answers",
        "disclosure.published = 2026 is no day: write YYYY-MM-DD",
    )
    named = settings(tmp_path, '[disclosure]\ncontact = "Data Office"\n')
    _, told = files.write(con, named, "training-summary", tmp_path / "named")
    assert told.advice == ("disclosure.contact has no address, page or number: say where to reach it",)
    # numbers are asked for, and given or unknown with a reason
    for answer in found.values():
        assert answer["status"] != "unknown" or len(answer["text"]) > 20, answer["key"]
        assert "applicable" not in str(answer.get("text", ""))
    assert found["rights.withdrawn_rows"]["text"] == "No training row is withdrawn."
    # a list of domains, and why it has what it has
    assert found["crawled.domains"]["value"]["domains"] == 4 and "is asked for" not in found["crawled.domains"]["note"]
    public = settings(tmp_path, losing.replace('access = "crawled"', 'access = "public"') + "crawlers = []\n")
    found = answers(written(con, public, tmp_path / "public"))
    assert "crawled none of them" in found["crawled.domains"]["note"]
    assert found["crawled.crawlers"]["text"] == "None."
    # clear at first sight: nothing says that all is there while a part is missing
    page = (tmp_path / "out" / "training_summary.html").read_text(encoding="utf-8")
    assert f"are to be completed, {form.partly} in part." in page and form.partly > 2


def test_domains_are_listed_by_bytes_and_those_that_are_asked_for_are_marked(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    found = answers(written(con, settings(tmp_path, STATED), tmp_path / "crawled"))["crawled.domains"]["value"]
    listed = domains(tmp_path / "crawled")
    assert found["datasets"] == ["crawl"], "what the provider crawled, and not the datasets of others"
    assert {row["domain"] for row in listed} == {"'=cmd.com", "example.co.uk", "10.0.0.1", _HOSTILE}
    assert [int(row["bytes"]) for row in listed] == sorted((int(row["bytes"]) for row in listed), reverse=True)
    assert [row["required"] for row in listed] == ["true", "false", "false", "false"]
    assert found["rows_without_bytes"] == 1 and sum(int(row["rows"]) for row in listed) == found["rows"] == 12
    everything = answers(written(con, settings(tmp_path, ""), tmp_path / "all"))["crawled.domains"]["value"]
    assert everything["datasets"] == ["crawl", "made-up"], "nobody said what was crawled: all that may be"
    [rows] = con.execute("select count(*) from catalog.samples where url_host is not null").fetchall()
    assert everything["rows"] == rows[0]


def test_lists_are_told_by_purpose_and_one_that_withdraws_nothing_too(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    found = answers(written(con, settings(tmp_path, STATED), tmp_path / "out"))
    assert found["rights.lists"]["value"] == [] and found["rights.lists"]["status"] == "measured"
    assert found["illegal.lists"]["rows"] == [["known", "2026-11", None, "no entry names a row", 0, 0]]
    assert found["illegal.lists"]["to_be_completed_by"] == ["recalls.known.url"]


def test_text_from_outside_does_not_act(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    written(con, settings(tmp_path, STATED), tmp_path / "out")
    page = (tmp_path / "out" / "training_summary.html").read_text(encoding="utf-8")
    marked = (tmp_path / "out" / "training_summary.md").read_text(encoding="utf-8")
    assert "&lt;script&gt;alert(1)" in page and "<script" not in page and "<b>" not in page
    assert "<script" not in marked and "<b>" not in marked and "&#60;script&#62;alert&#40;1&#41;" in marked
    assert "script-src &#39;none&#39;" in page and "Exa &lt;b&gt;mple&lt;/b&gt; &amp; Söhne" in page


def test_the_same_version_and_settings_give_the_same_files_with_their_digests(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    chosen, folder = settings(tmp_path, STATED), tmp_path / "out"
    written(con, chosen, folder)
    first = {path.name: path.read_bytes() for path in folder.iterdir()}
    written(con, chosen, folder)
    assert first == {path.name: path.read_bytes() for path in folder.iterdir()}
    digests = dict(line.split("  ")[::-1] for line in (folder / "SHA256SUMS").read_text().splitlines())
    assert digests == {name: hashlib.sha256(first[name]).hexdigest() for name in digests}
    assert digests.keys() == {f"training_summary.{kind}" for kind in ("html", "md", "json")} | {"domains.csv"}


def test_a_folder_with_anything_else_is_refused(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("keep me")
    with pytest.raises(FileExistsError, match="holds something other than an export 'training-summary'"):
        written(con, settings(tmp_path, STATED), tmp_path / "out")
    assert (tmp_path / "out" / "mine.txt").read_text() == "keep me"


def test_differences_to_the_last_published_summary_are_listed(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    written(con, settings(tmp_path, STATED), tmp_path / "first")
    earlier = 'earlier = [{version = "1", published = "2026-08-02", file = "first/training_summary.json"}]\n'
    changed = STATED.replace("smaller_provider = true", "smaller_provider = false").replace("Made up", "Made again")
    form = written(con, settings(tmp_path, changed + earlier), tmp_path / "second")
    assert form["changes"]["to"] == "1" and form["changes"]["published"] == "2026-08-02"
    assert [change["key"] for change in form["changes"]["answers"]] == ["datasets.public"], (
        "one domain is required still"
    )
    page = (tmp_path / "second" / "training_summary.html").read_text(encoding="utf-8")
    assert "Differences to version 1, published 2026-08-02" in page
    more = changed.replace('access = "crawled"\n', 'access = "public"\n') + earlier
    told = written(con, settings(tmp_path, more), tmp_path / "more")["changes"]["answers"]
    [required] = [change["now"] for change in told if change["key"] == "crawled.domains.required"]
    assert required.startswith("1 new, such as example.org"), required
    same = written(con, settings(tmp_path, STATED + earlier), tmp_path / "third")
    assert same["changes"]["answers"] == []
    (tmp_path / "first" / "training_summary.json").write_text("[]")
    with pytest.raises(EarlierUnreadable, match="no summary that"):
        written(con, settings(tmp_path, STATED + earlier), tmp_path / "fourth")
    assert not (tmp_path / "fourth").exists()


@pytest.mark.parametrize("name", ["ab2013", "data-provenance"])
def test_the_other_forms_answer_every_point_or_say_what_is_missing(
    con: duckdb.DuckDBPyConnection, tmp_path: Path, name: str
) -> None:
    form = written(con, settings(tmp_path, STATED), tmp_path / "out", name)
    sections = {section["number"]: section["answers"] for section in form["sections"]}
    if name == "ab2013":
        assert list(sections) == [str(number) for number in range(1, 13)] and all(sections.values())
        assert sections["10"][0]["rows"] == [["collected (.. goes on)", "2023-05/..", "2019-01/2021-06"]]
    else:
        assert [section["title"] for section in form["sections"]] == ["crawl", "made-up"]
        assert {len(found) for found in sections.values()} == {22}
    for answer in answers(form).values():
        assert answer["value"] is not None or answer["status"] in ("unknown", "to be completed"), answer["key"]
        assert answer["status"] != "measured" or answer["queries"], answer["key"]
    assert {path.suffix for path in (tmp_path / "out").iterdir()} >= {".html", ".md", ".json"}


def test_the_croissant_file_is_valid_and_its_records_are_the_training_rows(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    import mlcroissant

    stated = STATED + 'title = "Exa"\nlicence = "https://example.org/licence"\npublished = "2026-12-01"\n'
    for chosen in (settings(tmp_path, stated), settings(tmp_path, "")):
        files.write(con, chosen, "croissant", tmp_path / "out")
        dataset = mlcroissant.Dataset(tmp_path / "out" / "croissant.json")
        assert not dataset.metadata.ctx.issues.errors
    found = json.loads((tmp_path / "out" / "croissant.json").read_text(encoding="utf-8"))
    assert found["name"] == "to be completed: disclosure.title" and "datePublished" not in found
    assert all("version 3: disclosures/" in told or "to be completed" in told for told in found["rai:dataBiases"])
    rows = con.execute(query("disclosures/samples")).to_arrow_table().select(["sample_id", "licence"]).to_pylist()
    read = list(dataset.records("samples"))
    assert [row["samples/sample_id"] for row in read] == [row["sample_id"] for row in rows]
    assert _HOSTILE in str(rows[0]["licence"]) and read[0]["samples/licence"].decode() == rows[0]["licence"]


def test_a_version_of_an_earlier_release_says_what_to_do(tmp_path: Path) -> None:
    with duckdb.connect() as old:
        old.execute("create schema fingerprints; create table fingerprints.images (sample_id ubigint)")
        with pytest.raises(NotInVersion, match=r"without fingerprints\.images\.bytes.*run `raisonne run`"):
            files.write(old, Settings(home=tmp_path), "training-summary", tmp_path / "out")


@pytest.mark.parametrize(
    ("stated", "told"),
    [
        ('published = "1 May 2026"', "write YYYY-MM-DD"),
        ('published = "2026-13"', "month must be in 1..12"),
        ('crawlers = [{name = "bot", period = "2024/2023"}]', "ends before it begins"),
        ('crawlers = [{name = "bot", period = "2024/soon"}]', "write YYYY-MM-DD"),
        ('provder = "Example"', "unknown setting `disclosure.provder`"),
    ],
)
def test_a_date_has_one_format_and_a_slip_is_named(tmp_path: Path, stated: str, told: str) -> None:
    with pytest.raises(SettingsError, match=told):
        settings(tmp_path, f"[disclosure]\n{stated}\n")
