"""The table of clusters in a bundle: whose pictures they are, how many rows show them, where they are from.

What belongs here: reading it in place, without Arrow and without trusting it. What does not: writing it
(`guard/bundle_writer.py`), the arrays of a bundle (`guard/bundle_schema.py`).
"""
