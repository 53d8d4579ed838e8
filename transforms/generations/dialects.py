"""The languages in which programs write into a picture or beside it how they made it.

What belongs here: Automatic1111 and Forge, InvokeAI, Fooocus, NovelAI, SwarmUI, Draw Things and their like. What does
not: the graphs of ComfyUI (`generations/comfyui.py`), finding the texts (`generations/embedded.py`).
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from transforms.generations import comfyui
from transforms.generations.embedded import EmbeddedText
from transforms.generations.statements import PictureStatement, lower_names, of_record

_SETTING = re.compile(r'\s*(\w[\w \-/]+):\s*("(?:\\.|[^\\"])+"|[^,]*)(?:,|$)')  # Automatic1111's own pattern
_SETTINGS = 4_000  # characters of its line of settings that are read
_DREAM = re.compile(r'"((?:\\.|[^"\\])*)"(.*)', re.DOTALL)  # InvokeAI before it wrote JSON: "prompt" -s 50 -S 7
_FLAGS = {"s": "steps", "S": "seed", "A": "sampler"}
_NESTED = ("sui_image_params", "metadata", "meta", "parameters", "params", "comment", "image", "v2")
_DEPTH = 4


def statements(texts: Sequence[EmbeddedText]) -> list[PictureStatement]:
    """Return what the texts of a picture state, in the order in which they are believed."""
    novel_ai = _novel_ai(texts)
    if novel_ai is not None:
        return [novel_ai]
    found = [each for each in (of_text(text.name, _unlabelled(text), _plain(text)) for text in texts) if each]
    words = {text.key: text.text for text in texts if text.place == "PNG"}
    if not found and lower_names(words).get("prompt", "{")[:1] not in "{[":  # Easy Diffusion writes a chunk a field
        found = [of_record("PNG text", words)]
    return sorted((each for each in found if each.fields), key=lambda each: -len(each.fields))


def _plain(text: EmbeddedText) -> bool:
    """Return whether a text that is in no language is a prompt by itself."""
    return text.place == "PNG" and text.key.lower() == "parameters"


def _unlabelled(text: EmbeddedText) -> str:
    """Return a text of EXIF without the word that ComfyUI puts before its JSON."""
    label, _, rest = text.text.partition(":")
    return rest if text.place == "EXIF" and label.strip().lower() in ("prompt", "workflow") else text.text


def of_text(said_by: str, text: str, plain: bool) -> PictureStatement | None:
    """Read a text of unknown language; None if it says nothing of how a picture was made.

    Args:
        said_by: See PictureStatement.
        text: The text.
        plain: Whether a text in no language is a prompt.
    """
    text = text.strip("\0\ufeff \t\r\n")
    if text[:1] in ("{", "["):
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            value = None  # a prompt may begin with a bracket: `[a:b:0.5] sea`
        if value is not None:
            return of_json(said_by, value)
    if is_webui(text):
        return _webui(said_by, text)
    if said_by.lower().endswith("dream") and (match := _DREAM.match(text)):
        flags = re.findall(r"-([A-Za-z])\s*(\S+)", match[2][:_SETTINGS])
        return of_record(said_by, {"prompt": match[1], **{_FLAGS[k]: v for k, v in flags if k in _FLAGS}})
    return of_record(said_by, {"prompt": text}) if plain and text else None


def is_webui(text: str) -> bool:
    """Return whether a text has the line of settings that Automatic1111 and Forge write."""
    return re.search(r"^[ \t]*Steps: *\d", text, re.MULTILINE) is not None


def _webui(said_by: str, text: str) -> PictureStatement:
    lines = text.split("\n")
    at = max(number for number, line in enumerate(lines) if re.match(r"\s*Steps: *\d", line))
    words: dict[str, list[str]] = {"prompt": [], "negative": []}
    part = "prompt"
    for line in lines[:at]:
        if line.startswith("Negative prompt:"):
            part, line = "negative", line.removeprefix("Negative prompt:")
        words[part].append(line.strip())
    found = dict(_SETTING.findall(lines[at][:_SETTINGS]))
    fields = {name.strip().lower(): value.strip().strip('"') for name, value in found.items()}
    return of_record(
        said_by,
        {
            "prompt": "\n".join(words["prompt"]).strip(),
            "negative_prompt": "\n".join(words["negative"]).strip(),
            "model": fields.get("model") or fields.get("model hash"),
            **{name: fields.get(name) for name in ("seed", "sampler", "steps")},
        },
    )


def of_json(said_by: str, value: Any, depth: int = 0) -> PictureStatement | None:  # noqa: ANN401 -- any JSON value
    """Read JSON of any program; None if it says nothing of how a picture was made.

    Args:
        said_by: See PictureStatement.
        value: The parsed JSON.
        depth: How deep in other JSON it was found.
    """
    if isinstance(value, list):  # InvokeAI's old list of images
        value = value[0] if len(value) == 1 else None
    if not isinstance(value, dict):
        return None
    graph = comfyui.of_graph(said_by, value)
    if graph is not None:
        return graph
    fields = lower_names(value)
    own = of_record(said_by, _own_words(fields))
    for name in _NESTED if depth < _DEPTH else ():
        inner = fields.get(name)
        if isinstance(inner, str) and name != "image":
            inside = of_text(said_by, inner, plain=False) if depth + 1 < _DEPTH else None
        else:
            inside = of_json(said_by, inner, depth + 1)
        if inside is not None:
            own = of_record(said_by, {**inside.fields, **own.fields})
    return own if own.prompt is not None or {"seed", "steps"} <= own.fields.keys() else None


def _own_words(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a record, those of single programs under the names of all."""
    found = dict(fields)
    if isinstance(prompt := fields.get("prompt"), list):  # InvokeAI: [{"prompt": "a tower", "weight": 1}]
        found["prompt"] = " ".join(str(part.get("prompt", "")) for part in prompt if isinstance(part, dict)).strip()
    if "model_weights" in fields:
        found["model"] = fields["model_weights"]
    if "c" in fields and "uc" in fields:  # Draw Things
        found.setdefault("prompt", fields["c"])
    return found


def _novel_ai(texts: Iterable[EmbeddedText]) -> PictureStatement | None:
    words = {text.key: text for text in texts if text.place in ("PNG", "EXIF")}
    software, comment = words.get("Software"), words.get("Comment")
    if software is None or "novelai" not in software.text.lower() or comment is None:
        return None
    said = of_text(comment.name, comment.text, plain=False)
    description = words["Description"].text if "Description" in words else None
    source = words["Source"].text if "Source" in words else None
    fields = dict(said.fields) if said else {}
    return of_record(comment.name, {"prompt": description, "model": source, **fields})
