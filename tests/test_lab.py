"""The memorization laboratory, tiny: the set is as planned, a killed training goes on, the page says its numbers."""

import json
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from filelock import FileLock
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save

from tests.benchmarks.data import originals
from tests.lab import dataset, demo, judgement, page, rehearsal, results, sampling, scoring, training, warehouses
from tests.lab.__main__ import main
from tests.lab.network import UNet, words
from tests.lab.recipe import MODELS, RECIPES, Places, Recipe, RecipeError, load
from tests.lab.scoring import Judged, Nearest
from transforms.hashing.hashes import file_sha256

ROOT = Path(__file__).resolve().parents[1]
TINY = load(RECIPES / "tiny.toml")
_QUICK = '[encoders]\ncopy = "sscd_distilled"\n[calibration]\ntrials = 0\n[limits]\nnull_sample = 8\n'


@pytest.fixture(scope="module", autouse=True)
def threads() -> Iterator[None]:
    """Give PyTorch its threads back."""
    count = torch.get_num_threads()
    yield
    torch.set_num_threads(count)


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Places:
    """Return a tiny laboratory that has its dataset."""
    made = Places(tmp_path_factory.mktemp("lab"))
    assert dataset.build(originals, TINY.pictures, made)
    return made


def test_rows_are_as_planned_and_as_the_truth_says(places: Places, tmp_path: Path) -> None:
    lines = dataset.truth(places)
    rows = Counter(line["picture"] for line in lines if line["dataset"] == dataset.TRAINING)
    assert Counter(rows.values()) == {rung.copies: rung.pictures for rung in TINY.pictures.ladder}
    trained, decoys = (
        {line["picture"] for line in lines if line["dataset"] == name} for name in (dataset.TRAINING, dataset.DECOYS)
    )
    unseen = {square.name for square in dataset.cast(originals(), TINY.pictures).unseen}
    photographs = [{name.split()[0] for name in part} for part in (trained, decoys, unseen)]
    assert all(photographs)
    assert not photographs[0] & (photographs[1] | photographs[2])
    assert not decoys & unseen

    shown = Counter((line["caption"], line["picture"]) for line in lines if line["dataset"] == dataset.TRAINING)
    pictures = Counter(caption for caption, _ in shown)
    for caption, unique in dataset.captions(lines):
        assert (pictures[caption] == 1) == unique
    assert sum(unique for _, unique in dataset.captions(lines)) == sum(rung.unique for rung in TINY.pictures.ladder)

    found = {(*key, caption) for key, _, caption in dataset.read(places.training)}
    told = {(x["shard"], int(x["row_number"]), x["caption"]) for x in lines if x["dataset"] == dataset.TRAINING}
    assert found == told
    assert not dataset.build(originals, TINY.pictures, places)  # it is there
    again = Places(tmp_path)
    dataset.build(originals, TINY.pictures, again)
    assert again.truth.read_bytes() == places.truth.read_bytes()
    assert [d for _, d, _ in dataset.read(again.training)] == [d for _, d, _ in dataset.read(places.training)]
    with pytest.raises(RecipeError, match="another recipe"):
        dataset.build(originals, TINY.pictures.model_copy(update={"seed": 8}), places)


def test_a_ladder_that_is_too_high_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="takes 30 pictures, but the photographs give"):
        dataset.build(originals, TINY.pictures.model_copy(update={"photographs": 2}), Places(tmp_path))
    with pytest.raises(RecipeError, match=r"nothing\.toml is no recipe"):
        load(tmp_path / "nothing.toml")


_KILLED = """
import os, signal, sys
from pathlib import Path
from tests.lab import training
from tests.lab.recipe import RECIPES, Places, load

def say(text):
    if "step 12 of" in text:
        os.kill(os.getpid(), signal.SIGKILL)

recipe, places = load(RECIPES / "tiny.toml"), Places(Path(sys.argv[1]))
training.train(recipe, training.rows(places.training, recipe), places.model("before"), say)
"""


@pytest.mark.thorough
def test_a_killed_training_goes_on_to_the_same_bits(places: Places, tmp_path: Path) -> None:
    folder = places.model("before")
    killed = subprocess.run([sys.executable, "-c", _KILLED, str(places.home)], cwd=ROOT, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert not (folder / training.WEIGHTS).exists()
    (folder / training.CHECKPOINT).with_suffix(".partial").write_bytes(b"half a checkpo")

    rows, said = training.rows(places.training, TINY), []
    calm = tmp_path / "before"
    assert training.train(TINY, rows, calm, said.append)
    assert len(said) == 4
    said.clear()
    assert training.train(TINY, rows, folder, said.append)
    assert len(said) == 2  # not from the beginning
    for name in (training.CHECKPOINT, training.WEIGHTS):
        assert _contents(folder / name) == _contents(calm / name)
    assert not training.train(TINY, rows, folder, said.append)  # done
    losses = load_file(folder / training.CHECKPOINT)["losses"]
    assert losses[-8:].mean() < losses[:8].mean()

    other = TINY.model_copy(update={"training": TINY.training.model_copy(update={"rate": 0.1})})
    with pytest.raises(RecipeError, match="of another recipe"):
        training.train(other, rows, folder, said.append)


@pytest.mark.thorough
def test_every_recipe_makes_a_network() -> None:
    recipes = {path.stem: load(path) for path in RECIPES.glob("*.toml")}
    assert {"small", "gpu", "tiny"} <= set(recipes)
    ladder = recipes["small"].pictures.ladder
    rows = sum(rung.copies * rung.pictures for rung in ladder)
    shown = {name: each.training.steps * each.training.batch / rows for name, each in recipes.items()}
    assert shown["gpu"] == pytest.approx(shown["small"], rel=0.1)
    for each in recipes.values():
        with torch.device("meta"):
            network, side = UNet(each.network), each.network.side
            made = network(torch.empty(2, 3, side, side), torch.empty(2), torch.zeros(2, 32, dtype=torch.int64))
        assert made.shape == (2, 3, side, side)


def _contents(path: Path) -> dict[str, bytes]:
    return {name: tensor.numpy().tobytes() for name, tensor in load_file(path).items()}


def test_one_laboratory_works_in_a_home(places: Places, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["dataset", "--recipe", "tiny", "--home", str(places.home)]
    with FileLock(places.home / ".lock"):
        assert main(asked) == 1
    assert f"another laboratory is at work in {places.home}" in capsys.readouterr().err
    assert main(asked) == 0
    assert "as they were" in capsys.readouterr().err


def test_every_row_is_taken_once_an_epoch(places: Places) -> None:
    rows = training.rows(places.training, TINY)
    state = training.Training(TINY, rows, "before")
    count = len(rows.pictures)
    taken = torch.cat([state._rows(step) for step in range(2 * count)])
    for epoch in range(4):
        assert sorted(taken[epoch * count : (epoch + 1) * count].tolist()) == list(range(count))


def test_the_network_sees_time_caption_and_every_pixel() -> None:
    torch.manual_seed(0)
    network = UNet(TINY.network)
    for parameter in network.parameters():  # layers begin at 0 on purpose
        torch.nn.init.normal_(parameter, std=0.1)
    pictures, told = torch.randn(1, 3, 16, 16), words(["a canyon", "a CANYON!", ""], TINY.network.words)
    assert torch.equal(told[0], told[1])
    assert not told[2].any()
    plain = network(pictures, torch.tensor([0.5]), told[:1])
    assert plain.shape == pictures.shape
    assert not torch.allclose(plain, network(pictures, torch.tensor([0.6]), told[:1]))
    assert not torch.allclose(plain, network(pictures, torch.tensor([0.5]), told[2:]))
    pictures.requires_grad_()
    network(pictures, torch.tensor([0.5]), told[:1]).square().sum().backward()
    assert (pictures.grad != 0).all()


def _weights(path: Path, times: float) -> bytes:
    with safe_open(path, framework="pt") as file:
        about = file.metadata()
    return save({name: times * tensor for name, tensor in load_file(path).items()}, about)


@pytest.mark.thorough
def test_samples_are_the_same_whenever_they_are_drawn(places: Places, tmp_path: Path) -> None:
    rows = training.rows(places.training, TINY)
    folder, weights = tmp_path / "before", tmp_path / "before" / training.WEIGHTS
    short = TINY.model_copy(update={"training": TINY.training.model_copy(update={"steps": 2})})
    training.train(short, rows, folder, lambda _: None)
    captions, made = dataset.captions(dataset.truth(places)), tmp_path / "samples"
    wanted = len(list(sampling.wanted(captions, TINY.sampling)))
    assert sampling.sample(short, weights, captions, made, lambda _: None) == wanted
    before = {path.name: path.read_bytes() for path in made.glob("*.png")}
    lines = [json.loads(line) for line in (made / "generations.jsonl").read_text().splitlines()]
    assert {line["file_name"] for line in lines} == set(before)
    assert len({line["seed"] for line in lines}) == wanted
    assert {line["prompt"] for line in lines} == {caption for caption, _ in captions}
    _kept_are_the_first_of_every_caption(short, places, weights, made, tmp_path)
    (made / min(before)).unlink()
    assert sampling.sample(short, weights, captions, made, lambda _: None) == TINY.sampling.batch
    assert {path.name: path.read_bytes() for path in made.glob("*.png")} == before
    with pytest.raises(RecipeError, match=r"is of another recipe \(training\)"):
        sampling.sample(TINY, weights, captions, made, lambda _: None)
    weights.write_bytes(_weights(weights, 0.9))
    with pytest.raises(RecipeError, match="holds no samples of"):
        sampling.sample(short, weights, captions, made, lambda _: None)
    with pytest.raises(RecipeError, match="run `train` first"):
        sampling.sample(short, tmp_path / "nothing", captions, made, lambda _: None)
    with pytest.raises(RecipeError, match="is the model 'before', not 'after'"):
        training.about(weights, short, "after")
    for damaged in (
        weights.read_bytes()[:5_000],
        save({"none": torch.zeros(1)}),
        save({"none": torch.zeros(1)}, {"recipe": "[]"}),
        save({"none": torch.zeros(1)}, {"recipe": "{"}),
    ):
        weights.write_bytes(damaged)
        with pytest.raises(RecipeError, match="is damaged"):
            sampling.sample(short, weights, captions, made, lambda _: None)


def _kept_are_the_first_of_every_caption(recipe: Recipe, places: Places, weights: Path, made: Path, home: Path) -> None:
    finished, kept = Places(home / "finished"), home / "kept"
    for link, target in (finished.truth, places.truth), (finished.generations("before"), made):
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(target)
    finished.model("before").parent.mkdir(parents=True)
    finished.model("before").symlink_to(weights.parent)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(demo, "SHARED", 1)
        patched.setattr(demo, "UNIQUE", 1)
        patched.setattr(demo, "run", lambda *_: None)  # the warehouse of what is kept: below, and `make demo`
        patched.setattr(demo, "found", lambda _: ["something"])
        captions = {caption for caption, _ in dataset.captions(dataset.truth(places))}
        assert demo.keep(recipe, finished, kept) == len(captions)
        other = recipe.model_copy(update={"sampling": recipe.sampling.model_copy(update={"shared": 9})})
        with pytest.raises(RecipeError, match="holds no samples of"):
            demo.keep(other, finished, kept)
    assert demo.made_by(kept) == recipe
    lines = [json.loads(line) for line in (kept / "generations.jsonl").read_text().splitlines()]
    assert {line["prompt"] for line in lines} == captions
    assert all((kept / line["file_name"]).read_bytes() == (made / line["file_name"]).read_bytes() for line in lines)


def test_the_kept_samples_are_those_of_the_small_recipe() -> None:
    about = json.loads((demo.KEPT / demo.ABOUT).read_text("utf-8"))
    assert demo.made_by() == load(RECIPES / "small.toml")
    assert demo.digest(demo.KEPT) == about["samples_sha256"]
    lines = [json.loads(line) for line in (demo.KEPT / "generations.jsonl").read_text("utf-8").splitlines()]
    assert {line["file_name"] for line in lines} == {path.name for path in demo.KEPT.glob("*.png")}
    assert len(lines) == about["samples"]
    assert "\n".join(about["found"]) in (ROOT / "docs" / "tutorial.md").read_text("utf-8")
    assert sum(path.stat().st_size for path in demo.KEPT.glob("*.png")) < 6_000_000


def test_the_kept_samples_are_drawn_from_the_kept_weights(tmp_path: Path) -> None:
    """To the rounding of another processor: a value in some thousands differs by one."""
    weights, recipe = demo.KEPT / training.WEIGHTS, demo.made_by()
    about = json.loads((demo.KEPT / demo.ABOUT).read_text("utf-8"))
    assert about["weights_sha256"] == file_sha256(weights)
    with (demo.KEPT / "generations.jsonl").open(encoding="utf-8") as file:
        lines = [json.loads(line) for line in file][:8]
    made = sampling.draw(training.load(weights, recipe), [(x["prompt"], x["seed"]) for x in lines], recipe)
    kept = np.stack([np.asarray(Image.open(demo.KEPT / line["file_name"])) for line in lines])
    apart = np.abs(made.astype(int) - kept)
    assert apart.max() <= 2
    assert (apart > 0).mean() < 0.01


def test_scores_count_what_was_named() -> None:
    right = Judged("a", "copy", 0.001, 0.002, (("x", "copy", True),))
    wrong = Judged("b", "copy", 0.002, 0.003, (("x", "similar", True), ("decoy", "copy", False)))
    missed = Judged("c", "altered_copy", 0.3, 0.4, (("y", "altered_copy", True),))
    plain = Judged("d", "no_match_found", 0.7, 0.8, ())
    near = {
        "a": Nearest("x", 0.1, True, True),
        "b": Nearest("z", 1.5, False, False),
        "c": Nearest("y", 0.4, True, False),
    }
    found = scoring.scored([right, wrong, missed, plain], near | {"d": Nearest("z", 1.9, True, True)})
    bands = [(band["decoy_is_nearest"]["count"], band["confirmed"]["count"]) for band in found["by_ratio"]]
    assert bands == [(0, 1), (0, 0), (0, 0), (0, 0), (1, 0)]
    assert [band["of_the_prompt"]["count"] for band in found["by_ratio"]] == [1, 0, 0, 0, 1]
    assert [band["confirmed"]["of"] for band in found["by_ratio"]] == [2, 0, 0, 0, 2]
    counts = {name: (found[name]["count"], found[name]["of"]) for name in ("precision", "recall", "reproduced")}
    assert counts == {"precision": (1, 2), "recall": (1, 2), "reproduced": (2, 4)}
    assert (found["recall_altered"]["count"], found["names_a_decoy_altered"]["count"]) == (2, 1)
    assert (found["names_a_decoy"]["count"], found["names_a_decoy"]["of"]) == (1, 4)
    assert found["p_values"]["of"] == 2
    assert found["p_values"]["up_to_0.01"]["count"] == 1
    assert found["false_at_q_0.05"]["count"] == 1
    assert scoring.share(0, 0)["share"] is None


def test_plain_distance_finds_the_picture_that_was_spoiled(places: Places) -> None:
    names, known = scoring._originals(places, 32)
    rng = np.random.default_rng(0)
    spoiled = (known + rng.normal(0, 0.03, known.shape)).astype(np.float32)
    apart = scoring._distances(spoiled, known)
    assert (apart.argmin(axis=1) == np.arange(len(names))).all()
    assert apart.diagonal() == pytest.approx(0.03, rel=0.1)


@pytest.mark.thorough
def test_photographs_seldom_pass_for_each_other(places: Places) -> None:
    found = scoring.chance(places, 32)
    names, known = scoring._originals(places, 32)
    assert found["trained"]["of"] == sum(rung.pictures for rung in TINY.pictures.ladder)
    assert found["decoys"]["of"] == len(names) - found["trained"]["of"]
    apart = np.sqrt(((known[:, None] - known[None]) ** 2).mean(axis=2)) + np.diag([np.inf] * len(names))
    decoys = {line["picture"] for line in dataset.truth(places) if line["dataset"] == dataset.DECOYS}
    within = np.array([name not in decoys for name in names])
    ordered = np.sort(apart[np.ix_(within, within)], axis=1)[:, :51]
    passing = ordered[:, 0] < 0.5 * np.nanmean(np.where(np.isfinite(ordered), ordered, np.nan)[:, 1:], axis=1)
    assert found["trained"]["count"] == passing.sum() > 0


@pytest.mark.thorough
def test_a_model_that_only_repeats_rows_returns_those_of_many_rows(places: Places) -> None:
    lines = [line for line in dataset.truth(places) if line["dataset"] == dataset.TRAINING]
    copies = {(line["shard"], int(line["row_number"])) for line in lines if line["edit"] != "original"}
    for left_out in frozenset(), copies:
        left = [line for line in lines if (line["shard"], int(line["row_number"])) not in left_out]
        only = dataset.repeated(places, TINY.sampling, left_out)
        for line in lines:
            of_caption = [other["picture"] for other in left if other["caption"] == line["caption"]]
            drawn, share = (1 if line["unique"] == "1" else 2), of_caption.count(line["picture"]) / len(of_caption)
            assert only[line["picture"]] == pytest.approx(1 - (1 - share) ** drawn)
    assert dataset.kept_twice(places, copies) == 0
    assert dataset.kept_twice(places, frozenset()) == sum(rung.pictures for rung in TINY.pictures.ladder[1:])


@pytest.mark.thorough
def test_a_warehouse_of_known_copies_is_scored_and_made_a_page(places: Places) -> None:
    """Known copies take the place of both models' samples: what is counted is known without a model."""
    quick = TINY.model_copy(update={"warehouse": _QUICK})
    parts = dataset.cast(originals(), TINY.pictures)
    trained, folder = [planned.square for planned in parts.trained], places.generations("before")
    rehearsal.rehearse(trained, parts.unseen, 2, folder, places.home / "rehearsal.csv", 7)
    shutil.copytree(folder, places.generations("after"))
    places.warehouse("before").parent.mkdir(parents=True, exist_ok=True)
    places.warehouse("after").symlink_to(places.warehouse("before"))
    for model in MODELS:
        weights = places.model(model) / training.WEIGHTS
        weights.parent.mkdir(parents=True, exist_ok=True)
        about = {"recipe": json.dumps(quick.model_dump(mode="json")), "rows": "56", "model": model}
        weights.write_bytes(save({"none": torch.zeros(1)}, about))
        with pytest.raises(RecipeError, match="holds no samples of"):
            sampling.require(quick, weights, places.generations(model))
        (places.generations(model) / sampling.STAMP).write_text(sampling.made_by(quick, weights))
    with pytest.raises(RecipeError, match="run `warehouse` first"):
        results.write(quick, places)
    places.warehouse(rehearsal.MODEL).symlink_to(places.warehouse("before"))
    _removal_list(places)

    database = warehouses.run(quick, places, "before")
    kinds = scoring.rehearsed(database, places)
    assert [kinds["noise 3"][name]["count"] for name in ("right", "wrong")] == [2, 0]
    assert kinds["never trained, noise 3"]["wrong"]["count"] == 0
    stray = places.generations("after") / "stray.png"
    shutil.copyfile(min(folder.glob("*.png")), stray)
    with pytest.raises(RecipeError, match="has not searched what is in"):
        results.write(quick, places)
    stray.unlink()
    results.write(quick, places)
    found = results.read(places.results)["models"]["before"]
    assert found["scores"]["names_a_decoy"]["count"] == 0
    assert found["scores"]["precision"]["share"] == 1
    assert found["limits"][0]["recall"] == found["scores"]["recall"]
    assert found["limits"][0]["names_a_decoy"]["count"] == 0
    recall = {by["limits"]: by["recall"]["count"] for by in found["limits"]}
    assert recall["agreement_unmatched 0.55"] >= recall["agreement_unmatched 0.75"] >= recall["as they stand"] > 0
    sources = "from provenance.memorization"
    with duckdb.connect(str(database), read_only=True) as con:
        [published] = con.execute(
            f"select count(distinct generation_id), count(distinct cluster_id) {sources}"
        ).fetchall()
        [ratios] = con.execute(f"select count(*) {sources} where small_image_ratio < 1").fetchall()
    assert (found["samples"]["copying"], found["samples"]["copied_pictures"]) == published
    assert (found["ratios"]["below_1"],) == ratios
    assert sum(rung["copied"]["count"] for rung in found["rungs"]) == published[1] > 0
    places.warehouse(demo.NAME).symlink_to(places.warehouse("before"))
    told = list(demo.found(places))
    assert told[0].startswith(f"{2 * len(rehearsal.KINDS)} samples of a diffusion model trained on 56 rows")
    assert told[1] == f"  confirmed as copies: {published[0]}; of pictures that it was never trained on: 0"
    rungs = results.together(found["rungs"], "counted_rightly")
    assert {copies: share["of"] for copies, share in rungs.items()} == {1: 24, 4: 4, 8: 2}
    assert found["samples"]["generations"] == 2 * len(rehearsal.KINDS)
    published = {band["band"]: band["pictures"] for band in found["published_bands"]}
    assert published["1"] > 24  # the decoys are there too

    text = page.publish(quick, places, None).read_text()
    assert text == page.render(results.read(places.results))
    for model in MODELS:
        with Image.open(places.home / "page" / page.FOLDER / f"{model}.png") as sheet:
            assert sheet.width > 1
    first = (places.home / "page" / page.FOLDER / "effect.svg").read_bytes()
    page.publish(quick, places, None)
    assert (places.home / "page" / page.FOLDER / "effect.svg").read_bytes() == first


def _removal_list(places: Places) -> None:
    """Write the list that leaves a row of every picture, as `raisonne export removal-list` does."""
    rows = [
        line for line in dataset.truth(places) if line["dataset"] == dataset.TRAINING and line["edit"] != "original"
    ]
    places.removal.mkdir()
    about = {name: [line[name] for line in rows] for name in ("dataset", "shard")}
    table = pa.table(about | {"row_number": [int(line["row_number"]) for line in rows]})
    pq.write_table(table, places.removal / warehouses.REMOVED)
    (places.removal / "manifest.json").touch()


def test_the_published_page_says_what_its_numbers_say(tmp_path: Path) -> None:
    docs = ROOT / "docs" / "explanation"
    numbers = results.read(docs / page.FOLDER / "results.json")
    assert page.render(numbers) == (docs / page.NAME).read_text("utf-8")
    page.draw(numbers, tmp_path)
    for name in ("effect.svg", "p-values.svg"):
        assert (tmp_path / name).read_text("utf-8") == (docs / page.FOLDER / name).read_text("utf-8")


def test_the_page_is_of_the_recipe_and_the_weights_that_are_kept() -> None:
    numbers = results.read(ROOT / "docs" / "explanation" / page.FOLDER / "results.json")
    about = json.loads((demo.KEPT / demo.ABOUT).read_text("utf-8"))
    assert Recipe(**numbers["recipe"]) == load(RECIPES / "small.toml")
    assert numbers["truth_sha256"] == about["truth_sha256"]
    assert numbers["models"]["before"]["weights_sha256"] == about["weights_sha256"]


def test_the_readme_says_what_the_page_says() -> None:
    numbers = results.read(ROOT / "docs" / "explanation" / page.FOLDER / "results.json")
    before, after = (numbers["models"][model]["samples"] for model in MODELS)
    readme = " ".join((ROOT / "README.md").read_text("utf-8").split())
    assert f"Of all {before['generations']:,} samples drawn from it, {before['copying']:,} are" in readme
    assert f"as copies, of {before['copied_pictures']:,} pictures; of a second model" in readme
    assert f"leaves, {after['copying']:,} are." in readme
    near = [numbers["models"][model]["scores"]["reproduced"]["count"] for model in MODELS]
    assert f"{near[0]:,} and {near[1]:,} come near a picture" in readme


def test_the_page_says_so_where_the_numbers_do_not_show_what_was_expected() -> None:
    numbers = results.read(ROOT / "docs" / "explanation" / page.FOLDER / "results.json")
    before, after = (numbers["models"][model] for model in MODELS)
    told = page.render(numbers | {"models": {"before": after, "after": before}})
    assert "0.000 (0.000 to 0.001) before deduplication" in " ".join(told.split())
    assert " ".join(told.split()).count("after: not clearly fewer") == 2
    assert "overlap, so that these data do not tell them apart" in " ".join(told.split())
    assert "Different pictures that are reproduced: " in told
    rung = next(rung for rung in before["rungs"] if rung["copies"] == 2)
    rung["extracted"] = scoring.share(rung["extracted"]["of"], rung["extracted"]["of"])
    before["scores"]["names_a_decoy"] = scoring.share(2, before["samples"]["generations"])
    before["scores"]["p_values"]["up_to_0.05"] = scoring.share(300, 2_000)
    told = page.render(numbers)
    assert "The share falls from 2 to 4 rows, by more than the intervals" in " ".join(told.split())
    assert "Before, at 0.05, they are more than their level says: too bold." in " ".join(told.split())
    assert "After, at 0.05, they are fewer than their level says: cautious." in " ".join(told.split())
    far = judgement._far(before, after)
    mistakes = 2 * (far["of"] - far["count"]) / far["count"]
    assert f"{mistakes:.0f} of the {before['samples']['copying']:,} samples" in " ".join(told.split())


def test_outliers_are_counted_apart() -> None:
    found = results.outliers({"a": True, "b": True, "c": False, "d": False}, {"a", "x"}, {"a", "b", "c"})
    counts = {group["unusual"]: (group["copied"]["count"], group["reproduced"]["count"]) for group in found}
    assert counts == {True: (1, 2), False: (0, 1)}
    assert all(group[kind]["of"] == 2 for group in found for kind in ("copied", "reproduced"))
    assert results.outliers({}, {"a"}, {"a"}) == []
