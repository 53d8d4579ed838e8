"""Landing files: finding them and reading their rows.

What belongs here: metadata dialects, landing folders, generations and opt-out lists. What does not: pictures (`dumps/`,
`fingerprints/`).
"""
