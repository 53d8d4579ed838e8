"""Joins that find which of many fingerprints are near each other.

What belongs here: `hamming/` for bits and `cosine/` for vectors. What does not: the meaning of nearness (`duplicates/`,
`matches/`).
"""
