"""What should a curator do? Assets of the stage `reports`.

What belongs here: the decisions of curators, which no run computes, and writing exports. What does not: what these hold
(`reports/exports.py`), keeping decisions (`facts/decision_log.py`).
"""

import dagster as dg
from pydantic import Field

from orchestration.guard import folders
from orchestration.reports import exports
from orchestration.reports.page_data import publication
from orchestration.reports.pictures import PictureReader
from orchestration.runtime.failures import explained
from orchestration.runtime.resources import WarehouseResource
from orchestration.warehouse import publishing
from orchestration.warehouse.soundness import faults


class ExportVersion(dg.Config):
    """Which version is exported."""

    version: int | None = Field(None, description="A kept version. Default: the current one.")


decisions = dg.AssetSpec(
    "decisions",
    description="What people decided in `raisonne review`, or brought in from files. Each run takes up what is new. "
    "Rows are only added: an undo is one too.",
    group_name="reports",
    kinds={"lancedb"},
    owners=["team:curators"],
)


@dg.asset(
    group_name="reports",
    kinds={"html", "excel"},
    owners=["team:curators"],
    deps=[dg.AssetKey(table.split(".")) for table in exports.TABLES],
)
@explained
def curator_exports(
    context: dg.AssetExecutionContext, config: ExportVersion, warehouse: WarehouseResource
) -> dg.MaterializeResult:
    """The reports of a published version as pages, and its tables as CSV, XLSX and Parquet."""
    home, pictures = warehouse.home, PictureReader(warehouse.training_picture)
    try:
        with faults.reading(home, config.version) as con:
            number = publication(con).number
            folder = exports.default_folder(home, number)
            earlier = exports.latest_folder(home, but=number)
            files = exports.write(con, folder, exports.FORMATS, pictures, warehouse.settings, earlier)
    except (publishing.NotPublished, exports.NotInVersion) as error:
        raise dg.Failure(str(error), allow_retries=False) from error
    kept = {version.number for version in publishing.versions(home)}
    exports.prune(home, kept)
    folders.prune(home, kept)
    if warning := pictures.warning():
        context.log.warning(warning)
    return dg.MaterializeResult(
        metadata={
            "version": dg.MetadataValue.int(number),
            "pictures that could not be read": dg.MetadataValue.int(len(pictures.unread)),
            "folder": dg.MetadataValue.path(str(folder.resolve())),
        }
        | {path.name: dg.MetadataValue.path(str(path.resolve())) for path in files}
    )
