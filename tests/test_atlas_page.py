"""The map of meanings in a real browser: drawn, moved, filtered, opened by click and by key, wide and narrow."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests import atlas_files

CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = [
    *("--no-sandbox", "--disable-background-networking", "--use-angle=swiftshader"),
    *("--enable-unsafe-swiftshader", "--ignore-gpu-blocklist"),
]


@pytest.fixture(scope="module")
def browser() -> Iterator:
    if not CHROMIUM.exists():
        pytest.skip(f"no browser at {CHROMIUM}")
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as started:
        running = started.chromium.launch(executable_path=str(CHROMIUM), args=ARGUMENTS)
        yield running
        running.close()


@pytest.fixture(scope="module")
def atlas(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return atlas_files.write(tmp_path_factory.mktemp("atlas"), 2_400, 400)


def inked(tab, file: Path) -> np.ndarray:  # noqa: ANN001
    """Return which pixels of the map are drawn on."""
    tab.locator("#map:not([data-moving])").wait_for()  # while it moves, it may leave points out
    tab.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    tab.locator("#map").screenshot(path=file)
    shown = np.asarray(Image.open(file).convert("RGB")).astype(int)
    return np.abs(shown - shown[5, 5]).sum(axis=2) > 40


def test_the_map_is_drawn_moved_filtered_and_opened(browser, atlas: Path, tmp_path: Path) -> None:  # noqa: ANN001
    tab, heard, asked = browser.new_context(viewport={"width": 1200, "height": 900}).new_page(), [], []
    tab.on("console", lambda message: heard.append(message.text))
    tab.on("pageerror", lambda error: heard.append(str(error)))
    tab.on("request", lambda request: asked.append(request.url))
    tab.goto(atlas.as_uri())
    tab.locator("canvas[data-ready]").wait_for()
    status, shot = tab.locator("#shown"), tmp_path / "map.png"
    assert status.inner_text() == "2,400 points of 2,400"
    whole = inked(tab, shot)
    assert whole.mean() > 0.01, "points are drawn"

    tab.locator("#kind").select_option("2 3")
    assert status.inner_text() == "400 points of 2,400"
    assert 0 < inked(tab, shot).mean() < whole.mean()
    tab.locator("#kind").select_option("3")
    assert status.inner_text() == "200 points of 2,400"
    tab.locator("#kind").select_option("")
    tab.locator("#licence").select_option("0")
    assert status.inner_text() == "1,000 points of 2,400", "half of the training pictures"
    tab.locator("#licence").select_option("")
    tab.locator("#concept").fill("concept 5, ")
    few = int(status.inner_text().split()[0].replace(",", ""))
    assert 90 < few < 220, "one concept of 16"
    tab.locator("#concept").fill("nothing like it")
    assert status.inner_text() == "0 points of 2,400"
    tab.locator("#concept").fill("")

    area = tab.locator("#map").bounding_box()
    before = inked(tab, shot)
    tab.mouse.move(area["x"] + 300, area["y"] + 300)
    tab.mouse.down()
    tab.mouse.move(area["x"] + 380, area["y"] + 300, steps=4)
    tab.mouse.up()
    moved = inked(tab, shot)
    rows = slice(150, before.shape[0] - 20)  # without the buttons
    overlap = (before[rows, 100:400] & moved[rows, 180:480]).sum() / before[rows, 100:400].sum()
    assert overlap > 0.9, "what was there lies 80 pixels to the right"
    tab.get_by_role("button", name="All").click()
    tab.mouse.click(area["x"] + area["width"] / 2, area["y"] + area["height"] / 2)
    tab.get_by_role("button", name="Zoom in").click()
    assert heard == []
    inside = atlas.parent.as_uri()
    assert [url for url in asked if not url.startswith((inside, "data:"))] == []
    assert tab.evaluate("window.owned") is None


def test_the_map_is_used_by_keys_alone_and_says_what_a_point_is(browser, atlas: Path, tmp_path: Path) -> None:  # noqa: ANN001
    tab = browser.new_context(viewport={"width": 1200, "height": 900}).new_page()
    tab.goto(atlas.as_uri())
    tab.locator("canvas[data-ready]").wait_for()
    tab.locator("#licence").focus()
    tab.keyboard.press("Tab")
    assert tab.evaluate("document.activeElement.id") == "map"
    assert "Arrow keys move" in (tab.locator("#map").get_attribute("aria-label") or "")
    shot = tmp_path / "map.png"
    whole = inked(tab, shot)
    for key in ("+", "+", "ArrowRight", "ArrowDown", "-"):
        tab.keyboard.press(key)
    assert (inked(tab, shot) != whole).any()
    tab.keyboard.press("Enter")
    title = tab.locator("#detail h2")
    title.wait_for()
    number = int(title.inner_text().removeprefix("point "))
    assert 0 <= number < 2_400 and tab.locator("#ring").is_visible()
    assert tab.locator("#detail .quotes li").inner_text() == atlas_files.HOSTILE
    assert tab.locator("#detail a").count() == 0 and tab.evaluate("window.owned") is None
    tab.keyboard.press("0")
    tab.mouse.move(5, 5)
    assert (inked(tab, shot) & whole).sum() / whole.sum() > 0.95, "all of it again"


@pytest.mark.parametrize("scheme", ["dark", pytest.param("light", marks=pytest.mark.thorough)])
def test_the_map_fits_a_telephone(browser, atlas: Path, tmp_path: Path, scheme: str) -> None:  # noqa: ANN001
    size = {"width": 400, "height": 800}
    tab = browser.new_context(viewport=size, color_scheme=scheme, has_touch=True).new_page()
    tab.goto(atlas.as_uri())
    tab.locator("canvas[data-ready]").wait_for()
    assert tab.evaluate("document.documentElement.scrollWidth") <= 400
    assert inked(tab, tmp_path / "map.png").mean() > 0.01
    area = tab.locator("#map").bounding_box()
    assert area["width"] > 340 and area["height"] >= 320
    tab.touchscreen.tap(area["x"] + area["width"] / 8 + 20, area["y"] + area["height"] / 2)


def test_a_page_without_its_folder_says_so(browser, atlas: Path, tmp_path: Path) -> None:  # noqa: ANN001
    (tmp_path / "atlas.html").write_text(atlas.read_text())
    tab = browser.new_context().new_page()
    tab.goto((tmp_path / "atlas.html").as_uri())
    problem = tab.locator("#problem")
    problem.wait_for()
    assert "pages/data/places/0.js could not be read" in problem.inner_text()
