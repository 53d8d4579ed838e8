"""How a warehouse is: `raisonne status`, `raisonne doctor`, and what `raisonne run --dry-run` prints.

What belongs here: options, lines, exit codes. What does not: finding out (`outlook/`, `runtime/installation.py`).
"""
