"""Landing files and opt-outs as facts.

What belongs here: what is due, inspected and withdrawn. What does not: parsing files (`transforms/catalog/`).
"""
