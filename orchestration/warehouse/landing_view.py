"""The view `landing_metadata`: the rows of all metadata files in one shape.

What belongs here: reading each file by its own names and types, so that an odd file never changes the rows of another.
What does not: the shape of a training row (`sql/catalog/samples.sql`), validating files
(`transforms/catalog/metadata.py`).
"""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence

import duckdb
import pyarrow.parquet as pq

from orchestration.facts import Facts
from transforms.catalog.columns import NUMBER_COLUMNS, ON_RIGHTS, RIGHTS_COLUMNS, TEXT_COLUMNS, forms_of

_FORMS = 32  # more are merged where they can be, because each is a scan of its own
_TEXTS = tuple(alias for aliases in (TEXT_COLUMNS | RIGHTS_COLUMNS).values() for alias in aliases)
_NUMBERS = tuple(alias for aliases in NUMBER_COLUMNS.values() for alias in aliases)
# How a column of a form becomes text, and how it becomes a number. Whole doubles are whole numbers.
_AS_TEXT = {
    "text": '"{}"',
    "whole": '"{}"::varchar',
    "float": """case when isfinite("{0}") and "{0}" = trunc("{0}") and abs("{0}") < 18446744073709551616
        then "{0}"::hugeint::varchar when isfinite("{0}") then "{0}"::varchar end""",
}
_AS_NUMBER = {
    "text": 'case when isnan(try_cast("{0}" as double)) then null else try_cast("{0}" as double) end',
    "whole": '"{}"::double',
    "float": 'case when isnan("{0}") then null else "{0}"::double end',
}

type _Form = tuple[str, ...]


def create(con: duckdb.DuckDBPyConnection, facts: Facts, only: Collection[str] | None = None) -> None:
    """Create the view. Files of one form, the names and types of their columns, are read together.

    Args:
        con: The connection that has the view until it is closed.
        facts: The fact tables; `landing_shards` is read.
        only: The files to read, or None for all.
    """
    files = _files(facts, only)
    if len(files) > _FORMS:
        files = _merged(files)
    selects = [_select((), None)]
    for number, (form, paths) in enumerate(sorted(files.items())):
        con.execute(f"set variable landing_paths_{number} = ?", [sorted(_literal(path) for path in paths)])
        selects.append(_select(form, f"getvariable('landing_paths_{number}'), union_by_name = true"))
    con.execute(f"create or replace temporary view landing_metadata as {' union all '.join(selects)}")


def _merged(files: Mapping[_Form, Sequence[str]]) -> Mapping[_Form, Sequence[str]]:
    """Return fewer groups: forms that have no column of one name and several types are read together."""
    groups: list[tuple[dict[str, str], list[str]]] = []
    for form, paths in sorted(files.items(), key=lambda each: -len(each[0])):
        columns = {each.rpartition(" ")[2].lower(): each for each in form}
        fits = (each for each in groups if all(each[0].get(name, form) == form for name, form in columns.items()))
        known, gathered = next(fits, ({}, []))
        if not gathered:
            groups.append((known, gathered))
        known.update(columns)
        gathered.extend(paths)
    return {tuple(sorted(known.values())): gathered for known, gathered in groups}


def _files(facts: Facts, only: Collection[str] | None) -> Mapping[_Form, Sequence[str]]:
    columns = ["readable_path", "forms", "columns"]
    rows = facts["landing_shards"].read(columns, "readable_path is not null").to_pylist()
    wanted = None if only is None else set(only)
    files: defaultdict[_Form, list[str]] = defaultdict(list)
    for row in rows:
        path, forms = row["readable_path"], row["forms"]
        if wanted is None or path in wanted:
            if forms is None or _lacks_rights(forms, row["columns"] or ()):  # as an older release noted them
                forms = forms_of(pq.read_schema(path))
            files[tuple(sorted(forms))].append(path)
    return files


def _lacks_rights(forms: Collection[str], columns: Collection[str]) -> bool:
    """Return whether a file has columns on rights of which it is not noted how they are read."""
    found = {name.lower() for name in columns} & ON_RIGHTS
    return bool(found) and found.isdisjoint(form.partition(" ")[2].lower() for form in forms)


def _literal(path: str) -> str:
    """Return a path that DuckDB does not take for a glob."""
    return "".join(f"[{character}]" if character in "*?[" else character for character in path)


def _select(form: _Form, paths: str | None) -> str:
    """Return the SELECT of some files, or of none for the names and types of the columns."""
    forms = dict(each.split(" ", 1)[::-1] for each in form)
    names = {name.lower(): (name.replace('"', '""'), kind) for name, kind in forms.items()}
    columns = [*_columns(names, _TEXTS, _AS_TEXT, "varchar"), *_columns(names, _NUMBERS, _AS_NUMBER, "double")]
    if paths is None:
        columns += ["null::varchar as landing_path", "null::bigint as file_row_number"]
        return f"select {', '.join(columns)} where false"
    options = "filename = 'landing_path', file_row_number = true, hive_partitioning = false"
    return f"select {', '.join(columns)}, landing_path, file_row_number from read_parquet({paths}, {options})"  # noqa: S608 -- quoted names of columns


def _columns(
    names: Mapping[str, tuple[str, str]], aliases: Collection[str], casts: Mapping[str, str], kind: str
) -> Iterator[str]:
    for alias in aliases:
        name, form = names.get(alias, ("", ""))
        value = casts[form].format(name) if form else f"null::{kind}"
        yield f'{value} as "{alias}"'
