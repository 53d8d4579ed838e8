"""Generated images as people have them: where they lie, and what tables, sidecars and the files themselves say of them.

What belongs here: finding pictures in folders, tars and parquets, and prompt, seed, model, sampler and steps of each.
What does not: hashing them (`fingerprints/fingerprint.py`), the layouts of dumps (`dumps/`).
"""
