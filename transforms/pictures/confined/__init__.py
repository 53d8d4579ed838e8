"""Decoding in confined processes: a file costs at most itself, whatever it does to its decoder.

What belongs here: the processes, what they are asked and what they answer. What does not: decoding itself, which runs
in them (`pictures/decoder.py`, `pictures/renderings.py`).

Each thread that decodes holds a process meanwhile, so there are as many as pictures in work; they stay for the next. A
process is an interpreter of its own, holds no more than decoding needs, and ends with the one that started it. Files
and pixels pass through a file in memory that both have open. What libraries write to standard error goes into a pipe
that never blocks them, and becomes part of what is said of the picture.
"""
