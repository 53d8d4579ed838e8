"""A small U-Net that predicts the velocity of flow matching, told the time and a caption.

What belongs here: layers. What does not: losses (`flow.py`), optimisers (`facts/training_pictures.py`).

Ho et al., "Denoising diffusion probabilistic models", 2020, made small: residual blocks with group normalisation,
attention at low resolution, the time by sines. A caption is the sum of its words' vectors over the root of their
number, words hashed into buckets, so that there is no vocabulary to keep. Patches of 2 × 2 pixels are one place, as
in vision transformers: a fourth of the arithmetic for pictures that still come back pixel for pixel.
"""

import hashlib
import math
import re
from collections.abc import Sequence

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from tests.lab.recipe import Network

_CAPTION = 32  # words at most
_GROUPS, _HEAD = 8, 32


def words(captions: Sequence[str], buckets: int) -> Tensor:
    """Return the buckets of the captions' words, int64 of shape (n, 32). 0 is for no word; no caption is all 0."""
    told = torch.zeros(len(captions), _CAPTION, dtype=torch.int64)
    for row, caption in enumerate(captions):
        for place, word in enumerate(re.findall(r"\w+", caption.lower())[:_CAPTION]):
            digest = hashlib.blake2b(word.encode(), digest_size=8).digest()
            told[row, place] = 1 + int.from_bytes(digest, "little") % (buckets - 1)
    return told


class UNet(nn.Module):
    """Pictures (n, 3, side, side), times (n,) in [0,1] and words (n, 32) in; a velocity like the pictures out."""

    def __init__(self, recipe: Network) -> None:
        super().__init__()
        width, told = recipe.width, 4 * recipe.width
        self._width = width
        self.words = nn.Embedding(recipe.words, width, padding_idx=0)
        self.caption = nn.Linear(width, told)
        self.time = nn.Sequential(nn.Linear(width, told), nn.SiLU(), nn.Linear(told, told))
        self._patch, colours = recipe.patch, 3 * recipe.patch**2
        self.first = nn.Conv2d(colours, width, 3, padding=1)
        self.down, self.up, channels, side, kept = nn.ModuleList(), nn.ModuleList(), width, recipe.side, list[int]()
        side //= recipe.patch
        last = len(recipe.levels) - 1
        for level, multiple in enumerate(recipe.levels):
            for _ in range(recipe.blocks):
                self.down.append(_Block(channels, multiple * width, told, attends=side in recipe.attention))
                kept.append(channels := multiple * width)
            if level < last:
                self.down.append(nn.Conv2d(channels, channels, 3, stride=2, padding=1))
                side //= 2
        self.middle = _Block(channels, channels, told, attends=True)
        for level, multiple in reversed(list(enumerate(recipe.levels))):
            if level < last:
                self.up.append(_Larger(channels))
                side *= 2
            for _ in range(recipe.blocks):
                self.up.append(_Block(channels + kept.pop(), multiple * width, told, attends=side in recipe.attention))
                channels = multiple * width
        self.last = nn.Sequential(
            nn.GroupNorm(_GROUPS, channels), nn.SiLU(), nn.Conv2d(channels, colours, 3, padding=1)
        )
        nn.init.zeros_(self.last[-1].weight)

    def forward(self, pictures: Tensor, times: Tensor, told: Tensor) -> Tensor:
        steps = torch.exp(torch.arange(self._width // 2, device=times.device) * (-math.log(1e4) / (self._width // 2)))
        angles = 1_000 * times[:, None] * steps
        count = (told > 0).sum(dim=1, keepdim=True).clamp(min=1)
        about = self.time(torch.cat([angles.sin(), angles.cos()], dim=1))
        about = F.silu(about + self.caption(self.words(told).sum(dim=1) / count.sqrt()))
        x, kept = self.first(F.pixel_unshuffle(pictures, self._patch)), []
        for layer in self.down:
            if isinstance(layer, _Block):
                kept.append(x := layer(x, about))
            else:
                x = layer(x)
        x = self.middle(x, about)
        for layer in self.up:
            x = layer(torch.cat([x, kept.pop()], dim=1), about) if isinstance(layer, _Block) else layer(x)
        return F.pixel_shuffle(self.last(x), self._patch)


class _Block(nn.Module):
    """A residual block, told of time and caption, that attends to all places where it is asked to."""

    def __init__(self, channels: int, out: int, told: int, *, attends: bool) -> None:
        super().__init__()
        self.before, self.first = nn.GroupNorm(_GROUPS, channels), nn.Conv2d(channels, out, 3, padding=1)
        self.told = nn.Linear(told, out)
        self.between, self.second = nn.GroupNorm(_GROUPS, out), nn.Conv2d(out, out, 3, padding=1)
        self.skip = nn.Conv2d(channels, out, 1) if channels != out else nn.Identity()
        self.attention = _Attention(out) if attends else nn.Identity()
        nn.init.zeros_(self.second.weight)

    def forward(self, x: Tensor, about: Tensor) -> Tensor:
        y = self.first(F.silu(self.before(x))) + self.told(about)[:, :, None, None]
        return self.attention(self.skip(x) + self.second(F.silu(self.between(y))))


class _Attention(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self._heads = max(1, channels // _HEAD)
        self.norm, self.asked = nn.GroupNorm(_GROUPS, channels), nn.Conv2d(channels, 3 * channels, 1)
        self.out = nn.Conv2d(channels, channels, 1)
        nn.init.zeros_(self.out.weight)

    def forward(self, x: Tensor) -> Tensor:
        n, channels, height, width = x.shape
        query, key, value = self.asked(self.norm(x)).view(n, 3, self._heads, -1, height * width).mT.unbind(dim=1)
        seen = F.scaled_dot_product_attention(query, key, value)
        return x + self.out(seen.mT.reshape(n, channels, height, width))


class _Larger(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.convolved = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.convolved(F.interpolate(x, scale_factor=2.0, mode="nearest"))
