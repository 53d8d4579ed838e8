"""How a failed step reports itself: with the reason and the fix as the first line.

What belongs here: choosing the message among an error and its causes, and ending a step with it. What does not: what
the command prints of a failed run (`cli/execution.py`), full disks (`runtime/full_disks.py`).
"""

import functools
import inspect
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

import dagster as dg
from dagster._utils.error import SerializableErrorInfo, serializable_error_info_from_exc_info

from orchestration import settings
from orchestration.runtime import full_disks

_OWN = ("orchestration.", "transforms.")  # the modules of our own errors
_DAGSTER = "dagster."
_NO_MEMORY = "Out of Memory Error: failed to "


class Stopped(dg.Failure):
    """A step cannot go on. The message says why, and the fix."""


# Dagster shows an error as Python writes it: after the module of its class, unless that is a built-in one.
Stopped.__module__ = "builtins"


def told(error: SerializableErrorInfo) -> str:
    """Return the message of an error that explains most: the outermost of our own classes.

    It names the file and the fix, while its cause is what a library said. Without one it is the outermost that is not
    Dagster's.
    """
    messages = _messages(error)
    own = next((each for each in messages if each.startswith(_OWN)), None)
    if own is not None:
        return own.partition(": ")[2] or own
    return next((each for each in messages if not each.startswith(_DAGSTER)), messages[-1])


def _messages(error: SerializableErrorInfo) -> list[str]:
    messages = []
    cause: SerializableErrorInfo | None = error
    while cause is not None:
        messages.append(cause.message.strip())
        cause = cause.cause
    return messages


def explained[Step: Callable[..., Any]](step: Step) -> Step:
    """Let a step that fails report its reason first, in the UI as well as on the terminal."""
    if inspect.isgeneratorfunction(step):

        @functools.wraps(step)
        def generator(*given: Any, **named: Any) -> Iterator[Any]:  # noqa: ANN401 -- what the step is given
            with _reported(step.__name__):
                yield from step(*given, **named)

        return cast("Step", generator)

    @functools.wraps(step)
    def function(*given: Any, **named: Any) -> Any:  # noqa: ANN401 -- likewise, and what it returns
        with _reported(step.__name__):
            return step(*given, **named)

    return cast("Step", function)


@contextmanager
def _reported(step: str) -> Iterator[None]:
    try:
        yield
    except dg.Failure as failure:
        raise Stopped(failure.description, failure.metadata, failure.allow_retries) from failure
    except Exception as error:
        info = serializable_error_info_from_exc_info(sys.exc_info())
        message = told(info)
        foreign = f"{step}: " if message in _messages(info) else ""  # of a library, which does not say what it was for
        raise Stopped(_of_resource(message) or foreign + message) from error


def _of_resource(message: str) -> str | None:
    """Return what to do if a message says that a disk is full, or that DuckDB got no memory; else None."""
    try:
        chosen = settings.load()
    except settings.SettingsError:  # changed since the run began: the reason of the step matters more
        return None
    if _NO_MEMORY in message:
        said = message.partition("\n")[0]
        return f"{said}: raise limits.memory, or limits.duckdb_memory, which is {chosen.memory.duckdb}"
    return full_disks.explained(message, full_disks.places_of_run(chosen.home))
