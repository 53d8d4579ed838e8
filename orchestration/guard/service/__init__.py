"""The guard over HTTP.

What belongs here: admission, connections, reloading and metrics. What does not: deciding a verdict
(`transforms/guard/`).
"""
