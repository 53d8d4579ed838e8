"""Contact sheets: for each host or creator one PDF of the pictures that some generation resembles.

What belongs here: choosing owners and pictures, writing the files. What does not: drawing a sheet
(`transforms/reports/contact_sheet.py`).
"""
