"""Records under the names that programs use, and several statements of one picture."""

from decimal import Decimal

import pytest

from transforms.generations.statements import PictureStatement, describe, of_record, seed, sentence, steps, word


def test_a_record_is_read_under_any_name_in_use() -> None:
    whole = PictureStatement("x", "a tower", "blurry", 7, "sd-1.4", "euler", 20)
    for record in (
        {
            "prompt": "a tower",
            "negative_prompt": "blurry",
            "seed": 7,
            "model": "sd-1.4",
            "sampler": "euler",
            "steps": 20,
        },
        {
            "Prompt": "a tower",
            "Negative Prompt": "blurry",
            "Seed": "7",
            "Model": "sd-1.4",
            "Sampler": "euler",
            "Steps": "20",
        },
        {"p": "a tower", "negativePrompt": "blurry", "se": 7.0, "base_model": "sd-1.4", "sa": "euler", "st": 20},
        {
            "text": "a tower",
            "uc": "blurry",
            "noise_seed": 7,
            "model": {"name": "sd-1.4"},
            "scheduler": "euler",
            "step": 20,
        },
    ):
        assert of_record("x", record) == whole


@pytest.mark.parametrize("unknown", [None, "", "  ", "nan", "None", "<NA>", "null", float("nan"), [], True])
def test_unknown_is_spelled_in_many_ways(unknown: object) -> None:
    record = dict.fromkeys(("prompt", "negative_prompt", "seed", "model", "sampler", "steps"), unknown)
    assert of_record("x", record) == PictureStatement("x")
    assert word("N/A") is word("?") is None and sentence("?") == "?"


def test_whole_numbers_stay_whole() -> None:
    for value, number in {
        2**64 - 1: 2**64 - 1,
        str(2**64 - 1): 2**64 - 1,
        Decimal(2**64 - 1): 2**64 - 1,
        "-1": -1,
        " 7.0 ": 7,
        7.0: 7,
        float(2**60): None,  # its last digits are lost
        7.5: None,
        "7.5": None,
        10**20: None,
        "9" * 21: None,
        float("inf"): None,
    }.items():
        assert seed(value) == number
    assert steps(-1) is steps(2**31) is None and steps("20") == 20


def test_text_can_be_stored() -> None:
    assert sentence("a\0b") == word("a\0b") == "ab"
    assert sentence("\ud800") == "\\ud800"
    assert word(1.5) == "1.5"
    assert sentence(" kept as it is ") == " kept as it is "


def test_the_first_is_believed_and_others_are_kept() -> None:
    said = describe(
        [
            PictureStatement("generations.csv", prompt="a  tower", seed=7),
            PictureStatement(".txt", prompt="a tower"),
            PictureStatement("PNG parameters", prompt="a bridge", seed=8, model="sd"),
            PictureStatement("EXIF UserComment", prompt="a bridge", seed=7),
        ]
    )
    assert said.fields == {"prompt": "a  tower", "seed": 7, "model": "sd"}
    assert said.described_by == "generations.csv; PNG parameters"
    assert said.stated_otherwise == (
        "PNG parameters: prompt = a bridge",
        "PNG parameters: seed = 8",
        "EXIF UserComment: prompt = a bridge",
    )
    assert describe([]) == describe([PictureStatement("x")])
