"""The graphs that ComfyUI writes into its pictures: `prompt`, which it ran, and `workflow`, which its page shows.

What belongs here: finding the sampler that made the picture, and what led into it. What does not: other programs
(`generations/dialects.py`).
"""

from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any

from transforms.generations.statements import PictureStatement, of_record

_NODES = 5_000  # of a graph that is read
_TEXTS = ("text", "text_g", "t5xxl", "clip_l", "prompt", "populated_text", "wildcard_text", "string", "value")
_SEEDS = ("seed", "noise_seed")
_NUMBERS = (*_SEEDS, "value", "int", "number")
_MODELS = ("ckpt_name", "unet_name", "base_ckpt_name", "model_name")
# The page's graph names no values: what they are by the kind of node, in order
_WIDGETS = {
    "KSampler": ("seed", "", "steps", "cfg", "sampler_name"),
    "KSamplerAdvanced": ("", "noise_seed", "", "steps", "cfg", "sampler_name"),
    "CLIPTextEncode": ("text",),
    "CheckpointLoaderSimple": ("ckpt_name",),
    "UNETLoader": ("unet_name",),
    "RandomNoise": ("noise_seed",),
    "BasicScheduler": ("", "steps"),
    "KSamplerSelect": ("sampler_name",),
}

type Inputs = Mapping[str, Any]


class _Graph:
    """Nodes by id: the kind of each, and its inputs; an input is a value, or a link [id, output]."""

    def __init__(self, nodes: Mapping[str, tuple[str, Inputs]]) -> None:
        self.nodes = nodes

    def linked(self, value: object) -> tuple[str, int] | None:
        """Return the node and the output that an input is linked with, or None."""
        if isinstance(value, list) and len(value) == 2 and str(value[0]) in self.nodes:
            return str(value[0]), value[1] if isinstance(value[1], int) else 0
        return None

    def above(self, *starts: tuple[str, int]) -> Iterator[tuple[str, Inputs]]:
        """Yield a node and those that lead into it, the nearest first, then those of the next start. Each comes once.

        Of a node with a positive and a negative side, only the side of its output is followed.
        """
        seen: set[str] = set()
        for start in starts:
            waiting = deque([start] if start[0] not in seen else [])
            seen.add(start[0])
            while waiting:
                name, output = waiting.popleft()
                inputs = self.nodes[name][1]
                yield name, inputs
                sides = {"positive", "negative"} <= inputs.keys() and "sampler" not in self.nodes[name][0].lower()
                other = ("negative" if output == 0 else "positive") if sides and output < 2 else None
                for key, value in inputs.items():
                    link = self.linked(value)
                    if link is not None and key != other and link[0] not in seen:
                        seen.add(link[0])
                        waiting.append(link)

    def first(self, start: tuple[str, int], names: tuple[str, ...]) -> Any:  # noqa: ANN401 -- any value
        """Return the nearest value of any of these inputs."""
        for _, inputs in self.above(start):
            for name in names:
                value = inputs.get(name)
                if isinstance(value, str | int | float) and not isinstance(value, bool) and value != "":
                    return value
        return None

    def link(self, start: tuple[str, int], names: tuple[str, ...]) -> tuple[str, int] | None:
        """Return what the nearest of any of these inputs is linked with."""
        for _, inputs in self.above(start):
            for name in names:
                if (link := self.linked(inputs.get(name))) is not None:
                    return link
        return None


def of_graph(said_by: str, value: Mapping[str, Any]) -> PictureStatement | None:
    """Read a graph of either kind; None if it is none, or has no sampler.

    Args:
        said_by: See PictureStatement.
        value: The parsed JSON.
    """
    nodes = _shown(value) if isinstance(value.get("nodes"), list) else _run(value)
    if not nodes or len(nodes) > _NODES:
        return None
    graph = _Graph(nodes)
    sampler = _sampler(graph)
    if sampler is None:
        return None
    positive = graph.link(sampler, ("positive", "conditioning"))
    negative = graph.link(sampler, ("negative",))
    model = graph.link(sampler, ("model",))
    return of_record(
        said_by,
        {
            "prompt": graph.first(positive, _TEXTS) if positive else None,
            "negative_prompt": graph.first(negative, _TEXTS) if negative else None,
            "seed": _seed(graph, sampler),
            "model": graph.first(model, _MODELS) if model else None,
            "sampler": graph.first(sampler, ("sampler_name",)),
            "steps": graph.first(sampler, ("steps",)),
        },
    )


def _seed(graph: _Graph, sampler: tuple[str, int]) -> Any:  # noqa: ANN401 -- any value
    """Return the nearest seed; one that is linked is the value of the node it is linked with."""
    for _, inputs in graph.above(sampler):
        for name in _SEEDS:
            if (link := graph.linked(inputs.get(name))) is not None:
                return graph.first(link, _NUMBERS)
            if isinstance(value := inputs.get(name), int | float):
                return value
    return None


def _sampler(graph: _Graph) -> tuple[str, int] | None:
    """Return the sampler nearest to where a picture is saved, or to the end of the graph."""
    saving = [name for name, (kind, _) in graph.nodes.items() if "save" in kind.lower() or "preview" in kind.lower()]
    for name, inputs in graph.above(*((start, 0) for start in saving or graph.nodes)):
        mixes = "positive" in inputs or "guider" in inputs or "conditioning" in inputs
        if mixes and (inputs.keys() & {*_SEEDS, "noise"}):
            return name, 0
    return None


def _run(value: Mapping[str, Any]) -> dict[str, tuple[str, Inputs]]:
    inner = value.get("prompt") if isinstance(value.get("prompt"), dict) else value
    return {
        str(name): (str(node["class_type"]), node["inputs"])
        for name, node in (inner or {}).items()
        if isinstance(node, dict) and "class_type" in node and isinstance(node.get("inputs"), dict)
    }


def _shown(value: Mapping[str, Any]) -> dict[str, tuple[str, Inputs]]:
    links = {each[0]: [str(each[1]), each[2]] for each in _list(value.get("links")) if _is_link(each)}
    found: dict[str, tuple[str, Inputs]] = {}
    for node in value["nodes"]:
        if not isinstance(node, dict) or "id" not in node:
            continue
        kind, inputs = str(node.get("type")), {}
        widgets = node.get("widgets_values")
        if isinstance(widgets, list):
            inputs = {name: each for name, each in zip(_WIDGETS.get(kind, ()), widgets, strict=False) if name}
        for each in _list(node.get("inputs")):
            if isinstance(each, dict) and isinstance(each.get("link"), int) and each["link"] in links:
                inputs[str(each.get("name"))] = links[each["link"]]
        found[str(node["id"])] = kind, inputs
    return found


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _is_link(value: object) -> bool:
    return isinstance(value, list) and len(value) >= 5 and isinstance(value[0], int) and isinstance(value[2], int)
