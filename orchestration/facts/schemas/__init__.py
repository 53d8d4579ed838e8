"""The columns of the fact tables: one module per stage, as in `sql/`.

What belongs here: the key and the columns of every fact table, what they mean, and which asset writes it. What does
not: reading and writing (`facts/table.py`).
"""
