"""Comparing two pictures pixel by pixel after aligning them.

What belongs here: keypoints, geometry, measurement, and the limits that decide agreement. What does not: which pairs
are compared (`duplicates/`, `matches/`).
"""
