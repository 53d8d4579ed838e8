"""The exact Hamming join of 256-bit hashes.

What belongs here: the plan, the kernels and the workers. What does not: computing hashes (`hashing/`).
"""
