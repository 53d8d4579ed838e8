"""Exporting the bundle that the guard searches, and logging its verdicts.

What belongs here: bundles made from a published version. What does not: deciding a verdict (`transforms/guard/`).
"""
