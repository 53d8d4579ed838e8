"""Recipes change when what a fact depends on changes, and never because of how the code is written."""

from dataclasses import dataclass, fields, replace

import pytest

from orchestration.facts import recipes
from orchestration.facts.recipes import FROZEN, Frozen, older_recipe, recipe, sql_words
from transforms.alignment.policy import PixelLimits
from transforms.duplicates.pairs import DuplicateThresholds
from transforms.fingerprints.fingerprint import Rules
from transforms.fingerprints.views import VIEWS, View
from transforms.generations.generation import Generation
from transforms.matches.candidates import CandidateThresholds
from transforms.regions import Box

# Hashes of known parts, as released. A change here computes these facts again in every warehouse: raise
# `recipes.FORMAT` or the CODE of the fact instead, and say so in the changelog.
GOLDEN = {
    "plain": "7d173565bf1c19f7",
    "rules": "c17c322283c0071e",
    "limits": "ee4ecf0e6591eb4f",
    "thresholds": "cbfbf276892b5732",
    "cut": "bb64e4211cc3eb98",
    "views": "47597059bc8254ef",
    "generation": "2f8a6fc76173dd2b",
    "sql": "b6217c8ffcd8c2e6",
}


def known_parts() -> dict[str, tuple[object, ...]]:
    return {
        "plain": (1, 2.5, "é\udc80", None, True, [1, (2, "three")], {"b": 1, "a": [None]}),
        "rules": (Rules(max_pixels=100_000_000, member_bytes=50_000_000, pdq_quality=50),),
        "limits": (PixelLimits(),),
        "thresholds": (DuplicateThresholds(31, 0.75, 0.8, PixelLimits()),),
        "cut": (CandidateThresholds(31, 0.4, 10),),
        "views": (VIEWS,),
        "generation": (Generation("sd/1.png", "sd", "generations/1.png", None, "a prompt", 7),),
        "sql": (sql_words("-- note\nSELECT a, 'It''s' AS \"B c\" FROM t WHERE x >= 1.50"),),
    }


@pytest.mark.parametrize("kind", known_parts())
def test_recipes_of_known_parts_are_those_that_were_released(kind: str) -> None:
    assert recipe(kind, *known_parts()[kind]) == GOLDEN[kind]


@pytest.mark.parametrize("kind", FROZEN, ids=lambda kind: kind.__name__)
def test_every_field_of_a_class_in_recipes_is_in_them(kind: type) -> None:
    assert FROZEN[kind].attributes == {each.name for each in fields(kind)}, "list a new field in `later`"


def test_every_field_of_a_class_changes_the_recipe() -> None:
    for whole in (PixelLimits(), Rules(1, 2, 3)):
        changed = [replace(whole, **{each.name: getattr(whole, each.name) + 1}) for each in fields(whole)]
        assert len({recipe("x", each) for each in (whole, *changed)}) == 1 + len(changed)


def test_a_renamed_class_with_a_later_field_has_the_recipe_it_had(monkeypatch: pytest.MonkeyPatch) -> None:
    @dataclass(frozen=True)
    class PictureRules:
        largest: int
        member_bytes: int
        pdq_quality: int
        brightest: float = 1.0

    names = {"max_pixels": "largest", "member_bytes": "member_bytes", "pdq_quality": "pdq_quality"}
    later = {"brightest": ("brightest", 1.0)}
    monkeypatch.setattr(recipes, "FROZEN", {**FROZEN, PictureRules: Frozen("picture rules", names, later)})
    assert recipe("x", PictureRules(1, 2, 3)) == recipe("x", Rules(1, 2, 3))
    assert recipe("x", PictureRules(1, 2, 3, 0.5)) != recipe("x", Rules(1, 2, 3))


def test_the_kind_and_the_order_of_parts_count_and_the_order_of_names_does_not() -> None:
    assert recipe("a", 1, 2) != recipe("b", 1, 2)
    assert recipe("a", 1, 2) != recipe("a", 2, 1)
    assert recipe("a", {"x": 1, "y": 2}) == recipe("a", {"y": 2, "x": 1})
    assert recipe("a", (1, 2)) == recipe("a", [1, 2])
    assert recipe("a", "1") != recipe("a", 1)


@pytest.mark.parametrize("part", [object(), {1: 2}, b"bytes", float("nan"), {"x": {3}}])
def test_what_has_no_frozen_form_is_refused(part: object) -> None:
    with pytest.raises((TypeError, ValueError)):
        recipe("a", part)


def test_the_layout_of_a_select_is_in_no_recipe_and_its_words_are() -> None:
    written = "select a, count(*) as n -- how many\nfrom t where b = 'X  y'"
    laid_out = "SELECT\n    a,\n    COUNT(*) AS n\nFROM t\n/* all */ WHERE b='X  y'"
    assert sql_words(written) == sql_words(laid_out)
    assert sql_words(written) != sql_words(written.replace("'X  y'", "'x  y'"))
    assert sql_words("select 'a'") != sql_words("select a")
    assert sql_words('select "A"') != sql_words('select "a"')
    assert sql_words("select e'A'") != sql_words("select e'a'")
    assert sql_words("select $$A$$") != sql_words("select $$a$$")


def test_recipes_from_before_they_had_a_format_are_still_understood() -> None:
    """The values are those that the release before wrote."""
    rules = Rules(100_000_000, 50_000_000, 50)
    assert older_recipe(2, rules) == "39fe2430ca65fc54"
    assert older_recipe(2, rules, "sscd 512-d") == "75afe20bec02227c"
    name = "a'ü.png"
    generation = Generation(f"gen/{name}", "gen", f"/pictures/{name}", None, 'the "sea"\n', 7)
    views = (
        View("all", Box(0.0, 0.0, 1.0, 1.0)),
        View("left half, mirrored", Box(0.0, 0.25, 0.5, 1.0), mirrored=True),
    )
    file = (1234, 1700000000000000001)
    assert older_recipe(2, "sscd 512-d", rules, generation, views, *file) == "0f7aa51594dca6d7"
    delivery = {"images_path": "/a/00000.tar", "images_size": 10, "metadata_path": None}
    assert older_recipe("ab", delivery, [("/a/00001.parquet", 5)]) == "857a0c904ba9ba9e"
