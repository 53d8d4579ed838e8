"""Fingerprints as facts: which are due, and committing them.

What belongs here: notes of what is done, commits, and reading fingerprints back. What does not: computing them
(`transforms/fingerprints/`).
"""
