"""Which training pictures a generation could come from, and how often chance would do as well.

What belongs here: search, candidates, edits and the null distribution. What does not: verdicts (`sql/provenance/`).
"""
