"""Confirming by pixels what a bundle's hashes and embeddings found.

What belongs here: the small copies of training pictures in a bundle, and laying an image over them. What does not: how
two pictures are compared and when they agree (`transforms/alignment/`), what follows from it (`guard/check.py`).
"""
