"""The case page in a real browser, and what changes about a generation from one published version to the next."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import Landing, Row, encoded, picture

from raisonne.case_view import framed
from transforms.regions import Box
from transforms.reports.case_page import MOST_SOURCES, CasePage, LikelySource, Measurement, render
from transforms.reports.drawings import overlays
from transforms.reports.duplicate_report import Coverage

CHROMIUM = Path("/usr/bin/chromium")
HOSTILE = '</script><script>window.owned = 1</script>"><img src="https://evil.example/x" onerror="window.owned = 1">'
PIXELS = np.asarray(picture(1, 320, 240))
REGION = Box(0.25, 0.1, 0.5, 0.6)
SOURCE = LikelySource(
    rank=1,
    verdict="copy",
    sample_id=2**64 - 1,
    file=f"dump.tar :: {HOSTILE}",
    picture=PIXELS,
    failure=None,
    homography=(1, 0, 0, 0, 1, 0, 0, 0, 1),
    region=REGION,
    source_region=Box(0, 0, 1, 1),
    measurements=(Measurement("copy score", "0.9", "cosine"),),
    duplicate_count=3,
    recalled_count=1,
    recalled=False,
    hosts=2,
    licenses=("unknown", HOSTILE),
    url=f"javascript:window.owned=1//{HOSTILE}",
    caption=HOSTILE,
)
CASE = CasePage(
    generation_id=f"gen/{HOSTILE}",
    path="/somewhere/a.png",
    verdict="copy",
    conclusive=True,
    picture=255 - PIXELS,
    failure=None,
    model=None,
    prompt=HOSTILE,
    searched=90,
    searchable=100,
    required_coverage=0.95,
    coverage=(Coverage("sscd", 100, 90, 0, 5, 5),),
    thresholds=(Measurement("coverage", "0.95", "share"),),
    sources=(SOURCE, replace(SOURCE, rank=2, picture=None, failure="its shard is gone", url="https://a.example/x?a=1")),
    source_count=2,
    version=3,
    published_at="2026-05-04 09:12 UTC",
)


def test_an_overlay_follows_the_map_in_fractions_and_shows_where_pictures_differ() -> None:
    inset = np.full((240, 320, 3), 200, np.uint8)
    inset[60:180, 80:240] = np.asarray(picture(1, 160, 120))
    onto = (0.5, 0, 0.25, 0, 0.5, 0.25, 0, 0, 1)
    laid = overlays.overlay(inset, np.asarray(picture(1, 160, 120)), onto)
    assert laid.covered == pytest.approx(0.25, abs=0.01)
    assert np.abs(laid.source[70:170, 90:230].astype(int) - inset[70:170, 90:230]).mean() < 2
    assert laid.heat[70:170, 90:230].max() < 60, "equal pixels are nearly black"
    assert (laid.heat[:50] == 128).all(), "grey where the source does not reach"
    assert (np.diff(overlays.legend()[0].astype(int).sum(axis=1)) >= -6).all(), "lightness grows along the legend"


@pytest.mark.parametrize("onto", [(1,) * 9, (0,) * 9, (float("nan"),) * 9, (1, 0, 5, 0, 1, 5, 0, 0, 1), (1, 2)])
def test_a_map_that_is_none_is_refused_and_the_page_says_so(onto: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="alignment"):
        overlays.overlay(PIXELS, PIXELS, onto)
    page = render(replace(CASE, sources=(replace(SOURCE, homography=onto),), source_count=1))
    assert "There is no overlay: the alignment" in page


def test_a_page_says_whose_picture_it_is_and_that_a_file_says_no() -> None:
    assert "must not be trained on" not in render(CASE) and "<dt>creator</dt>" not in render(CASE)
    named = replace(SOURCE, creator="<b>Ada</b>", reserved_rows=2)
    page = render(replace(CASE, sources=(named,), source_count=1))
    assert "&lt;b&gt;Ada&lt;/b&gt;" in page and "<b>Ada" not in page
    assert "says at 2 rows that it must not be trained on" in page


def test_a_page_says_how_many_sources_it_leaves_out_and_when_an_answer_is_open() -> None:
    many = tuple(replace(SOURCE, rank=rank, picture=None) for rank in range(1, MOST_SOURCES + 3))
    assert "And 90 more likely sources" in render(replace(CASE, sources=many, source_count=MOST_SOURCES + 90))
    nothing = replace(CASE, sources=(), source_count=0, verdict="no_match_found", conclusive=False)
    page = render(nothing)
    assert "<strong>inconclusive</strong>" in page
    assert "less than the 95% required" in page
    framed = render(replace(nothing, unsearched="it has several frames or pages"))
    assert (
        "Not all that the file may show was searched: it has several frames or pages. The answer is open."
        in " ".join(framed.split())
    )
    assert "less than the 95% required" not in framed
    assert 'class="reveal"' not in render(CASE)
    marked = render(replace(CASE, sources=(replace(SOURCE, unsafe=True),), source_count=1))
    assert marked.count('<div class="picture veiled">') == marked.count('<button type="button" class="reveal"') == 5
    unread = render(replace(nothing, verdict="not_searched", picture=None, failure="broken"))
    assert "Nothing was searched" in unread


@pytest.fixture(scope="module")
def browser() -> Iterator:
    if not CHROMIUM.exists():
        pytest.skip(f"no browser at {CHROMIUM}")
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as started:
        running = started.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox", "--disable-gpu"])
        yield running
        running.close()


def test_in_a_browser_hostile_text_stays_text_boxes_lie_right_and_the_overlay_blends(browser, tmp_path: Path) -> None:  # noqa: ANN001
    file = tmp_path / "case.html"
    file.write_text(render(CASE), encoding="utf-8")
    page, heard, asked = browser.new_context().new_page(), [], []
    page.on("console", lambda message: heard.append(message.text))
    page.on("pageerror", lambda error: heard.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(file.as_uri())
    assert heard == []
    assert [url for url in asked if not url.startswith("data:") and url != file.as_uri()] == []
    assert page.evaluate("window.owned") is None
    assert page.locator("h1").inner_text() == f"gen/{HOSTILE}"
    links = page.locator("main a")
    assert [a.get_attribute("href") for a in links.all()] == ["https://a.example/x?a=1"]
    assert links.first.get_attribute("rel") == "noopener noreferrer nofollow"
    for what in ("generation", "overlay", "heat map"):
        frame = page.locator(f'[data-region="{what}"]').first
        box, whole = frame.locator(".box").bounding_box(), frame.locator("xpath=..").locator("img").first.bounding_box()
        measured = (box["x"] - whole["x"]) / whole["width"], (box["y"] - whole["y"]) / whole["height"]
        assert measured == pytest.approx((REGION.x, REGION.y), abs=0.02)
        assert box["width"] / whole["width"] == pytest.approx(REGION.width, abs=0.03)
    colour = []
    for value in ("0", "100"):
        page.locator(".slide input").first.fill(value)
        assert float(page.locator(".above").first.evaluate("e => getComputedStyle(e).opacity")) == float(value) / 100
        colour.append(page.locator(".picture:has(.above)").first.screenshot())
    assert colour[0] != colour[1]
    assert "its shard is gone" in page.locator("#source-2").inner_text()
    assert all(img.get_attribute("alt") for img in page.locator("img").all())


def test_in_a_notebook_the_page_unveils_and_blends_and_reaches_nothing_around_it(browser, tmp_path: Path) -> None:  # noqa: ANN001
    file = tmp_path / "notebook.html"
    reach = "<script>try { parent.document.title } catch (error) { parent.postMessage('kept out', '*') }</script>"
    heard = "<script>addEventListener('message', (said) => { window.said = said.data })</script>"
    unsafe = render(replace(CASE, sources=tuple(replace(source, unsafe=True) for source in CASE.sources)))
    file.write_text(f"<title>notes</title>{heard}{framed(reach)}{framed(unsafe)}", encoding="utf-8")
    page = browser.new_context().new_page()
    page.goto(file.as_uri())
    page.wait_for_function("window.said === 'kept out'")
    shown = page.frame_locator("iframe >> nth=1")
    shown.locator(".slide input").first.fill("100")
    assert shown.locator(".above").first.evaluate("e => getComputedStyle(e).opacity") == "1"
    veiled = shown.locator(".veiled").count()
    shown.locator("button.reveal").first.click()
    assert shown.locator(".veiled").count() < veiled


_SHOWN = (
    "provenance.licenses",
    "provenance.rightsholders",
    "provenance.timeline",
    "reports.changes",
)


def test_the_timeline_keeps_what_changed_for_each_generation_and_nothing_twice(
    landing: Landing, rows_of: Callable[[int, int], list[Row]]
) -> None:
    images = landing.folder / "generations"
    landing.shard("00000", rows_of(0, 4))
    for name, seed in (("copied.png", 2), ("later.png", 7), ("gone.png", 1)):
        (images / name).write_bytes(encoded(picture(seed), "PNG"))
    landing.run_here(tables=_SHOWN)
    changed = "select generation_id, version, changes from provenance.timeline where version > ? order by all"
    assert [row[1:] for row in landing.query(changed.replace("?", "0"))] == [(1, ["appeared"])] * 3

    # a larger copy becomes the representative of picture 2: its cluster has another name, and is the same picture
    large = Row("https://b.example/2.png", "two", encoded(picture(2).resize((512, 384)), "PNG"))
    landing.shard("00001", [large, *rows_of(7, 1)])
    (images / "gone.png").unlink()
    before = landing.query("select best_cluster_id from provenance.generations where generation_id = 'gen/copied.png'")
    landing.run_here(tables=_SHOWN)
    after = landing.query("select best_cluster_id from provenance.generations where generation_id = 'gen/copied.png'")
    assert before != after
    found = {name: set(changes) for name, _, changes in landing.query(changed.replace("?", "1"))}
    assert found["gen/copied.png"] == {"duplicate_count"}
    assert found["gen/gone.png"] == {"gone"}
    assert {"verdict", "source"} <= found["gen/later.png"]
    assert landing.query("select generation_id, changes from reports.changes where kind = 'case' order by 1") == [
        ("gen/copied.png", ["grown"]), ("gen/gone.png", ["gone"]), ("gen/later.png", ["verdict", "source"]),
    ]  # fmt: skip
    assert landing.query("select changes, rows_after from reports.changes where kind = 'cluster'") == [(["new"], 2)]
    hosts = landing.query("select host, copies from provenance.rightsholders order by 1")
    assert hosts == [("b.example", 1), ("images.example.org", 2)], "whoever serves a copy, not only the best row's host"
    assert {row[0] for row in landing.query("select license from provenance.licenses")} == {"unknown"}
    assert landing.query("select count(*), count(distinct (generation_id, version)) from provenance.timeline") == [
        (6, 6)
    ]
