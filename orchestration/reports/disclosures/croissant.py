"""The training set as a Croissant 1.1 dataset of the MLCommons: JSON-LD, and the table of training rows it describes.

What belongs here: which property states what, and the table. What does not: counting (`disclosures/counts.py`), files
(`disclosures/files.py`). JSON-LD has no place for a query beside a number, so numbers stand in sentences that name
their query, and the same answers are written as a form.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb

from orchestration.reports.disclosures import counts
from orchestration.reports.disclosures.answers import Answers
from orchestration.settings.disclosure import OPEN_END
from orchestration.warehouse.queries import query, quoted
from transforms.hashing.hashes import file_sha256
from transforms.reports.disclosure_form import FormAnswer, FormSection

NAME, TITLE = "croissant", "The training set as a Croissant dataset"
ABOUT = "Croissant 1.1 with its vocabulary for responsible AI, MLCommons"
FILE, TABLE = "croissant.json", "samples.parquet"
_CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "arrayShape": "cr:arrayShape",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "containedIn": "cr:containedIn",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "description": {"@container": "@language"},
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isArray": "cr:isArray",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "name": {"@container": "@language"},
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
_CONFORMS = ["http://mlcommons.org/croissant/1.1", "http://mlcommons.org/croissant/RAI/1.0"]
_FIELDS = {
    "sample_id": ("sc:Integer", "The training row; the same wherever the same file is loaded."),
    "dataset": ("sc:Text", "The dataset that it comes from."),
    "url": ("sc:URL", "Where its picture was."),
    "caption": ("sc:Text", "Its caption, as written."),
    "licence": ("sc:Text", "Its licence, as the dataset states it; nobody verified it."),
    "language": ("sc:Text", "Language of its caption, as the dataset states it."),
    "width": ("sc:Integer", "Pixels of its picture."),
    "height": ("sc:Integer", "Pixels of its picture."),
    "bytes": ("sc:Integer", "Size of its picture's file."),
    "sha256": ("sc:Text", "SHA-256 of its picture's file."),
    "reserved": ("sc:Boolean", "Whether its picture's file, or the server, reserves its use to train models."),
    "withdrawn": ("sc:Boolean", "Whether an opt-out list withdraws it."),
}
_TIMEFRAME = "rai:dataCollectionTimeFrame"
_OF_TEXT = ("name", "description", "license", "citeAs")
"""Properties that say themselves that they are to be completed; others are left out."""


def write_table(answers: Answers, path: Path) -> None:
    """Write the training rows as Parquet.

    Args:
        answers: Of a published version.
        path: The file.
    """
    con: duckdb.DuckDBPyConnection = answers.con
    answers.asked("samples")
    con.execute(f"copy ({query('disclosures/samples')}) to {quoted(str(path))} (format parquet, compression zstd)")


def sections(answers: Answers) -> tuple[FormSection, ...]:
    """Return what the properties state, as a form. The key of an answer is the property.

    Args:
        answers: Of a published version.
    """
    return (
        FormSection("1", "The dataset", tuple(_dataset(answers))),
        FormSection("2", "Responsible AI", tuple(_responsible(answers))),
    )


def document(answers: Answers, filled: tuple[FormSection, ...], table: Path) -> dict[str, Any]:
    """Return the JSON-LD of the dataset.

    Args:
        answers: Of a published version.
        filled: From `sections`.
        table: The training rows, as written.
    """
    found: dict[str, Any] = {"@context": _CONTEXT, "@type": "sc:Dataset", "conformsTo": _CONFORMS}
    for answer in (answer for section in filled for answer in section.answers):
        name = answer.key.split("/")[0]
        value = _property(answer, answers.version["version"])
        if value is None:
            continue
        if answer.key != name and name in found:
            found[name].append(value)
        else:
            found[name] = [value] if answer.key != name else value
    version = answers.version
    found |= {
        "version": f"{version['version']}.0.0",
        "dateModified": version["published_at"],
        "distribution": [
            {
                "@type": "cr:FileObject",
                "@id": table.name,
                "name": table.name,
                "description": "The training rows, without their pictures.",
                "contentUrl": table.name,
                "contentSize": f"{table.stat().st_size} B",
                "encodingFormat": "application/x-parquet",
                "sha256": file_sha256(table),
            }
        ],
        "recordSet": [
            {
                "@type": "cr:RecordSet",
                "@id": "samples",
                "name": "samples",
                "description": "One record per training row.",
                "key": {"@id": "samples/sample_id"},
                "field": [_field(name, kind, meaning, table.name) for name, (kind, meaning) in _FIELDS.items()],
            }
        ],
    }
    return found


def write_document(found: dict[str, Any], path: Path) -> None:
    """Write the JSON-LD.

    Args:
        found: From `document`.
        path: The file.
    """
    path.write_text(json.dumps(found, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _field(name: str, kind: str, meaning: str, file: str) -> dict[str, Any]:
    return {
        "@type": "cr:Field",
        "@id": f"samples/{name}",
        "name": name,
        "description": meaning,
        "dataType": kind,
        "source": {"fileObject": {"@id": file}, "extract": {"column": name}},
    }


def _property(answer: FormAnswer, version: int) -> Any:  # noqa: ANN401 -- any JSON value
    """Return the value of a property, or None where nothing can stand in its place."""
    if answer.status == "to be completed":
        told = f"to be completed: {', '.join(answer.open)}"
        return told if answer.key in _OF_TEXT or (answer.key.startswith("rai:") and answer.key != _TIMEFRAME) else None
    if answer.key in ("creator", "publisher"):
        return {"@type": "sc:Organization", "name": answer.text}
    if answer.status == "stated":
        return answer.value
    told = f"unknown: {answer.text}" if answer.status == "unknown" else answer.text
    return f"{answer.asks}: {told} (version {version}: {', '.join(answer.queries)})"


def _dataset(answers: Answers) -> Iterator[FormAnswer]:
    yield answers.stated("name", "Name", "title")
    yield answers.stated("description", "Description", "description")
    yield answers.stated("license", "Licence", "licence")
    yield answers.stated("url", "Page", "url")
    yield answers.stated("creator", "Creator", "provider")
    yield answers.stated("publisher", "Publisher", "provider")
    yield answers.stated("datePublished", "Date published", "published")
    yield answers.stated("citeAs", "Citation", "citation")


def _responsible(answers: Answers) -> Iterator[FormAnswer]:
    yield _collection(answers)
    yield _timeframe(answers)
    yield _keyed("rai:dataCollectionMissingData", counts.without_picture(answers))
    yield answers.stated("rai:dataPreprocessingProtocol/stated", "Preprocessing", "processing")
    yield _keyed("rai:dataPreprocessingProtocol/repeated", counts.repeated(answers))
    yield _keyed("rai:dataPreprocessingProtocol/withdrawn", counts.opt_out_lists(answers))
    yield answers.stated("rai:dataLimitations/stated", "Limitations", "limitations")
    yield _keyed("rai:dataLimitations/licences", counts.licences(answers))
    yield _keyed("rai:dataLimitations/reserved", counts.reserved(answers))
    yield answers.stated("rai:dataBiases/stated", "Biases", "biases")
    yield _keyed("rai:dataBiases/languages", counts.languages(answers))
    yield answers.stated("rai:personalSensitiveInformation/stated", "Personal information", "personal_information")
    yield answers.stated("rai:dataUseCases/stated", "Use cases", "use_cases")


def _keyed(key: str, answer: FormAnswer) -> FormAnswer:
    return FormAnswer(**vars(answer) | {"key": key})


def _collection(answers: Answers) -> FormAnswer:
    """Return how each dataset was collected."""
    key, asks = "rai:dataCollection", "Collection"
    stated = {row["dataset"]: of and of.method for row, of in answers.datasets}
    missing = tuple(f"datasets.{name}.method" for name, method in stated.items() if not method)
    told = " ".join(f"{name}: {method}" for name, method in stated.items() if method)
    if not told:
        return FormAnswer(key, asks, "to be completed", open=missing)
    return FormAnswer(key, asks, "stated", told, told, open=missing)


def _timeframe(answers: Answers) -> FormAnswer:
    """Return when the first and the last picture of any dataset were collected, where that is stated of all."""
    key, asks = _TIMEFRAME, "Time of collection"
    stated = {row["dataset"]: of and of.collected for row, of in answers.datasets}
    missing = tuple(f"datasets.{name}.collected" for name, period in stated.items() if not period)
    periods = [period.partition("/") for period in stated.values() if period]
    if missing or not periods:
        return FormAnswer(key, asks, "to be completed", open=missing)
    ends = [last or first for first, _, last in periods]
    dates = [min(first for first, _, _ in periods)]
    if OPEN_END not in ends:
        dates.append(max(ends))
    note = "" if len(dates) > 1 else "Collection goes on."
    return FormAnswer(key, asks, "stated", dates, " to ".join(dates), note=note)
