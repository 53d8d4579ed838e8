"""The SQL models as assets, and the publishing of what they build.

What belongs here: one step that builds the chosen tables into a private file, audits them, and publishes it. All
stages are one step, because they are published together or not at all: a reader never sees half a run. What does not:
the tables (`sql/`), how a file is built (`warehouse/build.py`) or published (`warehouse/publishing.py`).
"""

import hashlib
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import dagster as dg
import pyarrow as pa

from orchestration.facts import WRITTEN_BY
from orchestration.facts.recipes import recipe, sql_words
from orchestration.progress import track
from orchestration.runtime import asset_metadata
from orchestration.runtime.resources import Warehouse
from orchestration.warehouse import build, macros, previous, publishing
from orchestration.warehouse.models import Model, load

MODELS = load(build.SQL)
MACROS = macros.load(build.SQL)
_KEYS = {dg.AssetKey([model.stage, model.table]): model for model in MODELS}
_OWNERS = {"catalog": "team:data-engineering", "fingerprints": "team:data-engineering", "reports": "team:curators"}
_VERSIONS = pa.schema(
    {
        "version": pa.int64(),
        "published_at": pa.timestamp("us", "UTC"),
        "lance_versions": pa.map_(pa.string(), pa.int64()),
        "encoders": pa.list_(pa.string()),
        "settings_hash": pa.string(),
        "recipe": pa.string(),
        "run_id": pa.string(),
    }
)


def _spec(key: dg.AssetKey, model: Model) -> dg.AssetSpec:
    found = (asset_metadata.asset_key(name, WRITTEN_BY) for name in (*model.depends_on, *model.inputs))
    inputs = {upstream for upstream in found if upstream}
    return dg.AssetSpec(
        key,
        deps=sorted(inputs, key=str),
        description=model.description,
        group_name=model.stage,
        kinds={"duckdb", "view" if model.view else "table"},
        owners=[_OWNERS.get(model.stage, "team:safety-research")],
        metadata={"sql": dg.MetadataValue.md(f"```sql\n{model.select}\n```")},
        code_version=hashlib.sha256(model.select.encode()).hexdigest()[:12],
        skippable=True,
    )


@dg.multi_asset(
    name="warehouse",
    specs=[_spec(key, model) for key, model in _KEYS.items()],
    check_specs=[
        dg.AssetCheckSpec(check.name, asset=key, description=f"Every row of {model.name}: {check.sentence}.")
        for key, model in _KEYS.items()
        for check in model.checks
    ],
    can_subset=True,
    pool="publish",
)
def published_tables(
    context: dg.AssetExecutionContext, warehouse: Warehouse
) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult]:
    """Build the chosen tables in a private file, audit them, and publish it if every check holds."""
    chosen = [model for key, model in _KEYS.items() if key in context.selected_asset_keys]
    versions = warehouse.facts.versions()
    everything = len(chosen) == len(MODELS)
    before = _history(warehouse)
    made_by = _recipe(warehouse, versions)
    if everything and before.num_rows and before["recipe"][-1].as_py() == made_by:
        context.log.info("version %d already holds this: nothing to publish", before["version"][-1].as_py())
        return
    if not everything:  # what is published says what it is made of, whichever table was asked for
        chosen = [model for model in MODELS if model in chosen or model.stage == "warehouse"]
    path = publishing.begin(warehouse.home, context.run_id, from_current=not everything)
    if not everything:
        versions |= _kept_versions(before, chosen)
    number = publishing.next_number(warehouse.home)
    this = pa.Table.from_pylist(
        [_version(warehouse, number, versions, made_by if everything else "", context.run_id)], _VERSIONS
    )
    with build.opened(path, warehouse.settings) as con, previous.opened(warehouse.home) as last:
        inputs = build.Inputs(warehouse.facts, versions, warehouse.settings, this, before, last)
        build.provide(con, sorted({name for model in chosen for name in model.inputs}), inputs)
        rows = {model.name: build.materialize(con, model) for model in track(chosen, "building tables", len(chosen))}
        macros.create(con, MACROS)
        audits = [result for model in chosen for result in build.audit(con, model)]
        columns = build.columns(con)
        shown = {m.name: asset_metadata.metadata(con, m, rows[m.name], columns, WRITTEN_BY) for m in chosen}
    for result in audits:
        yield _check_result(result)
    failed = [result.sentence for result in audits if result.failing]
    if failed:
        raise dg.Failure("nothing was published, the last version stands:\n" + "\n".join(failed), allow_retries=False)
    warehouse.facts.tag(number, versions)  # first: a published version is never without its facts
    version, _ = publishing.publish(warehouse.home, path, number, keep=warehouse.settings.publishing.keep)
    warehouse.facts.keep_tags({kept.number for kept in publishing.versions(warehouse.home)})
    for table in warehouse.facts:
        table.forget_old_versions()
    context.log.info("published version %d: %s", number, version.path)
    for model in chosen:
        key = dg.AssetKey([model.stage, model.table])
        if key in context.selected_asset_keys:
            yield dg.MaterializeResult(key, metadata={**shown[model.name], "version": number})


def _history(warehouse: Warehouse) -> pa.Table:
    if publishing.current(warehouse.home) is None:
        return _VERSIONS.empty_table()
    with publishing.connect(warehouse.home) as con:
        con.execute("set timezone = 'UTC'")
        return con.execute("select * from warehouse.versions order by version").to_arrow_table().cast(_VERSIONS)


def _kept_versions(before: pa.Table, rebuilt: Sequence[Model]) -> dict[str, int]:
    """Return the published versions of the facts behind the tables that stay, which the rebuilt ones must match."""
    kept = {name.removeprefix("lance_") for model in MODELS if model not in rebuilt for name in model.inputs}
    return {name: number for name, number in before["lance_versions"][-1].as_py() if name in kept}


def _recipe(warehouse: Warehouse, versions: dict[str, int]) -> str:
    models = [[model.name, sql_words(model.create), model.comments] for model in MODELS]
    made = [[sql_words(statement) for statement in macro.statements] for macro in MACROS]
    return recipe("published version", versions, warehouse.settings.settings_hash, models, made)


def _version(
    warehouse: Warehouse, number: int, versions: dict[str, int], made_by: str, run_id: str
) -> dict[str, object]:
    encoders = (
        warehouse.facts["fingerprinted_shards"].read(["encoder"], "encoder is not null")["encoder"].unique().to_pylist()
    )
    return {
        "version": number,
        "published_at": datetime.now(UTC),
        "lance_versions": sorted(versions.items()),
        "encoders": sorted(encoders),
        "settings_hash": warehouse.settings.settings_hash,
        "recipe": made_by,
        "run_id": run_id,
    }


def _check_result(result: build.Audit) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        asset_key=dg.AssetKey([result.model.stage, result.model.table]),
        check_name=result.check.name,
        passed=not result.failing,
        description=result.sentence,
        metadata={
            "failing rows": result.failing,
            **({"examples": "\n".join(result.examples)} if result.failing else {}),
        },
    )
