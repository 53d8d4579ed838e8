"""Downloading the pictures of metadata that came without.

What belongs here: URL lists, the worker and its policy. What does not: the command line (`cli/`).
"""
