"""What the server of `tests/processes.py` imports first, in the process that its commands are forked from.

DuckDB takes a process whose main module has no file for an interactive one, and shows it progress on standard output.
"""

import gc
import sys

from tests import threads

sys.modules["__main__"].__file__ = __file__
threads.follow()
gc.set_threshold(50_000)  # as the command does: what is imported stays
