"""What turns one bundle into the next: a file that is a fraction of either.

What belongs here: finding what two bundles share, writing and applying a delta. What does not: bundles
(`guard/bundle.py`), commands (`orchestration/cli/guard/`).
"""
