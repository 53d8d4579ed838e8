"""open_clip's models, the semantic encoders of pictures and captions, from safetensors only.

What belongs here: running a model of open_clip. What does not: finding its weights (`encoders/clip_weights.py`),
comparing vectors (`joins/cosine/join.py`). Ilharco et al., OpenCLIP, 2021; Radford et al., CLIP, ICML 2021.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from transforms.encoders import clip_weights, torch_device
from transforms.encoders.batches import Batches
from transforms.encoders.identity import EncoderId, EncoderUnavailable, Prepared, Vectors
from transforms.pictures import Pixels
from transforms.pictures.scaling import Scaling

Tokens = npt.NDArray[np.int64]
_CAPTION = 2_000  # characters; no model reads beyond some 77 tokens, and a word takes its length squared to tokenize


class OpenClip:
    """A model of open_clip, on CUDA in bfloat16 when there is a GPU, else on the CPU.

    model: a name that `open_clip.list_models()` has. pretrained: a tag, or the path of a safetensors file.
    Raises EncoderUnavailable.
    """

    def __init__(self, model: str, pretrained: str, device: str = torch_device.AUTO) -> None:
        weights = clip_weights.find(model, pretrained)
        self.device = device = torch_device.choose(device)
        self._model: Any = clip_weights.load(weights).eval().to(device)
        self._name = model
        self._steps, words, mean, std = _preprocessing(self._model)
        self.scaling = _scaling(self._steps)
        self.id = EncoderId(
            f"open_clip {weights.name}", weights.sha256, words, weights.dimension, torch_device.precision(device)
        )
        pictures = torch_device.Normalised(self._model.encode_image, mean, std, device)
        self._pictures = Batches(torch_device.TorchDevice(pictures, device), weights.dimension)
        self._captions = Batches(torch_device.TorchDevice(self._model.encode_text, device), weights.dimension)
        self.full_call = self._pictures.device.full_call
        self._tokenizer: Any = None

    def prepare(self, picture: Pixels) -> Prepared:
        """See Encoder. Applies open_clip's own transform up to the conversion to floats."""
        if self.scaling is not None:
            return self.scaling(picture)
        image = Image.fromarray(picture)
        for step in self._steps:
            image = step(image)
        return np.asarray(image)

    def embed(self, prepared: Sequence[Prepared]) -> Vectors:
        """See Encoder."""
        return self._pictures.run(prepared)

    def embed_captions(self, captions: Sequence[str]) -> Vectors:
        """Embed captions, also empty ones, into the space of pictures: float32 of shape (n, dimension), norm 1.

        Captions longer than the input of the model are cut. Raises EncoderUnavailable if the tokenizer is not
        installed.
        """
        return self.embed_tokens(self.tokens(captions))

    def tokens(self, captions: Sequence[str]) -> Tokens:
        """Return captions as the model reads them, int64 of shape (n, length). Raises as `embed_captions`."""
        if self._tokenizer is None:
            self._tokenizer = _tokenizer(self._name)
        if not captions:
            return np.empty((0, 0), np.int64)
        tokens: Tokens = self._tokenizer([caption[:_CAPTION] for caption in captions]).numpy()
        return tokens

    def embed_tokens(self, tokens: Tokens) -> Vectors:
        """Embed what `tokens` returns, as `embed_captions` does."""
        return self._captions.run(list(tokens))


def _preprocessing(model: Any) -> tuple[list[Any], str, Sequence[float], Sequence[float]]:  # noqa: ANN401
    """Return the steps on a PIL image, the whole in words, and the mean and deviation of the channels."""
    from open_clip.transform import MaybeToTensor, PreprocessCfg, image_transform_v2

    config = PreprocessCfg(**model.visual.preprocess_cfg)
    steps = image_transform_v2(config, is_train=False).transforms
    floats = next(i for i, step in enumerate(steps) if isinstance(step, MaybeToTensor))
    normalize = steps[-1]
    mean, std = (", ".join(f"{v:.4g}" for v in values) for values in (normalize.mean, normalize.std))
    side = config.size if isinstance(config.size, int) else "x".join(map(str, config.size))
    shape = {"squash": "squashed", "longest": "longest side, padded"}.get(
        config.resize_mode, "shortest side, centre crop"
    )
    return (
        steps[:floats],
        f"resize {side} {config.interpolation} {shape}, mean {mean}, std {std}",
        normalize.mean,
        normalize.std,
    )


def _scaling(steps: Sequence[Any]) -> Scaling | None:
    """Return open_clip's steps on a PIL image as a scaling, or None for those that pad or choose sides otherwise."""
    from open_clip.transform import CenterCrop, InterpolationMode, MaybeConvertMode, Resize

    filters = {
        InterpolationMode.BICUBIC: Image.Resampling.BICUBIC,
        InterpolationMode.BILINEAR: Image.Resampling.BILINEAR,
    }
    resize, *others = steps
    if type(resize) is not Resize or resize.max_size is not None or resize.interpolation not in filters:
        return None
    resample = filters[resize.interpolation]
    match [type(each) for each in others]:
        case [kind] if kind is MaybeConvertMode and not isinstance(resize.size, int):
            height, width = resize.size
            return Scaling(height, width, resample)
        case [kind, other] if kind is CenterCrop and other is MaybeConvertMode and isinstance(resize.size, int):
            side = resize.size
            return Scaling(side, side, resample, crop=True) if tuple(others[0].size) == (side, side) else None
    return None


def _tokenizer(model: str) -> Any:  # noqa: ANN401
    import open_clip

    try:
        return open_clip.get_tokenizer(model)
    except (ImportError, OSError) as error:
        raise EncoderUnavailable(
            f"captions of open_clip:{model} need another tokenizer: {error}; "
            "run `pip install transformers` and load it once with a network, or choose a model such as ViT-B-32"
        ) from None
