"""What should a curator do? Assets of the stage `reports`.

What belongs here: writing the exports of a published version. What does not: what they hold (`reports/exports.py`).
"""

import dagster as dg
from pydantic import Field

from orchestration.defs.warehouse import MODELS
from orchestration.guard import folders
from orchestration.reports import exports
from orchestration.runtime.resources import Warehouse
from orchestration.warehouse import publishing

_TABLES = [dg.AssetKey(model.name.split(".")) for model in MODELS if model.name in exports.TABLES]


class Chosen(dg.Config):
    """Which version is exported."""

    version: int | None = Field(None, description="An earlier version that is still kept; the current one without.")


@dg.asset(group_name="reports", kinds={"html", "excel"}, owners=["team:curators"], deps=_TABLES)
def curator_exports(context: dg.AssetExecutionContext, config: Chosen, warehouse: Warehouse) -> dg.MaterializeResult:
    """A published version's reports as pages, and its tables as CSV, XLSX and Parquet."""
    picture = exports.Remembering(warehouse.training_picture)
    try:
        with publishing.connect(warehouse.home, config.version) as con:
            con.execute("set timezone = 'UTC'")
            [(number,)] = con.execute("select max(version) from warehouse.versions").fetchall()
            folder = exports.default_folder(warehouse.home, number)
            files = exports.write(con, folder, exports.FORMATS, picture, warehouse.settings)
    except (publishing.NotPublished, exports.NotInVersion) as error:
        raise dg.Failure(str(error), allow_retries=False) from error
    kept = {version.number for version in publishing.versions(warehouse.home)}
    exports.prune(warehouse.home, kept)
    folders.prune(warehouse.home, kept)
    if said := picture.said():
        context.log.warning(said)
    return dg.MaterializeResult(
        metadata={
            "version": number,
            "pictures that could not be read": len(picture.unread),
            "folder": dg.MetadataValue.path(str(folder.resolve())),
        }
        | {path.name: dg.MetadataValue.url(path.resolve().as_uri()) for path in files}
    )
