"""The site of the documentation: it builds with every link and anchor whole, and its pages ask nothing of a network."""

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag

import pytest
from conftest import PATIENCE_S, ROOT

_CHROMIUM = Path("/usr/bin/chromium")
_LOADED = {
    "img": "src",
    "script": "src",
    "link": "href",
    "iframe": "src",
    "source": "src",
    "video": "src",
    "embed": "src",
}


class Page(HTMLParser):
    """What a page loads, where its links lead, and which anchors it has."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.loaded: set[str] = set()
        self.links: set[str] = set()
        self.anchors: set[str] = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        about = {name: value or "" for name, value in attrs}
        if tag in _LOADED and _LOADED[tag] in about and about.get("rel") not in ("prev", "next", "canonical"):
            self.loaded.add(about[_LOADED[tag]])
        if tag == "a" and "href" in about:
            self.links.add(about["href"])
        self.anchors |= {about[name] for name in ("id", "name") if name in about}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the site as `make docs` builds it. A warning ends the build."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Page]:
    return {path: Page(path) for path in sorted(site.rglob("*.html"))}


def test_every_page_of_docs_is_in_the_site(site: Path) -> None:
    for page in (ROOT / "docs").rglob("*.md"):
        assert (site / page.relative_to(ROOT / "docs")).with_suffix(".html").is_file(), page
    assert all((site / f"{name}.html").is_file() for name in ("index", "contributing", "security", "changelog"))


def test_every_link_leads_somewhere(site: Path, pages: dict[Path, Page]) -> None:
    broken = []
    for path, page in pages.items():
        for link in page.links | page.loaded:
            target, anchor = urldefrag(unquote(link))
            if re.match(r"[a-z]+:", target) or target.startswith("/") or path.name == "404.html":
                continue
            file = (path.parent / target).resolve() if target else path
            if not file.exists() or (anchor and file in pages and anchor not in pages[file].anchors):
                broken.append(f"{path.relative_to(site)}: {link}")
    assert len(pages) > 25
    assert broken == []


def test_no_page_loads_anything_from_elsewhere(site: Path, pages: dict[Path, Page]) -> None:
    assert {link for page in pages.values() for link in page.loaded if re.match(r"(https?:)?//", link)} == set()
    for style in site.rglob("*.css"):
        assert not re.search(r"(@import|url\()\s*[\"']?(https?:)?//", style.read_text(encoding="utf-8")), style


def test_the_python_page_has_every_public_name(pages: dict[Path, Page]) -> None:
    import raisonne

    [api] = [page for path, page in pages.items() if path.name == "python-api.html"]
    named = {anchor.rpartition(".")[2] for anchor in api.anchors}
    assert set(raisonne.__all__) <= named


@pytest.mark.skipif(not _CHROMIUM.exists(), reason="there is no Chromium")
@pytest.mark.parametrize("width", [pytest.param(1200, marks=pytest.mark.thorough), 400])
def test_a_browser_asks_no_other_host_and_pages_do_not_overflow(site: Path, width: int) -> None:
    sync_api = pytest.importorskip("playwright.sync_api")
    asked: list[str] = []
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(_CHROMIUM), args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_context(viewport={"width": width, "height": 900}).new_page()
        page.on("request", lambda request: asked.append(request.url))
        for name in ("index", "tutorial", "how-to/guard", "reference/tables", "reference/python-api"):
            page.goto((site / f"{name}.html").as_uri())
            page.locator("h1").first.wait_for()
            assert page.evaluate("document.documentElement.scrollWidth") <= width, name
            assert page.evaluate("[...document.images].every(each => each.complete && each.naturalWidth > 0)"), name
        browser.close()
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []
