"""What lies in folders that are no warehouse yet, for `raisonne init`.

What belongs here: walking them, telling training sets from generations with a reason, what a run will cost, the
settings file. What does not: recognising a file (`transforms/` does, as for a run), printing (`cli/init.py`).
"""
