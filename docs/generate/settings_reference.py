"""Writes the reference of settings, `docs/reference/settings.md`.

`make docs` writes it.

What belongs here: the page. What does not: what a setting means and allows, which its field states
(`orchestration/settings/`).
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from orchestration.settings import Settings

PAGE = Path(__file__).parents[1] / "reference" / "settings.md"
_HEAD = """\
# Settings

Every key of `raisonne.toml`. Written by `docs/generate/settings_reference.py` from `orchestration/settings/`;
change that, and `make docs` writes the page again.

`RAISONNE_CONFIG` or `--config` names the file. An environment variable overrides a key: the section and the key, joined
by two underscores, such as `RAISONNE_THRESHOLDS__PDQ`; a list of sections, such as `RAISONNE_DATASETS`, is JSON. Paths
are relative to the file."""
_TYPES = {"integer": "whole number", "number": "number", "string": "text", "boolean": "`true` or `false`"}
_BOUNDS = {"minimum": "from", "exclusiveMinimum": "above", "maximum": "to", "exclusiveMaximum": "below"}


def render() -> str:
    """Return the page as Markdown."""
    schema = Settings.model_json_schema()
    sections = {name: _section(field) for name, field in schema["properties"].items()}
    plain = {name: schema["properties"][name] for name, section in sections.items() if section is None}
    lines = [_HEAD, "", *_table(plain, schema.get("required", []))]
    for name, section in sections.items():
        if section is None:
            continue
        of, repeated = section
        model = schema["$defs"][of]
        lines += ["", f"## [[{name}]]" if repeated else f"## [{name}]", "", model["description"]]
        if repeated:
            lines += ["", "May be repeated."]
        lines += ["", *_table(model["properties"], model.get("required", []))]
        for inner, field in model["properties"].items():
            if part := _section(field):
                named = schema["$defs"][part[0]]
                lines += ["", f"### [[{name}.{inner}]]", "", field["description"], "", "May be repeated.", ""]
                lines += _table(named["properties"], named.get("required", []))
    return "\n".join(lines) + "\n"


def _section(field: Mapping[str, Any]) -> tuple[str, bool] | None:
    """Return the name of the section's schema and whether the section is repeated; None for a plain key."""
    kinds = [field, *field.get("anyOf", ())]
    items = next((kind["items"] for kind in kinds if "items" in kind), {})
    reference = field.get("$ref") or items.get("$ref")
    return (reference.rpartition("/")[2], bool(items)) if reference else None


def _table(fields: Mapping[str, Mapping[str, Any]], required: list[str]) -> Iterator[str]:
    yield "| key | default | allowed | meaning |"
    yield "| --- | --- | --- | --- |"
    for name, field in fields.items():
        if _section(field):
            continue  # a section of its own
        default = "required" if name in required else _default(field.get("default"))
        yield f"| `{name}` | {default} | {_allowed(field)} | {_cell(field['description'])} |"


def _default(value: object) -> str:
    return "none" if value is None else f"`{json.dumps(value, ensure_ascii=False)}`"


def _allowed(field: Mapping[str, Any]) -> str:
    if "enum" in field:
        return ", ".join(f"`{value}`" for value in field["enum"])
    if "anyOf" in field:
        least = {"minimum": field["ge"]} if "ge" in field else {}  # pydantic leaves the bound of a union outside it
        kinds = [each | least if each.get("type") == "integer" else each for each in field["anyOf"]]
        return " or ".join(_allowed(kind) for kind in kinds if kind.get("type") != "null")
    if field["type"] == "array":
        most = f", at most {field['maxItems']}" if "maxItems" in field else ""
        return f"list of: {_allowed(field['items'])}{most}"
    bounds = [f"{word} {field[key]:,}" for key, word in _BOUNDS.items() if key in field]
    return " ".join([_TYPES[field["type"]], *bounds])


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
