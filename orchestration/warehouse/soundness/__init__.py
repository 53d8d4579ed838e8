"""Whether published files can be read to their last block, and putting a sound one in the place of a damaged one.

What belongs here: reading versions for damage, the repair. What does not: opening and publishing versions
(`warehouse/publishing/`), building one from the facts (`warehouse/version.py`).
"""
