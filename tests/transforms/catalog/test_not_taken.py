"""Counting what was found and is no row."""

from transforms.catalog.not_taken import EXAMPLES, NotTaken, NotTakenCounts


def test_equal_reasons_of_a_place_add_up_with_the_first_names() -> None:
    counts = NotTakenCounts()
    for number in range(8):
        counts.add("a.tar", "no picture", f"{number}.cls")
    counts.add("a.tar", "hidden", "._0.jpg", ".DS_Store")
    counts.include([NotTaken("a.tar", "hidden", 40, ("x", "y", "z", "w"))])
    assert counts.counts() == [
        NotTaken("a.tar", "hidden", 42, ("._0.jpg", ".DS_Store", "x", "y", "z")),
        NotTaken("a.tar", "no picture", 8, tuple(f"{number}.cls" for number in range(EXAMPLES))),
    ]
