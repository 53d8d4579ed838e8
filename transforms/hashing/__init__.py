"""Hashes of pictures: SHA-256 of bytes and pixels, and the perceptual hash PDQ.

What belongs here: computing hashes, looking them up and grouping equal ones. What does not: comparing all with all
(`joins/`).
"""
