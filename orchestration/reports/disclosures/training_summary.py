"""The public summary of training content that the EU's AI Act asks for, Article 53(1)(d), by the AI Office's template.

What belongs here: what its sections ask, and what answers them. What does not: the list of domains
(`disclosures/domains.py`), differences to an earlier summary (`disclosures/earlier.py`), files
(`disclosures/files.py`). Section numbers are those of the template of July 2025; the wording is our own.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from orchestration.reports.disclosures import counts
from orchestration.reports.disclosures.answers import Answers
from orchestration.reports.disclosures.domains import LIST, DomainList, required_share
from orchestration.settings.disclosure import OPEN_END
from transforms.readable import count, percent
from transforms.reports.disclosure_form import AnswerTable, FormAnswer, FormSection
from transforms.reports.registrable_domains import snapshot

NAME, TITLE = "training-summary", "Summary of training content"
ABOUT = "Public summary of the content used for training, Regulation (EU) 2024/1689, Article 53(1)(d)"
_NOT_OF_THE_WEB = {"licensed", "private", "users", "synthetic"}


def sections(answers: Answers, domains: DomainList) -> tuple[FormSection, ...]:
    """Return the sections of the summary.

    Args:
        answers: Of a published version.
        domains: The list of domains of the same version.
    """
    parts: tuple[tuple[str, str, Iterable[FormAnswer]], ...] = (
        ("0", "This document", _document(answers)),
        ("1.1", "Provider", _provider(answers)),
        ("1.2", "Models", [_models(answers)]),
        ("1.3", "Overview of the training data", _overview(answers)),
        ("2.1", "Publicly available datasets", [_by_access(answers, "public", "Datasets that anybody can obtain")]),
        ("2.2", "Private datasets", _private(answers)),
        ("2.3", "Data crawled from the web", _crawled(answers, domains)),
        ("2.4", "Data of users", _others(answers, "users", "user_data", "Data of users of the provider's services")),
        ("2.5", "Synthetic data", _synthetic(answers)),
        ("2.6", "Other data", _others(answers, "other", "other_data", "Data of any other origin")),
        ("3.1", "Reservations of rights", _reservations(answers)),
        ("3.2", "Illegal content", _illegal(answers)),
        ("4", "What the numbers leave out", [counts.without_picture(answers), counts.not_taken(answers)]),
    )
    return tuple(FormSection(number, title, tuple(found)) for number, title, found in parts)


def scope(answers: Answers) -> tuple[str, ...]:
    """Return the datasets whose URLs the list of domains covers.

    These are what the provider crawled. Where it says of no dataset that it did, all that may come from the open web
    are covered: the list is then longer than what is asked for, never shorter.

    Args:
        answers: Of a published version.
    """
    access = {row["dataset"]: stated and stated.access for row, stated in answers.datasets}
    crawled = tuple(name for name, how in access.items() if how == "crawled")
    if crawled and None not in access.values():
        return crawled
    return tuple(name for name, how in access.items() if how not in _NOT_OF_THE_WEB)


def _document(answers: Answers) -> Iterator[FormAnswer]:
    version = answers.version
    yield answers.stated("document.version", "Version of this summary", "version")
    yield answers.stated("document.published", "Date of this summary (YYYY-MM-DD)", "published")
    names = {"version": "version", "published": "published", "url": "link"}
    earlier = answers.disclosure.earlier
    told = answers.stated_table("document.earlier", "Earlier summaries", "disclosure.earlier", names, earlier)
    if earlier and not earlier[-1].file:
        note = "What differs from the last one is not listed: its file is not at hand."
        told = replace(told, open=(*told.open, "disclosure.earlier.file"), note=note)
    elif earlier:
        told = replace(told, note="What differs from the last one is listed at the end.")
    yield told
    text = f"Version {version['version']} of the warehouse, published {version['published_at']}."
    if version["recipe"]:
        text += f" Its inputs, settings and queries have the digest {version['recipe']}."
    asks = "The training set that the numbers are of"
    note = "SHA256SUMS has the digest of every file of this summary."
    yield answers.measured("document.warehouse", asks, ["version"], version, text, note=note)


def _provider(answers: Answers) -> Iterator[FormAnswer]:
    yield answers.stated("provider.name", "Name of the provider", "provider")
    yield answers.stated("provider.contact", "Contact for questions about this summary", "contact")
    yield answers.stated("provider.representative", "Authorised representative in the Union", "representative")


def _models(answers: Answers) -> FormAnswer:
    columns = {"name": "model and version", "placed_on_market": "placed on the market", "builds_on": "made from"}
    models = answers.disclosure.models
    return answers.stated_table("models", "Models trained on this data", "disclosure.models", columns, models)


def _overview(answers: Answers) -> Iterator[FormAnswer]:
    yield counts.modalities(answers)
    yield counts.size_of_pictures(answers)
    yield counts.size_of_text(answers)
    yield answers.stated("overview.contents", "Kinds of pictures", "contents")
    yield latest_collection(answers)
    yield counts.languages(answers)
    yield counts.sides(answers)
    yield counts.licences(answers)
    yield counts.repeated(answers)


def latest_collection(answers: Answers) -> FormAnswer:
    """Return the latest time of collection of any dataset, and whether collection goes on."""
    periods = {row["dataset"]: stated and stated.collected for row, stated in answers.datasets}
    missing = tuple(f"datasets.{name}.collected" for name, period in periods.items() if not period)
    given = {name: period for name, period in periods.items() if period}
    key, asks = "overview.latest_collection", "Latest collection of data"
    if not given:
        return FormAnswer(key, asks, "to be completed", open=missing)
    going_on = sorted(name for name, period in given.items() if period.endswith(f"/{OPEN_END}"))
    latest = max(period.rpartition("/")[2].replace(OPEN_END, period.partition("/")[0]) for period in given.values())
    text = f"{latest}, as far as it is stated." if missing else f"{latest}."
    text += f" Collection goes on: {', '.join(going_on)}." if going_on else " None is stated to go on."
    settings = tuple(f"datasets.{name}.collected" for name in given)
    value = {"latest": latest, "goes_on": going_on}
    return FormAnswer(key, asks, "stated", value, text, settings=settings, open=missing)


def _with_access(answers: Answers, access: str) -> list[str]:
    return [row["dataset"] for row, stated in answers.datasets if stated and stated.access == access]


def _unsaid(answers: Answers) -> tuple[str, ...]:
    """Return the settings that would say how the provider came to a dataset."""
    return tuple(
        f"datasets.{row['dataset']}.access" for row, stated in answers.datasets if stated is None or not stated.access
    )


def _by_access(answers: Answers, access: str, asks: str) -> FormAnswer:
    """Return the datasets of one kind of access, or that there are none, as far as that is stated of every dataset."""
    names, missing, key = _with_access(answers, access), _unsaid(answers), f"datasets.{access}"
    if names:
        columns = {
            "dataset": "dataset",
            "title": "known as",
            "url": "link",
            "version": "version",
            "licence": "licence",
            "collected": "collected",
            "selection": "part used, and how it was chosen",
            "rows": "rows",
            "pictures": "pictures",
            "bytes": "bytes",
        }
        found = answers.of_datasets(key, asks, columns, names)
        return FormAnswer(**vars(found) | {"open": (*found.open, *missing)})
    if missing:
        text = "it is not stated of every dataset how the provider came to it"
        return FormAnswer(key, asks, "to be completed", text=text, open=missing)
    settings = tuple(f"datasets.{row['dataset']}.access" for row, _ in answers.datasets)
    return FormAnswer(key, asks, "stated", [], "None.", settings=settings)


def _private(answers: Answers) -> Iterator[FormAnswer]:
    yield _by_access(answers, "licensed", "Datasets licensed from rightsholders or on their behalf")
    yield _by_access(answers, "private", "Other datasets obtained from third parties")


def _others(answers: Answers, access: str, setting: str, asks: str) -> Iterator[FormAnswer]:
    yield answers.stated(f"{access}.stated", asks, setting)
    yield _by_access(answers, access, f"{asks}: datasets")


def _crawled(answers: Answers, domains: DomainList) -> Iterator[FormAnswer]:
    yield _by_access(answers, "crawled", "Datasets crawled by the provider or on its behalf")
    crawlers = answers.disclosure.crawlers
    if _with_access(answers, "crawled") or _unsaid(answers) or crawlers is not None:
        columns = {
            "name": "crawler",
            "purpose": "purpose",
            "behaviour": "behaviour towards robots.txt and other opt-outs",
            "period": "period",
            "contents": "kinds of sites and contents",
        }
        yield answers.stated_table("crawled.crawlers", "Crawlers", "disclosure.crawlers", columns, crawlers)
    yield _domains(answers, domains)


def _domains(answers: Answers, domains: DomainList) -> FormAnswer:
    names = ["hosts", "domains", "domain_totals", "largest_domains"]
    key, asks, totals = "crawled.domains", "Domains, by size of content", domains.totals
    covered = ", ".join(domains.datasets) or "no dataset"
    if not totals["domains"]:
        return answers.measured(key, asks, names, None, f"no row of {covered} has a URL that names a host")
    share, most = required_share(answers.disclosure)
    rule = f"the top {percent(share)} of all domains"
    rule += f" and at most {count(most)}, as of a smaller provider" if most else ""
    measure = "bytes" if totals["bytes"] else "rows"
    held = percent(totals[f"required_{measure}"], totals[measure])
    text = (
        f"{LIST} lists {count(totals['domains'], 'domain')}: all that the URLs of {covered} name, the largest by "
        f"{measure} first. Marked as required: {count(totals['required'])}, {rule}, with {held} of the {measure}."
    )
    note = f"Domains are registrable ones, by the Public Suffix List in {snapshot()}. "
    if totals["rows_without_bytes"]:
        note += (
            f"{count(totals['rows_without_bytes'])} of {count(totals['rows'], 'row')} have no picture whose size is "
            "known: they count as rows and add no bytes. "
        )
    note += "Rows that opt-out lists withdraw are counted, and counted again in a column of their own."
    if _unsaid(answers):
        note += (
            " It is not stated of every dataset how the provider came to it, so the list has all that may be from the "
            "web, which may be more than is asked for."
        )
    elif not _with_access(answers, "crawled"):
        note += (
            " The provider states that it crawled none of them. What others crawled is listed all the same, which is "
            "more than is asked for."
        )
    columns = ("rank", "domain", "bytes", "share of bytes", "rows", "hosts")
    table = AnswerTable(
        columns,
        tuple(tuple(row.values()) for row in domains.largest),
        left_out=totals["domains"] - len(domains.largest),
        all_in=LIST,
    )
    value = totals | {"datasets": list(domains.datasets), "file": LIST, "suffixes": snapshot()}
    return answers.measured(key, asks, names, value, text, table, note)


def _synthetic(answers: Answers) -> Iterator[FormAnswer]:
    yield from _others(answers, "synthetic", "synthetic_data", "Data generated to train on")
    yield counts.source_types(answers)
    yield counts.generated(answers)


def _reservations(answers: Answers) -> Iterator[FormAnswer]:
    yield answers.stated("rights.code_of_practice", "Signatory of the code of practice", "code_of_practice")
    asks = "Measures to respect reservations of rights, by protocol"
    yield answers.stated("rights.measures", asks, "opt_out_measures")
    yield counts.opt_out_lists(answers)
    yield counts.reserved(answers)
    yield _withdrawn_rows(answers)


def _withdrawn_rows(answers: Answers) -> FormAnswer:
    """Return whether the model was trained on withdrawn rows: the provider says so, unless there are none."""
    key, asks = "rights.withdrawn_rows", "Whether the model was trained on the withdrawn rows"
    withdrawn = sum(row["withdrawn"] for row, _ in answers.datasets)
    if not withdrawn:
        return answers.measured(key, asks, ["datasets"], {"withdrawn": 0}, "No training row is withdrawn.")
    return answers.stated(key, asks, "withdrawn_rows_trained")


def _illegal(answers: Answers) -> Iterator[FormAnswer]:
    asks = "Measures to avoid and remove illegal content"
    yield answers.stated("illegal.measures", asks, "illegal_content_measures")
    yield counts.illegal_lists(answers)
    yield counts.unsafe(answers)
