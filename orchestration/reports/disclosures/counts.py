"""Answers that a published version gives alone: how much there is, of what kind, and what is not known of it.

What belongs here: answers that several forms ask for, each measured by named queries. What does not: what only a
provider can state, which form asks for which (`disclosures/training_summary.py` and the others).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from orchestration.reports.disclosures.answers import Answers
from transforms.readable import count, percent, size
from transforms.reports.disclosure_form import AnswerTable, FormAnswer

_BANDS = ((1_000_000, "Fewer than 1 million pictures"), (1_000_000_000, "1 million to 1 billion pictures"))
_MOST = "More than 1 billion pictures"
_FEW_TOKENS = 1_000_000_000
_NO_PICTURE = "no picture was delivered to this warehouse"
_HONOURED = "policies.honour"  # in place of a list: what files and servers say
_POLICY, _GONE, _NOTHING = "no list", "unknown: the settings name it no more", "no entry names a row"


def modalities(answers: Answers) -> FormAnswer:
    """Return which kinds of data there are.

    Args:
        answers: Of a published version, as for all functions here.
    """
    totals = answers.totals
    text = (
        f"Pictures with text: {count(totals['rows'], 'training row')}, each with a picture or the address of one, of "
    )
    text += f"which {count(totals['rows_with_caption'])} have a caption."
    value = {"pictures": totals["rows"], "captions": totals["rows_with_caption"]}
    return answers.measured("overview.modalities", "Kinds of data", ["totals"], value, text)


def size_of_pictures(answers: Answers) -> FormAnswer:
    """Return how many pictures there are, and their bytes."""
    totals, key, asks = answers.totals, "overview.size", "Size of the pictures"
    if not totals["rows_with_bytes"]:
        text = f"{_NO_PICTURE}; its metadata lists {count(totals['rows'], 'row')}"
        return answers.measured(key, asks, ["totals"], None, text)
    pictures = totals["pictures"]
    band = next((words for most, words in _BANDS if pictures < most), _MOST)
    value = {"band": band, "pictures": pictures, "bytes": totals["bytes"], "rows": totals["rows"]}
    text = f"{band}: {count(pictures)}, {size(totals['bytes'])} as stored."
    note = "A picture counts as often as rows show it. Sizes are those of the files that were trained on, after any "
    note += "resizing by the program that downloaded them."
    return answers.measured(key, asks, ["totals"], value, text, note=note)


def size_of_text(answers: Answers) -> FormAnswer:
    """Return the bytes of all captions, and what follows for their tokens."""
    bytes_ = answers.totals["caption_bytes"]
    few = bytes_ < _FEW_TOKENS
    text = f"The captions have {size(bytes_)}"
    text += ", so fewer than 1 billion tokens: a token has a byte at least." if few else "."
    note = "" if few else "How many tokens that is depends on the program that divides them."
    value = {"caption_bytes": bytes_}
    return answers.measured("overview.text_size", "Size of the text", ["totals"], value, text, note=note)


def languages(answers: Answers) -> FormAnswer:
    """Return the languages of captions, as far as the metadata states them."""
    captions, found = answers.totals["rows_with_caption"], answers.rows("languages")
    known = sum(row["rows"] for row in found if row["language"] is not None)
    key, asks, names = "overview.languages", "Languages of the captions", ["languages", "totals"]
    if not known:
        text = f"the metadata states the language of none of {count(captions, 'caption')}"
        return answers.measured(key, asks, names, None, text)
    shown = [row | {"share": row["rows"] / captions} for row in found]
    table = answers.listed(("language", "captions", "share"), shown, ("language", "rows", "share"))
    text = (
        f"As the datasets state them, for {count(known)} of {count(captions, 'caption')} ({percent(known, captions)})."
    )
    return answers.measured(key, asks, names, found, text, table)


def sides(answers: Answers) -> FormAnswer:
    """Return how large the pictures are in pixels."""
    [found] = answers.rows("sides")
    key, asks = "overview.sides", "Sides of the pictures"
    if found["most"] is None:
        return answers.measured(key, asks, ["sides"], None, _NO_PICTURE)
    text = (
        f"The longer side has {count(found['least'])} to {count(found['most'], 'pixel')}; half of the pictures have at "
    )
    text += f"most {count(found['half'])}."
    return answers.measured(key, asks, ["sides"], found, text)


def licences(answers: Answers) -> FormAnswer:
    """Return the licences that the metadata states of single rows."""
    rows, found = answers.totals["rows"], answers.rows("licences")
    stated = sum(row["rows"] for row in found if row["licence"] is not None)
    key, asks = "overview.licences", "Licences that the datasets state of single pictures"
    names = ["licences", "totals"]
    if not stated:
        text = f"the metadata states the licence of none of {count(rows, 'row')}"
        return answers.measured(key, asks, names, None, text)
    shown = [row | {"share": row["rows"] / rows} for row in found]
    table = answers.listed(("licence", "rows", "share"), shown, ("licence", "rows", "share"))
    text = f"Of {count(stated)} of {count(rows, 'row')} ({percent(stated, rows)}). Nobody verified them."
    return answers.measured(key, asks, names, found, text, table)


def repeated(answers: Answers) -> FormAnswer:
    """Return how many pictures repeat, and in how many rows."""
    [found] = answers.rows("repeated")
    text = f"{count(found['pictures'], 'picture')} stand in {count(found['rows'], 'row')}, copies included."
    return answers.measured("overview.repeated", "Pictures that repeat", ["repeated"], found, text)


@dataclass(frozen=True)
class _Reading:
    """What is known of the files of pictures: how many say anything, whether all were read, and what to say of that."""

    said: Mapping[str, Any]
    known: bool
    note: str
    names: tuple[str, ...]


def _reading(answers: Answers) -> _Reading:
    [said] = answers.rows("said")
    if not answers.has("catalog.shards", "rights_read"):
        note = (
            "" if said["rows"] else "no statement of any file is recorded: no file makes one, or none was read for it"
        )
        return _Reading(said, bool(said["rows"]), note, ("said",))
    [read] = answers.rows("rights_read")
    note = ""
    if read["not_read"]:
        note = f"The files of {count(read['not_read'], 'picture')} were not read for it, those of "
        note += f"{count(read['read'])} were."
    return _Reading(said, bool(said["rows"] or read["read"]), note, ("said", "rights_read"))


def source_types(answers: Answers) -> FormAnswer:
    """Return what files say of how they came to be."""
    reading, key, asks = _reading(answers), "synthetic.stated_by_files", "What files say of how they came to be"
    names = [*reading.names, "source_types"]
    if not reading.known:
        return answers.measured(key, asks, names, None, reading.note)
    rows = answers.rows("source_types")
    stating = count(sum(row["rows"] for row in rows), "training row")
    text = f"A digital source type of the IPTC is stated by {stating}."
    table = answers.listed(("digital source type", "rows"), rows, ("digital_source_type", "rows")) if rows else None
    note = f"Files state what they like; nobody verified it. {reading.note}".rstrip()
    return answers.measured(key, asks, names, rows, text, table, note)


def generated(answers: Answers) -> FormAnswer:
    """Return how many training rows show a generation of the warehouse."""
    [found] = answers.rows("generated")
    text = f"The bytes or pixels of {count(found['generations'], 'generation')} of this warehouse are those of "
    text += f"{count(found['rows'], 'training row')}."
    note = "Either the picture was in the training set and came out again, or it came out and was collected: no table "
    note += "says which was first."
    asks = "Generated pictures among the training rows"
    return answers.measured("synthetic.generated", asks, ["generated"], found, text, note=note)


def reserved(answers: Answers) -> FormAnswer:
    """Return how many rows have a file that reserves its use, by which signal."""
    reading, key, asks = _reading(answers), "rights.reserved_by_files", "Training rows whose file reserves its use"
    names, said = [*reading.names, "reserved", "totals"], reading.said
    if not reading.known:
        return answers.measured(key, asks, names, None, reading.note)
    rows = answers.rows("reserved")
    text = f"{count(said['reserved'])} of {count(answers.totals['rows'], 'training row')} reserve it; "
    text += f"{count(said['rows'])} say anything of their creator or their use, {count(said['with_creator'])} name a "
    text += f"creator and {count(said['with_terms'])} state terms."
    columns = ("signal", "rows", "of these not withdrawn")
    table = answers.listed(columns, rows, ("signal", "rows", "not_withdrawn")) if rows else None
    note = "A file that reserves its use in two ways counts for each. Signals: plus is plus:DataMining in XMP, c2pa a "
    note += f"C2PA manifest, headers what the server said. {reading.note}"
    note = note.rstrip()
    return answers.measured(key, asks, names, {**said, "by": rows}, text, table, note)


def opt_out_lists(answers: Answers) -> FormAnswer:
    """Return the opt-out lists, and how many rows each withdraws; one that withdraws none too."""
    rows = _lists(answers, "opt_out")
    key, asks = "rights.lists", "Opt-out lists, and the training rows that each withdraws"
    names = ["withdrawn", "totals"]
    if not rows:
        return answers.measured(key, asks, names, [], "No opt-out list is applied.")
    withdrawn = sum(row["rows"] for row in rows)
    text = f"{count(withdrawn)} of {count(answers.totals['rows'], 'training row')} {_are(withdrawn)} withdrawn by them."
    note = "A row that several lists name counts for the first of them."
    return _with_missing(answers.measured(key, asks, names, rows, text, _listed(answers, rows), note), rows)


def illegal_lists(answers: Answers) -> FormAnswer:
    """Return the lists of known illegal content, and how many rows each withdraws; one that withdraws none too."""
    rows = _lists(answers, "illegal")
    key, asks = "illegal.lists", "Lists of known illegal content, and the training rows that each withdraws"
    if not rows:
        return answers.measured(key, asks, ["withdrawn"], [], "No such list is applied.")
    withdrawn = sum(row["rows"] for row in rows)
    text = f"{count(withdrawn, 'training row')} {_are(withdrawn)} withdrawn by them."
    return _with_missing(answers.measured(key, asks, ["withdrawn"], rows, text, _listed(answers, rows)), rows)


def _are(number: int) -> str:
    return "is" if number == 1 else "are"


def _with_missing(answer: FormAnswer, rows: Sequence[Mapping[str, Any]]) -> FormAnswer:
    """Return an answer about lists with the settings that would say of which version each is, and where."""
    missing = [f"recalls.{row['list']}.{name}" for row in rows for name in ("version", "url") if row[name] is None]
    return replace(answer, open=tuple(dict.fromkeys(missing)))


def _lists(answers: Answers, purpose: str) -> list[dict[str, Any]]:
    """Return a row per list of a purpose and kind of entry. A list that the settings name no more is of opt-outs."""
    stated = {each.name: each for each in answers.settings.recalls}
    found = answers.rows("withdrawn")
    hit = {row["list"] for row in found}
    idle = [{"list": name, "kind": _NOTHING, "rows": 0, "entries": 0} for name in stated if name not in hit]
    rows = []
    for row in [*found, *idle]:
        of = stated.get(row["list"])
        if (of.purpose if of else "opt_out") == purpose:
            told = (
                {"version": of.version or None, "url": of.url or None}
                if of
                else dict.fromkeys(("version", "url"), _GONE)
            )
            rows.append(row | (dict.fromkeys(told, _POLICY) if row["list"] == _HONOURED else told))
    return rows


def _listed(answers: Answers, rows: Sequence[Mapping[str, Any]]) -> AnswerTable:
    columns = ("list", "version", "link", "named by", "entries that name a row", "rows")
    table = answers.listed(columns, rows, ("list", "version", "url", "kind", "entries", "rows"))
    return replace(table, missing="to be completed")


def unsafe(answers: Answers) -> FormAnswer:
    """Return how many rows the datasets' own classifiers flag."""
    [found] = answers.rows("unsafe")
    text = f"{count(found['rows'])} of {count(answers.totals['rows'], 'training row')} are flagged as unsafe."
    note = (
        "A flag is a classifier's guess that the dataset came with; such content need not be illegal, nor is all that "
    )
    note += "is illegal flagged."
    asks = "Rows that the datasets' own classifiers flag"
    return answers.measured("illegal.unsafe", asks, ["unsafe", "totals"], found, text, note=note)


def without_picture(answers: Answers) -> FormAnswer:
    """Return how many rows have no picture that can be read."""
    totals = answers.totals
    without = totals["rows"] - totals["pictures"]
    text = f"{count(without)} of {count(totals['rows'], 'training row')} have no picture that can be read"
    text += f"; of {count(totals['failed'])} of them the dump says why." if without else "."
    value = {"rows": totals["rows"], "without_picture": without, "failed": totals["failed"]}
    return answers.measured("limits.without_picture", "Rows without a picture", ["totals"], value, text)


def not_taken(answers: Answers) -> FormAnswer:
    """Return how many files of the datasets are no training row."""
    [found] = answers.rows("not_taken")
    text = f"{count(found['files'], 'file')} were found in the datasets and not taken: catalog.not_taken says why."
    return answers.measured("limits.not_taken", "Files that are no training row", ["not_taken"], found, text)
