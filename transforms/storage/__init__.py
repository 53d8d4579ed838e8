"""Reading files from a local folder or an object store, and writing them as a whole.

What belongs here: listing, opening and fetching; staging and locks. What does not: what a file contains (`dumps/`,
`catalog/`).
"""
