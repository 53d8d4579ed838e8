"""Cosine joins of unit vectors, exact or in cells.

What belongs here: blocked products, sketches and cells. What does not: pixels (`alignment/`).
"""
