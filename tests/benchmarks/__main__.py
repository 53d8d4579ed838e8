"""Prints the figures: `python -m tests.benchmarks [GROUP …] [--figure NAME] [--list]`, one line of JSON a figure.

What belongs here: which groups there are, and running them. What does not: measuring (a module a group).
Standard output holds figures only, standard error everything else. A few sizes take minutes and are measured only
with RAISONNE_BENCH_FULL=1.
"""

import argparse
import importlib
import sys

from tests.benchmarks.figures import Figure, say, seconds

GROUPS = (
    "hash",
    "feed",
    "rights",
    "embed",
    "fingerprint",
    "hamming",
    "cosine",
    "clusters",
    "duplicates",
    "match",
    "evidence",
    "altered",
    "disc",
    "related",
    "export",
    "disclosures",
    "claims",
    "review",
    "scale",
    "guard",
    "gpu",
)


def _figures(group: str, names: list[str]) -> list[Figure]:
    every = importlib.import_module(f"tests.benchmarks.{group}").FIGURES
    return [figure for figure in every if not names or figure.name in names]


def _run(group: str, names: list[str], *, dry: bool) -> None:
    for figure in _figures(group, names):
        print(figure.line(dry=dry), flush=True)


def main(arguments: list[str]) -> int:
    """Print the figures of the named groups, of all without a name."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("groups", nargs="*", metavar="GROUP", help=f"any of {', '.join(GROUPS)}; all without a name")
    parser.add_argument("--figure", action="append", default=[], metavar="NAME", help="this one alone; may be repeated")
    parser.add_argument("--list", action="store_true", help="print the figures without measuring them")
    asked = parser.parse_args(arguments)
    if unknown := [group for group in asked.groups if group not in GROUPS]:
        parser.error(f"no group is called {', '.join(unknown)}; there is {', '.join(GROUPS)}")
    groups = asked.groups or GROUPS
    if unknown := set(asked.figure) - {figure.name for group in groups for figure in _figures(group, asked.figure)}:
        parser.error(f"no figure is called {', '.join(sorted(unknown))}; --list names them")
    for group in groups:
        say(f"{group}:")
        taken = seconds(lambda group=group: _run(group, asked.figure, dry=asked.list))
        say(f"  {group} took {taken:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
