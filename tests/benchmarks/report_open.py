"""How long the duplicate-frequency report takes to open in a browser."""

import statistics
import tempfile
import time
from pathlib import Path

from tests.benchmarks.data import decoded
from tests.benchmarks.figures import Figure, Measured, NotMeasured
from transforms import report

_ROWS, _CLUSTERS, _PICTURES = 1_000_000, 100_000, 200
_CHROMIUM = Path("/usr/bin/chromium")


def _page() -> str:
    _, pictures = decoded(_PICTURES)
    thumbnails = [report.thumbnail(picture) for picture in pictures]
    shown = tuple(
        report.RepeatedPicture(
            cluster_id=i,
            representative_id=i,
            duplicate_count=1 + _PICTURES - i,
            exact_count=1,
            near_count=_PICTURES - i,
            distinct_urls=2,
            distinct_captions=2,
            distinct_hosts=2,
            max_distance_to_representative=7.0,
            hosts=("images.example.org", "cdn.example.com"),
            licenses=("cc-by", None),
            captions=(f"a caption of picture {i}", "another"),
            unsafe=False,
            thumbnail=thumbnails[i % len(thumbnails)],
        )
        for i in range(_PICTURES)
    )
    return report.render(
        report.DuplicateReport(
            title="Duplicate frequency: made up",
            version=1,
            published_at="2026-01-01 00:00 UTC",
            datasets=("made-up",),
            rows=_ROWS,
            images=_ROWS,
            clusters=_CLUSTERS,
            rows_in_clusters=3 * _CLUSTERS,
            largest=1 + _PICTURES,
            coverage=(report.Coverage("sscd", _ROWS, _ROWS - 9, 4, 3, 2),),
            bands=(report.Band("2", _CLUSTERS // 2, _CLUSTERS, 0.1), report.Band("3-4", _CLUSTERS // 2, 200_000, 0.2)),
            pictures=shown,
            verdicts=(report.VerdictCount("copy", 5),),
            generations_searched=report.GenerationsSearched(5, _ROWS, _ROWS),
        )
    )


def _open() -> Measured:
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        raise NotMeasured("playwright is not installed: pip install raisonne[dev]") from None
    if not _CHROMIUM.exists():
        raise NotMeasured(f"no browser at {_CHROMIUM}")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        file = Path(folder, "report.html")
        file.write_text(_page(), encoding="utf-8")
        browser = playwright.chromium.launch(
            executable_path=str(_CHROMIUM), args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        )
        taken = []
        for _ in range(5):
            tab = browser.new_page()
            start = time.perf_counter()
            tab.goto(file.as_uri(), wait_until="load")
            tab.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
            taken.append(time.perf_counter() - start)
            tab.close()
        browser.close()
        return Measured(statistics.median(taken), {"page_mb": file.stat().st_size / 1e6})


FIGURES = (
    Figure(
        "report_open_s",
        "s",
        "<= 2",
        f"nothing: Chromium, to the second frame; {_CLUSTERS:,} clusters, of which the page shows {_PICTURES}",
        _open,
    ),
)
