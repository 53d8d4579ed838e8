"""Pure functions and small classes: no Dagster, no DuckDB, no paths of their own."""
