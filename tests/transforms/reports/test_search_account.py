"""What was not searched is told in its own words: unreadable, not downloaded, missing, and what was not taken."""

import re
from dataclasses import replace

from transforms.reports import duplicate_report
from transforms.reports.duplicate_report import Coverage, DuplicateReport, GalleryExtent, NotTakenFiles, OtherFiles

OTHERS = NotTakenFiles(
    files=1200,
    reasons=3,
    listed=(
        OtherFiles("d", "<b>odd</b>", 1199, 2, "a & b.tar", "\u202egpj.exe"),
        OtherFiles("g", "a link", 1, 1, "c", "x"),
    ),
)
REPORT = DuplicateReport(
    title="d",
    version=1,
    published_at="now",
    rows=100,
    images=60,
    clusters=0,
    rows_in_clusters=0,
    largest=1,
    coverage=(Coverage("sscd", 100, 40, 7, 38, 15, not_downloaded=35),),
    not_taken=OTHERS,
    bands=(),
    policies=(),
    hosts=(),
    all_hosts=0,
    licences=(),
    all_licences=0,
    gallery=GalleryExtent(0, 0, 0, 1, 12, 1, 1, 0),
)


def text(report: DuplicateReport) -> str:
    """Return the words of the page, without scripts and markup."""
    page = re.sub(r"(?s)<(script|style).*?</\1>", "", duplicate_report.render(report))
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", page))


def test_unreadable_not_downloaded_and_missing_are_three_things() -> None:
    said = text(REPORT)
    for part in ("40 searched", "7 too plain to compare", "3 unreadable", "35 not downloaded", "15 missing"):
        assert part in said
    assert "not downloaded" not in text(replace(REPORT, coverage=(Coverage("sscd", 100, 40, 7, 38, 15),)))


def test_what_was_not_taken_is_listed_with_reason_and_example_and_cannot_act() -> None:
    said = text(REPORT)
    assert "1,200 files became no row, so nothing here is said about them" in said
    assert "1,199 of d in a &amp; b.tar and 1 other place: &lt;b&gt;odd&lt;/b&gt;, such as ⟨U+202E⟩gpj.exe" in said
    assert "1 other reason in catalog.not_taken" in said
    assert "Found and not taken" not in text(replace(REPORT, not_taken=NotTakenFiles()))
