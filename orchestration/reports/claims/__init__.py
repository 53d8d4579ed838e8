"""Claims: what a rightsholder is told of their pictures, as files to send and to keep.

What belongs here: reading what a published version, or a guard bundle, says of claimed pictures, and writing files.
What does not: searching for them (`matches/claims.py`, `transforms/guard/`), the look of the page
(`transforms/reports/claim_page.py`).
"""
