"""Flow matching: what the network is taught, and how a picture is drawn with it.

What belongs here: the loss and the integration. What does not: layers (`network.py`), when to save
(`facts/training_pictures.py`).

Lipman et al., "Flow matching for generative modeling", 2023: x_t = (1 - t) noise + t picture, and the network learns
picture - noise. Times are logit-normal (Esser et al., "Scaling rectified flow transformers", 2024).
"""

import torch
from torch import Tensor

from tests.lab.network import UNet


def loss(network: UNet, pictures: Tensor, told: Tensor, random: torch.Generator) -> Tensor:
    """Return the mean squared error of the velocity. pictures: (n, 3, side, side) in [-1,1]. told: (n, 32)."""
    where = pictures.device
    times = torch.randn(len(pictures), generator=random, device=where).sigmoid()
    noise = torch.randn(pictures.shape, generator=random, device=where)
    at = times[:, None, None, None]
    guessed = network((1 - at) * noise + at * pictures, times, told)
    return torch.nn.functional.mse_loss(guessed.float(), pictures - noise)


@torch.inference_mode()
def draw(network: UNet, noise: Tensor, told: Tensor, steps: int, guidance: float) -> Tensor:
    """Bring noise to pictures in [-1,1] by Euler's method.

    guidance: 1 follows the caption as trained; more exaggerates what it changes (Ho and Salimans, "Classifier-free
    diffusion guidance", 2022), at twice the cost.
    """
    x = noise
    for time in torch.linspace(0, 1, steps + 1, device=noise.device)[:-1]:
        times = time.expand(len(x))
        velocity = network(x, times, told)
        if guidance != 1:
            plain = network(x, times, torch.zeros_like(told))
            velocity = plain + guidance * (velocity - plain)
        x = x + velocity / steps
    return x.clamp(-1, 1)
