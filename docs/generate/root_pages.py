"""Brings files of the repository into the site: the README as its front page, and whatever its pages link to.

What belongs here: which files outside `docs/` are part of the site, links that lead to them, pages that the navigation
leaves out. What does not: their text, the order of the navigation (`mkdocs.yml`, which names this file as a hook).
"""

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

_ROOT = Path(__file__).resolve().parents[2]
_PAGES = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "CHANGELOG.md": "changelog.md",
    "data/sample/ATTRIBUTION.md": "attribution.md",
    "tests/benchmarks/RESULTS.md": "figures.md",
}
"""Where a page of the repository lies in the site. Other files that are linked keep their path, below `_FILES`."""
_SOURCES = {page: source for source, page in _PAGES.items()}
_FILES = "files"
_LINK = re.compile(r"\[(?P<text>[^\]]*)\]\((?![a-z]+:|#)(?P<path>[^)#\s]+)(?P<anchor>#[^)\s]*)?\)")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put pages that the navigation does not name at the end of their folder's section. See MkDocs' `on_config`."""
    for section in config.nav or ():
        for pages in section.values():
            named = [page if isinstance(page, str) else next(iter(page.values())) for page in pages]
            if folder := posixpath.dirname(named[0]):
                found = sorted(f"{folder}/{path.name}" for path in (_ROOT / "docs" / folder).glob("*.md"))
                pages += [page for page in found if page not in named]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages. See MkDocs' `on_files`.

    Args:
        files: Those of `docs/`.
        config: Of the site.
    """
    for source, page in _PAGES.items():
        files.append(File.generated(config, page, content=(_ROOT / source).read_text(encoding="utf-8")))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn links between files of the repository into links within the site. See MkDocs' `on_page_markdown`.

    Args:
        markdown: The text of the page.
        page: The page.
        config: Of the site.
        files: Those of the site.
    """
    here = page.file.src_uri
    folder = posixpath.dirname(_SOURCES.get(here, f"docs/{here}"))

    def moved(link: re.Match[str]) -> str:
        linked = posixpath.normpath(posixpath.join(folder, link["path"]))
        if (_ROOT / linked).is_dir():  # a site has no folders to show
            return link["text"]
        target = _PAGES.get(linked, linked.removeprefix("docs/"))
        if target == linked and not linked.endswith(".md") and (_ROOT / linked).is_file():
            target = f"{_FILES}/{linked}"
            if files.get_file_from_path(target) is None:
                files.append(File.generated(config, target, content=(_ROOT / linked).read_bytes()))
        return f"[{link['text']}]({posixpath.relpath(target, posixpath.dirname(here) or '.')}{link['anchor'] or ''})"

    return _LINK.sub(moved, markdown)
