"""The environment of a Dagster run: its resource, its instance and the metadata that it shows.

What belongs here: everything that exists once a run. What does not: assets (`defs/`).
"""
