"""Where work runs: in this process, in worker processes, or on Ray.

What belongs here: engines. What does not: the work (`transforms/`).
"""
