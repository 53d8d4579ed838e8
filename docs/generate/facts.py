"""Writes the reference of facts, `docs/reference/facts.md`, from the schemas of the Lance tables.

`make docs` writes it. What belongs here: the page. What does not: keys and columns, which the definitions state
(`orchestration/facts/schemas/`).
"""

from collections.abc import Iterator
from pathlib import Path

from orchestration.facts.schemas import catalog, duplicates, fingerprints, guard, matches, provenance, review
from orchestration.facts.schemas.definition import TableDefinition
from orchestration.facts.schemas.meanings import meaning

PAGE = Path(__file__).parents[1] / "reference" / "facts.md"
_STAGES = {
    "catalog": catalog,
    "fingerprints": fingerprints,
    "duplicates": duplicates,
    "matches": matches,
    "provenance": provenance,
    "guard": guard,
    "review": review,
}
_HEAD = """\
# Facts

What costs a GPU or a join is a fact: computed once, keyed, and kept in a Lance table, `facts/<name>.lance` in the home.
Everything in `raisonne.duckdb` is derived from these tables and can be derived again. They are the inside: names and
columns may change with a release, which brings stored tables up to date. For questions, take the
[published tables](tables.md).

Written by `docs/generate/facts.py` from `orchestration/facts/schemas/`; change those, and `make docs`
writes the page again. A key is never NULL. *Written by* names the asset in Dagster."""


def render() -> str:
    """Return the page as Markdown."""
    lines = [_HEAD]
    for stage, module in _STAGES.items():
        lines += ["", f"## {stage}"]
        for table in module.TABLES:
            lines += ["", *_section(table)]
    return "\n".join(lines) + "\n"


def _section(table: TableDefinition) -> Iterator[str]:
    yield f"### {table.name}"
    yield ""
    yield f"A row is {table.row}."
    yield ""
    writers = [f"`{name}`" for name in (table.written_by or table.name, *table.also_written_by)]
    yield f"Written by {', '.join(writers)}."
    yield ""
    yield "| column | type | meaning |"
    yield "| --- | --- | --- |"
    for name, kind in {**table.key, **table.columns}.items():
        says = "; ".join(filter(None, ("key" if name in table.key else "", meaning(table.name, name))))
        yield f"| `{name}` | `{kind}` | {says} |"


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
