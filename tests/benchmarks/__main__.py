"""Prints the figures: `python -m tests.benchmarks [GROUP …] [--list]`, one line of JSON a figure.

What belongs here: which groups there are, and running them. What does not: measuring (a module a group).
Standard output holds figures only, standard error everything else. A few sizes take minutes and are measured only
with RAISONNE_BENCH_FULL=1.
"""

import argparse
import importlib
import sys

from tests.benchmarks.figures import say, seconds

GROUPS = (
    "hash",
    "embed",
    "fingerprint",
    "hamming",
    "cosine",
    "clusters",
    "duplicates",
    "match",
    "evidence",
    "export",
    "scale",
    "guard",
)


def _run(group: str, *, dry: bool) -> None:
    for figure in importlib.import_module(f"tests.benchmarks.{group}").FIGURES:
        print(figure.line(dry=dry), flush=True)


def main(arguments: list[str]) -> int:
    """Print the figures of the named groups, of all without a name."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("groups", nargs="*", metavar="GROUP", help=f"any of {', '.join(GROUPS)}; all without a name")
    parser.add_argument("--list", action="store_true", help="print the figures without measuring them")
    asked = parser.parse_args(arguments)
    if unknown := [group for group in asked.groups if group not in GROUPS]:
        parser.error(f"no group is called {', '.join(unknown)}; there is {', '.join(GROUPS)}")
    for group in asked.groups or GROUPS:
        say(f"{group}:")
        taken = seconds(lambda group=group: _run(group, dry=asked.list))
        say(f"  {group} took {taken:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
