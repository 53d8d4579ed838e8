"""JSON objects in a text, one after another: a line each, an array of them, or an object that names each.

What belongs here: finding where each object begins and ends, with one of them in memory. What does not: opening files
and other forms (`catalog/record_files.py`).

Only a line feed ends a line: U+2028, U+2029 and U+0085 are characters of the text they occur in.
"""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

from transforms.storage import stores

_CHUNK = 1 << 16  # characters
_SPACE = re.compile(r"[ \t\r\n]*")
_DEEPEST = 100  # values within values: no record needs more, and what reads them may recurse
_HALF = re.compile(r"\\u[dD][89a-fA-F]")  # of a surrogate pair, as JSON spells it
_DECODER = json.JSONDecoder(strict=False)  # some writers leave tabs and line breaks in strings as they are

type Named = tuple[int, str | None, dict[str, Any]]  # line, name if the object is named, object


class JsonTextError(ValueError):
    """A text is not JSON of objects. `line` is where, counted from 1; the message has the reason and the fix."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(reason)
        self.line = line


def objects(read: Callable[[int], str], longest: int) -> Iterator[Named]:
    """Yield the objects of a text, with the line that each begins on.

    An object whose values are all objects is taken for an object of named records, as DiffusionDB writes them, unless
    others follow it on lines of their own.

    Args:
        read: Returns the next so many characters of the text; fewer only at its end.
        longest: Most characters of one object.

    Raises:
        JsonTextError: If it is anything else, or breaks off.
    """
    text = _Text(read, longest)
    first = text.peek()
    if first == "[":
        yield from _array(text)
    elif first == "{":
        line = text.rest_of_line()
        whole = None if line is None else _whole(line)
        if whole is None:
            yield from _spread(text)
        elif not text.peek(len(line or "")) and _names_records(whole):
            yield from ((text.line, name, record) for name, record in whole.items())
        else:
            yield from _lines(text)
    elif first:
        raise JsonTextError(text.line, f"{text.shown()} is no JSON object; write one object on each line")


def _names_records(record: dict[str, Any]) -> bool:
    return bool(record) and all(isinstance(value, dict) for value in record.values())


def _whole(line: str) -> dict[str, Any] | None:
    try:
        value = _held(_DECODER.decode(line))
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _held(value: Any, depth: int = 0) -> Any:  # noqa: ANN401 -- any JSON value
    """Return a value in which every text can be stored in a table. Raises RecursionError for one nested too deeply."""
    if depth > _DEEPEST:
        raise RecursionError
    if isinstance(value, str):
        return stores.plain(value)
    if isinstance(value, dict):
        return {stores.plain(name): _held(each, depth + 1) for name, each in value.items()}
    return [_held(each, depth + 1) for each in value] if isinstance(value, list) else value


class _Text:
    """A text that is read forward. Memory: the object being read."""

    def __init__(self, read: Callable[[int], str], longest: int) -> None:
        self.longest = longest
        self._read = read
        self._held, self._at = "", 0
        self._line, self._counted = 1, 0

    @property
    def line(self) -> int:
        """Line of the next character, counted from 1."""
        self._line += self._held.count("\n", self._counted, self._at)
        self._counted = self._at
        return self._line

    def _more(self) -> bool:
        _ = self.line  # counts the lines that are dropped
        kept = self._held[self._at :]
        chunk = self._read(max(_CHUNK, len(kept)))  # twice as much each time: the work stays linear
        self._held, self._at, self._counted = kept + chunk, 0, 0
        return bool(chunk)

    def peek(self, skipped: int = 0) -> str:
        """Return the next character that is not white space, `skipped` characters on; empty at the end."""
        while True:
            found = _SPACE.match(self._held, self._at + skipped)
            end = found.end() if found else self._at + skipped
            if end < len(self._held):
                if not skipped:
                    self._at = end
                return self._held[end]
            if not skipped:
                self._at = end
            if not self._more():
                return ""

    def take(self) -> str:
        """Return the next character that is not white space, and go past it."""
        found = self.peek()
        self._at += len(found)
        return found

    def rest_of_line(self) -> str | None:
        """Return what is left of this line, without going past it; None if it is longer than allowed."""
        while (end := self._held.find("\n", self._at)) < 0:
            if len(self._held) - self._at > self.longest:
                return None
            if not self._more():
                return self._held[self._at :]
        return self._held[self._at : end] if end - self._at <= self.longest else None

    def skip(self, length: int) -> None:
        """Go past characters that `rest_of_line` returned."""
        self._at += length

    def shown(self) -> str:
        """Return the next few characters for a message."""
        return repr(self._held[self._at : self._at + 40])

    def value(self) -> Any:  # noqa: ANN401 -- any JSON value
        """Return the next JSON value, and go past it. If it cannot be read, nothing is passed."""
        self.peek()
        while True:
            try:
                value, end = _DECODER.raw_decode(self._held, self._at)
                value = _held(value) if _HALF.search(self._held, self._at, end) else value
            except (ValueError, RecursionError) as error:
                if isinstance(error, RecursionError):
                    raise JsonTextError(self.line, "it is nested too deeply to be a record") from None
                if len(self._held) - self._at > self.longest:
                    raise JsonTextError(self.line, _too_long(self.longest)) from None
                if self._more():
                    continue
                raise JsonTextError(self.line, f"it is not valid JSON: {_reason(error)}") from None
            if end - self._at > self.longest:
                raise JsonTextError(self.line, _too_long(self.longest))
            self._at = end
            return value


def _too_long(longest: int) -> str:
    return f"it is longer than {longest:,} characters; write one object on each line"


def _reason(error: ValueError) -> str:
    return f"{error.msg}, column {error.colno}" if isinstance(error, json.JSONDecodeError) else str(error)[:100]


def _lines(text: _Text) -> Iterator[Named]:
    while text.peek():
        number, line = text.line, text.rest_of_line()
        if line is None:
            raise JsonTextError(number, _too_long(text.longest))
        try:
            value = _DECODER.decode(line.removeprefix("\ufeff"))  # the mark of a file that was appended
            value = _held(value) if _HALF.search(line) else value
        except (ValueError, RecursionError) as error:
            why = _reason(error) if isinstance(error, ValueError) else "nested too deeply"
            raise JsonTextError(number, f"it is not valid JSON: {why}; write one object on each line") from None
        if not isinstance(value, dict):
            raise JsonTextError(number, "it is no JSON object; write one object on each line")
        text.skip(len(line))
        yield number, None, value


def _array(text: _Text) -> Iterator[Named]:
    began = text.line
    text.take()
    if text.peek() == "]":
        text.take()
    else:
        while True:
            text.peek()
            yield text.line, None, _object(text)
            mark = text.take()
            if mark == "]":
                break
            if mark != ",":
                _stop(text, mark, f"the array that begins on line {began}")
    if text.peek():
        raise JsonTextError(text.line, f"{text.shown()} follows the array; write one array, or one object on each line")


def _object(text: _Text) -> dict[str, Any]:
    line = text.line
    value = text.value()
    if not isinstance(value, dict):
        raise JsonTextError(line, "it is no JSON object; write an object for each picture")
    return value


def _stop(text: _Text, mark: str, what: str) -> None:
    found = f"{mark!r} stands where a comma should" if mark else "the file ends"
    raise JsonTextError(text.line, f"{found} before the end of {what}; write the file again")


def _spread(text: _Text) -> Iterator[Named]:
    """Yield objects that stretch over several lines, or the records of one that is larger than a record may be."""
    alone = True
    while text.peek():
        line = text.line
        try:
            value = text.value()
        except JsonTextError as error:
            if not alone:
                raise
            yield from _named(text, error)
            return
        if not isinstance(value, dict):
            raise JsonTextError(line, "it is no JSON object; write one object on each line")
        if alone and not text.peek() and _names_records(value):
            yield from ((line, name, record) for name, record in value.items())
        else:
            yield line, None, value
        alone = False


def _named(text: _Text, error: JsonTextError) -> Iterator[Named]:
    """Yield the records of an object of records, one at a time. Raises `error` if it is no such object."""
    began, found = text.line, 0
    text.take()
    while True:
        text.peek()
        line = text.line
        try:
            name = text.value()
            if text.take() != ":" or not isinstance(name, str) or text.peek() != "{":
                raise error
            record = _object(text)
        except JsonTextError as inner:
            raise (inner if found else error) from None
        yield line, name, record
        found += 1
        mark = text.take()
        if mark == "}":
            return
        if mark != ",":
            _stop(text, mark, f"the object that begins on line {began}")
