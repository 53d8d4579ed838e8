"""The documentation of training data that California asks for, Civil Code § 3111(a), by AB 2013.

What belongs here: its twelve points, and what answers them. What does not: counting (`disclosures/counts.py`), files
(`disclosures/files.py`). Points are numbered as in the law; the wording is our own.
"""

from collections.abc import Iterable

from orchestration.reports.disclosures import counts
from orchestration.reports.disclosures.answers import Answers
from transforms.reports.disclosure_form import FormAnswer, FormSection

NAME, TITLE = "ab2013", "Documentation of training data"
ABOUT = "High-level summary of the datasets used in development, California Civil Code § 3111(a), AB 2013"


def sections(answers: Answers) -> tuple[FormSection, ...]:
    """Return the points of the law.

    Args:
        answers: Of a published version.
    """
    stated = answers.stated
    synthetic = stated("synthetic.stated", "Synthetic data that were used, and what for", "synthetic_data")
    personal = stated("personal.stated", "Personal information", "personal_information")
    consumers = stated("consumers.stated", "Aggregate consumer information", "consumer_information")
    processing = stated("processing.stated", "Cleaning, processing and other changes, and their purpose", "processing")
    protected = stated("protected.stated", "Protection by copyright, trademark or patent; public domain", "protected")
    purpose = stated("purpose.stated", "How the datasets serve the purpose of the system", "purpose")
    parts: tuple[tuple[str, str, Iterable[FormAnswer]], ...] = (
        ("1", "Sources or owners", [_datasets(answers, "sources", {"issuer": "owner or source", "url": "link"})]),
        ("2", "Purpose", [purpose]),
        ("3", "Number of data points", [counts.size_of_pictures(answers), _rows(answers)]),
        ("4", "Types of data points", [counts.modalities(answers), counts.sides(answers), counts.languages(answers)]),
        ("5", "Intellectual property", [protected, counts.licences(answers), counts.reserved(answers)]),
        ("6", "Purchase or licence", [_datasets(answers, "access", {"access": "obtained", "licence": "licence"})]),
        ("7", "Personal information", [personal]),
        ("8", "Aggregate consumer information", [consumers]),
        ("9", "Processing", [processing, counts.repeated(answers), counts.opt_out_lists(answers)]),
        ("10", "Period of collection", [_datasets(answers, "collected", {"collected": "collected (.. goes on)"})]),
        ("11", "First use", [_datasets(answers, "first_used", {"first_used": "first used (YYYY-MM-DD)"})]),
        ("12", "Synthetic data", [synthetic, counts.source_types(answers), counts.generated(answers)]),
    )
    return tuple(FormSection(number, title, tuple(found)) for number, title, found in parts)


def _datasets(answers: Answers, key: str, columns: dict[str, str]) -> FormAnswer:
    names = [row["dataset"] for row, _ in answers.datasets]
    return answers.of_datasets(f"datasets.{key}", "By dataset", {"dataset": "dataset"} | columns, names)


def _rows(answers: Answers) -> FormAnswer:
    return _datasets(answers, "rows", {"rows": "rows", "pictures": "pictures", "bytes": "bytes"})
