"""Commands that ask what training pictures mean.

What belongs here: arguments and exit codes. What does not: searching (`provenance/meaning/`), pages
(`reports/meaning/`).
"""
