"""Training a model, so that a killed training goes on where it was: on a CPU with as many threads, to the same bits.

What belongs here: steps, checkpoints, and the weights that come out. What does not: the loss (`flow.py`), which rows
are left out (`warehouses.py`).

What is drawn at a step depends on the seed and the step alone, so that no state of a generator is kept. A checkpoint is
one safetensors file, replaced as a whole: the weights, their average, AdamW's moments and the losses so far. What
comes out is the average in half precision, and samples are drawn from that file.
"""

import hashlib
import json
import os
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from tests.lab import dataset, flow
from tests.lab.network import UNet, words
from tests.lab.recipe import Recipe, RecipeError

CHECKPOINT, WEIGHTS = "checkpoint.safetensors", "model.safetensors"


@dataclass(frozen=True)
class Rows:
    """What a model is trained on. pictures: uint8 (n, 3, side, side). told: int64 (n, 32)."""

    pictures: Tensor
    told: Tensor


def rows(folder: Path, recipe: Recipe, left_out: Collection[dataset.Key] = frozenset()) -> Rows:
    """Read the training set as it lies there, without the rows that are left out."""
    pictures, captions, side = [], [], recipe.network.side
    for key, data, caption in dataset.read(folder):
        if key not in left_out:
            captions.append(caption)
            pictures.append(dataset.brought(data, side).transpose(2, 0, 1))
    if not pictures:
        raise RecipeError(f"{folder} holds no picture to train on; run `dataset` first")
    return Rows(torch.from_numpy(np.stack(pictures)), words(captions, recipe.network.words))


class Training:
    """The state of a training: `step` says how much of it is done."""

    def __init__(self, recipe: Recipe, data: Rows, name: str) -> None:
        how = recipe.training
        torch.manual_seed(how.seed)  # of the weights that it begins with
        self.recipe, self.data, self.step = recipe, data, 0
        seen = hashlib.sha256(data.pictures.numpy().tobytes() + data.told.numpy().tobytes()).hexdigest()[:16]
        self.digest = f"{name} {seen} {recipe.digest('network', 'training')}"
        self.network = UNet(recipe.network).to(how.device, memory_format=torch.channels_last)
        self.average = {key: value.clone() for key, value in self.network.state_dict().items()}
        self.optimiser = torch.optim.AdamW(self.network.parameters(), how.rate, weight_decay=how.decay)
        self.losses: list[float] = []

    def advance(self) -> None:
        """Take a step."""
        how, where = self.recipe.training, self.recipe.training.device
        random = torch.Generator(where).manual_seed(how.seed * 1_000_003 + self.step)
        at = self._rows(self.step).to(self.data.pictures.device)
        pictures = self.data.pictures[at].to(where, memory_format=torch.channels_last).float() / 127.5 - 1
        told = self.data.told[at].to(where)
        dropped = torch.rand(len(at), generator=random, device=where) < how.drop
        told = torch.where(dropped[:, None], 0, told)
        for group in self.optimiser.param_groups:
            risen, left = (self.step + 1) / max(1, how.warm_up), (how.steps - self.step) / max(1, how.cool_down)
            group["lr"] = how.rate * min(1.0, risen, left)
        with torch.autocast(torch.device(where).type, torch.bfloat16, enabled=how.precision == "bfloat16"):
            error = flow.loss(self.network, pictures, told, random)
        self.optimiser.zero_grad()
        error.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimiser.step()
        self.step += 1
        # early, the average of few steps
        kept = min(how.average, self.step / (self.step + 10))
        for key, value in self.network.state_dict().items():
            self.average[key].lerp_(value, 1 - kept)
        self.losses.append(error.item())

    def _rows(self, step: int) -> Tensor:
        """Return which rows a step takes: every row once an epoch, in an order of the epoch's own."""
        how, count = self.recipe.training, len(self.data.pictures)
        first, taken = step * how.batch, []
        while len(taken) < how.batch:
            epoch, place = divmod(first + len(taken), count)
            order = torch.randperm(count, generator=torch.Generator().manual_seed(how.seed + 7_919 * epoch))
            taken += order[place : place + how.batch - len(taken)].tolist()
        return torch.tensor(taken)

    def tensors(self) -> dict[str, Tensor]:
        """Return all that a checkpoint holds."""
        held = {f"network.{key}": value for key, value in self.network.state_dict().items()}
        held |= {f"average.{key}": value for key, value in self.average.items()}
        for key, parameter in self.network.named_parameters():
            state = self.optimiser.state.get(parameter, {})
            held |= {f"{kind}.{key}": state[kind] for kind in ("exp_avg", "exp_avg_sq") if kind in state}
        return held | {"losses": torch.tensor(self.losses, dtype=torch.float64)}

    def save(self, path: Path) -> None:
        """Replace the checkpoint."""
        _replace(path, self.tensors(), {"step": str(self.step), "made_by": self.digest})

    def resume(self, path: Path) -> None:
        """Take up a checkpoint. Raises RecipeError for one of another training."""
        where = self.recipe.training.device
        try:
            with safe_open(path, framework="pt", device=where) as file:
                about = file.metadata() or {}
                held = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        except SafetensorError as error:
            raise RecipeError(f"{path} is damaged ({error}); delete it to train from the beginning") from error
        if about.get("made_by") != self.digest:
            raise RecipeError(f"{path} is of another recipe or other rows; choose another --home, or delete it")
        self.step, self.losses = int(about["step"]), held["losses"].tolist()
        self.network.load_state_dict({key: held[f"network.{key}"] for key in self.average})
        self.average = {key: held[f"average.{key}"] for key in self.average}
        for key, parameter in self.network.named_parameters():
            moments = {
                kind: torch.empty_like(parameter, requires_grad=False).copy_(held[f"{kind}.{key}"])
                for kind in ("exp_avg", "exp_avg_sq")
            }
            self.optimiser.state[parameter] = {"step": torch.tensor(float(self.step)), **moments}


def train(recipe: Recipe, data: Rows, folder: Path, say: Callable[[str], None]) -> bool:
    """Train to the end, from the last checkpoint if there is one. Returns whether anything was left to do."""
    torch.set_num_threads(recipe.training.threads)
    folder.mkdir(parents=True, exist_ok=True)
    training = Training(recipe, data, folder.name)
    if (folder / CHECKPOINT).exists():
        training.resume(folder / CHECKPOINT)
    if training.step >= recipe.training.steps and (folder / WEIGHTS).exists():
        return False
    began, since = time.monotonic(), training.step
    while training.step < recipe.training.steps:
        training.advance()
        if training.step % recipe.training.checkpoint == 0 or training.step == recipe.training.steps:
            training.save(folder / CHECKPOINT)
            a_second = (training.step - since) * recipe.training.batch / (time.monotonic() - began)
            lately = np.mean(training.losses[-recipe.training.checkpoint :])
            left = (recipe.training.steps - training.step) * recipe.training.batch / a_second / 60
            say(
                f"{folder.name}: step {training.step:,} of {recipe.training.steps:,}, loss {lately:.4f}, "
                f"{a_second:.1f} pictures/s, {left:.0f} minutes left"
            )
    said = {
        "recipe": json.dumps(recipe.model_dump(mode="json")),
        "rows": str(len(data.pictures)),
        "model": folder.name,
    }
    _replace(folder / WEIGHTS, {key: value.half() for key, value in training.average.items()}, said)
    return True


def about(path: Path, recipe: Recipe, model: str | None = None) -> dict[str, str]:
    """Return what weights say of their training: recipe, rows, model.

    Raises RecipeError for damaged weights, those of another recipe and, where one is asked for, of another model.
    """
    if not path.exists():
        raise RecipeError(f"{path} is not there; run `train` first")
    try:
        with safe_open(path, framework="pt") as file:
            said = file.metadata() or {}
        made_by, asked = json.loads(said["recipe"]), recipe.model_dump(mode="json")
        other = [part for part in ("pictures", "network", "training") if made_by[part] != asked[part]]
    except (SafetensorError, KeyError, TypeError, json.JSONDecodeError) as error:
        raise RecipeError(f"{path} is damaged ({error}); delete it, and `train` writes it again") from error
    if other:
        raise RecipeError(f"{path} is of another recipe ({', '.join(other)}); choose another --home, or delete it")
    if model and said.get("model") != model:
        raise RecipeError(f"{path} is the model {said.get('model')!r}, not {model!r}; delete it, and train")
    return said


def load(path: Path, recipe: Recipe) -> UNet:
    """Return a trained network. Raises RecipeError as `about` does."""
    about(path, recipe)
    network = UNet(recipe.network)
    with safe_open(path, framework="pt") as file:
        network.load_state_dict({key: file.get_tensor(key).float() for key in file.keys()})  # noqa: SIM118
    return network.to(recipe.training.device, memory_format=torch.channels_last).eval()


def _replace(path: Path, tensors: dict[str, Tensor], about: dict[str, str]) -> None:
    partial = path.with_suffix(".partial")
    save_file({key: value.detach().cpu().contiguous() for key, value in tensors.items()}, partial, about)
    with partial.open("rb") as file:
        os.fsync(file.fileno())
    partial.replace(path)
