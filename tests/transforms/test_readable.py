"""Numbers as people read them: nothing that is something is printed as nothing."""

import pytest

from transforms.readable import count, decimal, first_line, size


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0.0000"),
        (1.0, "1.0000"),
        (0.0001, "0.0001"),
        (0.00009999, "< 0.0001"),
        (3e-12, "< 0.0001"),
        (-3e-12, "> -0.0001"),
        (0.25, "0.2500"),
    ],
)
def test_small_numbers_are_not_rounded_to_nothing(value: float, text: str) -> None:
    assert decimal(value) == text


@pytest.mark.parametrize(
    ("bytes_", "text"),
    [(0, "0 bytes"), (999, "999 bytes"), (1_500, "1.5 kB"), (123_000_000, "123 MB"), (5_000_000_000_000, "5.0 TB")],
)
def test_sizes_have_the_unit_that_fits(bytes_: int, text: str) -> None:
    assert size(bytes_) == text


def test_one_is_singular() -> None:
    assert [count(number, "entry", "entries") for number in (0, 1, 2_000)] == ["0 entries", "1 entry", "2,000 entries"]


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("\n no footer\nat byte 4"), "no footer"),
        (ValueError(), "ValueError"),
        (KeyboardInterrupt("\n"), "KeyboardInterrupt"),
    ],
)
def test_an_error_is_told_in_one_line(error: BaseException, line: str) -> None:
    assert first_line(error) == line
