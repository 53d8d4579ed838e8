"""Disclosures: what laws and standards ask a provider to say of training data, filled in from a published version.

What belongs here: which form asks what, and where a warehouse or its settings answer it. What does not: the look of a
form (`transforms/reports/disclosure_form.py`), counting (`sql/queries/disclosures/`).
"""
