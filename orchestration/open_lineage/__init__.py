"""OpenLineage: what a run read and made, told to a catalogue of lineage such as Marquez or DataHub.

What belongs here: translating what Dagster recorded of a step into OpenLineage's events (`events.py`), and sending them
when a step ends (`hooks.py`). What does not: finding the origins of columns (`warehouse/lineage.py`), what the Dagster
UI shows (`runtime/asset_metadata.py`).

The client is OpenLineage's own, and so are its settings: `OPENLINEAGE_URL`, `OPENLINEAGE_CONFIG` or `openlineage.yml`.
Without any of them nothing is attached to a step.
"""
