"""The reference of settings: `docs/reference/settings.md` says what the fields say, and every field says something."""

import importlib.util
from types import ModuleType

import pytest
from conftest import ROOT

from orchestration.settings import Settings


@pytest.fixture(scope="module")
def reference() -> ModuleType:
    """Return the script, which is in no package."""
    spec = importlib.util.spec_from_file_location(
        "settings_reference", ROOT / "docs" / "generate" / "settings_reference.py"
    )
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_in_step_with_the_fields(reference: ModuleType) -> None:
    assert reference.PAGE.read_text(encoding="utf-8") == reference.render(), "run `make docs`"


def test_every_setting_says_what_it_means_in_a_sentence() -> None:
    schema = Settings.model_json_schema()
    fields = [
        (f"{of}.{name}", field) for of, model in schema["$defs"].items() for name, field in model["properties"].items()
    ]
    assert len(fields) > 80
    for name, field in fields:
        assert field["description"].endswith("."), name
