"""What a warehouse holds and what its next run has to do, found by reading alone.

What belongs here: due work and what it costs, what lies on disk, the last failure. What does not: doing the work,
printing (`cli/`), what lies in folders that are no warehouse yet (`survey/`).
"""
