"""The guard on the command line: `raisonne check`, `raisonne serve` and `raisonne export guard`.

What belongs here: options, lines of JSON, exit codes. What does not: checking (`transforms/guard/`), the service and
the export (`orchestration/guard/`).
"""
