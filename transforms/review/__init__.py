"""Answers that people give about pictures: what they may say, which of them hold, what a sample of them shows.

What belongs here: decisions as values, which one is in force, intervals of sampled shares. What does not: storing them
(`orchestration/facts/decision_log.py`), their effect on clusters (`duplicates/decided_clusters.py`).
"""
