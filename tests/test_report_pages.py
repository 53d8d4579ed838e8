"""The curators' pages in a real browser, from a folder: what they total, find and open; what strangers' text can do.

One made-up warehouse, written by SQL, is shown throughout; `tests/test_sample.py` has the real run.
"""

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import numpy as np
import pytest
from conftest import encoded, picture

from orchestration.reports import exports, pages
from orchestration.reports.pictures import PictureReader
from orchestration.settings import Settings
from orchestration.settings.sections import Reports
from tests.benchmarks import warehouse
from tests.benchmarks.warehouse import FIRST_ID

CHROMIUM = Path("/usr/bin/chromium")
CLUSTERS, LISTED, MEMBERS, PICTURED = 700, 640, 120, 30
IMAGE = "<img src=x onerror=alert(1)>"
SCRIPT = "</script><script>alert(1)</script>\u2028<!--"
FORMULA = '=HYPERLINK("http://evil.example","x")'
ARABIC = "صورة جبل عند الغروب"
OVERRIDE = "photo \u202egpj.exe"
GENERATION = f"gen/{IMAGE}.png"
_SECOND = FIRST_ID + 8_192  # the cluster of the second picture
_HOSTILE = f"""
    update catalog.samples set caption = case sample_id::bigint - {FIRST_ID}
        when 0 then $${IMAGE}$$ when 1 then $${SCRIPT}$$ when 2 then $${FORMULA}$$ when 3 then '{ARABIC}'
        when 4 then '{OVERRIDE}' else 'a lighthouse' end
    where sample_id between {FIRST_ID} and {FIRST_ID + 8_191};
    update catalog.samples set url = 'javascript:alert(1)//' || sample_id, url_host = '<b>evil</b>.example'
    where sample_id = {FIRST_ID + 1};
    update catalog.samples set unsafe = true where sample_id = {FIRST_ID + 2};
    insert into catalog.generations by name
    select name as generation_id, 'gen' as source, path, 'ok' as status, prompt from (values
        ($${GENERATION}$$, 'GENERATED', $${SCRIPT}$$), ('gen/2.png', 'GENERATED of old', 'a hill'),
        ('gen/3.png', 'GENERATED', null), ('gen/4.png', '/nowhere/4.png', null)) as made(name, path, prompt);
    insert into provenance.sources by name
    select generation_id, 1 as rank, cluster_id::ubigint as sample_id, cluster_id::ubigint as cluster_id, verdict,
        0.001 as p_value, q as q_value, copies as duplicate_count, 0 as recalled_count, 0.9 as copy_score,
        0.8 as normalised_score, {{'x': .25, 'y': .1, 'width': .5, 'height': .6}} as region,
        {{'x': 0., 'y': 0., 'width': 1., 'height': 1.}} as source_region, [1., 0, 0, 0, 1, 0, 0, 0, 1] as homography,
        'made-up' as dataset, 'javascript:alert(1)' as url, $${IMAGE}$$ as caption, false as recalled
    from (values ($${GENERATION}$$, {FIRST_ID}, 'exact', .001, 4002), ('gen/2.png', {_SECOND}, 'copy', .002, 2002))
        as made(generation_id, cluster_id, verdict, q, copies);
    insert into provenance.generations by name
    select generation_id, 'gen' as source, coalesce(found.verdict, if(generation_id like '%3%', 'no_match_found',
        'not_searched')) as verdict, found.sample_id as best_sample_id, found.cluster_id as best_cluster_id,
        found.duplicate_count, found.p_value, found.q_value, count(found.sample_id) over (partition by generation_id)
        as sources, if(generation_id like '%4%', 0, 90) as searched, 100 as searchable,
        if(generation_id like '%4%', 0, .9) as coverage, .95 as required_coverage,
        found.verdict is not null as conclusive,
        if(generation_id like '%4%', 'broken', null) as failure
    from catalog.generations left join provenance.sources as found using (generation_id);
    insert into provenance.licenses by name
    select $${IMAGE}$$ as license, '{OVERRIDE}' as host, 2 as generations, 1 as exact_generations,
        1 as copy_generations, 0 as partial_copy_generations, 0 as altered_copy_generations,
        0 as similar_generations, 2 as pictures, 2 as copied_pictures, 6004 as rows, 0 as recalled_rows;
    insert into matches.calibration by name
    select 'not_trained' as population, 'p_value' as rule, unnest([.05, .5]) as level, level = .05 as operating_point,
        100 as pictures, 0 as held_out, 0 as failed, (100 * level)::bigint as flagged, level as share,
        level / 2 as low, least(1, level * 2) as high, 'false_positive' as error, level as error_rate,
        100 as null_pictures, false as tail_fitted;
"""  # noqa: S608 -- our own text


@dataclass
class Written:
    """The pages in a folder, and the warehouse they were written from."""

    folder: Path
    con: duckdb.DuckDBPyConnection

    def query(self, sql: str) -> list[tuple]:
        return self.con.execute(sql).fetchall()


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Written]:
    home = tmp_path_factory.mktemp("pages")
    (home / "generated.png").write_bytes(encoded(picture(2), "PNG"))
    warehouse.make(home / "w.duckdb", CLUSTERS, _HOSTILE.replace("GENERATED", str(home / "generated.png")))
    limits = Reports(clusters=LISTED, members=MEMBERS, thumbnails=PICTURED, pictured=2, cases=10)
    shown = [np.asarray(picture(seed, 64, 48)) for seed in range(4)]

    def read(sample_id: int) -> np.ndarray:
        if sample_id == _SECOND:
            raise OSError("its shard is gone")
        return shown[sample_id % 4]

    pictures = PictureReader(read)
    with duckdb.connect(str(home / "w.duckdb"), read_only=True) as con:
        con.execute("set timezone = 'UTC'")
        (home / "earlier" / "pages" / "cases").mkdir(parents=True)
        (home / "earlier" / "pages" / "cases" / "of-an-earlier-version.html").write_text("kept")
        with pytest.raises(FileExistsError, match="not of an earlier export"):
            exports.write(con, home / "earlier", ("html",), pictures, Settings(home=home, reports=limits))
        (home / "earlier" / "pages" / "cluster.html").touch()
        exports.write(con, home / "earlier", ("html",), pictures, Settings(home=home, reports=limits))
        warning = pictures.warning() or ""
        assert warning.startswith("1 training picture could not be read;")
        assert warning.endswith(f"Row {_SECOND}: its shard is gone")
        folder = home / "mailed to somebody"  # the pages work wherever their folder is taken
        shutil.copytree(home / "earlier", folder)
        yield Written(folder, con)


@pytest.fixture(scope="module")
def browser() -> Iterator:
    if not CHROMIUM.exists():
        pytest.skip(f"no browser at {CHROMIUM}")
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with playwright.sync_playwright() as started:
        running = started.chromium.launch(executable_path=str(CHROMIUM), args=arguments)
        yield running
        running.close()


@dataclass
class Visit:
    """An opened page, with what its browser complained about and asked for beyond its folder."""

    page: object
    complaints: list[str] = field(default_factory=list)
    strayed: list[str] = field(default_factory=list)


@pytest.fixture
def visit(browser, written: Written) -> Iterator:  # noqa: ANN001
    opened: list[Visit] = []

    def go(file: str = "duplicate_frequency.html", **context) -> Visit:  # noqa: ANN003
        page = browser.new_context(**context).new_page()
        page.set_default_timeout(120_000)
        seen = Visit(page)
        page.on("console", lambda message: seen.complaints.append(message.text))
        page.on("pageerror", lambda error: seen.complaints.append(str(error)))
        page.on("dialog", lambda dialog: (seen.complaints.append(f"dialog {dialog.message}"), dialog.dismiss()))
        inside = (written.folder.as_uri(), "data:")
        page.on("request", lambda r: None if r.url.startswith(inside) else seen.strayed.append(r.url))
        page.goto(f"{written.folder.as_uri()}/{file}")
        if context.get("java_script_enabled", True) and not file.startswith("pages/cases"):
            page.wait_for_selector("#list > li, #problem:not([hidden])")
        opened.append(seen)
        return seen

    yield go
    for seen in opened:
        assert (seen.complaints, seen.strayed) == ([], [])
        seen.page.context.close()


def copies(page) -> list[int]:  # noqa: ANN001
    """Return the copies of the pictures that are shown, once nothing is being looked for any more."""
    page.evaluate("new Promise(done => setTimeout(done, 250))")  # in the order of the page's own timers
    page.locator("#shown", has_text=re.compile("^Showing")).wait_for()
    return page.eval_on_selector_all(".work", "works => works.map(work => Number(work.dataset.copies))")


def said(page) -> str:  # noqa: ANN001
    return page.get_by_role("status").first.inner_text()


def test_no_page_names_a_folder_of_the_machine_that_wrote_it(written: Written) -> None:
    texts = [path.read_text(encoding="utf-8") for path in written.folder.rglob("*") if path.is_file()]
    assert any("generated.png" in text for text in texts)
    assert [text for text in texts if str(written.folder.parent) in text] == []


def test_an_earlier_export_leaves_nothing_behind(written: Written) -> None:
    names = {path.name for path in (written.folder / "pages" / "cases").iterdir()}
    assert len(names) == 2
    assert "of-an-earlier-version.html" not in names
    shown = {path.name for path in written.folder.iterdir() if not path.name.startswith(".")}
    assert shown == {"duplicate_frequency.html", "provenance.html", "pages"}


def test_totals_of_the_duplicate_report_are_those_of_the_tables(visit, written: Written) -> None:  # noqa: ANN001
    page = visit().page
    totals = {
        part.get_attribute("data-total"): int(part.inner_text().replace(",", ""))
        for part in page.locator("[data-total]").all()
    }
    [(rows,)] = written.query("select count(*) from catalog.samples")
    [(images,)] = written.query("select count(*) from fingerprints.images")
    [(clusters, removable)] = written.query("select count(*), sum(removable)::bigint from reports.repeated_pictures")
    assert totals == {"rows": rows, "images": images, "clusters": clusters, "removable": removable}
    text = page.inner_text("main")
    assert text.index("Not searched: 9 rows by pdq") < text.index(f"{rows:,}"), "coverage comes before the figures"
    for table, query in (
        (".bands", "select clusters, rows from reports.duplicate_frequency join duplicates.bands using (band) "
         "order by first"),
        ("[aria-labelledby=policies] table", "select removed_rows, kept_rows, pictures_removed "
         "from duplicates.policies"),
        ("[aria-labelledby=by] .columns > :nth-child(1) table", "select rows, repeated_rows, repeated_pictures from "
         "reports.repeated_by_host order by repeated_rows desc, host limit 20"),
        ("[aria-labelledby=by] .columns > :nth-child(2) table", "select rows, repeated_rows, repeated_pictures from "
         "reports.repeated_by_license order by repeated_rows desc, license"),
    ):  # fmt: skip
        shown = [
            tuple(int(cell.replace(",", "")) for cell in row.locator(".n:not(.share)").all_inner_texts())
            for row in page.locator(f"{table} tbody tr").all()
        ]
        assert [
            row[: len(expected)] for row, expected in zip(shown, written.query(query), strict=True)
        ] == written.query(query)
    assert f"Left out here: {CLUSTERS - LISTED} pictures" in text
    assert f"Small copies are kept of the first {PICTURED} pictures" in text


def test_pictures_are_sorted_filtered_and_searched_over_all_that_are_listed(visit, written: Written) -> None:  # noqa: ANN001
    page = visit().page
    listed = f"(select * from reports.repeated_pictures order by duplicate_count desc, cluster_id limit {LISTED})"  # noqa: S608

    def expected(condition: str, order: str = "duplicate_count") -> tuple[list[int], int]:
        found = written.query(
            f"select duplicate_count from {listed} where {condition} "  # noqa: S608
            f"order by {order} desc, duplicate_count desc, cluster_id"
        )
        return [n for (n,) in found[:24]], len(found)

    assert (copies(page), LISTED) == expected("true")
    for label, value, condition, order in (
        ("Most first, by", "hosts", "true", "distinct_hosts"),
        ("Most first, by", "near", "true", "near_count"),
        ("Licence", "pd", "list_contains(licenses, 'pd')", "duplicate_count"),
        ("Marked unsafe", "yes", "unsafe", "duplicate_count"),
        ("Rows, at least", "20", "duplicate_count >= 20", "duplicate_count"),
        ("Host", "HOST12.", "len(list_filter(hosts, h -> contains(h, 'host12.'))) > 0", "duplicate_count"),
        ("Captions and hosts contain", "of picture 63", "captions[1] like '%of picture 63%'", "duplicate_count"),
    ):
        control = page.get_by_label(label, exact=True)
        control.select_option(value) if control.evaluate("c => c.tagName") == "SELECT" else control.fill(value)
        shown, found = expected(condition, order)
        assert copies(page) == shown, label
        assert f"of {found:,} picture" in said(page), label
        page.get_by_role("button", name="Reset").click()
    assert (copies(page), LISTED) == expected("true")
    page.get_by_label("Captions and hosts contain").fill("no such words")
    assert copies(page) == []
    assert page.get_by_text("No picture fits").is_visible()


def test_a_choice_is_in_the_address_and_found_again_on_the_way_back(visit) -> None:  # noqa: ANN001
    page = visit().page
    everything = page.locator("#shown").inner_text()
    page.get_by_label("Licence", exact=True).select_option("pd")
    page.wait_for_function("text => document.querySelector('#shown').innerText !== text", arg=everything)
    page.get_by_role("button", name="Next").click()
    page.get_by_text(re.compile("^Showing 25")).wait_for()
    before = copies(page)
    page.locator(".work a.no").first.click()
    page.wait_for_selector(".member")
    page.go_back()
    page.wait_for_selector(".work")
    assert page.get_by_label("Licence", exact=True).input_value() == "pd"
    assert copies(page) == before


def test_a_cluster_shows_its_rows_and_what_differs(visit, written: Written) -> None:  # noqa: ANN001
    page = visit().page
    page.locator(".work a.no").first.click()
    page.wait_for_selector(".member")
    assert page.url.endswith(f"pages/cluster.html#{FIRST_ID}"), "the id is exact, not the nearest double"
    [(rows, exact)] = written.query("select max(duplicate_count), max(exact_count) from duplicates.counts")
    assert page.locator("#lead").inner_text().startswith(f"{rows:,} training rows show this picture: {exact:,} hold")
    assert f"The first {MEMBERS}," in page.locator("#listed").inner_text()
    assert f"The other {rows - MEMBERS:,} rows are in duplicates.clusters" in page.locator("#listed").inner_text()
    differ = page.locator("#differ").inner_text()
    [(files,)] = written.query(
        f"select count(distinct sha256) from duplicates.clusters join fingerprints.images using (sample_id) "  # noqa: S608
        f"where cluster_id = {FIRST_ID}"
    )
    assert f"{files} different files" in differ
    assert "256 × 192 (1,334 rows)" in differ
    second = page.locator(".member").nth(1)
    assert "file, pixels, size, proportions: cropped or squeezed, caption, host" in second.inner_text()
    assert second.locator(".id").inner_text() == str(FIRST_ID + 1)
    page.get_by_role("button", name="Next").click()
    assert page.locator(".member .id").first.inner_text() == str(FIRST_ID + 50)
    assert page.locator("#copies a").get_attribute("href").startswith("cases/")
    page.goto(page.url.replace(str(FIRST_ID), str(_SECOND)))
    page.locator("#representative", has_text=str(_SECOND)).wait_for()
    assert page.locator("#picture").inner_text().startswith("The picture could not be read")
    page.evaluate("location.hash = '123'")
    page.get_by_text(f"Cluster 123 is not among the {LISTED} repeated pictures").wait_for()


def test_totals_of_the_provenance_report_are_those_of_the_tables(visit, written: Written) -> None:  # noqa: ANN001
    page = visit("provenance.html").page
    text = page.inner_text("main")
    assert text.index("Not searched: 10 training rows of 100") < text.index("generated images by verdict".capitalize())
    assert "1 generated image could not be read" in text
    assert "Inconclusive: 1 answer" in text
    shown = {
        row.get_attribute("data-verdict"): int(row.locator(".n").first.inner_text().replace(",", ""))
        for row in page.locator("[data-verdict]").all()
    }
    assert shown == dict(written.query("select verdict, count(*) from provenance.generations group by 1"))
    assert page.locator("[data-total=confirmed]").inner_text() == "2"
    effects = [
        tuple(int(cell.replace(",", "")) for cell in row.locator(".n").all_inner_texts())
        for row in page.locator("#effects tbody tr").all()
    ]
    assert effects == written.query(
        "select pictures, reproduced, extracted from provenance.duplication_effect "
        "join duplicates.bands using (band) order by first"
    )
    licences = page.locator("[aria-labelledby=whose] table").first.locator("tbody tr")
    assert [
        tuple(int(cell.replace(",", "")) for cell in row.locator(".n").all_inner_texts()) for row in licences.all()
    ] == [(2, 2, 2, 6004, 0)]
    assert page.locator("[aria-labelledby=wrong] .plain td.n").all_inner_texts() == ["5 of 100"]
    assert page.locator(".reliability circle").count() == 2


def test_cases_are_filtered_framed_and_lead_to_their_pages(visit) -> None:  # noqa: ANN001
    page = visit("provenance.html").page
    assert page.locator(".case").count() == 2
    frame, image = page.locator("[data-region=generation]").first, page.locator(".case img").first
    box, whole = frame.locator(".box").bounding_box(), image.bounding_box()
    assert (box["x"] - whole["x"]) / whole["width"] == pytest.approx(0.25, abs=0.02)
    assert box["width"] / whole["width"] == pytest.approx(0.5, abs=0.03)
    page.get_by_label("Verdict", exact=True).select_option("copy")
    page.get_by_text("Showing 1 of 1 case that fits").wait_for()
    assert "The training picture cannot be read now." in page.locator(".case").inner_text()
    page.locator(".case h3 a").click()
    page.wait_for_selector("#source-1")
    assert page.locator("h1").inner_text() == "gen/2.png"
    assert "This picture cannot be read now: No such file or directory" in page.inner_text("main")
    page.get_by_role("link", name="2,002 training rows").click()
    page.locator("#representative", has_text=str(_SECOND)).wait_for()
    page.go_back()
    page.get_by_role("link", name="Provenance report").click()
    page.wait_for_selector(".case")


def test_strangers_text_is_shown_and_never_acts(visit, written: Written) -> None:  # noqa: ANN001
    told = SCRIPT.replace("\u2028", "⟨U+2028⟩")
    opened = {}
    for file in ("duplicate_frequency.html", f"pages/cluster.html#{FIRST_ID}", "provenance.html"):
        page = opened[file] = visit(file).page
        text = page.evaluate("document.body.textContent")
        assert IMAGE in text
        assert "\u202e" not in text
        assert "\u2028" not in text.replace(page.evaluate("document.querySelector('#data').textContent"), "")
        links = page.eval_on_selector_all("a[href]", "links => links.map(a => [a.href, a.getAttribute('rel')])")
        assert links
        for address, related in links:
            assert address.startswith(("file:", "https://host"))
            assert address.startswith("file:") or related == "noopener noreferrer nofollow"
        assert page.locator("main b, iframe, form, object, img:not([src^='data:image/jpeg']):visible").count() == 0
    rows = opened[f"pages/cluster.html#{FIRST_ID}"].locator(".member")
    captions = [rows.nth(n).locator(".quote").inner_text() for n in range(5)]
    assert captions == [IMAGE, told, FORMULA, ARABIC, "photo ⟨U+202E⟩gpj.exe"]
    assert rows.nth(3).locator(".quote").evaluate("q => getComputedStyle(q).direction") == "rtl"
    assert rows.nth(1).locator("a").count() == 0, "a javascript: URL is text"
    [case] = [file for file in (written.folder / "pages" / "cases").iterdir() if "onerror" in file.name]
    page = visit(f"pages/cases/{case.name}").page
    assert page.locator("h1").inner_text() == GENERATION
    assert "javascript:alert(1)" in page.inner_text("main")
    assert page.locator("a[href^=javascript]").count() == 0
    for script in (written.folder / "pages" / "data").rglob("*.js"):
        assert not set(script.read_text(encoding="ascii")) & set("<>&"), "data cannot end a script element"


def test_the_policy_stops_what_is_not_the_page_s_own(visit) -> None:  # noqa: ANN001
    seen = visit()
    stopped = seen.page.evaluate(
        """() => {
            const refused = [];
            const attempt = (work) => { try { work(); } catch (error) { refused.push(error.name); } };
            const inline = document.createElement('script');
            attempt(() => { inline.textContent = 'window.owned = 1'; document.body.append(inline); });
            attempt(() => { document.createElement('script').src = 'https://evil.example/x.js'; });
            attempt(() => { document.body.innerHTML = '<img src="x" onerror="window.owned = 1">'; });
            return refused;
        }"""
    )
    seen.page.evaluate("new Promise(done => setTimeout(done, 50))")
    assert stopped == ["TypeError"] * 3
    assert seen.page.evaluate("window.owned") is None
    assert seen.complaints
    seen.complaints.clear()


def test_a_picture_marked_unsafe_is_veiled_until_asked_for_by_keyboard(visit) -> None:  # noqa: ANN001
    for file, mat in (("duplicate_frequency.html", ".work .mat"), ("provenance.html", ".case .picture")):
        page = visit(file).page
        if file == "duplicate_frequency.html":
            assert page.locator(".veiled").count() == 2, "of the first 24 the first and the eighth are marked"
        button = page.locator(f"{mat} button.reveal").first
        image = page.locator(f"{mat} img").first
        assert "blur" in image.evaluate("i => getComputedStyle(i).filter")
        assert "marked unsafe" in button.get_attribute("aria-label")
        button.press("Enter")
        assert image.evaluate("i => getComputedStyle(i).filter") == "none"
        assert button.get_attribute("aria-pressed") == "true"


def test_it_is_used_by_keyboard_alone(visit) -> None:  # noqa: ANN001
    page = visit().page
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    assert page.locator(".skip").bounding_box()["x"] >= 0
    reached = []
    for _ in range(40):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.id || document.activeElement.className"))
        style = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert style != "none", f"focus is not visible on {reached[-1]}"
        if reached[-1] == "no":
            break
    controls = ["words", "host", "licence", "least", "unsafe", "order", "reset"]
    assert [name for name in reached if name in controls] == controls
    page.keyboard.press("Enter")
    page.wait_for_selector(".member")
    assert page.url.endswith(f"cluster.html#{FIRST_ID}")
    names = page.locator("button:visible, a:visible, input:visible, select:visible").evaluate_all(
        "all => all.filter(e => !(e.ariaLabel || e.textContent || e.labels?.length)).map(e => e.outerHTML)"
    )
    assert names == []


@pytest.mark.parametrize(
    "file",
    [
        "duplicate_frequency.html",
        pytest.param(f"pages/cluster.html#{FIRST_ID}", marks=pytest.mark.thorough),
        pytest.param("provenance.html", marks=pytest.mark.thorough),
        "case",
    ],
)
def test_a_narrow_screen_needs_no_sideways_scrolling_and_both_schemes_are_readable(
    visit,  # noqa: ANN001
    written: Written,
    file: str,
) -> None:
    case = min(path.name for path in (written.folder / "pages" / "cases").iterdir())
    page = visit(f"pages/cases/{case}" if file == "case" else file, viewport={"width": 400, "height": 800}).page
    page.evaluate("document.querySelectorAll('details').forEach(fold => fold.open = true)")
    for width in (320, 400, 705, 960, 1280):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        for selector in (".colophon", ".eyebrow", ".facts dt, .figures dt"):
            ink, paper = page.locator(selector).first.evaluate(
                "text => [getComputedStyle(text).color, getComputedStyle(document.body).backgroundColor]"
            )
            lighter, darker = sorted((luminance(ink), luminance(paper)), reverse=True)
            assert (lighter + 0.05) / (darker + 0.05) >= 4.5, f"{scheme} {selector}: WCAG 2.2, criterion 1.4.3"
    page.emulate_media(media="print")
    assert not page.locator(".skip, .ways, .field, .pager").filter(visible=True).count()


def luminance(css: str) -> float:
    channels = np.array([int(value) for value in css.removeprefix("rgb(").rstrip(")").split(",")]) / 255
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def test_a_page_taken_away_from_its_folder_says_so(browser, written: Written, tmp_path: Path) -> None:  # noqa: ANN001
    shutil.copy(written.folder / pages.FIRST, tmp_path)
    page = browser.new_context().new_page()
    page.goto((tmp_path / pages.FIRST).as_uri())
    page.get_by_text("Keep this page together with its folder “pages”").wait_for()


def test_an_empty_warehouse_has_pages_too(browser, tmp_path: Path) -> None:  # noqa: ANN001
    warehouse.make(tmp_path / "w.duckdb", 0)
    with duckdb.connect(str(tmp_path / "w.duckdb"), read_only=True) as con:
        con.execute("set timezone = 'UTC'")
        pictures = PictureReader(lambda _: np.zeros((1, 1, 3), np.uint8))
        exports.write(con, tmp_path / "out", ("html",), pictures, Settings(home=tmp_path))
    page, heard = browser.new_context().new_page(), []
    page.on("console", lambda message: heard.append(message.text))
    page.on("pageerror", lambda error: heard.append(str(error)))
    for file, text in (
        ("duplicate_frequency.html", "No repeated picture was found"),
        ("provenance.html", "No generated images were searched"),
        ("pages/cluster.html#7", "Cluster 7 is not among the 0 repeated pictures"),
    ):
        page.goto(f"{(tmp_path / 'out').as_uri()}/{file}")
        page.get_by_text(text).first.wait_for()
    assert heard == []
