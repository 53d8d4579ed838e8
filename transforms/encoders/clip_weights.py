"""Finding and loading the weights of open_clip's models: a file, the Hugging Face cache, the hub.

What belongs here: finding the file, and refusing files that are not safetensors. What does not: running the model
(`encoders/clip.py`).
"""

import difflib
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from transforms.encoders.identity import EncoderUnavailable
from transforms.hashing.hashes import file_sha256

_PICKLES = {".bin", ".pt", ".pth", ".ckpt", ".pkl", ".npz"}
_REACH = 5.0  # seconds that the hub has to answer at all, before anything is asked of it
# What open_clip raises of a checkpoint that is another model's; it has no class of its own for that.
_OTHER_MODEL = (RuntimeError, KeyError, ValueError, AttributeError, IndexError, AssertionError)


@dataclass(frozen=True)
class ClipWeights:
    """A checkpoint and how its model was trained.

    Attributes:
        model: As open_clip names it.
        name: For the encoder's identity, without any path.
        path: The checkpoint.
        sha256: Of the checkpoint.
        dimension: Of a vector.
        preprocessing: What differs from open_clip's default, by the names of its PreprocessCfg.
        quick_gelu: Whether the model was trained with that activation.
    """

    model: str
    name: str
    path: Path
    sha256: str
    dimension: int
    preprocessing: dict[str, Any] = field(default_factory=dict)
    quick_gelu: bool = False


def find(model: str, pretrained: str) -> ClipWeights:
    """Find the weights of a model.

    Args:
        model: As open_clip names it.
        pretrained: A tag of open_clip's, or the path of a safetensors file.

    Raises:
        EncoderUnavailable: If they cannot be found.
    """
    import open_clip

    if model not in open_clip.list_models():
        raise EncoderUnavailable(
            f"open_clip has no model {model!r}; {_nearest(model, open_clip.list_models())}; "
            "`open_clip.list_models()` has them all"
        )
    dimension = int(open_clip.get_model_config(model)["embed_dim"])
    if open_clip.is_pretrained_cfg(model, pretrained):
        config = open_clip.get_pretrained_cfg(model, pretrained)
        path = _of_tag(model, pretrained, config["hf_hub"])
        name = f"{model}/{pretrained}"
        return ClipWeights(model, name, path, file_sha256(path), dimension, config, bool(config.get("quick_gelu")))
    path = Path(pretrained)
    if path.suffix.lower() in _PICKLES:
        raise EncoderUnavailable(f"{path} may be a pickle, and pickles are never loaded; {_convert(path)}")
    if path.suffix != ".safetensors":
        tags = open_clip.list_pretrained_tags_by_model(model)
        raise EncoderUnavailable(
            f"open_clip has no weights {pretrained!r} for {model}; {_nearest(pretrained, tags)}; "
            "or name a file: open_clip:MODEL/PATH.safetensors"
        )
    if not path.is_file():
        raise EncoderUnavailable(f"no weights at {path}; put the safetensors file of {model} there, or name a tag")
    return ClipWeights(model, model, path, file_sha256(path), dimension, _agreed(model))


def load(weights: ClipWeights) -> Any:  # noqa: ANN401 (a torch module; torch is imported late)
    """Load a model with its weights, on the CPU in float32. Raises EncoderUnavailable."""
    import open_clip
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(weights.path, "pt") as file:
            if not file.keys():
                raise EncoderUnavailable(f"{weights.path} holds no weights; download it again")
        return open_clip.create_model(
            weights.model,
            str(weights.path),
            force_preprocess_cfg=weights.preprocessing,
            force_quick_gelu=weights.quick_gelu,
        )
    except SafetensorError as error:
        raise EncoderUnavailable(f"{weights.path} is not a safetensors file ({error}); download it again") from None
    except _OTHER_MODEL as error:
        reason = " ".join(str(error).split())[:200]
        raise EncoderUnavailable(
            f"{weights.path} does not hold the weights of {weights.model} ({reason}); name the model it was made with"
        ) from None


def _of_tag(model: str, tag: str, place: str) -> Path:
    """Return the safetensors file of a tag from the cache, else from the hub. place: `owner/name/` or with a file."""
    import huggingface_hub as hub
    from huggingface_hub import constants, errors
    from open_clip.constants import HF_SAFE_WEIGHTS_NAME

    repository, file = os.path.split(place)
    name = f"{file.rpartition('.')[0]}.safetensors" if file else HF_SAFE_WEIGHTS_NAME
    try:
        return Path(hub.hf_hub_download(repository, name, local_files_only=True))
    except errors.LocalEntryNotFoundError:
        pass
    try:
        # The hub's own client retries for half a minute where there is no network.
        hub.get_session().head(constants.ENDPOINT, timeout=_REACH)
        return Path(hub.hf_hub_download(repository, name))
    except errors.RemoteEntryNotFoundError:
        reason = "the hub has no safetensors file of it, and pickles are never loaded"
    except (OSError, errors.HTTPError) as error:
        reason = f"{constants.ENDPOINT} cannot be used ({str(error).partition(chr(10))[0]})"
    raise EncoderUnavailable(
        f"no weights for open_clip:{model}/{tag}: {reason}. Ways to get them: "
        f"with a network, run `hf download {repository} {name}`; "
        f"or put that file anywhere and name it: open_clip:{model}/PATH.safetensors; "
        f"or set HF_HOME to a Hugging Face cache that has it (searched {constants.HF_HUB_CACHE})"
    )


def _agreed(model: str) -> dict[str, Any]:
    """Return the preprocessing that all tags of a model share, or open_clip's default if they differ."""
    import open_clip

    names = ("mean", "std", "interpolation", "resize_mode")
    tags = open_clip.list_pretrained_tags_by_model(model)
    found = [{name: open_clip.get_pretrained_cfg(model, tag).get(name) for name in names} for tag in tags]
    return found[0] if found and all(one == found[0] for one in found) else {}


def _nearest(name: str, among: list[str]) -> str:
    near = difflib.get_close_matches(name, among, n=5, cutoff=0.0)
    return f"the nearest are {', '.join(near)}" if near else "it has none by name"


def _convert(path: Path) -> str:
    """Return a sentence that explains how to convert a trusted pickle."""
    code = (
        "from open_clip.factory import load_state_dict; from safetensors.torch import save_file; "
        f"save_file(load_state_dict({str(path)!r}), {str(path.with_suffix('.safetensors'))!r})"
    )
    return f'if you trust it, convert it once: `python -c "{code}"`'
