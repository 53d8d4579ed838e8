"""Exports of a published version: pages, workbooks, tables and removal lists.

What belongs here: reading the tables and writing the files. What does not: rendering (`transforms/reports/`).
"""
