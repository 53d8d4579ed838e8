"""Answers to what a form asks: by queries of a published version, and by what the settings state.

What belongs here: asking, and recording what was asked, so that every number carries its query. What does not: which
form asks what (`disclosures/training_summary.py` and the others).
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import duckdb

from orchestration.settings import Settings
from orchestration.settings.disclosure import Disclosure
from orchestration.settings.inputs import Dataset
from orchestration.warehouse.queries import fetch_rows, meaning, query
from transforms.reports.disclosure_form import AnswerTable, AskedQuery, Cell, FormAnswer, Status

_GROUP = "disclosures"
_SIDE_BY_SIDE = 3  # datasets
_NO_ANSWERS = frozenset(
    {"-", "--", "?", "n/a", "n.a", "na", "not applicable", "not available", "tbd", "tba", "todo", "to be completed"}
)
_GENERAL = re.compile(
    r"\b(admin|contact|hello|help|info|inquiries|mail|office|service|support|webmaster)@", re.IGNORECASE
)
_REACHED = re.compile(r"@|://|\d{5}")  # an address, a page, or a telephone number
LISTED = 25  # rows of a table in a form


class Answers:
    """The answers that one published version and its settings give."""

    def __init__(self, con: duckdb.DuckDBPyConnection, settings: Settings) -> None:
        """Ask a version.

        Args:
            con: A connection to it.
            settings: What the provider states.
        """
        self.con, self.settings = con, settings
        self._asked: dict[str, AskedQuery] = {}

    @property
    def disclosure(self) -> Disclosure:
        """What the provider states."""
        return self.settings.disclosure

    @property
    def queries(self) -> tuple[AskedQuery, ...]:
        """What was asked so far, each once, with its parameters."""
        return tuple(self._asked.values())

    def asked(self, name: str, **values: object) -> str:
        """Record a query of `sql/queries/disclosures/`, and return its SQL.

        Args:
            name: Its name.
            values: Its parameters.
        """
        full = f"{_GROUP}/{name}"
        self._asked[full] = AskedQuery(full, meaning(full), query(full), values)
        return query(full)

    def rows(self, name: str, **values: object) -> list[dict[str, Any]]:
        """Return all rows of a query of `sql/queries/disclosures/`.

        Args:
            name: Its name.
            values: Its parameters.
        """
        return fetch_rows(self.con.execute(self.asked(name, **values), values))

    def has(self, table: str, column: str) -> bool:
        """Return whether the version has a column: versions of earlier releases lack some.

        Args:
            table: The table.
            column: The column.
        """
        return (table, column) in set(self.con.execute(query("cli/columns_by_table")).fetchall())

    @cached_property
    def version(self) -> dict[str, Any]:
        """The row of the version."""
        [row] = self.rows("version")
        return row

    @cached_property
    def totals(self) -> dict[str, Any]:
        """Rows and pictures of all datasets together."""
        [row] = self.rows("totals")
        return row

    @cached_property
    def datasets(self) -> list[tuple[dict[str, Any], Dataset | None]]:
        """The datasets of the version with what the settings state of them; None for one that they no longer name."""
        stated = {dataset.name: dataset for dataset in self.settings.datasets}
        return [(row, stated.get(row["dataset"])) for row in self.rows("datasets")]

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a reader has to know before any number."""
        gone = [row["dataset"] for row, stated in self.datasets if stated is None]
        found = []
        if self.version["settings_hash"] != self.settings.settings_hash:
            found.append(
                "The settings that numbers depend on have changed since this version was published. The numbers are of "
                "the version, as it was."
            )
        if gone:
            found.append(f"The settings name no dataset {', '.join(gone)} any more, so nothing is stated of it.")
        return tuple(found)

    @property
    def advice(self) -> tuple[str, ...]:
        """What reviewers of published summaries take points off for, and only the provider can mend."""
        contact, published = _filled(self.disclosure.contact), self.disclosure.published
        found = []
        if contact and _GENERAL.search(contact):
            found.append("disclosure.contact is a general address: name an office or a person that answers")
        elif contact and not _REACHED.search(contact):
            found.append("disclosure.contact has no address, page or number: say where to reach it")
        if published and len(published) < len("YYYY-MM-DD"):
            found.append(f"disclosure.published = {published} is no day: write YYYY-MM-DD")
        return tuple(found)

    def measured(
        self,
        key: str,
        asks: str,
        names: Sequence[str],
        value: object,
        text: str = "",
        table: AnswerTable | None = None,
        note: str = "",
    ) -> FormAnswer:
        """Return an answer of queries, or that it is unknown where they have none.

        Args:
            key: Of the answer.
            asks: What is asked.
            names: The queries.
            value: The answer as data; None: unknown.
            text: The answer in words; of an unknown one, why.
            table: A table with it.
            note: What a reader has to know about it.
        """
        status: Status = "unknown" if value is None else "measured"
        queries = tuple(f"{_GROUP}/{name}" for name in names)
        return FormAnswer(key, asks, status, value, text, table, queries, note=note)

    def stated(self, key: str, asks: str, names: str | Sequence[str], note: str = "") -> FormAnswer:
        """Return what `[disclosure]` states, or that it is to be completed.

        Args:
            key: Of the answer.
            asks: What is asked.
            names: Keys of `[disclosure]`, of which each states a part.
            note: What a reader has to know about it.
        """
        wanted = (names,) if isinstance(names, str) else tuple(names)
        found = {name: _filled(getattr(self.disclosure, name)) for name in wanted}
        given = {name: value for name, value in found.items() if value is not None}
        settings = tuple(f"disclosure.{name}" for name in given)
        missing = tuple(f"disclosure.{name}" for name, value in found.items() if value is None)
        if not given:
            return FormAnswer(key, asks, "to be completed", open=missing, note=note)
        value = next(iter(given.values())) if len(wanted) == 1 else given
        text = " ".join(_words(each) for each in given.values())
        return FormAnswer(key, asks, "stated", value, text, settings=settings, open=missing, note=note)

    def of_dataset(self, key: str, asks: str, name: str, dataset: Dataset | None, setting: str) -> FormAnswer:
        """Return what `[[datasets]]` states of one dataset, or that it is to be completed.

        Args:
            key: Of the answer.
            asks: What is asked.
            name: Name of the dataset.
            dataset: Its settings, if they still name it.
            setting: The key.
        """
        value, full = _filled(getattr(dataset, setting, None)), f"datasets.{name}.{setting}"
        if value is None:
            return FormAnswer(key, asks, "to be completed", open=(full,))
        return FormAnswer(key, asks, "stated", value, str(value), settings=(full,))

    def stated_table(
        self, key: str, asks: str, setting: str, columns: Mapping[str, str], rows: Sequence[Any] | None, note: str = ""
    ) -> FormAnswer:
        """Return what repeated sections state, a row each, or that it is to be completed.

        Args:
            key: Of the answer.
            asks: What is asked.
            setting: The sections.
            columns: Headings of the keys that are shown, by key.
            rows: The sections, objects with these keys; None: nobody stated them, or that there are none.
            note: What a reader has to know about it.
        """
        if rows is None:
            return FormAnswer(key, asks, "to be completed", open=(setting,), note=note)
        if not rows:
            return FormAnswer(key, asks, "stated", [], "None.", settings=(setting,), note=note)
        cells = tuple(tuple(_cell(_filled(getattr(row, name))) for name in columns) for row in rows)
        missing = dict.fromkeys(
            f"{setting}.{name}" for line in cells for name, cell in zip(columns, line, strict=True) if cell is None
        )
        value = [dict(zip(columns, line, strict=True)) for line in cells]
        table = AnswerTable(tuple(columns.values()), cells, "to be completed")
        settings, still = (setting,), tuple(missing)
        return FormAnswer(key, asks, "stated", value, "", table, settings=settings, open=still, note=note)

    def of_datasets(
        self, key: str, asks: str, columns: Mapping[str, str], chosen: Iterable[str], note: str = ""
    ) -> FormAnswer:
        """Return a table of datasets: what the version counts, and what the settings state of them.

        Args:
            key: Of the answer.
            asks: What is asked.
            columns: Headings by name: a column of `disclosures/datasets`, or a key of `[[datasets]]`.
            chosen: Names of the datasets to show, at least one.
            note: What a reader has to know about it.
        """
        names, lines, still = set(chosen), list[tuple[Cell, ...]](), dict[str, None]()
        for row, stated in self.datasets:
            if row["dataset"] not in names:
                continue
            cells: list[Cell] = []
            for name in columns:
                counted = name in row
                cell = _cell(row[name] if counted else _filled(getattr(stated, name, None)))
                cells.append("unknown" if counted and cell is None else cell)
                if not counted and cell is None:
                    still[f"datasets.{row['dataset']}.{name}"] = None
            lines.append(tuple(cells))
        value = [dict(zip(columns, line, strict=True)) for line in lines]
        settings = tuple(f"datasets.{name}" for name in sorted(names))
        head, cells_of = tuple(columns.values()), tuple(lines)
        if len(lines) <= _SIDE_BY_SIDE:  # a column each: they have more to say than fits into a line
            head, *turned = zip(head, *lines, strict=True)
            cells_of = tuple(turned)
        table = AnswerTable(head, cells_of, "to be completed", turned=len(lines) <= _SIDE_BY_SIDE)
        counted_by, answer = (f"{_GROUP}/datasets",), FormAnswer(key, asks, "stated", value, "", table)
        answer = replace(answer, settings=settings, open=tuple(still), note=note)
        measured = [title for name, title in columns.items() if name != "dataset" and name in self.datasets[0][0]]
        if not measured:
            return answer
        told = f"Measured: {', '.join(measured)}. The rest is stated by the provider. {note}".rstrip()
        mixed = len(measured) < len(columns) - ("dataset" in columns)
        return replace(answer, status="measured", queries=counted_by, note=told if mixed else note)

    def listed(self, columns: Sequence[str], rows: Sequence[Mapping[str, Any]], names: Sequence[str]) -> AnswerTable:
        """Return the first rows of a query as a table.

        Args:
            columns: Headings.
            rows: The rows.
            names: Their columns.
        """
        shown = tuple(tuple(_cell(row[name]) for name in names) for row in rows[:LISTED])
        return AnswerTable(tuple(columns), shown, left_out=max(0, len(rows) - LISTED), all_in="the JSON of this form")


def _filled(value: Any) -> Any:  # noqa: ANN401 -- of any setting
    """Return what a setting states, or None where it states nothing: "not applicable" is no answer to a question."""
    said = value.strip().rstrip(".").casefold() if isinstance(value, str) else None
    return None if said is not None and (not said or said in _NO_ANSWERS) else value


def _words(value: object) -> str:
    return ("Yes." if value else "No.") if isinstance(value, bool) else str(value)


def _cell(value: object) -> Cell:
    return value if value is None or isinstance(value, str | int | float) else str(value)
