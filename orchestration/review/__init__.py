"""The curators' desk: decisions as they are given, kept, brought in and taken out.

What belongs here: the log of decisions, files of them, the queues, the app of `raisonne review`. What does not: what a
decision is (`transforms/review/`), what follows from it (`duplicates/members.py`, `sql/`).
"""
