"""The curators' desk: decisions as they are given, kept, brought in and taken out.

What belongs here: files of decisions, the queues, the app of `raisonne review`. What does not: what a decision is
(`transforms/review/`), keeping it (`facts/decision_log.py`), what follows from it (`duplicates/members.py`, `sql/`).
"""
