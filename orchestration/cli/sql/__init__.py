"""`raisonne sql`: queries of the published version, at a terminal or piped.

What belongs here: reading statements from people and programs, and printing rows. What does not: tables (`sql/` at the
root of the repository), opening the published file (`cli/published.py`).
"""
