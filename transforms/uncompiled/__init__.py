"""Loops that a guard needs, by NumPy where Numba is not installed: the same names, the same results.

What belongs here: loops that also have a compiled form, and take several times as long in this one. What does not: the
compiled forms (beside what they are for), choosing between the two (`packages.COMPILED`), loops of the warehouse, which
needs Numba.
"""
