"""Drawing samples: a folder of generations with prompt, seed and model, as the warehouse reads any other.

What belongs here: which captions are drawn how often, and files. What does not: drawing (`flow.py`).

The noise of a sample depends on the recipe's seed, the caption and the sample's number: both models begin from the
same noise. A killed run goes on with the batches that are not there.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import batched
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from tests.lab import flow, training
from tests.lab.dataset import write_whole
from tests.lab.network import UNet, words
from tests.lab.recipe import Recipe, RecipeError, Sampling
from transforms.hashing.hashes import file_sha256

LIST, STAMP = "generations.jsonl", "made_by"


@dataclass(frozen=True)
class Wanted:
    """A sample to draw. seed: of its noise, which no other sample of the model has."""

    name: str
    caption: str
    seed: int


def wanted(captions: Sequence[tuple[str, bool]], recipe: Sampling) -> Iterator[Wanted]:
    """Yield the samples of captions, each beside whether it names a single picture."""
    for number, (caption, unique) in enumerate(captions):
        for sample in range(recipe.unique if unique else recipe.shared):
            yield Wanted(f"{number:04d}-{sample:02d}.png", caption, recipe.seed * 10_000_000 + number * 1_000 + sample)


def sample(
    recipe: Recipe, weights: Path, captions: Sequence[tuple[str, bool]], folder: Path, say: Callable[[str], None]
) -> int:
    """Draw what is not there yet, and write `generations.jsonl` at the end. Returns how many were drawn.

    Raises RecipeError where the folder holds samples of other weights or settings.
    """
    how = recipe.sampling
    folder.mkdir(parents=True, exist_ok=True)
    network = training.load(weights, recipe)
    if not (folder / STAMP).exists() and not any(folder.glob("*.png")):
        write_whole(folder / STAMP, made_by(recipe, weights))
    require(recipe, weights, folder, complete=False)
    everything, drawn = list(wanted(captions, how)), 0
    torch.set_num_threads(recipe.training.threads)
    for batch in batched(everything, how.batch):
        if all((folder / each.name).exists() for each in batch):
            continue
        values = draw(network, [(each.caption, each.seed) for each in batch], recipe)
        for each, picture in zip(batch, values, strict=True):
            _save(picture, folder / each.name, how.saved)
        drawn += len(batch)
        say(f"{folder.name}: {drawn:,} of {len(everything):,} samples")
    write_list(folder, [(each.name, each.caption, each.seed) for each in everything], folder.name)
    return drawn


def made_by(recipe: Recipe, weights: Path) -> str:
    """Return what the samples' folder says of what made them."""
    return f"{file_sha256(weights)} {recipe.digest('sampling')}\n"


def require(recipe: Recipe, weights: Path, folder: Path, *, complete: bool = True) -> None:
    """Raise RecipeError where the folder's samples are not of these weights and settings, or not all there."""
    stamp = folder / STAMP
    if complete and not (folder / LIST).exists():
        raise RecipeError(f"{folder} is not complete; run `sample` first")
    if not stamp.exists() or stamp.read_text("utf-8") != made_by(recipe, weights):
        raise RecipeError(f"{folder} holds no samples of {weights} by this recipe; delete it, and `sample` draws anew")


def draw(network: UNet, wanted: Sequence[tuple[str, int]], recipe: Recipe) -> npt.NDArray[np.uint8]:
    """Draw one sample for each caption and seed: (n, side, side, 3)."""
    how, side = recipe.sampling, recipe.network.side
    noise = torch.stack([torch.randn(3, side, side, generator=torch.Generator().manual_seed(s)) for _, s in wanted])
    noise = noise.to(recipe.training.device, memory_format=torch.channels_last)
    told = words([caption for caption, _ in wanted], recipe.network.words).to(recipe.training.device)
    made = flow.draw(network, noise, told, how.steps, how.guidance)
    return ((made.float().cpu() + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()


def write_list(folder: Path, lines: Sequence[tuple[str, str, int]], model: str) -> None:
    """Write `generations.jsonl`, as a whole, from file names, prompts and seeds."""
    said = [{"file_name": name, "model": model, "prompt": prompt, "seed": seed} for name, prompt, seed in lines]
    write_whole(folder / LIST, "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in said))


def _save(picture: np.ndarray, path: Path, side: int) -> None:
    image = Image.fromarray(picture)
    if image.width != side:
        image = image.resize((side, side), Image.Resampling.LANCZOS)
    partial = path.with_suffix(".partial")
    image.save(partial, "PNG")
    partial.replace(path)
