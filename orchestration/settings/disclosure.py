"""The section `[disclosure]`, and what `[[datasets]]` says of a dataset: what only the provider of a model can state.

What belongs here: their keys. What does not: which form asks for what (`reports/disclosures/`). No number that a
warehouse computes depends on any of them, and nothing is ever put in the place of one that nobody filled in.
"""

import re
from datetime import date
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from orchestration.settings.section import Section

Access = Literal["public", "licensed", "private", "crawled", "users", "synthetic", "other"]
"""How the provider came to a dataset, in the words of the EU's template: its sections 2.1 to 2.6."""
OPEN_END = ".."


def _day(text: str) -> str:
    """Return a day, a month or a year as it is written. Raises ValueError for anything else."""
    if not re.fullmatch(r"[0-9]{4}(-[0-9]{2}(-[0-9]{2})?)?", text):
        raise ValueError("write YYYY-MM-DD, YYYY-MM or YYYY")
    date.fromisoformat(text + "-01-01"[len(text) - 4 :])
    return text


def _period(text: str) -> str:
    """Return a period as it is written. Raises ValueError."""
    first, slash, last = text.partition("/")
    _day(first)
    if slash and last != OPEN_END and _day(last) < first:
        raise ValueError("the period ends before it begins")
    return text


Day = Annotated[str, AfterValidator(_day)]
Period = Annotated[str, AfterValidator(_period)]


class DatasetDescription(Section):
    """What a disclosure says of a dataset and its files do not. Nothing else depends on it."""

    title: str | None = Field(None, description="For disclosures: the name by which others know the dataset.")
    description: str | None = Field(None, description="For disclosures: what the dataset holds, and what it is for.")
    issuer: str | None = Field(None, description="For disclosures: who made or issues the dataset, or owns it.")
    url: str | None = Field(None, description="For disclosures: the page of the dataset.")
    version: str | None = Field(None, description="For disclosures: the issuer's own name of the version that is used.")
    issued: Day | None = Field(None, description="For disclosures: when that version was issued, such as `2022-03-31`.")
    previous_issued: Day | None = Field(None, description="For disclosures: when the version before that was issued.")
    source: str | None = Field(
        None, description="For disclosures: where the issuer has its content from, if it is of others."
    )
    licence: str | None = Field(None, description="For disclosures: the licence of the dataset as a whole.")
    citation: str | None = Field(None, description="For disclosures: the publication that describes the dataset.")
    access: Access | None = Field(
        None,
        description="For disclosures: how you came to it. `public`: anybody can obtain it; `licensed`: by a contract "
        "with rightsholders; `private`: from others, not open to all; `crawled`: by you or on your behalf; `users`: "
        "from users of your services; `synthetic`: generated to train on; `other`.",
    )
    collected: Period | None = Field(
        None,
        description="For disclosures: when its pictures were collected, such as `2014-01/2021-12`; `2023-05/..` goes "
        "on.",
    )
    method: str | None = Field(None, description="For disclosures: how its pictures were collected or made.")
    selection: str | None = Field(
        None, description="For disclosures: which part of it is used, and how that was chosen."
    )
    first_used: Day | None = Field(None, description="For disclosures: when it was first used to train the model.")
    geography: str | None = Field(None, description="For disclosures: where its pictures were collected.")
    consent: str | None = Field(
        None, description="For disclosures: where consent is documented, or why none is needed."
    )


class ListDescription(Section):
    """What a disclosure says of a list that withdraws rows, and its files do not. Nothing else depends on it."""

    purpose: Literal["opt_out", "illegal"] = Field(
        "opt_out",
        description="For disclosures: `opt_out`, a reservation of rights; `illegal`, known illegal content, such as a "
        "list of hashes.",
    )
    version: str | None = Field(None, description="For disclosures: the issuer's own name of the version that is used.")
    url: str | None = Field(None, description="For disclosures: the page of the list, or who issues it.")


class PlacedModel(Section):
    """A model that was trained on the datasets."""

    name: str = Field(description="Its name with its version.")
    placed_on_market: Day | None = Field(None, description="When it was placed on the market, such as `2026-09-01`.")
    builds_on: str | None = Field(None, description="The model that it was made from, with its version; or `none`.")


class Crawler(Section):
    """A crawler that collected pictures for the provider."""

    name: str = Field(description="Its name, as it gives itself to servers.")
    purpose: str | None = Field(None, description="What it collects for.")
    behaviour: str | None = Field(
        None, description="What it does about robots.txt, other opt-outs, paywalls and captchas."
    )
    period: Period | None = Field(None, description="When it crawled, such as `2023-05/2024-02`.")
    contents: str | None = Field(None, description="What kinds of sites and contents it collected.")


class EarlierSummary(Section):
    """A summary that was published before."""

    version: str = Field(description="Its version.")
    published: Day = Field(description="When it was published, such as `2026-08-02`.")
    url: str | None = Field(None, description="Where it is.")
    file: Path | None = Field(
        None, description="Its `training_summary.json`. The last one that has a file is what differences are to."
    )


class Disclosure(Section):
    """What a disclosure says and no warehouse knows. What is left out is marked in it as to be completed."""

    provider: str | None = Field(None, description="Legal name of the provider of the model.")
    contact: str | None = Field(
        None, description="Whom to ask about the summary: an address that somebody answers, not a general one."
    )
    representative: str | None = Field(
        None, description="Authorised representative in the Union, with an address; or `none is needed`, and why."
    )
    smaller_provider: bool | None = Field(
        None,
        description="Whether the provider is small or medium-sized, startups included: its list of domains is then the "
        "top 5% or 1,000, whichever is less. Without it, the top 10%.",
    )
    models: tuple[PlacedModel, ...] | None = Field(None, description="The models that were trained on the datasets.")
    version: str | None = Field(None, description="Version of the summary, such as `1.0`.")
    published: Day | None = Field(None, description="When the summary is published, such as `2026-12-01`.")
    earlier: tuple[EarlierSummary, ...] | None = Field(
        None, description="The summaries published before, oldest first; `[]`: this is the first."
    )
    title: str | None = Field(None, description="Name of the training set as a whole.")
    description: str | None = Field(None, description="What the training set as a whole holds.")
    url: str | None = Field(None, description="Page of the training set or of this summary.")
    licence: str | None = Field(None, description="Licence of the training set as a whole.")
    citation: str | None = Field(None, description="How to cite the training set.")
    contents: str | None = Field(None, description="Kinds of pictures, such as photographs, drawings, screenshots.")
    withdrawn_rows_trained: bool | None = Field(
        None,
        description="Whether the model was trained on the rows that opt-out lists withdraw. Those named before the "
        "training and left out were not; those named later were.",
    )
    crawlers: tuple[Crawler, ...] | None = Field(
        None, description="The crawlers that collected pictures for the provider; `[]`: there are none."
    )
    user_data: str | None = Field(None, description="Which data of users of which services were used; or `none`.")
    synthetic_data: str | None = Field(
        None, description="Which data were generated to train on, by which models and why; or `none`."
    )
    other_data: str | None = Field(None, description="Which data of other origins were used; or `none`.")
    code_of_practice: bool | None = Field(
        None, description="Whether the provider signed the code of practice for general-purpose models."
    )
    opt_out_measures: str | None = Field(
        None, description="What is done to respect reservations of rights, before and after collection, by protocol."
    )
    illegal_content_measures: str | None = Field(
        None, description="What is done to keep illegal content out and to remove it."
    )
    purpose: str | None = Field(None, description="How the datasets serve the purpose of the model or service.")
    protected: str | None = Field(
        None, description="Whether data are protected by copyright, trademark or patent, or in the public domain."
    )
    personal_information: str | None = Field(
        None, description="Whether the data hold personal information, and what was done about it."
    )
    consumer_information: str | None = Field(
        None, description="Whether the data hold aggregate consumer information, and what was done about it."
    )
    processing: str | None = Field(None, description="How the data were cleaned, processed or changed, and what for.")
    limitations: str | None = Field(None, description="What the training set should not be used for, and why.")
    biases: str | None = Field(None, description="Known biases of the training set.")
    use_cases: str | None = Field(None, description="What the training set is meant for.")
    classification: str | None = Field(None, description="How confidential the training set is.")
    privacy_technology: str | None = Field(
        None, description="Technology that protects privacy in the training set; or `none`."
    )
    processing_geography: str | None = Field(None, description="Where the training set may be processed.")
    storage_geography: str | None = Field(None, description="Where the training set is stored.")
