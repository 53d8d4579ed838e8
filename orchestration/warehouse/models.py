"""SQL models: reading the files under `sql/`, and the order in which they can be built.

What belongs here: reading `sql/<stage>/<table>.sql`, its dependencies, and the statements that create, comment and
check the table. What does not: the syntax of a header (`warehouse/headers.py`), the lineage of columns
(`warehouse/lineage.py`), running models (`warehouse/build.py`), showing them (`runtime/asset_metadata.py`), other SQL
(`warehouse/macros.py`, `warehouse/functions.py`, `warehouse/queries.py`).
"""

import heapq
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import sqlglot
from sqlglot import exp
from sqlglot.errors import ParseError, SqlglotError, TokenError

from orchestration.warehouse import grain
from orchestration.warehouse.headers import COLUMN, Header, ModelError, nearest, read_header
from orchestration.warehouse.queries import quoted

_OTHERS = {"macros", "functions", "queries"}  # folders of SQL that makes no table
STAGES = ("catalog", "fingerprints", "duplicates", "matches", "provenance", "reports", "warehouse")
_TABLE = re.compile(r"[a-z][a-z0-9_]*")
_OPERATORS = {"<=": "at_most", ">=": "at_least", "<>": "not", "!=": "not", "<": "below", ">": "above", "=": "equals"}


@dataclass(frozen=True)
class Check:
    """A promise that a model makes about its rows.

    Attributes:
        name: Letters, digits and underscores, unique in the model.
        sentence: The promise in words.
        sql: A SELECT of the rows of the built table that break it.
        blocks: Whether a broken promise keeps the version from being published. Otherwise it is a warning.
        condition: What a row that breaks it fulfils. None where one row alone does not tell.
        key: The columns that no two rows share; empty if the promise is of single rows.
    """

    name: str
    sentence: str
    sql: str
    blocks: bool = True
    condition: str | None = None
    key: tuple[str, ...] = ()


@dataclass(frozen=True)
class Model:
    """One file `sql/<stage>/<table>.sql`.

    Attributes:
        grain: What its rows can be replaced by: `shard`, `cluster`, or nothing, as a whole. See `warehouse/grain.py`.
        unique: Column tuples that no two rows share; NULLs count as equal.
        not_null: Columns that are never NULL.
        asserts: Conditions that no row fails. As in SQL's CHECK, a NULL passes.
        warns: Conditions that rows may fail; those that do are warned of.
        columns: Column → meaning.
        depends_on: Other models that the SELECT or an assertion reads, as `stage.table`.
        inputs: Unqualified tables that are not common table expressions: facts, landing files, settings.
    """

    stage: str
    table: str
    description: str
    select: str
    view: bool
    grain: str
    unique: tuple[tuple[str, ...], ...]
    not_null: tuple[str, ...]
    asserts: tuple[str, ...]
    warns: tuple[str, ...]
    columns: Mapping[str, str] = field(hash=False)
    depends_on: tuple[str, ...]
    inputs: tuple[str, ...]
    path: Path

    @property
    def name(self) -> str:
        """The name of the table in queries, `stage.table`."""
        return f"{self.stage}.{self.table}"

    @property
    def by_shard(self) -> bool:
        """Whether its rows can be replaced shard by shard."""
        return self.grain == "shard"

    @property
    def by_cluster(self) -> bool:
        """Whether its rows can be replaced cluster by cluster."""
        return self.grain == "cluster"

    @property
    def order(self) -> str:
        """The order of its rows, as its last clause says it; empty if it says none."""
        return grain.order(_parse(self.select, self.path)) if self.by_cluster else ""

    @property
    def create(self) -> str:
        """The statement that builds the table or view; its schema must exist."""
        return f"create or replace {self._kind} {self._quoted} as\n{self.select}"

    @property
    def comments(self) -> tuple[str, ...]:
        """Statements that store the data dictionary in the database. DuckDB refuses a missing column."""
        about = [f"comment on {self._kind} {self._quoted} is {quoted(self.description)}"] if self.description else []
        return (
            *about,
            *(f'comment on column {self._quoted}."{name}" is {quoted(text)}' for name, text in self.columns.items()),
        )

    @property
    def checks(self) -> tuple[Check, ...]:
        """The promises of the header, in the order unique, not_null, assert, warn."""
        table = self._quoted  # this and the column names below were held against patterns of plain names
        checks = []
        for columns in self.unique:
            # A grouping and a semi join, not a window: only the keys are held in memory, however wide the row.
            key = ", ".join(f'"{column}"' for column in columns)
            same = " and ".join(f'built."{column}" is not distinct from repeated."{column}"' for column in columns)
            repeated = f"select {key} from {table} group by {key} having count(*) > 1"  # noqa: S608
            rows = f"select * from {table} as built semi join ({repeated}) as repeated on {same} order by {key}"  # noqa: S608
            subject = columns[0] if len(columns) == 1 else f"({', '.join(columns)})"
            checks.append(Check(f"unique_{'_'.join(columns)}", f"{subject} is unique", rows, key=columns))
        if self.not_null:  # one check: Dagster stores each at some 50 ms
            missing = " or ".join(f'"{column}" is null' for column in self.not_null)
            rows = f"select * from {table} where {missing}"  # noqa: S608
            one = len(self.not_null) == 1
            sentence = f"{', '.join(self.not_null)} {'is' if one else 'are'} never NULL"
            name = f"not_null_{self.not_null[0]}" if one else "not_null"
            checks.append(Check(name, sentence, rows, condition=missing))
        for kind, conditions in (("assert", self.asserts), ("warn", self.warns)):
            for condition in conditions:
                broken = f"not (\n{condition}\n)"
                rows = f"select * from {table} where {broken}"  # noqa: S608
                name = f"{kind}_{_slug(condition)}"
                checks.append(Check(name, condition, rows, blocks=kind == "assert", condition=broken))
        seen: Counter[str] = Counter()
        for at, check in enumerate(checks):  # conditions that differ in punctuation alone get a number
            seen[check.name] += 1
            if seen[check.name] > 1:
                checks[at] = replace(check, name=f"{check.name}_{seen[check.name]}")
        return tuple(checks)

    @property
    def _kind(self) -> str:
        return "view" if self.view else "table"

    @property
    def _quoted(self) -> str:
        return f'"{self.stage}"."{self.table}"'


def load(folder: Path) -> tuple[Model, ...]:
    """Read every model under `folder`, so that a model comes after those it reads, else by stage and name.

    Raises ModelError for a file that breaks the rules, a reference to a missing model, or a cycle.
    """
    if not folder.is_dir():
        raise ModelError(f"no SQL models at {folder}: pass the folder that holds <stage>/<table>.sql")
    paths = [path for path in sorted(folder.rglob("*.sql")) if path.parts[len(folder.parts)] not in _OTHERS]
    models = {model.name: model for model in (_read(path, folder, path.read_text("utf-8")) for path in paths)}
    for model in models.values():
        for name in model.depends_on:
            if name not in models:
                file = folder / Path(*name.split(".")).with_suffix(".sql")
                raise ModelError(f"{model.path}: reads {name}, but there is no {file}{nearest(name, models)}")
            if model.by_shard and not models[name].by_shard:
                raise ModelError(
                    f"{model.path}: {grain.DECLARED.format(model.grain)} reads {name}, which is not; read facts or "
                    "settings in its place, or leave the grain out"
                )
    return tuple(_ordered(models))


@cache  # a run loads the models several times, and parsing all takes most of a second
def _read(path: Path, folder: Path, text: str) -> Model:
    stage, table = _table_of(path, folder)
    lines = text.splitlines()
    header, end = read_header(lines, path)
    # Blank lines in place of the header: the parser then counts lines as the file does.
    query = _parse("\n" * end + "\n".join(lines[end:]), path)
    promised = [("assert", text) for text in header.asserts] + [("warn", text) for text in header.warns]
    conditions = [_parse(f"select * where not (\n{text}\n)", path, f"{key}: {text}") for key, text in promised]
    _compare(query, conditions, header, path)
    models, inputs = _reads(query)
    for condition in conditions:
        more_models, more_inputs = _reads(condition)
        models, inputs = models | more_models - {f"{stage}.{table}"}, inputs | more_inputs
    if header.view and inputs:  # inputs are tables of the building connection alone
        raise ModelError(
            f"{path}: a view cannot read {', '.join(sorted(inputs))}, which readers lack; remove `as: view`"
        )
    if header.grain and (why := grain.refusal(header.grain, query, _outputs(query), inputs, header.view)):
        raise ModelError(f"{path}: {grain.DECLARED.format(header.grain)} {why}, or leave the grain out")
    return Model(
        stage=stage,
        table=table,
        select="\n".join(lines[end:]).strip().removesuffix(";").rstrip(),
        depends_on=tuple(sorted(models)),
        inputs=tuple(sorted(inputs)),
        path=path,
        **vars(header),
    )


def _table_of(path: Path, folder: Path) -> tuple[str, str]:
    parts = path.relative_to(folder).with_suffix("").parts
    if len(parts) != 2 or not all(_TABLE.fullmatch(part) for part in parts):
        raise ModelError(f"{path}: name it <stage>/<table>.sql, in lower-case letters, digits and underscores")
    stage, table = parts
    if stage not in STAGES:
        raise ModelError(f"{path}: unknown stage {stage} ({', '.join(STAGES)}){nearest(stage, STAGES)}")
    return stage, table


def _parse(sql: str, path: Path, where: str = "") -> exp.Query:
    """Parse one SELECT. `where` names it in errors if it is not a line of the file."""
    try:
        statements = sqlglot.parse(sql, dialect="duckdb")
    except SqlglotError as error:
        place = f"{path}: {where}" if where else f"{path}:{_line(sql, error)}"
        why = error.errors[0]["description"] if isinstance(error, ParseError) and error.errors else str(error)
        raise ModelError(f"{place}: DuckDB SQL expected; {why}") from error
    queries = [each for each in statements if each is not None and not isinstance(each, exp.Semicolon)]
    if len(queries) != 1:
        raise ModelError(f"{path}: {where or 'the file'} holds {len(queries)} statements; write one SELECT a file")
    if not isinstance(queries[0], exp.Query) or not queries[0].selects:
        raise ModelError(
            f"{path}: {queries[0].key.upper()} found; write a SELECT of columns, the loader creates the table"
        )
    return queries[0]


def _line(sql: str, error: SqlglotError) -> int:
    if isinstance(error, ParseError) and error.errors and error.errors[0].get("line"):
        return error.errors[0]["line"]
    # The tokenizer names no line: a quote or comment left open begins after the longest text that it accepts.
    lines = sql.splitlines()
    return next(n for n in range(len(lines), -1, -1) if _tokenizes("\n".join(lines[:n]))) + 1


def _tokenizes(sql: str) -> bool:
    try:
        sqlglot.tokenize(sql, dialect="duckdb")
    except TokenError:
        return False
    return True


def _reads(query: exp.Query) -> tuple[set[str], set[str]]:
    """Split the tables of a query into models (qualified) and inputs (bare names that no WITH defines)."""
    models, inputs = set(), set()
    for table in query.find_all(exp.Table):
        if not isinstance(table.this, exp.Identifier):  # range(), read_parquet(): a function, not a table
            continue
        name = ".".join(part.name for part in table.parts).lower()
        if table.db:
            models.add(name)
        elif COLUMN.fullmatch(name) and not _defined_above(table, name):  # 'a.parquet' is a file, not a table
            inputs.add(name)
    return models, inputs


def _defined_above(table: exp.Table, name: str) -> bool:
    node = table
    while parent := node.parent:
        visible: list[exp.CTE] = []
        if isinstance(parent, exp.With):  # inside a CTE: those before it, and itself if it may recurse
            visible = parent.expressions[: node.index + bool(parent.recursive)]
        elif isinstance(parent, exp.Query) and not isinstance(node, exp.With):
            visible = parent.ctes
        if any(cte.alias.lower() == name for cte in visible):
            return True
        node = parent
    return False


def _compare(query: exp.Query, conditions: list[exp.Query], header: Header, path: Path) -> None:
    """Refuse a header that names columns which the SELECT lacks, if the columns of the SELECT are known."""
    outputs = _outputs(query)
    if outputs is None:
        return
    for name, times in Counter(outputs).items():
        if times > 1:
            raise ModelError(f"{path}: the SELECT names {times} columns {name}; rename or remove one")
    named = [*header.columns, *header.not_null, *(name for names in header.unique for name in names)]
    for condition in conditions:
        if len(list(condition.find_all(exp.Query, exp.Comprehension))) == 1:  # else names may belong to inner rows
            named += [column.parts[0].name.lower() for column in condition.find_all(exp.Column) if not column.is_star]
    for name in named:
        if name not in (*outputs, path.stem):  # an assertion may write table.column
            raise ModelError(f"{path}: the header names {name}, which the SELECT lacks{nearest(name, outputs)}")


def _outputs(query: exp.Query) -> list[str] | None:
    """Return the output columns, or None if the text does not name them (a star, an expression without a name)."""
    if isinstance(query, exp.Subquery):
        return _outputs(query.this)
    if isinstance(query, exp.SetOperation):
        left, right = _outputs(query.left), _outputs(query.right)
        if not query.args.get("by_name"):
            return left
        return None if left is None or right is None else list(dict.fromkeys([*left, *right]))
    named = (exp.Alias, exp.Column, exp.Dot)
    if not isinstance(query, exp.Select) or not all(isinstance(each, named) for each in query.selects):
        return None
    names = [each.alias_or_name.lower() for each in query.selects]
    return None if "*" in names or any(each.find(exp.Columns) for each in query.selects) else names


def _ordered(models: Mapping[str, Model]) -> list[Model]:
    sorter = TopologicalSorter({model.name: model.depends_on for model in models.values()})
    try:
        sorter.prepare()
    except CycleError as error:
        circle = error.args[1][::-1]
        raise ModelError(
            f"{models[circle[0]].path}: the models depend on each other in a circle: {' reads '.join(circle)}; "
            "move the shared part into a separate model"
        ) from error
    ready: list[tuple[int, str]] = []
    ordered: list[Model] = []
    while sorter.is_active():
        for name in sorter.get_ready():
            heapq.heappush(ready, (STAGES.index(models[name].stage), name))
        ordered.append(models[heapq.heappop(ready)[1]])
        sorter.done(ordered[-1].name)
    return ordered


def _slug(condition: str) -> str:
    for sign, word in _OPERATORS.items():
        condition = condition.replace(sign, f" {word} ")
    return re.sub(r"[^a-z0-9]+", "_", condition.lower()).strip("_")
