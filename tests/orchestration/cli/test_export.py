"""What `raisonne export` says of itself."""

import pytest
from click.testing import CliRunner

from orchestration.cli.main import main


@pytest.mark.parametrize(
    ("name", "default"),
    [
        ("report", "the warehouse's own exports"),
        ("removal-list", "the warehouse's own exports"),
        ("guard", "`guard` in"),
    ],
)
def test_an_export_says_where_it_is_written(name: str, default: str) -> None:
    said = " ".join(CliRunner().invoke(main, ["export", name, "--help"]).output.split())
    assert f"Default: {default}" in said
