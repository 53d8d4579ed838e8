"""The page of files says what becomes of each layout and oddity, as it was read now."""

from tests import file_cases


def test_the_page_says_what_becomes_of_each_file() -> None:
    assert file_cases.PAGE.read_text(encoding="utf-8") == file_cases.render(), "run python -m tests.file_cases"
