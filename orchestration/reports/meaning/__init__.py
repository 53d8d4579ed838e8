"""What semantic embeddings show, as files for people: pages of what was found, and the map of meanings.

What belongs here: writing them. What does not: searching and clustering (`orchestration/provenance/meaning/`).
"""
