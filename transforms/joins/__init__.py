"""Exact joins: which of many fingerprints are near each other.

What belongs here: `hamming/` for bits and `cosine/` for vectors. What does not: what nearness means (`duplicates/`,
`matches/`).
"""
