"""The fact tables in Lance: keyed, versioned, appended a shard at a time.

What belongs here: tables, schemas, recipes and filters. What does not: computing facts (`transforms/`) or deriving
tables from them (`sql/`).
"""

from orchestration.facts.facts import Facts
from orchestration.facts.schemas.tables import ALSO_WRITTEN_BY, SCHEMAS, WRITTEN_BY
from orchestration.facts.table import FactTable, current

__all__ = ["ALSO_WRITTEN_BY", "SCHEMAS", "WRITTEN_BY", "FactTable", "Facts", "current"]
