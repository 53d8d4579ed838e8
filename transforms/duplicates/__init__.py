"""Which training rows show the same picture, or have nearly the same caption.

What belongs here: pairs, components, clusters and caption groups. What does not: joins of raw fingerprints (`joins/`).
"""
