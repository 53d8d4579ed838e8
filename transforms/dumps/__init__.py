"""Image dumps: tars, parquet files and folders, and the pictures in them.

What belongs here: listing members and reading their bytes. What does not: decoding them (`pictures/`) or matching
them with metadata rows (`fingerprints/`).
"""
