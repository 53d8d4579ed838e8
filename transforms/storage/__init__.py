"""Reading files where they are stored: a local folder or an object store.

What belongs here: listing, opening and fetching. What does not: what a file contains (`dumps/`, `catalog/`).
"""
