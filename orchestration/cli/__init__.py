"""The command `raisonne`: one module a command.

What belongs here: options, exit codes, and what is printed. What does not: doing the work (the other packages).
"""
