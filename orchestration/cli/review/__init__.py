"""`raisonne review`: the curators' desk.

What belongs here: the command and its options. What does not: decisions, queues and the app (`orchestration/review/`).
"""
