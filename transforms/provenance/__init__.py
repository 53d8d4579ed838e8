"""What generations have in common, and how much of the training set a model has memorized.

What belongs here: cliques and distances. What does not: tables (`sql/provenance/`).
"""
