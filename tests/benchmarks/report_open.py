"""How long the duplicate-frequency report of a large warehouse takes to open, and what is done on it afterwards.

What belongs here: the made-up warehouse, its pages in Chromium, the times. What does not: writing tables (`export.py`).
"""

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb

from orchestration.reports import pages
from orchestration.reports.pictures import PictureReader
from orchestration.settings import Settings
from tests.benchmarks import warehouse
from tests.benchmarks.data import decoded
from tests.benchmarks.figures import Figure, Measured, NotMeasured, say

_CLUSTERS = 100_000
_CHROMIUM = Path("/usr/bin/chromium")
_FRAMES = "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
_ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]


def _write(folder: Path) -> float:
    """Write the pages. Returns the seconds that they took, the warehouse not counted."""
    _, pictures = decoded(40)
    warehouse.make(folder / "made-up.duckdb", _CLUSTERS)
    with duckdb.connect(str(folder / "made-up.duckdb"), read_only=True) as con:
        con.execute("set timezone = 'UTC'")
        start = time.perf_counter()
        (folder / "out").mkdir()
        reader = PictureReader(lambda number: pictures[number % len(pictures)])
        pages.write(con, folder / "out", Settings(home=folder), reader)
        return time.perf_counter() - start


def _open() -> Measured:
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        raise NotMeasured("playwright is not installed: pip install '.[dev]'") from None
    if not _CHROMIUM.exists():
        raise NotMeasured(f"no browser at {_CHROMIUM}")
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        folder = Path(name)
        parts = {"write_s": _write(folder)}
        files = [path for path in (folder / "out").rglob("*") if path.is_file()]
        parts |= {"files": len(files), "megabytes": sum(path.stat().st_size for path in files) / 1e6}
        browser = playwright.chromium.launch(executable_path=str(_CHROMIUM), args=_ARGUMENTS)
        taken = []
        for _ in range(5):
            tab = browser.new_page()
            taken.append(_seconds(tab, lambda tab=tab: tab.goto((folder / "out" / pages.FIRST).as_uri())))
            if len(taken) < 5:
                tab.close()
        parts["sort_s"] = _seconds(
            tab, lambda: tab.get_by_label("Most first, by").select_option("hosts"), "Showing 1–24 of"
        )
        parts["search_s"] = _seconds(tab, lambda: tab.locator("#words").fill("picture 99999,"), "Showing 1–1 of")
        parts["cluster_s"] = _seconds(tab, lambda: tab.locator(".work a.no").first.click())
        browser.close()
        say("  " + ", ".join(f"{name} {value:.2f}" for name, value in parts.items()))
        return Measured(statistics.median(taken), parts)


def _seconds(tab: Any, work: Callable[[], object], says: str = "") -> float:  # noqa: ANN401 -- playwright is optional
    """Return how long something takes to be on the screen: its list is there, its status says so, two frames drawn."""
    if says:
        tab.evaluate("document.querySelector('#list').replaceChildren()")
        tab.evaluate("document.querySelector('#shown').textContent = ''")
    start = time.perf_counter()
    work()
    if says:
        tab.locator("#shown", has_text=says).wait_for(timeout=60_000)
    tab.locator("#list > li").first.wait_for(timeout=60_000)
    tab.evaluate(_FRAMES)
    return time.perf_counter() - start


FIGURES = (
    Figure(
        "report_open_s",
        "s",
        "<= 2",
        f"nothing: Chromium, from the address to the first pictures drawn; {_CLUSTERS:,} clusters, all listed",
        _open,
    ),
)
