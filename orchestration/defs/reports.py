"""What should a curator do? Assets of the stage `reports`.

What belongs here: writing the exports of the published version. What does not: what they hold (`exports.py`).
"""

import dagster as dg

from orchestration import exports, publishing
from orchestration.defs.warehouse import MODELS
from orchestration.resources import Warehouse

_TABLES = [dg.AssetKey(model.name.split(".")) for model in MODELS if model.name in exports.TABLES]


@dg.asset(group_name="reports", kinds={"html", "csv", "parquet"}, owners=["team:curators"], deps=_TABLES)
def curator_exports(context: dg.AssetExecutionContext, warehouse: Warehouse) -> dg.MaterializeResult:
    """The published version's duplicate-frequency report as a page, and the tables behind it as CSV and Parquet."""
    version = publishing.current(warehouse.home)
    if version is None:
        raise dg.Failure("no version is published; materialize the tables first")
    folder = exports.default_folder(warehouse.home, version.number)
    with publishing.connect(warehouse.home) as con:
        con.execute("set timezone = 'UTC'")
        files = exports.write(con, folder, ("html", "csv", "parquet"), warehouse.training_picture, warehouse.settings)
    exports.prune(warehouse.home, {kept.number for kept in publishing.versions(warehouse.home)})
    return dg.MaterializeResult(
        metadata={"version": version.number}
        | {path.name: dg.MetadataValue.url(path.resolve().as_uri()) for path in files}
    )
