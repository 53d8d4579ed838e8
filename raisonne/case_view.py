"""A generation's case as a notebook displays it: the page with its pictures, or its lines of text.

What belongs here: the two displays. What does not: reading a case (`orchestration/reports/cases.py`), its page
(`orchestration/reports/case_pages.py`), its text (`orchestration/reports/case_text.py`).
"""

import html
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import duckdb

from orchestration.facts import Facts
from orchestration.facts.training_pictures import TrainingPictures
from orchestration.reports import case_pages, case_text, cases
from orchestration.reports.cases import Case
from orchestration.reports.page_data import publication
from orchestration.reports.pictures import PictureReader
from orchestration.settings import Settings
from transforms.reports import case_page

_HEIGHT = 720  # pixels of the frame in a notebook; the page scrolls in it


@dataclass(frozen=True)
class CaseView:
    """A generation with its likely sources and their evidence.

    Attributes:
        generation: Its verdict and what was searched, by column.
        sources: Its likely sources with all that was measured, the strongest first.
    """

    generation: Mapping[str, Any]
    sources: tuple[Mapping[str, Any], ...]
    _case: Case
    _pages: case_pages.CasePages

    @classmethod
    def read(cls, con: duckdb.DuckDBPyConnection, settings: Settings, generation: str) -> Self:
        """Read a case.

        Args:
            con: A connection to a published version.
            settings: Of the warehouse.
            generation: The generation's id, or its end after a slash.

        Raises:
            LookupError: If there is no such generation.
        """
        case = cases.find(con, generation)
        reader = PictureReader(TrainingPictures(Facts(settings.home / "facts"), settings.limits.bounds))
        pages = case_pages.CasePages(publication(con), settings.thresholds, settings.limits.bounds, reader)
        return cls(case.generation, case.sources, case, pages)

    @property
    def verdict(self) -> str:
        """The word of the verdict, such as `copy` or `no_match_found`."""
        return str(self.generation["verdict"])

    def page(self) -> str:
        """Return the case page: one HTML document that loads nothing."""
        return case_page.render(self._pages.page(self._case))

    def save(self, file: str | Path) -> Path:
        """Write the case page, completely or not at all. Returns the file."""
        return case_pages.write(self._pages.page(self._case), Path(file))

    def __repr__(self) -> str:
        return "\n".join(case_text.lines(self._case))

    def _repr_html_(self) -> str:
        return framed(self.page())


def framed(page: str) -> str:
    """Return a page as the content of a frame. Its own script unveils and blends pictures, and reaches only the page.

    Args:
        page: One HTML document.
    """
    frame = f'<iframe sandbox="allow-scripts" style="width:100%;height:{_HEIGHT}px;border:0" srcdoc="'
    return f'{frame}{html.escape(page)}"></iframe>'
