"""A case as text, for terminals.

What belongs here: its lines. What does not: reading the case (`reports/cases.py`), its page (`reports/case_pages.py`).
"""

from collections.abc import Iterator, Mapping
from typing import Any

from orchestration.reports.cases import Case, value_text
from transforms.readable import bare, count, printable

_FIRST = ("verdict", "picture", "sample_id", "dataset", "duplicate_count", "recalled_count", "recalled", "hosts")
_RELATED, _CAPTION = 5, 60  # pictures, and characters of a caption
_DECIDED = ("measured_verdict", "decision", "decided_by")
_NOT_PRINTED = ("rank", "license", "url_host", "homography", "thresholds")


def lines(case: Case) -> Iterator[str]:
    """Yield the lines of a case, without characters that a terminal acts on."""
    about = case.generation
    searched, searchable = about["searched"], about["searchable"]
    yield f"{printable(about['generation_id'])}: {about['verdict']}{_doubt(about)}"
    yield f"searched: {searched:,} of {searchable:,} training rows ({about['coverage']:.1%})"
    for part in case.coverage:
        yield f"  by {printable(part.fingerprint)}: {part.ok:,} of {part.expected:,}"
    yield f"picture: {printable(about['path'])}"
    for name in ("model", "prompt"):
        if about[name] is not None:
            yield f"{name}: {printable(about[name])}"
    if not case.sources:
        yield "no likely source among them; this says nothing about rows that were not searched"
    for each in case.overruled:
        why = f": {printable(each['reason'])}" if each["reason"] else ""
        yield (
            f"overruled: {each['measured_verdict']} of row {each['sample_id']}, which {printable(each['decided_by'])} "
            f"decided on {each['decided_on']} is not a copy{why}"
        )
    for source in case.sources:
        yield f"\n{'rank':<24} {source['rank']}"
        unsaid = _NOT_PRINTED if source.get("decided_by") else (*_NOT_PRINTED, *_DECIDED)
        for column in (*_FIRST, *(c for c in source if c not in _FIRST and c not in unsaid)):
            yield f"{column.replace('_', ' '):<24} {value_text(source[column])}"
    if about["sources"] > len(case.sources):
        yield f"\nand {about['sources'] - len(case.sources):,} more: see provenance.sources"
    yield "\nresembles in meaning; not evidence of copying"
    for each in case.related[:_RELATED]:
        nearer = f"nearer than the nearest of {each['percentile']:.0%} of generations"
        caption = printable(bare(each["caption"] or "no caption", _CAPTION))
        yield f"  {each['rank']:>2}  {each['score']:.3f}  row {each['sample_id']}  {caption}  ({nearer})"
    if len(case.related) > _RELATED:
        yield f"  and {len(case.related) - _RELATED:,} more: see provenance.related"
    if not case.related:
        yield f"  {case.unrelated}"


def _doubt(about: Mapping[str, Any]) -> str:
    if about["failure"]:
        return f" ({printable(about['failure'])})"
    if about["conclusive"]:
        return ""
    if about.get("unsearched"):
        return f" (inconclusive: {printable(about['unsearched'])})"
    if failed := about.get("not_compared"):
        return f" (inconclusive: {count(failed, 'candidate')} not compared by pixels, see matches.evidence)"
    if about.get("searched_by") == "hashes":
        return " (inconclusive: searched by hashes alone, as encoders.copy is none; crops and edits are not found)"
    return f" (inconclusive: {about['coverage']:.1%} searched, {about['required_coverage']:.1%} required)"
