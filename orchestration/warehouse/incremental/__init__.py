"""What the next version keeps of the last one: unchanged tables, and the unchanged shards of tables of rows.

What belongs here: telling what did not change, and replacing the rows of shards that did. What does not: the order of a
build (`warehouse/version.py`), which SELECTs may be replaced shard by shard (`warehouse/grain.py`).
"""
