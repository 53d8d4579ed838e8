"""Pages, sheets and plots, rendered from values that callers have read.

What belongs here: rendering and escaping. What does not: queries and files (`orchestration/reports/`).
"""
