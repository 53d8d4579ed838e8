"""Take the pictures of the curators' pages that the documentation shows.

`python docs/generate/screenshots.py [EXPORTS]` takes them.

What belongs here: which part of which page the documentation shows, at which width and in which colour scheme. What
does not: the pages (`transforms/reports/`).

EXPORTS is a folder that `raisonne export` wrote from the sample, by default the newest one in `data/warehouse`. The
script needs Chromium and playwright.
"""

import io
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).resolve().parents[2]
TO = ROOT / "docs" / "screens"
CHROMIUM = "/usr/bin/chromium"
CASE = "simulated-0018.jpg"
MOST = 240_000  # bytes
_WIDE, _NARROW = (1200, 1500), (400, 1400)
# name of the picture: the page, and the element at its top
_PICTURES = {
    "duplicates": ("duplicate_frequency.html", "body"),
    "gallery": ("duplicate_frequency.html", "#pictures"),
    "cluster": ("duplicate_frequency.html", "#members"),
    "provenance": ("provenance.html", "body"),
    "cases": ("provenance.html", "#cases"),
    "case": (f"pages/cases/{CASE}*.html", "#source-1"),
}
_BOTH = ("duplicates", "gallery", "provenance")  # in both schemes at both widths


def _open(page: Page, folder: Path, name: str) -> None:
    pattern, top = _PICTURES[name]
    [file] = folder.glob(pattern)
    page.goto(file.resolve().as_uri())
    if name == "cluster":
        page.locator(".work a.no").nth(4).click()
        page.locator(".member").first.wait_for()
    elif name != "case":
        page.locator("#list > li").first.wait_for()
    for button in page.locator("button.reveal:visible").all()[:2] if name in ("gallery", "cluster") else ():
        button.click()
    page.evaluate("document.activeElement.blur()")
    page.locator(top).evaluate(
        "part => scrollTo(0, part === document.body ? 0 : part.getBoundingClientRect().top + scrollY - 32)"
    )


def main(folder: Path) -> None:
    """Write the pictures of the pages in `folder` into `docs/screens`."""
    TO.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        for name in _PICTURES:
            for width, height in (_WIDE, _NARROW):
                for scheme in ("light", "dark"):
                    if name not in _BOTH and (scheme == "dark") != (width == _NARROW[0]):
                        continue
                    size = {"width": width, "height": 1000 if name == "case" else height}
                    page = browser.new_context(viewport=size, color_scheme=scheme).new_page()
                    _open(page, folder, name)
                    _save(page.screenshot(), TO / f"{name}-{width}-{scheme}.png")
        browser.close()


def _save(screenshot: bytes, file: Path) -> None:
    """Save a picture in the most colours with which it weighs at most MOST bytes."""
    image = Image.open(io.BytesIO(screenshot)).convert("RGB")
    for colours in (256, 128, 64):
        image.quantize(colours, dither=Image.Dither.NONE).save(file, optimize=True)
        if file.stat().st_size <= MOST:
            return
    raise ValueError(f"{file} weighs more than {MOST:,} bytes in {colours} colours; show less of the page")


if __name__ == "__main__":
    newest = max((ROOT / "data" / "warehouse" / "exports").glob("version-*"), default=None)
    exports = Path(sys.argv[1]) if len(sys.argv) > 1 else newest
    if exports is None:
        sys.exit("there are no exports; run `make demo` first, or name a folder that `raisonne export` wrote")
    main(exports)
