"""The folder of the SQL of the warehouse.

What belongs here: the path, without imports that would slow a command down. What does not: reading it (`models.py`,
`queries.py`, `functions.py`, `macros.py`).
"""

from pathlib import Path

_LAYER = Path(__file__).resolve().parents[1]
# beside the code in a checkout, within it in an installed wheel
SQL = _LAYER / "sql" if (_LAYER / "sql").is_dir() else _LAYER.parent / "sql"
