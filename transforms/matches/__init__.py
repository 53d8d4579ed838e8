"""Which training pictures a generation could come from, and how likely such a match is by chance.

What belongs here: search, candidates, edits and the null distribution. What does not: verdicts (`sql/provenance/`).
"""
