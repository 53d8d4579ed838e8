"""Exports of a published version: pages, tables, workbooks and removal lists.

What belongs here: reading the tables and writing the files. What does not: rendering (`transforms/reports/`), what the
pages ask the tables (`sql/queries/reports/`).
"""
