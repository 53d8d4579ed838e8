"""Published tables as CSV and Excel files.

What belongs here: a table's cells as SQL (`cells.py`), and the workbook (`workbook.py`). What does not: which text is
dangerous, how sheets are written (`transforms/reports/spreadsheets/`), Parquet, which keeps every value as it is.
"""
