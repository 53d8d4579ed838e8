"""A run that fails says what its own code says: the file and the fix, not what a library said within."""

from collections.abc import Callable

import pytest
from dagster._utils.error import SerializableErrorInfo, serializable_error_info_from_exc_info

from orchestration.cli.execution import told
from orchestration.settings import SettingsError
from transforms.generations.generation import GenerationsError


def raised(step: Callable[[], None]) -> SerializableErrorInfo:
    with pytest.raises((ValueError, RuntimeError)) as info:
        step()
    return serializable_error_info_from_exc_info((info.type, info.value, info.tb))


def library() -> None:
    raise ValueError("Unterminated string: line 1 column 34")


def reader() -> None:
    try:
        library()
    except ValueError as error:
        raise GenerationsError("generations.jsonl: line 2: it is no JSON; write one object on each line") from error


def plain() -> None:
    try:
        reader()
    except GenerationsError as error:
        raise RuntimeError("generations: something else") from error


def outer() -> None:
    try:
        reader()
    except GenerationsError as error:
        raise SettingsError("correct `path`") from error


def wordy() -> None:
    try:
        library()
    except ValueError as error:
        raise RuntimeError("model.sql: cannot be built") from error


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (library, "ValueError: Unterminated string: line 1 column 34"),
        (reader, "generations.jsonl: line 2: it is no JSON; write one object on each line"),
        (plain, "generations.jsonl: line 2: it is no JSON; write one object on each line"),
        (outer, "correct `path`"),
        (wordy, "RuntimeError: model.sql: cannot be built"),
    ],
)
def test_the_message_is_the_outermost_of_our_own(step: Callable[[], None], message: str) -> None:
    inner = raised(step)
    assert told(inner) == message
    wrapped = SerializableErrorInfo("dagster._core.errors.X: Error occurred while executing op\n", [], "X", inner, None)
    assert told(wrapped) == message
