"""What programs write into pictures, as each writes it, and what is read of it."""

import io
import json
import struct
import zlib
from typing import Any

import pytest
from PIL import Image, PngImagePlugin

from transforms.generations import comfyui, dialects, embedded
from transforms.generations.statements import PictureStatement

WEBUI = """a tower, (sea:1.2),
second line
Negative prompt: blurry,
bad hands
Steps: 20, Sampler: Euler a, Schedule type: Karras, CFG scale: 7, Seed: 18446744073709551615, Size: 512x512, \
Model hash: 6ce0161689, Model: v1-5-pruned, Lora hashes: "a: 1, b: 2", Version: v1.9"""
WEBUI_SAID = ("a tower, (sea:1.2),\nsecond line", "blurry,\nbad hands", 2**64 - 1, "v1-5-pruned", "Euler a", 20)

COMFY: dict[str, Any] = {
    "3": {
        "class_type": "KSampler",
        "inputs": {
            "seed": 156680208700286,
            "steps": 25,
            "cfg": 8.0,
            "sampler_name": "euler",
            "model": ["10", 0],
            "positive": ["11", 0],
            "negative": ["11", 1],
            "latent_image": ["5", 0],
        },
    },
    "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "sd15.safetensors"}},
    "5": {"class_type": "EmptyLatentImage", "inputs": {"width": 512, "height": 512}},
    "6": {"class_type": "CLIPTextEncode", "inputs": {"text": ["12", 0], "clip": ["4", 1]}},
    "7": {"class_type": "CLIPTextEncode", "inputs": {"text": "blurry", "clip": ["4", 1]}},
    "8": {"class_type": "VAEDecode", "inputs": {"samples": ["3", 0], "vae": ["4", 2]}},
    "9": {"class_type": "SaveImage", "inputs": {"filename_prefix": "ComfyUI", "images": ["8", 0]}},
    "10": {"class_type": "LoraLoader", "inputs": {"lora_name": "x.safetensors", "model": ["4", 0]}},
    "11": {"class_type": "ControlNetApplyAdvanced", "inputs": {"positive": ["6", 0], "negative": ["7", 0]}},
    "12": {"class_type": "PrimitiveString", "inputs": {"value": "a tower"}},
}
COMFY_SAID = ("a tower", "blurry", 156680208700286, "sd15.safetensors", "euler", 25)

FLUX: dict[str, Any] = {
    "1": {
        "class_type": "SamplerCustomAdvanced",
        "inputs": {
            k: [n, 0] for k, n in zip(("noise", "guider", "sampler", "sigmas", "latent_image"), "23456", strict=True)
        },
    },
    "2": {"class_type": "RandomNoise", "inputs": {"noise_seed": ["13", 0]}},
    "3": {"class_type": "BasicGuider", "inputs": {"model": ["12", 0], "conditioning": ["7", 0]}},
    "4": {"class_type": "KSamplerSelect", "inputs": {"sampler_name": "euler"}},
    "5": {"class_type": "BasicScheduler", "inputs": {"scheduler": "simple", "steps": 20, "model": ["12", 0]}},
    "6": {"class_type": "EmptySD3LatentImage", "inputs": {}},
    "7": {"class_type": "FluxGuidance", "inputs": {"guidance": 3.5, "conditioning": ["8", 0]}},
    "8": {"class_type": "CLIPTextEncodeFlux", "inputs": {"t5xxl": "a tower", "clip_l": "a tower"}},
    "9": {"class_type": "SaveImage", "inputs": {"images": ["1", 0]}},
    "12": {"class_type": "UNETLoader", "inputs": {"unet_name": "flux1-dev.safetensors"}},
    "13": {"class_type": "PrimitiveInt", "inputs": {"value": 99}},
}
SHOWN: dict[str, Any] = {
    "last_node_id": 9,
    "nodes": [
        {
            "id": 3,
            "type": "KSampler",
            "widgets_values": [7, "randomize", 25, 8, "euler", "normal", 1],
            "inputs": [{"name": "model", "link": 1}, {"name": "positive", "link": 4}, {"name": "negative", "link": 6}],
        },
        {"id": 4, "type": "CheckpointLoaderSimple", "widgets_values": ["sd15.safetensors"]},
        {"id": 6, "type": "CLIPTextEncode", "widgets_values": ["a tower"], "inputs": None},
        {"id": 7, "type": "CLIPTextEncode", "widgets_values": ["blurry"]},
    ],
    "links": [[1, 4, 0, 3, 0, "MODEL"], [4, 6, 0, 3, 1, "CONDITIONING"], [6, 7, 0, 3, 2, "CONDITIONING"], None],
}
FOOOCUS = {
    "prompt": "a tower",
    "negative_prompt": "blurry",
    "seed": "7",
    "base_model": "juggernautXL",
    "steps": 60,
    "sampler": "dpmpp_2m_sde_gpu",
    "scheduler": "karras",
    "metadata_scheme": "fooocus",
    "styles": "['x']",
}
INVOKE = {
    "app_version": "4.2",
    "generation_mode": "txt2img",
    "positive_prompt": "a tower",
    "negative_prompt": "blurry",
    "seed": 7,
    "steps": 30,
    "scheduler": "euler",
    "model": {"key": "9f", "name": "dreamshaper-8", "base": "sd-1"},
}
SD_METADATA = {
    "model": "stable diffusion",
    "model_weights": "sd-1.5",
    "image": {"prompt": [{"prompt": "a tower", "weight": 1}], "steps": 50, "seed": 7, "sampler": "k_lms"},
}
NOVEL_AI = {
    "Title": "NovelAI generated image",
    "Description": "a tower",
    "Software": "NovelAI",
    "Source": "NovelAI Diffusion V4 37442FCA",
    "Comment": json.dumps({"prompt": "a tower", "steps": 28, "sampler": "k_euler", "seed": 7, "uc": "blurry"}),
}
SWARM = {
    "sui_image_params": {
        "prompt": "a tower",
        "negativeprompt": "blurry",
        "model": "sdxl",
        "seed": 7,
        "steps": 20,
        "sampler": "euler",
    }
}
DRAW_THINGS = {"c": "a tower", "uc": "blurry", "seed": 7, "model": "sd_v1.5.ckpt", "sampler": "Euler A", "steps": 20}


def png(texts: dict[str, str], **more: Any) -> bytes:  # noqa: ANN401 -- of Pillow
    info = PngImagePlugin.PngInfo()
    for key, value in texts.items():
        info.add_text(key, value, zip=len(value) > 2000)
    return saved("PNG", pnginfo=info, **more)


def saved(kind: str, **more: Any) -> bytes:  # noqa: ANN401 -- of Pillow
    file = io.BytesIO()
    Image.new("RGB", (8, 8), "teal").save(file, kind, **more)
    return file.getvalue()


def said(data: bytes) -> list[PictureStatement]:
    return dialects.statements(embedded.texts(data))


WRITTEN = {
    "PNG parameters": ({"parameters": WEBUI}, WEBUI_SAID),
    "PNG prompt": ({"prompt": json.dumps(COMFY), "workflow": json.dumps({"nodes": [], "links": []})}, COMFY_SAID),
    "PNG workflow": ({"workflow": json.dumps(SHOWN)}, ("a tower", "blurry", 7, "sd15.safetensors", "euler", 25)),
    "PNG invokeai_metadata": (
        {"invokeai_metadata": json.dumps(INVOKE), "invokeai_graph": "{}"},
        ("a tower", "blurry", 7, "dreamshaper-8", "euler", 30),
    ),
    "PNG sd-metadata": ({"sd-metadata": json.dumps(SD_METADATA)}, ("a tower", None, 7, "sd-1.5", "k_lms", 50)),
    "PNG Dream": ({"Dream": '"a tower" -s 50 -S 7 -W 512 -A k_lms'}, ("a tower", None, 7, None, "k_lms", 50)),
    "PNG Comment": (NOVEL_AI, ("a tower", "blurry", 7, "NovelAI Diffusion V4 37442FCA", "k_euler", 28)),
    "PNG text": (
        {
            "prompt": "a tower",
            "negative_prompt": "blurry",
            "seed": "7",
            "use_stable_diffusion_model": "sd",
            "sampler_name": "euler_a",
            "num_inference_steps": "25",
        },
        ("a tower", "blurry", 7, None, "euler_a", 25),
    ),
}


@pytest.mark.parametrize("name", WRITTEN)
def test_a_png_is_read(name: str) -> None:
    texts, expected = WRITTEN[name]
    assert said(png(texts)) == [PictureStatement(name, *expected)]


PARAMETERS = {
    "fooocus": (json.dumps(FOOOCUS), ("a tower", "blurry", 7, "juggernautXL", "dpmpp_2m_sde_gpu", 60)),
    "swarm": (json.dumps(SWARM), ("a tower", "blurry", 7, "sdxl", "euler", 20)),
    "a prompt alone": ("a tower\n", ("a tower", None, None, None, None, None)),
    "no prompt": ("Steps: 5, Sampler: DDIM, Seed: 0", (None, None, 0, None, "DDIM", 5)),
    "a model hash": ("x\nSteps: 5, Sampler: DDIM, Seed: 0, Model hash: ab12", ("x", None, 0, "ab12", "DDIM", 5)),
    "words that look like settings": (
        "Steps: up the tower\nSteps: 3, Sampler: a, Seed: 1\nTemplate: x",
        ("Steps: up the tower", None, 1, None, "a", 3),
    ),
    "windows line ends": (WEBUI.replace("\n", "\r\n"), WEBUI_SAID),
}


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameters_are_read_in_any_language(name: str) -> None:
    text, expected = PARAMETERS[name]
    assert said(png({"parameters": text})) == [PictureStatement("PNG parameters", *expected)]


def test_a_flux_graph_is_read() -> None:
    expected = ("a tower", None, 99, "flux1-dev.safetensors", "euler", 20)
    assert said(png({"prompt": json.dumps(FLUX)})) == [PictureStatement("PNG prompt", *expected)]


def exif(**tags: Any) -> Image.Exif:  # noqa: ANN401 -- of Pillow
    block = Image.Exif()
    for tag, value in tags.items():
        number = int(tag[1:], 16)
        if number == 0x9286:
            block.get_ifd(0x8769)[number] = value
        else:
            block[number] = value
    return block


COMMENTS = {
    "big endian": b"UNICODE\0" + WEBUI.encode("utf-16-be"),
    "little endian": b"UNICODE\0" + WEBUI.encode("utf-16-le"),
    "with a mark": b"UNICODE\0" + WEBUI.encode("utf-16"),
    "ascii": b"ASCII\0\0\0" + WEBUI.encode(),
    "undefined": bytes(8) + WEBUI.encode(),
    "without a kind": WEBUI.encode(),
}


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "AVIF"])
@pytest.mark.parametrize("comment", COMMENTS)
def test_a_user_comment_is_read(kind: str, comment: str) -> None:
    data = saved(kind, exif=exif(x9286=COMMENTS[comment]).tobytes())
    assert said(data) == [PictureStatement("EXIF UserComment", *WEBUI_SAID)]


def test_exif_within_a_png_is_read() -> None:
    data = png({}, exif=exif(x9286=COMMENTS["big endian"]).tobytes())
    assert said(data) == [PictureStatement("EXIF UserComment", *WEBUI_SAID)]


def test_comfyui_writes_its_graph_into_tags() -> None:
    data = saved("WEBP", exif=exif(x010F="workflow:{}", x0110=f"prompt:{json.dumps(COMFY)}"))
    assert said(data) == [PictureStatement("EXIF Model", *COMFY_SAID)]


def test_a_comment_of_a_jpeg_is_read() -> None:
    assert said(saved("JPEG", comment=WEBUI.encode())) == [PictureStatement("comment", *WEBUI_SAID)]


@pytest.mark.parametrize(
    "form",
    [
        "<exif:UserComment><rdf:Alt><rdf:li xml:lang='x-default'>{}</rdf:li></rdf:Alt></exif:UserComment>",
        '<rdf:Description exif:UserComment="{}"/>',
    ],
)
def test_xmp_is_read(form: str) -> None:
    text = json.dumps(DRAW_THINGS).replace("&", "&amp;").replace('"', "&quot;")
    packet = f"<x:xmpmeta>{form.format(text)}</x:xmpmeta>"
    expected = PictureStatement("XMP exif:UserComment", "a tower", "blurry", 7, "sd_v1.5.ckpt", "Euler A", 20)
    assert said(saved("JPEG", xmp=packet.encode())) == [expected]
    info = PngImagePlugin.PngInfo()
    info.add_itxt("XML:com.adobe.xmp", packet)
    assert said(saved("PNG", pnginfo=info)) == [expected]


def test_a_photograph_says_nothing() -> None:
    tags = {"x010E": "A tower at the sea", "x010F": "Canon", "x0110": "EOS 5D", "x0131": "GIMP 2.10"}
    assert said(saved("JPEG", exif=exif(**tags, x9286=b"ASCII\0\0\0on holiday"), comment=b"Created with GIMP")) == []
    assert said(png({"Comment": "Created with GIMP", "Software": "gnome-screenshot", "Title": "x"})) == []
    assert said(png({"prompt": '{"1": {"class_type": "LoadImage", "inputs": {}}}'})) == []


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def test_texts_are_bounded_and_broken_ones_are_left_out() -> None:
    plain = png({})
    head, rest = plain[:33], plain[33:]
    bomb = chunk(b"zTXt", b"parameters\0\0" + zlib.compress(b"x" * (50 << 20), 9))
    inflated, after = embedded.texts(head + bomb + chunk(b"tEXt", b"a\0b") + rest)
    assert len(inflated.text) == embedded.TEXT_BYTES and after == embedded.EmbeddedText("PNG", "a", "b")
    large = chunk(b"tEXt", b"parameters\0" + b"x" * (9 << 20))
    (text,) = embedded.texts(head + large + rest)
    assert len(text.text) == embedded.TEXT_BYTES
    assert embedded.texts(head + chunk(b"zTXt", b"parameters\0\0no zlib") + rest) == []
    assert embedded.texts(head + struct.pack(">I4s", 2**31, b"tEXt") + b"parameters\0a") != []
    assert len(embedded.texts(head + chunk(b"tEXt", b"k\0v") * 1000 + rest)) == 64
    umlaut = chunk(b"tEXt", "parameters\0Türme".encode()) + chunk(b"tEXt", "a\0Türme".encode("latin-1"))
    assert [each.text for each in embedded.texts(head + umlaut + rest)] == ["Türme", "Türme"]
    assert embedded.texts(b"") == embedded.texts(b"GIF89a") == embedded.texts(b"\xff\xd8\xff\xe1\xff") == []


@pytest.mark.parametrize("text", [
    "{" * 100_000, "[" * 100_000, '{"a":' * 50_000, "Steps: 1" + " a" * 100_000, "\n" * 200_000 + "Steps: 1",
    '{"comment": "{\\"comment\\": \\"{}\\"}"}', '{"nodes": [7, {"id": [], "inputs": 7}], "links": 7}',
    '{"1": {"class_type": "KSampler", "inputs": {"positive": ["1", 0], "seed": ["1", 0]}}}',
    '"' * 10_000, '{"prompt": {"prompt": {"prompt": {}}}}', '{"seed": 1e999, "steps": 5, "image": [[[]]]}',
])  # fmt: skip
def test_hostile_texts_are_read_to_their_end(text: str) -> None:
    for key in ("parameters", "prompt", "workflow", "Dream", "Comment"):
        dialects.statements([embedded.EmbeddedText("PNG", key, text)])


@pytest.mark.parametrize("prompt", ["[a:b:0.5] sea", "{a|b} sea"])
def test_a_prompt_that_begins_with_a_bracket_is_no_json(prompt: str) -> None:
    said = dialects.of_text("PNG parameters", f"{prompt}\nSteps: 20, Sampler: Euler, Seed: 5", plain=True)
    assert said is not None and (said.prompt, said.seed, said.steps) == (prompt, 5, 20)
    assert dialects.of_text(".txt", prompt, plain=True) == PictureStatement(".txt", prompt)
    assert dialects.of_text(".json", prompt, plain=False) is None


def test_a_graph_without_a_sampler_is_searched_once(monkeypatch: pytest.MonkeyPatch) -> None:
    linked, find = [], comfyui._Graph.linked

    def count(graph: comfyui._Graph, value: object) -> tuple[str, int] | None:
        linked.append(value)
        return find(graph, value)

    monkeypatch.setattr(comfyui._Graph, "linked", count)
    for kind in ("SaveImage", "Reroute"):
        nodes = {str(n): {"class_type": kind, "inputs": {"images": [str(n + 1), 0]}} for n in range(1000)}
        assert comfyui.of_graph("PNG prompt", nodes) is None
    assert len(linked) == 2000


def test_the_sampler_of_a_later_node_that_saves_is_found() -> None:
    sampler = {"positive": ["3", 0], "seed": 7}
    nodes = {"0": ("SaveImage", {"images": ["1", 0]}), "1": ("LoadImage", {"image": "x"}),
             "2": ("SaveImage", {"images": ["1", 0], "samples": ["4", 0]}), "3": ("CLIPTextEncode", {"text": "a sea"}),
             "4": ("KSampler", sampler)}  # fmt: skip
    graph = {name: {"class_type": kind, "inputs": inputs} for name, (kind, inputs) in nodes.items()}
    statement = comfyui.of_graph("PNG prompt", graph)
    assert statement is not None and statement.fields == {"prompt": "a sea", "seed": 7}
