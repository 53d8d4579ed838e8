"""Pages, workbooks and plots, made from values that somebody else has read.

What belongs here: rendering and escaping. What does not: queries (`orchestration/reports/`).
"""
