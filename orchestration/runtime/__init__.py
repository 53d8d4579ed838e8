"""What a Dagster run works with: its resources, its instance and the metadata that it shows.

What belongs here: everything that exists once a run. What does not: assets (`defs/`).
"""
