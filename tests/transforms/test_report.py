"""The report in a real browser: it says what it counted, keeps hostile text as text, and needs no network."""

import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from transforms.report import (
    Band,
    Coverage,
    DuplicateReport,
    GenerationsSearched,
    LogAxis,
    RepeatedPicture,
    VerdictCount,
    render,
    thumbnail,
)

CHROMIUM = Path("/usr/bin/chromium")
HUGE = 2**64 - 1
OVERRIDE = "photo \u202egpj.exe"
HOSTILE = (
    "<script>window.owned = 1</script>",
    '"><img src="https://evil.example/x" onerror="window.owned = 1">',
    "</script><style>body{display:none}</style>",
    OVERRIDE,
    "{{ 7 * 7 }} {% raw %}",
    "long " + "word " * 1_999 + "needle",
    "صورة جبل عند الغروب",
    "unbroken" * 40,
)


def jpeg(colour: tuple[int, int, int], height: int = 40) -> bytes:
    return thumbnail(np.full((height, 60, 3), colour, np.uint8))


def picture(rank: int, copies: int, n_hosts: int, n_captions: int, **changes: object) -> RepeatedPicture:
    plain = RepeatedPicture(
        cluster_id=HUGE - rank,
        representative_id=HUGE - rank,
        duplicate_count=copies,
        exact_count=copies - 1,
        near_count=1,
        distinct_urls=copies,
        distinct_captions=n_captions,
        distinct_hosts=n_hosts,
        max_distance_to_representative=12.0,
        hosts=(f"cdn{rank}.example",),
        licenses=("CC-BY 4.0", "?"),
        captions=(f"caption of picture {rank}",),
        unsafe=False,
        thumbnail=jpeg((40 * rank, 90, 120)),
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


PICTURES = (
    picture(0, 50, 9, 1),
    picture(1, 400, 3, 8, captions=HOSTILE, hosts=("evil\u202e.example", "<b>bold</b>.example", "x" * 300)),
    picture(2, 120, 30, 5, unsafe=True),
    picture(3, 7, 2, 2, thumbnail=None, max_distance_to_representative=None, licenses=(None,), captions=()),
)
REPORT = DuplicateReport(
    title="Harbours <i>and</i> hills",
    version=3,
    published_at="2026-05-04 09:12 UTC",
    datasets=("laion-sample",),
    rows=10_000,
    images=9_000,
    clusters=40,
    rows_in_clusters=1_234,
    largest=400,
    coverage=(Coverage("sha256", 9_000, 9_000, 0, 0, 0), Coverage("pdq", 9_000, 8_990, 4, 3, 3)),
    bands=(Band("1", 7_000, 7_000, 0.85), Band("2", 30, 60, 0.01), Band("100-999", 1, 400, 0.0004)),
    pictures=PICTURES,
    verdicts=(VerdictCount("no_match_found", 90), VerdictCount("copy", 8)),
    generations_searched=GenerationsSearched(100, 8_990, 9_000),
)


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


class Visit:
    """One opened report, with what its browser complained about and asked the network for."""

    def __init__(self, browser, file: Path, **context) -> None:  # noqa: ANN001, ANN003
        self.page = browser.new_context(**context).new_page()
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(file.as_uri())
        self.requests = [url for url in self.requests if not url.startswith("data:") and url != file.as_uri()]

    def order(self) -> list[int]:
        """The copies of the pictures that are shown, in their order."""
        return self.page.eval_on_selector_all(
            ".work", "works => works.filter(w => w.offsetParent).map(w => Number(w.dataset.copies))"
        )


@pytest.fixture
def visit(browser, tmp_path: Path) -> Iterator:  # noqa: ANN001
    visits: list[Visit] = []

    def open_report(report: DuplicateReport = REPORT, **context) -> Visit:  # noqa: ANN003
        file = tmp_path / "report.html"
        file.write_text(render(report), encoding="utf-8")
        visits.append(Visit(browser, file, **context))
        return visits[-1]

    yield open_report
    for opened in visits:
        opened.page.context.close()


def test_hostile_text_is_shown_and_never_runs(visit) -> None:  # noqa: ANN001
    opened = visit()
    assert opened.page.evaluate("window.owned") is None
    assert opened.page.title() == "Harbours <i>and</i> hills: duplicate frequency, version 3"
    text = opened.page.locator(".work").first.evaluate("work => work.textContent")
    for caption in HOSTILE:
        assert caption.replace("\u202e", "⟨U+202E⟩") in text
    assert "\u202e" not in opened.page.content()
    assert opened.page.locator("a[href^=http], link, iframe, form, i, b").count() == 0
    assert (opened.complaints, opened.requests) == ([], [])


def test_the_policy_stops_a_script_that_is_not_the_page_s_own(visit) -> None:  # noqa: ANN001
    opened = visit()
    opened.page.evaluate(
        """() => {
            const script = document.createElement('script');
            script.textContent = 'window.owned = 1';
            document.body.append(script);
            document.body.insertAdjacentHTML('beforeend', '<img src="x" onerror="window.owned = 1">');
        }"""
    )
    opened.page.wait_for_timeout(50)
    assert opened.page.evaluate("window.owned") is None
    assert any("Content Security Policy" in complaint for complaint in opened.complaints)


def test_what_was_not_searched_is_said_before_the_figures(visit) -> None:  # noqa: ANN001
    text = visit().page.inner_text("main")
    assert text.index("Not searched: 10 pictures by pdq (0.1%)") < text.index("9,000")
    assert "98 of 100 generated images compared with 8,990 of 9,000 training rows (99.9%)" in text
    assert "no verdict: these images could not be compared" in text


def test_without_coverage_the_report_says_that_it_is_unknown(visit) -> None:  # noqa: ANN001
    opened = visit(replace(REPORT, coverage=()))
    assert "Coverage is unknown" in opened.page.inner_text("main")


def test_an_empty_warehouse_makes_a_page_too(visit) -> None:  # noqa: ANN001
    nothing = replace(
        REPORT,
        datasets=(),
        rows=0,
        images=0,
        clusters=0,
        rows_in_clusters=0,
        largest=0,
        coverage=(Coverage("pdq", 0, 0, 0, 0, 0),),
        bands=(),
        pictures=(),
        verdicts=(),
        generations_searched=GenerationsSearched(0, 0, 0),
    )
    opened = visit(nothing)
    assert "No repeated picture was found" in opened.page.inner_text("main")
    assert opened.complaints == []


def test_every_band_prints_its_values_and_its_bars_follow_a_logarithm(visit) -> None:  # noqa: ANN001
    page = visit().page
    assert page.locator(".bands tbody tr").all_inner_texts()[2].split() == ["100–999×", "1", "400", "<0.1%"]
    chart = page.get_by_role("img", name="30 pictures seen 2 times, in 60 rows")
    rows, pictures = chart.locator("rect").evaluate_all("bars => bars.map(bar => bar.getBoundingClientRect().width)")
    one_to_ten = LogAxis(7_000).at(10) - LogAxis(7_000).at(1)
    assert 100 * (rows - pictures) / chart.bounding_box()["width"] == pytest.approx(one_to_ten * np.log10(2), abs=0.2)


def test_pictures_sort_by_copies_hosts_and_captions(visit) -> None:  # noqa: ANN001
    opened = visit()
    assert opened.order() == [400, 120, 50, 7]
    opened.page.get_by_label("Most first, by").select_option("hosts")
    assert opened.order() == [120, 50, 400, 7]
    opened.page.get_by_label("Most first, by").select_option("captions")
    assert opened.order() == [400, 120, 7, 50]
    opened.page.get_by_role("button", name="Reset").click()
    assert opened.order() == [400, 120, 50, 7]


def test_a_minimum_and_words_choose_pictures_and_the_count_says_how_many(visit) -> None:  # noqa: ANN001
    opened = visit()
    opened.page.get_by_label("At least this many copies").fill("100")
    assert opened.order() == [400, 120]
    opened.page.get_by_label("Captions and hosts contain").fill("CDN2.example")
    assert opened.order() == [120]
    assert opened.page.get_by_role("status").inner_text() == "Showing 1 of 4 pictures"
    opened.page.get_by_label("Captions and hosts contain").fill("no such words")
    assert opened.order() == []
    assert opened.page.get_by_text("No picture fits").is_visible()


def test_words_deep_in_a_long_caption_are_found_and_unfolded(visit) -> None:  # noqa: ANN001
    page = visit().page
    folded = page.locator("details.long > span", has_text="needle")
    assert not folded.is_visible()
    page.get_by_label("Captions and hosts contain").fill("needle")
    assert folded.is_visible()


@pytest.mark.parametrize("way", ["pointer", "keyboard"])
def test_an_unsafe_picture_is_blurred_until_asked_for(visit, way: str) -> None:  # noqa: ANN001
    page = visit().page
    work = page.locator(".work[data-copies='120']")
    blur = "image => getComputedStyle(image).filter"
    assert "blur" in work.locator("img").evaluate(blur)
    if way == "pointer":
        work.get_by_text("Marked unsafe. Show it").click(force=True)
    else:
        work.get_by_role("checkbox", name="Show picture 2, which is marked unsafe").press("Space")
    assert work.locator("img").evaluate(blur) == "none"
    assert page.locator(".work[data-copies='400'] img").evaluate(blur) == "none"


def test_ids_are_exact_and_unknowns_are_named(visit) -> None:  # noqa: ANN001
    page = visit().page
    assert page.locator(".work").nth(1).locator(".id").all_text_contents() == [str(HUGE - 2)] * 2
    unread = page.locator(".work[data-copies='7']").text_content()
    assert "The picture could not be read" in unread
    assert "unknown" in unread
    assert "not measured" in unread
    assert "CC-BY 4.0, unknown" in page.locator(".work").nth(1).text_content()


def test_nothing_overflows_sideways(visit) -> None:  # noqa: ANN001
    big = replace(REPORT, bands=(Band("1", 4_812_345_678, 4_812_345_678, 0.9), Band("100-999", 1, 400, 0.00001)))
    page = visit(big).page
    page.evaluate("document.querySelectorAll('details').forEach(fold => fold.open = true)")
    for width in (320, 360, 700, 710, 768, 960, 1280):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_a_thousand_pictures_filter_in_a_moment(visit) -> None:  # noqa: ANN001
    """Hidden list items once cost Chromium four seconds here."""
    many = tuple(replace(PICTURES[0], cluster_id=rank, captions=(f"caption {rank}",)) for rank in range(1_000))
    milliseconds = visit(replace(REPORT, pictures=many)).page.evaluate(
        """() => {
            const words = document.querySelector('#words'), start = performance.now();
            words.value = 'caption 77';
            words.dispatchEvent(new Event('input'));
            document.body.offsetHeight;
            return performance.now() - start;
        }"""
    )
    assert milliseconds < 1_000


def test_without_script_it_is_a_plain_list(visit) -> None:  # noqa: ANN001
    opened = visit(java_script_enabled=False)
    assert opened.page.locator(".work").count() == 4
    assert not opened.page.locator(".tools").is_visible()


def test_it_prints_without_controls(visit) -> None:  # noqa: ANN001
    page = visit().page
    page.emulate_media(media="print")
    assert not page.locator(".tools").is_visible()
    assert page.locator(".work").first.is_visible()


def test_text_in_the_muted_colour_stays_readable_in_both_schemes(visit) -> None:  # noqa: ANN001
    """WCAG 2.2, criterion 1.4.3: a contrast of at least 4.5 for text."""
    page = visit().page
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        for selector in (".intro", ".eyebrow", ".unknown"):
            ink, paper = page.locator(selector).first.evaluate(
                "text => [getComputedStyle(text).color, getComputedStyle(document.body).backgroundColor]"
            )
            lighter, darker = sorted((luminance(ink), luminance(paper)), reverse=True)
            assert (lighter + 0.05) / (darker + 0.05) >= 4.5, (scheme, selector)


def luminance(css: str) -> float:
    channels = np.array([int(value) for value in css.removeprefix("rgb(").rstrip(")").split(",")]) / 255
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def test_a_thumbnail_that_is_no_jpeg_is_refused() -> None:
    hostile = replace(REPORT, pictures=(picture(1, 4, 1, 1, thumbnail=b"<svg onload='x()'>"),))
    with pytest.raises(ValueError, match=f"cluster {HUGE - 1} is no JPEG"):
        render(hostile)


@pytest.mark.parametrize(("size", "expected"), [((480, 960), (240, 120)), ((30, 20), (20, 30)), ((4000, 1), (1, 240))])
def test_thumbnails_shrink_to_the_long_side_and_never_grow(size: tuple[int, int], expected: tuple[int, int]) -> None:
    small = Image.open(io.BytesIO(thumbnail(np.zeros((*size, 3), np.uint8))))
    assert (small.format, small.size, small.getexif()) == ("JPEG", expected, {})


@pytest.mark.parametrize("shape", [(4, 4), (4, 4, 4), (0, 4, 3)])
def test_a_thumbnail_of_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="uint8 of shape"):
        thumbnail(np.zeros(shape, np.uint8))
