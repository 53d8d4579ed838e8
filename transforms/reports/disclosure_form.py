"""A disclosure: what a form asks, what is answered, and where each answer comes from; as a page, Markdown and JSON.

What belongs here: the parts of a filled-in form, and how each format shows them. What does not: what a form asks
(`orchestration/reports/disclosures/`), the look and the rules that stop text from outside from acting
(`reports/page.py`). The structure of the page is in `templates/disclosure.html.j2`.

An answer is measured (by a query of a published version), stated (by the provider, in the settings), to be completed
(nobody stated it) or unknown (nothing that the warehouse holds can answer it). The four are never mixed up: what is to
be completed names its setting, what is measured its query.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from transforms.readable import count, in_markdown, percent
from transforms.reports import page

Status = Literal["measured", "stated", "to be completed", "unknown"]
type Cell = str | int | float | bool | None
"""A cell of a table. A float is a share of one."""
_LONG = 4_000  # characters of a text that the provider wrote
_CELL = 200


@dataclass(frozen=True)
class AnswerTable:
    """A table in an answer.

    Attributes:
        columns: Their headings.
        rows: Their cells; None is shown as `missing`.
        missing: What an empty cell means.
        left_out: Rows that the table does not show.
        all_in: Where all rows are.
        turned: Whether a row is a column of what it shows: numbers then stand among texts.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    missing: Literal["to be completed", "unknown"] = "unknown"
    left_out: int = 0
    all_in: str = ""
    turned: bool = False


@dataclass(frozen=True)
class FormAnswer:
    """What a form asks, and the answer.

    Attributes:
        key: The same in every version of the form, so that two versions can be compared.
        asks: The question, in a few words.
        value: The answer as data, or None.
        text: The answer as a sentence; may be empty beside a table.
        queries: The queries that gave it, by name.
        settings: The settings that state it.
        open: The settings that would complete it.
        note: What a reader has to know about it.
    """

    key: str
    asks: str
    status: Status
    value: Any = None
    text: str = ""
    table: AnswerTable | None = None
    queries: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()
    open: tuple[str, ...] = ()
    note: str = ""


@dataclass(frozen=True)
class FormSection:
    """A section of a form."""

    number: str
    title: str
    answers: tuple[FormAnswer, ...]


@dataclass(frozen=True)
class AskedQuery:
    """A query that gave a number.

    Attributes:
        name: Its name.
        returns: What it returns.
        sql: The statement.
        values: Its parameters.
    """

    name: str
    returns: str
    sql: str
    values: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class AnswerChange:
    """An answer that differs from that of an earlier form; None where one of them has no such answer."""

    key: str
    asks: str
    before: str | None
    now: str | None


@dataclass(frozen=True)
class FormChanges:
    """The differences to an earlier form.

    Attributes:
        to: Version of the earlier one.
        published: When it was published.
        changes: The answers that differ.
    """

    to: str
    published: str
    changes: tuple[AnswerChange, ...]


@dataclass(frozen=True)
class DisclosureForm:
    """A form that is filled in as far as it can be.

    Attributes:
        name: The form, as the command names it.
        title: Its title.
        about: What it answers to.
        version: The published version of the warehouse that all numbers are of.
        published_at: When that was published, UTC.
        warnings: What a reader has to know before any number.
        changes: The differences to the last published one; None where there is none to compare with.
        advice: What the provider should mend before it is published. It is no part of the form.
    """

    name: str
    title: str
    about: str
    version: int
    published_at: str
    sections: tuple[FormSection, ...]
    queries: tuple[AskedQuery, ...]
    warnings: tuple[str, ...] = ()
    changes: FormChanges | None = None
    advice: tuple[str, ...] = ()

    @property
    def answers(self) -> Iterator[FormAnswer]:
        """All answers, in order."""
        return (answer for section in self.sections for answer in section.answers)

    @property
    def open(self) -> tuple[str, ...]:
        """The settings that would complete it, each once."""
        return tuple(dict.fromkeys(setting for answer in self.answers for setting in answer.open))

    @property
    def partly(self) -> int:
        """How many answers are there, and lack a part."""
        return sum(bool(answer.open) and answer.status != "to be completed" for answer in self.answers)

    def total(self, status: Status) -> int:
        """Return how many answers have a status."""
        return sum(answer.status == status for answer in self.answers)


def as_html(form: DisclosureForm) -> str:
    """Return the form as one HTML page that loads nothing and runs nothing."""
    return page.render(
        "disclosure.html.j2", (), form=form, cell=_cell, is_number=_is_number, long=_LONG, most=_CELL, anchor=_anchor
    )


def as_json(form: DisclosureForm) -> dict[str, Any]:
    """Return the form as a JSON value. Answers come in order, each with its status and where it comes from."""
    return {
        "form": form.name,
        "title": form.title,
        "about": form.about,
        "warehouse_version": form.version,
        "warehouse_published_at": form.published_at,
        "warnings": list(form.warnings),
        "to_be_completed": list(form.open),
        "sections": [
            {
                "number": section.number,
                "title": section.title,
                "answers": [_answer_json(answer, form.version) for answer in section.answers],
            }
            for section in form.sections
        ],
        "queries": {
            query.name: {"returns": query.returns, "sql": query.sql, "values": dict(query.values)}
            for query in form.queries
        },
        "changes": None
        if form.changes is None
        else {
            "to": form.changes.to,
            "published": form.changes.published,
            "answers": [vars(change) for change in form.changes.changes],
        },
    }


def as_markdown(form: DisclosureForm) -> str:
    """Return the form as Markdown in which no text from outside is markup."""
    return "\n".join(_lines(form)) + "\n"


def _answer_json(answer: FormAnswer, version: int) -> dict[str, Any]:
    found: dict[str, Any] = {"key": answer.key, "asks": answer.asks, "status": answer.status, "value": answer.value}
    if answer.text:
        found["text"] = answer.text
    if answer.table:
        found["columns"], found["rows"] = list(answer.table.columns), [list(row) for row in answer.table.rows]
        if answer.table.left_out:
            found["rows_left_out"], found["all_rows_in"] = answer.table.left_out, answer.table.all_in
    if answer.queries:
        found |= {"queries": list(answer.queries), "warehouse_version": version}
    for name in ("settings", "open"):
        if value := getattr(answer, name):
            found["to_be_completed_by" if name == "open" else name] = list(value)
    if answer.note:
        found["note"] = answer.note
    return found


def _lines(form: DisclosureForm) -> Iterator[str]:
    yield f"# {in_markdown(form.title)}"
    yield f"\n{form.about}\n\nEvery number is of version {form.version}, published {form.published_at}."
    for warning in form.warnings:
        yield f"\n**{in_markdown(warning)}**"
    if form.open:
        yield f"\nTo be completed: {_codes(form.open)}."
    for section in form.sections:
        yield f"\n## {section.number} {section.title}"
        for answer in section.answers:
            yield f"\n### {answer.asks}\n"
            yield from _answer_lines(answer, form.version)
    if form.changes:
        yield f"\n## Differences to version {in_markdown(form.changes.to)}, published {form.changes.published}\n"
        yield from _table(
            ("answer", "before", "now"), ((c.asks, c.before, c.now) for c in form.changes.changes), "none"
        )
    yield "\n## Queries"
    for query in form.queries:
        yield f"\n### `{query.name}`\n\n{in_markdown(query.returns)}"
        if query.values:
            given = (f"`${name}` = {in_markdown(str(value))}" for name, value in query.values.items())
            yield f"\nWith {', '.join(given)}."
        yield f"\n```sql\n{query.sql}\n```"


def _answer_lines(answer: FormAnswer, version: int) -> Iterator[str]:
    if answer.status in ("to be completed", "unknown"):
        yield f"*{answer.status}*{f': {in_markdown(answer.text)}' if answer.text else ''}"
    elif answer.text:
        yield in_markdown(answer.text)
    if answer.table:
        if answer.text:
            yield ""
        yield from _table(answer.table.columns, answer.table.rows, answer.table.missing)
        if answer.table.left_out:
            yield f"\n{count(answer.table.left_out, 'further row')}: see {answer.table.all_in}."
    if answer.note:
        yield f"\n{in_markdown(answer.note)}"
    if answer.queries:
        yield f"\n*Measured: {_codes(answer.queries)}, version {version}.*"
    if answer.status == "stated":
        yield "\n*Stated by the provider.*"
    if answer.open:
        yield f"\n*To be completed: {_codes(answer.open)}.*"


def _table(columns: Iterable[str], rows: Iterable[Iterable[Cell]], missing: str) -> Iterator[str]:
    head = list(columns)
    yield f"| {' | '.join(map(in_markdown, head))} |"
    yield f"| {' | '.join(['---'] * len(head))} |"
    for row in rows:
        cells = (f"*{missing}*" if value is None else " ".join(in_markdown(_cell(value)).split()) for value in row)
        yield f"| {' | '.join(cells)} |"


def _codes(names: Iterable[str]) -> str:
    return ", ".join(f"`{name.replace('`', '')}`" for name in names)


def _is_number(value: Cell) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _cell(value: Cell) -> str:
    match value:
        case bool():
            return "yes" if value else "no"
        case int():
            return count(value)
        case float():
            return percent(value)
    return "" if value is None else value


def _anchor(name: str) -> str:
    return f"query-{name.replace('/', '-')}"
