"""`raisonne export guard`: its options, and what it prints.

What belongs here: options and sentences on standard error. What does not: the other exports (`cli/export.py`), writing
a bundle (`orchestration/guard/export.py`).
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    import duckdb

    from orchestration.settings import Settings


class _Size(click.ParamType):
    """Bytes, or a size with its unit."""

    name = "SIZE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:  # noqa: ANN401
        """Return bytes. See click."""
        from pydantic import ByteSize, TypeAdapter, ValidationError

        try:
            return int(TypeAdapter(ByteSize).validate_python(value))
        except ValidationError:
            self.fail(f"{value!r} is no size; write bytes, or a size such as 64MB", param, ctx)


SIZE = _Size()
_SHARE = click.FloatRange(0, 1, min_open=True)
_EVIDENCE = 256_000_000  # bytes: some 20,000 pictures
_KEY = click.Path(dir_okay=False, path_type=Path)
TO = click.option(
    "--to", type=click.Path(file_okay=False, path_type=Path), help="A new folder. Default: `guard` in the home."
)
_OPTIONS = (
    click.option("--at-least", type=click.IntRange(1), help="Least rows that show a picture. Default: 1."),
    click.option("--hashes-only", is_flag=True, default=None, help="Leave the embeddings out, and with them crops."),
    click.option("--copy-score", type=_SHARE, help="Block from this cosine on. Default: thresholds.similar."),
    click.option("--sign", type=_KEY, help="Private key that signs the bundle: Ed25519 in PEM, or minisign's."),
    click.option("--p-value", type=_SHARE, help="Also block up to this p-value."),
    click.option(
        "--with-evidence",
        is_flag=True,
        default=None,
        help="Keep small copies of the most shown pictures, by which pixels confirm or refuse.",
    ),
    click.option("--evidence-bytes", type=SIZE, help="Most bytes of these, such as 64MB. Default: 256MB."),
    click.option("--pixels-decide", is_flag=True, default=None, help="Let through what pixels refuse."),
    click.option(
        "--look-from", type=_SHARE, help="Compare by pixels from this cosine on, and block what they confirm."
    ),
)


def export_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of `raisonne export guard` to a command."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def export(
    con: "duckdb.DuckDBPyConnection", settings: "Settings", to: Path | None, options: Mapping[str, Any]
) -> list[Path]:
    """Write a guard bundle and print what is in it.

    Args:
        con: The published version.
        settings: Those it was made with.
        to: a new folder; one of the warehouse's if None.
        options: Fields of `BundleOptions`, and `sign`: the file of a private key.

    Returns:
        The folder.

    Raises:
        GuardExportError: If the bundle cannot be written.
        UsageError: If the key cannot be read.
    """
    from orchestration import progress
    from orchestration.guard import export as bundles
    from transforms.guard import KeyUnusable
    from transforms.guard.signature import private_key

    chosen = {name: value for name, value in options.items() if name not in ("sign", "with_evidence")}
    if "with_evidence" in options or "evidence_bytes" in options:
        chosen["evidence_bytes"] = options.get("evidence_bytes", _EVIDENCE)
    try:
        key = private_key(options["sign"]) if "sign" in options else None
    except KeyUnusable as error:
        raise click.UsageError(str(error)) from None
    with progress.display():
        folder = bundles.write(con, settings, bundles.BundleOptions(**chosen), to, key)
    for sentence in bundles.sentences(folder):
        click.echo(sentence, err=True)
    return [folder]
