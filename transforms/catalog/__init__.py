"""Landing files: which there are, and what their rows say.

What belongs here: metadata dialects, landing folders, generations and opt-out lists. What does not: pictures (`dumps/`,
`fingerprints/`).
"""
