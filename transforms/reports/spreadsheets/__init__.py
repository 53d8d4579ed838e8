"""Cells and sheets that a spreadsheet opens without running anything.

What belongs here: which text is dangerous (`formulas.py`) and how rows become sheets of a workbook (`sheets.py`). What
does not: the same rule as SQL, and which tables are written (`orchestration/reports/spreadsheets/`).
"""
