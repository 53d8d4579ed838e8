"""What the errors of all commands have in common."""

import io

from orchestration.cli.published import CommandError


def test_an_error_names_the_characters_that_act_on_a_terminal() -> None:
    said = io.StringIO()
    CommandError("nothing is in landing/\x1b]0;owned\x07\x1b[2J\rfolder;\ncorrect `path`").show(said)
    assert said.getvalue() == (
        "raisonne: nothing is in landing/⟨U+001B⟩]0;owned⟨U+0007⟩⟨U+001B⟩[2J⟨U+000D⟩folder;\ncorrect `path`\n"
    )
