"""The SQL models as assets, and the step that publishes them.

What belongs here: one step that builds the selected tables into a private file, audits them, and publishes it. All
stages are one step, because they are published together or not at all, so a reader never sees half a run. What does
not: the tables (`sql/`), the content of a version (`warehouse/version.py`), how it is published
(`warehouse/publishing/`, and to a lake `warehouse/lake/`).
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
from pydantic import Field

from orchestration.facts import ALSO_WRITTEN_BY, WRITTEN_BY
from orchestration.fingerprints import picture_set
from orchestration.reports import exports
from orchestration.runtime import asset_metadata
from orchestration.runtime.failures import explained
from orchestration.runtime.resources import WarehouseResource
from orchestration.settings import Settings
from orchestration.warehouse import build, lake, sql_folder, version
from orchestration.warehouse.models import Model, load

MODELS = load(sql_folder.SQL)
_KEYS = {dg.AssetKey([model.stage, model.table]): model for model in MODELS}
_OWNERS = {"catalog": "team:data-engineering", "fingerprints": "team:data-engineering", "reports": "team:curators"}


class PublishingConsent(dg.Config):
    """What may be published."""

    accept_drop: bool = Field(False, description="Publish although much less can be searched than before.")


def _spec(key: dg.AssetKey, model: Model) -> dg.AssetSpec:
    found = (asset_metadata.asset_key(name, WRITTEN_BY) for name in (*model.depends_on, *model.inputs))
    inputs = {upstream for upstream in found if upstream}
    for name in model.inputs:
        inputs.update(map(dg.AssetKey, ALSO_WRITTEN_BY.get(name.removeprefix("lance_"), ())))
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
        dg.AssetCheckSpec(check.name, asset=key, description=asset_metadata.check(model, check), blocking=check.blocks)
        for key, model in _KEYS.items()
        for check in model.checks
    ],
    can_subset=True,
    pool="publish",
)
@explained
def published_tables(
    context: dg.AssetExecutionContext, config: PublishingConsent, warehouse: WarehouseResource
) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult]:
    """Build the selected tables in a private file, audit them, and publish it if every check holds.

    A version of which much less can be searched than of the last one is published only if the loss is accepted.
    """
    picture_set.forget()  # DuckDB needs the memory
    facts, settings, home = warehouse.facts, warehouse.settings, warehouse.home
    selected = {model.name: key for key, model in _KEYS.items() if key in context.selected_asset_keys}
    plan = version.plan(facts, settings, home, MODELS, [each for each in MODELS if each.name in selected])
    for sentence in plan.damaged:
        warehouse.warn(f"{sentence}; it is not compared with, and a new version is published")
    if plan.holder is not None:
        context.log.info("version %d already holds this: nothing to publish", plan.holder)
        _publish_to_lake(context, settings, home)  # a run that was killed may not have
        if not exports.complete(exports.default_folder(home, plan.holder), plan.holder):  # a run was killed
            yield from (dg.MaterializeResult(key) for name, key in selected.items() if name in exports.TABLES)
        return
    with version.build_version(plan, facts, settings, home, context.run.run_id) as file:
        shown = {
            model.name: asset_metadata.metadata(file.con, model, file.rows[model.name], file.columns, WRITTEN_BY)
            for model in plan.models
        }
    yield from map(_check_result, file.audits)
    if refusal := file.refusal(accept_drop=config.accept_drop):
        raise dg.Failure(refusal, allow_retries=False)
    published = version.publish(plan, file, facts, home, keep=settings.publishing.keep)
    context.log.info("published version %d: %s", published.number, published.path)
    said = {name: {**each, "version": published.number} for name, each in shown.items()}
    yield from (dg.MaterializeResult(key, metadata=said[name]) for name, key in selected.items() if name in said)
    _publish_to_lake(context, settings, home)


def _publish_to_lake(context: dg.AssetExecutionContext, settings: Settings, home: Path) -> None:
    written = lake.follow(home, settings.publishing, settings.memory.duckdb)
    if written is not None:
        new, same = len(written.tables), len(written.unchanged)
        context.log.info("published version %d to the lake: %d tables, %d unchanged", written.number, new, same)


def _check_result(result: build.Audit) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        asset_key=dg.AssetKey([result.model.stage, result.model.table]),
        check_name=result.check.name,
        passed=not result.failing,
        severity=dg.AssetCheckSeverity.ERROR if result.check.blocks else dg.AssetCheckSeverity.WARN,
        description=result.sentence,
        metadata={
            "failing rows": result.failing,
            **({"examples": "\n".join(result.examples)} if result.failing else {}),
        },
    )
