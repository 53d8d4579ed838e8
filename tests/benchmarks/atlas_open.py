"""How long the map of a million points takes to show, and to follow a hand.

What belongs here: a made-up map in Chromium, and the times. What does not: laying a map out.
"""

import tempfile
import time
from functools import cache
from pathlib import Path

from tests import atlas_files
from tests.benchmarks.figures import Figure, Measured, NotMeasured

_POINTS, _GENERATIONS = 1_000_000, 20_000
_CHROMIUM = Path("/usr/bin/chromium")
_ARGUMENTS = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist"]
_FRAMES = "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
_SHOWN = (
    "document.querySelector('#shown').textContent && !document.querySelector('#shown').textContent.includes(' 0 of')"
)
# Each frame is read back, so that it is drawn before the next one begins; the first ones find out what is kept up with.
_PAN = """async () => {
  const map = document.querySelector('#map'), gl = map.getContext('webgl'), pixel = new Uint8Array(4);
  const pan = async (frames) => {
    const start = performance.now();
    for (let n = 0; n < frames; n += 1) {
      map.dispatchEvent(new KeyboardEvent('keydown', { key: n % 2 ? 'ArrowLeft' : 'ArrowRight' }));
      await new Promise(requestAnimationFrame);
      gl.readPixels(0, 0, 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, pixel);
    }
    return 1000 * frames / (performance.now() - start);
  };
  await pan(20);
  return pan(60);
}"""


@cache
def _times() -> dict[str, float]:
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        raise NotMeasured("playwright is not installed: pip install '.[dev]'") from None
    if not _CHROMIUM.exists():
        raise NotMeasured(f"no browser at {_CHROMIUM}")
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        page = atlas_files.write(Path(name), _POINTS, _GENERATIONS, details=1)
        browser = playwright.chromium.launch(executable_path=str(_CHROMIUM), args=_ARGUMENTS)
        tab = browser.new_page(viewport={"width": 1200, "height": 900})
        start = time.perf_counter()
        tab.goto(page.as_uri())
        tab.wait_for_function(_SHOWN, timeout=120_000)
        tab.evaluate(_FRAMES)
        times = {"first": time.perf_counter() - start}
        tab.locator("canvas[data-ready]").wait_for(timeout=120_000)
        tab.evaluate(_FRAMES)
        times |= {"whole": time.perf_counter() - start, "frames": float(tab.evaluate(_PAN))}
        browser.close()
    return times


FIGURES = (
    Figure(
        "atlas_first_s",
        "s",
        "<= 3",
        f"nothing: the first of {_POINTS:,} points on the screen of Chromium, drawn by software; `whole` when all are",
        lambda: Measured(_times()["first"], {"whole": _times()["whole"]}),
    ),
    Figure(
        "atlas_frames_per_s",
        "frames/s",
        ">= 30",
        f"nothing: panning {_POINTS:,} points, drawn by software, of which a sample is drawn while they move",
        lambda: Measured(_times()["frames"]),
    ),
)
