"""Cliques, distances and counts of memorization as facts.

What belongs here: deciding what is due, and commits. What does not: the formulas (`transforms/provenance/`).
"""
