"""Small open_clip models with weights of their own, for tests that need an encoder of pictures and texts."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.late_import import LateImport

open_clip: Any = LateImport("open_clip")
_LAYERS = {"width": 64, "layers": 2}
CONFIG: Mapping[str, Any] = {
    "embed_dim": 32,
    "vision_cfg": {"image_size": 64, "patch_size": 16, "head_width": 32, **_LAYERS},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "heads": 2, **_LAYERS},
}


def make(folder: Path, name: str, config: Mapping[str, Any] = CONFIG) -> Path:
    """Make a model known to open_clip in this process, and write a checkpoint of it.

    Args:
        folder: An empty folder.
        name: The model's name.
        config: As open_clip describes a model.

    Returns:
        The checkpoint.
    """
    import torch

    (folder / f"{name}.json").write_text(json.dumps(config))
    open_clip.add_model_config(folder)
    torch.manual_seed(11)
    return save(open_clip.create_model(name), folder / "made.safetensors")


def save(model: Any, file: Path) -> Path:  # noqa: ANN401 -- a torch module; torch is imported late
    """Write a checkpoint of a model, and return its file."""
    from safetensors.torch import save_file

    save_file({key: value.clone().contiguous() for key, value in model.state_dict().items()}, file)
    return file
