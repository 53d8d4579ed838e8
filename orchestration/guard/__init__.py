"""Exporting the bundles that the guard searches, and logging its verdicts.

What belongs here: bundles of a published version, the log. What does not: deciding a verdict (`transforms/guard/`).
"""
