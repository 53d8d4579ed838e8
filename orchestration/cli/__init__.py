"""The command `raisonne`.

What belongs here: options, exit codes and what is printed. What does not: what is done (the other packages).
"""
