"""Comparing two pictures by pixels after laying one over the other.

What belongs here: keypoints, geometry, measurements, and the limits that decide agreement. What does not: which pairs
are compared (`duplicates/`, `matches/`).
"""
