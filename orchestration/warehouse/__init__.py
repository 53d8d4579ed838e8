"""The published DuckDB file: built privately, audited, then published by one rename.

What belongs here: SQL models, macros, building and publishing. What does not: the tables themselves (`sql/`).
"""
