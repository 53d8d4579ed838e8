"""What pages show besides text: pictures laid over each other, small pictures, and plots.

What belongs here: making pictures from pixels and numbers. What does not: the pages (`transforms/reports/`).
"""
