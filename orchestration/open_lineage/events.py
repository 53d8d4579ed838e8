"""The OpenLineage events of a run and of each of its steps.

What belongs here: names of datasets, and what is told of each. What does not: when a step ends, and sending
(`open_lineage/hooks.py`).

A table, or the whole of what a step writes, is a job of its own with a run of its own, whose parent is Dagster's run,
as in OpenLineage's integration of dbt: so a catalogue draws an arrow for each table that is read, and no other.
Names follow OpenLineage's conventions: files by their path, objects by their bucket, tables of DuckDB by their file.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID, uuid5

from openlineage.client import event_v2 as ol
from openlineage.client import facet_v2 as facets
from openlineage.client.generated.base import DatasetFacet, InputDatasetFacet, JobFacet, OutputDatasetFacet, RunFacet

from orchestration.settings.inputs import Dataset

PRODUCER = f"urn:pypi:raisonne:{version('raisonne')}"
_LANGUAGE = "Python"


@dataclass(frozen=True)
class DatasetName:
    """A dataset as OpenLineage names it."""

    namespace: str
    name: str


@dataclass(frozen=True)
class LandedInput:
    """What a step reads that no step made: files that were landed.

    Attributes:
        stated: What the settings say of the dataset. None: of generations, nothing.
    """

    name: DatasetName
    stated: Dataset | None = None


@dataclass(frozen=True)
class StepOutput:
    """What a step wrote.

    Attributes:
        job: The name of the job that makes it.
        name: The dataset.
        inputs: What it was made of.
        version: The version of what was written, as text. Empty: unknown.
        rows: How many rows it has; None: unknown.
        columns: Name, type and meaning of each column.
        origins: Column → the columns of inputs that it is computed from.
        sql: The SELECT that makes it; empty: none does.
        licences: Licence → rows, the commonest ones.
        checks: The promises it was held against.
        error: Why it could not be made; None: it was.
    """

    job: str
    name: DatasetName
    inputs: Sequence[DatasetName | LandedInput] = ()
    version: str = ""
    rows: int | None = None
    columns: Sequence[tuple[str, str, str | None]] = ()
    origins: Mapping[str, Sequence[tuple[DatasetName, str]]] = field(default_factory=dict)
    sql: str = ""
    licences: Mapping[str, int] = field(default_factory=dict)
    checks: Sequence["CheckOutcome"] = ()
    error: str | None = None


@dataclass(frozen=True)
class CheckOutcome:
    """A check of a table, and how it came out.

    Attributes:
        blocks: Whether a broken promise keeps the version from being published.
    """

    name: str
    sentence: str
    holds: bool
    blocks: bool


@dataclass(frozen=True)
class ParentRun:
    """Dagster's run, the parent of all.

    Attributes:
        number: Its ID.
        job: The name of its job.
        namespace: That of jobs.
        began: When the step began, seconds since 1970, UTC.
        ended: When it ended.
    """

    number: str
    job: str
    namespace: str
    began: float
    ended: float


def table(home: Path, name: str) -> DatasetName:
    """Return the name of a published table.

    Args:
        home: The folder of the warehouse.
        name: `stage.table`.
    """
    return DatasetName(f"duckdb://{home / 'raisonne.duckdb'}", name)


def files(place: str) -> DatasetName:
    """Return the name of a file, a folder, a pattern of them, or of objects in a store.

    Args:
        place: A path or a URL. Keys in a URL are not part of the name.
    """
    if "://" not in place:
        return DatasetName("file", str(Path(place).absolute()))
    url = urlsplit(place)
    return DatasetName(f"{url.scheme}://{url.hostname or ''}", url.path.strip("/") or "/")


def of_step(run: ParentRun, made: Iterable[StepOutput]) -> Iterator[ol.RunEvent]:
    """Yield a START and a COMPLETE or FAIL of each job of a step.

    Args:
        run: Dagster's run.
        made: What the step wrote, or failed to write.
    """
    facets.set_producer(PRODUCER)
    for each in made:
        yield from _events(run, each)


def of_run(run: ParentRun, state: str, why: str = "") -> ol.RunEvent:
    """Return an event of Dagster's run itself.

    Args:
        run: The run; the event is of when it ended, as far as it has.
        state: START, COMPLETE, FAIL or ABORT.
        why: Why it failed; empty if it did not.
    """
    facets.set_producer(PRODUCER)
    of_job: dict[str, JobFacet] = {"jobType": facets.job_type_job.JobTypeJobFacet("BATCH", "DAGSTER", "JOB")}
    of = {"processing_engine": _engine()}
    if why:
        of["errorMessage"] = facets.error_message_run.ErrorMessageRunFacet(why, _LANGUAGE)
    job = ol.Job(run.namespace, run.job, of_job)
    return _event(ol.RunState[state], run.ended, ol.Run(run.number, of), job, [], [])


def _engine() -> RunFacet:
    return facets.processing_engine_run.ProcessingEngineRunFacet(
        version("dagster"), "dagster", version("openlineage-python")
    )


def _events(run: ParentRun, made: StepOutput) -> Iterator[ol.RunEvent]:
    number = str(uuid5(UUID(run.number), made.job))
    of_run: dict[str, RunFacet] = {
        "parent": _parent(run),
        "processing_engine": _engine(),
    }
    of_job: dict[str, JobFacet] = {"jobType": facets.job_type_job.JobTypeJobFacet("BATCH", "DAGSTER", "ASSET")}
    if made.sql:
        of_job["sql"] = facets.sql_job.SQLJobFacet(made.sql, "duckdb")
    job = ol.Job(run.namespace, made.job, of_job)
    inputs = [_input(each) for each in made.inputs]
    yield _event(ol.RunState.START, run.began, ol.Run(number, dict(of_run)), job, inputs, [])
    state = ol.RunState.COMPLETE
    if made.error is not None:
        state = ol.RunState.FAIL
        of_run["errorMessage"] = facets.error_message_run.ErrorMessageRunFacet(made.error, _LANGUAGE)
    outputs = [_output(made)] if made.error is None else []
    yield _event(state, run.ended, ol.Run(number, of_run), job, inputs, outputs)
    if made.checks:
        yield from _checked(run, made)


def _parent(run: ParentRun) -> RunFacet:
    of = facets.parent_run
    return of.ParentRunFacet(of.Run(run.number), of.Job(run.namespace, run.job))


def _checked(run: ParentRun, made: StepOutput) -> Iterator[ol.RunEvent]:
    """Yield the events of holding a table against its promises: facets of what is read, not of what is made."""
    name = f"{made.job}.checks"
    job = ol.Job(run.namespace, name, {"jobType": facets.job_type_job.JobTypeJobFacet("BATCH", "DAGSTER", "CHECK")})
    of_run = ol.Run(str(uuid5(UUID(run.number), name)), {"parent": _parent(run)})
    assertions = [
        facets.data_quality_assertions_dataset.Assertion(
            each.name, each.holds, severity="error" if each.blocks else "warn", description=each.sentence
        )
        for each in made.checks
    ]
    told: dict[str, InputDatasetFacet] = {
        "dataQualityAssertions": facets.data_quality_assertions_dataset.DataQualityAssertionsDatasetFacet(assertions)
    }
    held = [ol.InputDataset(made.name.namespace, made.name.name, inputFacets=told)]
    failed = any(each.blocks and not each.holds for each in made.checks)
    yield _event(ol.RunState.START, run.began, of_run, job, held, [])
    yield _event(ol.RunState.FAIL if failed else ol.RunState.COMPLETE, run.ended, of_run, job, held, [])


def _event(
    state: ol.RunState,
    at: float,
    run: ol.Run,
    job: ol.Job,
    inputs: list[ol.InputDataset],
    outputs: list[ol.OutputDataset],
) -> ol.RunEvent:
    moment = datetime.fromtimestamp(at, UTC).isoformat()
    return ol.RunEvent(
        eventTime=moment, run=run, job=job, eventType=state, inputs=inputs, outputs=outputs, producer=PRODUCER
    )


def _input(read: DatasetName | LandedInput) -> ol.InputDataset:
    if isinstance(read, DatasetName):
        return ol.InputDataset(read.namespace, read.name)
    told: dict[str, DatasetFacet] = {}
    if stated := read.stated:
        about = "\n".join(each for each in (stated.title, stated.description) if each)
        if about:
            told["documentation"] = facets.documentation_dataset.DocumentationDatasetFacet(about)
        if stated.version:
            told["version"] = facets.dataset_version_dataset.DatasetVersionDatasetFacet(stated.version)
        if stated.url:
            told["dataSource"] = facets.datasource_dataset.DatasourceDatasetFacet(stated.name, stated.url)
        if stated.issuer:
            owner = facets.ownership_dataset.Owner(stated.issuer, "ISSUER")
            told["ownership"] = facets.ownership_dataset.OwnershipDatasetFacet([owner])
        if stated.licence:
            told["tags"] = _tags({"license": stated.licence})
    return ol.InputDataset(read.name.namespace, read.name.name, facets=told)


def _output(made: StepOutput) -> ol.OutputDataset:
    told: dict[str, DatasetFacet] = {}
    counted: dict[str, OutputDatasetFacet] = {}
    if made.columns:
        fields = [
            facets.schema_dataset.SchemaDatasetFacetFields(name, kind, about) for name, kind, about in made.columns
        ]
        told["schema"] = facets.schema_dataset.SchemaDatasetFacet(fields)
    if made.version:
        told["version"] = facets.dataset_version_dataset.DatasetVersionDatasetFacet(made.version)
    if made.origins:
        lineage = {
            column: facets.column_lineage_dataset.Fields(
                [facets.column_lineage_dataset.InputField(of.namespace, of.name, name) for of, name in origins]
            )
            for column, origins in made.origins.items()
        }
        told["columnLineage"] = facets.column_lineage_dataset.ColumnLineageDatasetFacet(lineage)
    if made.licences:
        told["tags"] = _tags({f"license: {name}": f"{rows} rows" for name, rows in made.licences.items()})
    if made.rows is not None:
        counted["outputStatistics"] = facets.output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(
            made.rows
        )
    return ol.OutputDataset(made.name.namespace, made.name.name, facets=told, outputFacets=counted)


def _tags(told: Mapping[str, str]) -> facets.tags_dataset.TagsDatasetFacet:
    return facets.tags_dataset.TagsDatasetFacet(
        [facets.tags_dataset.TagsDatasetFacetFields(key, value, "raisonne") for key, value in told.items()]
    )
