"""Exports of a published version: pages, tables, workbooks and removal lists.

What belongs here: reading the tables and writing the files. What does not: rendering (`transforms/reports/`), the
queries of the pages (`sql/queries/reports/`).
"""
