"""The Data Provenance Standards 1.0 of the Data & Trust Alliance: 22 fields in three groups, for each dataset.

What belongs here: the fields, and what answers them. What does not: counting (`disclosures/counts.py`), files
(`disclosures/files.py`). Fields are those of the standard; the wording is our own.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from orchestration.reports.disclosures.answers import Answers
from orchestration.settings.inputs import Dataset
from transforms.readable import count, size
from transforms.reports.disclosure_form import FormAnswer, FormSection

NAME, TITLE = "data-provenance", "Provenance of the datasets"
ABOUT = "Data Provenance Standards, version 1.0, of the Data & Trust Alliance"
STANDARD = "1.0.0"


def sections(answers: Answers) -> tuple[FormSection, ...]:
    """Return the fields of every dataset, a section each.

    Args:
        answers: Of a published version.
    """
    return tuple(
        FormSection(str(number), row["dataset"], tuple(_fields(answers, row, stated)))
        for number, (row, stated) in enumerate(answers.datasets, 1)
    )


def _fields(answers: Answers, row: Mapping[str, Any], stated: Dataset | None) -> Iterator[FormAnswer]:
    name = row["dataset"]

    def of(setting: str, asks: str) -> FormAnswer:
        return answers.of_dataset(f"{name}.{setting}", asks, name, stated, setting)

    def of_all(setting: str, asks: str) -> FormAnswer:
        return answers.stated(f"{name}.{setting}", asks, setting)

    version = answers.version["version"]
    yield FormAnswer(f"{name}.standard", "Standards version used", "stated", STANDARD, STANDARD)
    yield of("title", "Dataset title")
    yield answers.measured(
        f"{name}.identifier",
        "Unique metadata identifier",
        ["version"],
        f"{name}@{version}",
        f"{name}, as in version {version} of the warehouse",
    )
    yield of("url", "Metadata location")
    yield of("issuer", "Dataset issuer")
    yield of("description", "Description of the dataset")
    yield of("citation", "Source metadata for the dataset")
    yield of("source", "Source, if it is not the issuer")
    yield of("geography", "Data origin geography")
    yield of("issued", "Dataset issue date")
    yield of("previous_issued", "Date of the previously issued version")
    yield of("collected", "Range of dates for data generation")
    yield of("method", "Method")
    yield answers.measured(
        f"{name}.format",
        "Data format",
        ["datasets"],
        {key: row[key] for key in ("rows", "pictures", "bytes")},
        f"Pictures with text: {count(row['rows'], 'row')}, {count(row['pictures'], 'picture')}"
        + (f", {size(row['bytes'])}." if row["bytes"] is not None else "."),
    )
    yield of_all("classification", "Confidentiality classification")
    yield of("consent", "Consent documentation location")
    yield of_all("privacy_technology", "Privacy enhancing technologies")
    yield of_all("processing_geography", "Data processing geography")
    yield of_all("storage_geography", "Data storage geography")
    yield of("licence", "License to use")
    yield of_all("use_cases", "Intended data use")
    yield of_all("protected", "Proprietary data presence")
