"""Pairs, clusters and caption groups as facts.

What belongs here: joining new pictures with known ones, and storing comparisons. What does not: deciding what a
duplicate is (`transforms/duplicates/`).
"""
