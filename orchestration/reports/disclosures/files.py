"""Disclosures as files in a folder.

What belongs here: which files a disclosure is, and a list of their digests. What does not: what the forms ask
(`disclosures/training_summary.py` and the others), the formats (`transforms/reports/disclosure_form.py`), replacing an
earlier folder (`reports/exports.py`).
"""

import json
from collections.abc import Callable
from pathlib import Path

import duckdb

from orchestration.reports.disclosures import ab2013, croissant, data_provenance, earlier, training_summary
from orchestration.reports.disclosures.answers import Answers
from orchestration.reports.disclosures.domains import LIST, count_domains, write_list
from orchestration.reports.exports import NotInVersion, write_folder
from orchestration.settings import Settings
from transforms.hashing.hashes import file_sha256
from transforms.reports import disclosure_form
from transforms.reports.disclosure_form import DisclosureForm, FormChanges, FormSection

DIGESTS = "SHA256SUMS"
_NEEDED = (("fingerprints.images", "bytes"), ("catalog.rights", "reserved_by"))
"""What versions of earlier releases lack."""


def write(
    con: duckdb.DuckDBPyConnection, settings: Settings, name: str, folder: Path
) -> tuple[list[Path], DisclosureForm]:
    """Write a disclosure of a published version, all of its files or none.

    Args:
        con: A connection to the version.
        settings: What the provider states.
        name: One of `WRITERS`.
        folder: As for `exports.write_folder`.

    Returns:
        The files, and the form that they show.

    Raises:
        NotInVersion: If an earlier release published the version.
        EarlierUnreadable: If an earlier summary cannot be read.
        FileExistsError: If the folder holds anything else.
    """
    _require_columns(Answers(con, settings))
    forms: list[DisclosureForm] = []

    def fill(made: Path) -> None:
        forms.append(WRITERS[name](Answers(con, settings), made))
        files = sorted(path for path in made.iterdir() if path.is_file())
        lines = [f"{file_sha256(path)}  {path.name}\n" for path in files]
        (made / DIGESTS).write_text("".join(lines), encoding="utf-8")

    return write_folder(con, folder, {"disclosure": name}, settings.memory.duckdb, fill), forms[0]


def _training_summary(answers: Answers, folder: Path) -> DisclosureForm:
    domains = count_domains(answers, training_summary.scope(answers))
    write_list(answers.con, folder / LIST)
    sections = training_summary.sections(answers, domains)
    found = [answer for section in sections for answer in section.answers]
    changes = earlier.changes(answers.disclosure.earlier or (), answers, found, "document.")
    names = (training_summary.NAME, training_summary.TITLE, training_summary.ABOUT)
    return _write_form(_form(answers, names, sections, changes), folder)


def _ab2013(answers: Answers, folder: Path) -> DisclosureForm:
    names = (ab2013.NAME, ab2013.TITLE, ab2013.ABOUT)
    return _write_form(_form(answers, names, ab2013.sections(answers)), folder)


def _data_provenance(answers: Answers, folder: Path) -> DisclosureForm:
    names = (data_provenance.NAME, data_provenance.TITLE, data_provenance.ABOUT)
    return _write_form(_form(answers, names, data_provenance.sections(answers)), folder)


def _croissant(answers: Answers, folder: Path) -> DisclosureForm:
    """Write the JSON-LD and the table it describes, and as Markdown where each of its statements comes from."""
    table = folder / croissant.TABLE
    croissant.write_table(answers, table)
    sections = croissant.sections(answers)
    croissant.write_document(croissant.document(answers, sections, table), folder / croissant.FILE)
    form = _form(answers, (croissant.NAME, croissant.TITLE, croissant.ABOUT), sections)
    (folder / "sources.md").write_text(disclosure_form.as_markdown(form), encoding="utf-8")
    return form


def _form(
    answers: Answers, names: tuple[str, str, str], sections: tuple[FormSection, ...], changes: FormChanges | None = None
) -> DisclosureForm:
    version, published_at = answers.version["version"], answers.version["published_at"]
    warnings = answers.warnings  # they ask too
    advice = answers.advice
    return DisclosureForm(*names, version, published_at, sections, answers.queries, warnings, changes, advice)


def _write_form(form: DisclosureForm, folder: Path) -> DisclosureForm:
    stem = form.name.replace("-", "_")
    (folder / f"{stem}.html").write_text(disclosure_form.as_html(form), encoding="utf-8")
    (folder / f"{stem}.md").write_text(disclosure_form.as_markdown(form), encoding="utf-8")
    text = json.dumps(disclosure_form.as_json(form), indent=2, ensure_ascii=False, default=str)
    (folder / f"{stem}.json").write_text(text + "\n", encoding="utf-8")
    return form


def _require_columns(answers: Answers) -> None:
    if missing := [f"{table}.{column}" for table, column in _NEEDED if not answers.has(table, column)]:
        raise NotInVersion(
            f"this version was published by an earlier release, without {', '.join(missing)}; run `raisonne run`, and "
            "export the version that it publishes"
        )


WRITERS: dict[str, Callable[[Answers, Path], DisclosureForm]] = {
    training_summary.NAME: _training_summary,
    croissant.NAME: _croissant,
    ab2013.NAME: _ab2013,
    data_provenance.NAME: _data_provenance,
}
"""The disclosures by name."""
