"""The last published summary, and what differs from it.

What belongs here: reading it, and comparing answers by their keys. What does not: showing the differences
(`transforms/reports/disclosure_form.py`).
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import duckdb

from orchestration.reports.disclosures.answers import Answers
from orchestration.reports.disclosures.domains import LIST, SAME, changed_since
from orchestration.settings.disclosure import EarlierSummary
from transforms.readable import first_line
from transforms.reports.disclosure_form import AnswerChange, FormAnswer, FormChanges

_SHOWN = 300  # characters of an answer


class EarlierUnreadable(RuntimeError):
    """The file of an earlier summary cannot be read; the message names it and the fix."""


def changes(
    earlier: Iterable[EarlierSummary], answers: Answers, found: Iterable[FormAnswer], skip: str
) -> FormChanges | None:
    """Return the differences to the last summary that has a file, or None if none has one.

    Required domains are compared where the earlier list of domains lies beside that file.

    Args:
        earlier: The earlier summaries, oldest first.
        answers: Of the version whose list of domains was counted.
        found: The answers of now.
        skip: What keys begin with that say which summary it is, and so differ always.

    Raises:
        EarlierUnreadable: If the file is no summary.
    """
    with_file = [(each, each.file) for each in earlier if each.file]
    if not with_file:
        return None
    last, file = with_file[-1]
    now = {answer.key: answer for answer in found if not answer.key.startswith(skip)}
    before = {key: answer for key, answer in _read(file).items() if not key.startswith(skip)}
    changed = []
    for key in dict.fromkeys([*now, *before]):
        new, old = now.get(key), before.get(key)
        if new is None or old is None or _comparable(new.status, new.value) != _comparable(old["status"], old["value"]):
            told = None if new is None else _shown(new.status, new.text, new.value)
            said = None if old is None else _shown(old["status"], old["text"], old["value"])
            changed.append(AnswerChange(key, new.asks if new else before[key]["asks"], said, told))
    changed += _domains(answers, file.parent / LIST)
    return FormChanges(last.version, last.published, tuple(changed))


def _domains(answers: Answers, file: Path) -> list[AnswerChange]:
    if not file.is_file():
        return []
    try:
        told = changed_since(answers, file)
    except duckdb.Error as error:
        raise EarlierUnreadable(
            f"{file} is no list of domains: {first_line(error)}; put the one of the earlier summary beside its "
            "training_summary.json, or none"
        ) from None
    return [] if told == SAME else [AnswerChange("crawled.domains.required", "Required domains", "as then", told)]


def _read(file: Path) -> dict[str, dict[str, Any]]:
    try:
        listed = [answer for section in json.loads(file.read_bytes())["sections"] for answer in section["answers"]]
        return {
            answer["key"]: {name: answer[name] for name in ("asks", "status", "value")}
            | {"text": answer.get("text", "")}
            for answer in listed
        }
    except OSError as error:
        raise EarlierUnreadable(
            f"{file} cannot be read: {error.strerror}; correct `file` in disclosure.earlier, or leave it out"
        ) from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise EarlierUnreadable(
            f"{file} is no summary that `raisonne export training-summary` wrote; name its training_summary.json in "
            "disclosure.earlier, or leave `file` out"
        ) from None


def _comparable(status: str, value: object) -> str:
    return json.dumps([status, value], sort_keys=True, default=str)


def _shown(status: str, text: str, value: object) -> str:
    told = text or ("" if value is None else json.dumps(value, ensure_ascii=False, default=str))
    told = f"{status}: {told}" if status in ("to be completed", "unknown") and told else told or status
    return told if len(told) <= _SHOWN else f"{told[:_SHOWN]}…"
