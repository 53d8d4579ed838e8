"""Candidates, prompt matches and calibration as facts.

What belongs here: what is due, kept neighbour lists, and commits. What does not: the rules of matching
(`transforms/matches/`).
"""
