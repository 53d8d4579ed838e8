"""What the desk shows of an item: its pictures, what is known of them, what was measured, what an answer would do.

What belongs here: words and numbers, as JSON. What does not: pixels (`review/pixels.py`), the page
(`transforms/reports/templates/review.html.j2`), who sees which item (`review/desk.py`).

Whoever decides blind sees no verdict, no number and nobody else's answer.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import duckdb

from orchestration.reports.cases import value_text
from orchestration.reports.page_data import text
from orchestration.review.queues import NEAR, Item
from orchestration.warehouse.queries import fetch_rows, query
from transforms.hashing.likeness import TurnedHash, likeness
from transforms.readable import count
from transforms.reports.page import VERDICTS, link
from transforms.review.decisions import Decision

MEMBERS = 24  # different pictures of a cluster that are shown
_METHODS = {
    "representative": "stands for the cluster",
    "sha256": "the same file",
    "pixels": "the same pixels",
    "pdq": "nearly the same perceptual hash",
    "aligned": "confirmed by aligned pixels",
    "similar": "close in embedding, not confirmed",
    "decided": "decided by a person",
}
_ANSWERS = {
    "pair": (("same", "Same picture"), ("different", "Different"), ("unsure", "Not sure")),
    "cluster": (
        ("fine", "Fine as it is"),
        ("keep", "Keep this one"),
        ("remove_all", "Remove all"),
        ("different", "Cut this one out"),
        ("unsure", "Not sure"),
    ),
    "case": (("copy", "A copy"), ("not_a_copy", "Not a copy"), ("unsure", "Not sure")),
    "guard_block": (("block", "Block it"), ("allow", "Allow it"), ("unsure", "Not sure")),
}


def described(
    con: duckdb.DuckDBPyConnection, item: Item, decisions: Iterable[Decision], *, blind: bool
) -> dict[str, Any]:
    """Return an item as the page takes it.

    Args:
        con: A connection to the published version.
        item: The item.
        decisions: Those about it that hold.
        blind: Whether verdict, numbers and answers are left out.
    """
    members = _members(con, item) if item.kind == "cluster" else []
    evidence = _evidence(con, item)
    about = _rows(con, [item.sample_a, item.sample_b, *(each["sample_id"] for each in members)])
    shown = {
        "kind": item.kind,
        "position": item.position,
        "version": item.version,
        "digests": [item.picture_a, item.picture_b],
        "sampled": item.sampled,
        "pictures": _pictures(item, about, members, evidence, blind=blind),
        "answers": [[answer, label, _effect(item, answer)] for answer, label in _ANSWERS[item.kind]],
        "laid": item.kind in ("pair", "case"),
    }
    if blind:
        return shown
    verdict = item.verdict or ""
    return shown | {
        "verdict": verdict.replace("_", " "),
        "meaning": VERDICTS.get(verdict, _METHODS.get(item.method or "", "")),
        "numbers": _numbers(item, evidence, about) + _left_out(members),
        "decisions": [_said(each) for each in decisions],
    }


def _said(decision: Decision) -> list[str | None]:
    at = f"{decision.decided_at:%Y-%m-%d %H:%M}"
    return [text(decision.decided_by, 200), decision.answer.replace("_", " "), at, text(decision.reason, 1000)]


def _rows(con: duckdb.DuckDBPyConnection, ids: Iterable[int | None]) -> dict[int, dict[str, Any]]:
    found = _fetched(con, "rows", rows=[each for each in ids if each is not None])
    return {row["sample_id"]: row for row in found}


def _members(con: duckdb.DuckDBPyConnection, item: Item) -> list[dict[str, Any]]:
    return _fetched(con, "members", row=item.sample_a, most=MEMBERS)


def _evidence(con: duckdb.DuckDBPyConnection, item: Item) -> Mapping[str, Any]:
    if item.generation_id is None:
        return {}
    found = _fetched(con, "evidence", generation=item.generation_id, row=item.sample_b)
    return found[0] if found else {}


def _fetched(con: duckdb.DuckDBPyConnection, name: str, **values: object) -> list[dict[str, Any]]:
    return fetch_rows(con.execute(query(f"review/{name}"), values))


def _pictures(
    item: Item,
    about: Mapping[int, Mapping[str, Any]],
    members: list[dict[str, Any]],
    evidence: Mapping[str, Any],
    *,
    blind: bool,
) -> list[dict[str, Any]]:
    if item.kind == "cluster":
        return [
            _training(about.get(each["sample_id"]), each["sample_id"], f"Picture {number}")
            | {"how": "" if blind else _how(each, members[0]), "rows": count(each["rows"], "row")}
            for number, each in enumerate(members, 1)
        ]
    if item.kind == "pair":
        both = (item.sample_a, item.sample_b)
        return [
            _training(about.get(each or 0), each or 0, title)
            for each, title in zip(both, ("First picture", "Second picture"), strict=True)
        ]
    shown = [_generation(item, evidence)]
    sample = item.sample_b if item.kind == "case" else item.sample_a
    if sample is not None:
        shown.append(
            _training(about.get(sample), sample, "Training picture" if item.kind == "case" else "Likely source")
        )
    return shown


def _how(member: Mapping[str, Any], head: Mapping[str, Any]) -> str:
    """Return how a picture is tied to its cluster's own, in words."""
    said = _METHODS.get(member["method"], member["method"])
    if member["method"] not in ("pdq", "aligned", "decided") or not (alike := _alike(member, head)):
        return said
    return alike if member["method"] == "pdq" else f"{said}, {alike}"


def _alike(one: Mapping[str, Any] | None, other: Mapping[str, Any] | None) -> str | None:
    """Return how alike the hashes of two rows are, in words; None where one has none."""
    if not one or not other or not one["pdq"] or not other["pdq"]:
        return None
    return TurnedHash(other["pdq"]).likeness(one["pdq"])


def _training(row: Mapping[str, Any] | None, sample_id: int, title: str) -> dict[str, Any]:
    row = row or {}
    linked = link(row.get("url"))
    return {
        "title": title,
        "row": str(sample_id),
        "source": f"v1/picture?row={sample_id}",
        "digest": row.get("pixel_sha256"),
        "size": f"{row['width']} × {row['height']}" if row.get("width") else "not known",
        "url": linked or text(row.get("url"), 500),
        "linked": linked is not None,
        "host": text(row.get("url_host"), 200),
        "licence": text(row.get("license"), 200),
        "caption": text(row.get("caption"), 1000),
        "dataset": text(row.get("dataset"), 200),
        "unsafe": bool(row.get("unsafe")),
        "recalled": bool(row.get("recalled")),
    }


def _generation(item: Item, evidence: Mapping[str, Any]) -> dict[str, Any]:
    queue = "cases" if item.kind == "case" else "blocks"
    place = f"v1/generation?queue={queue}&position={item.position}&version={item.version}"
    return {
        "title": "Generated image",
        "row": text(item.generation_id, 300) or "not among the generations",
        "source": None if item.generation_id is None else place,
        "digest": item.picture_a,
        "caption": text(evidence.get("prompt"), 1000),
        "model": text(evidence.get("model"), 200),
        "unsafe": False,
        "recalled": False,
    }


def _left_out(members: list[dict[str, Any]]) -> list[list[str]]:
    if not members or members[0]["pictures"] <= len(members):
        return []
    return [["pictures shown", f"{len(members)} of {count(members[0]['pictures'], 'different picture')}"]]


def _numbers(item: Item, evidence: Mapping[str, Any], about: Mapping[int, Mapping[str, Any]]) -> list[list[str]]:
    """Return what was measured, in words first."""
    found: list[list[str]] = []
    if item.kind == "pair":
        found.append(["found by", _METHODS.get(item.method or "", item.method or "")])
        if item.method == "pdq":
            near = (item.threshold or 0) - (item.measure or 0) <= NEAR * (item.threshold or 0)
            found.append(["hashes", likeness(item.measure or 0) + (", near the limit" if near else "")])
        elif item.method == "aligned":
            found.append(
                ["pixels differ by", f"{item.measure:.3f} of the range; up to {item.threshold:.3f} count as the same"]
            )
        else:
            found.append(["embeddings", f"cosine {1 - (item.measure or 0):.3f}; pixels did not confirm"])
        if item.method != "pdq" and (alike := _alike(about.get(item.sample_b or 0), about.get(item.sample_a or 0))):
            found.append(["hashes", alike])
    if item.kind == "cluster":
        found.append(["training rows", count(item.copies, "row")])
        if item.measure is not None:
            found.append(["furthest member", likeness(item.measure)])
    if item.kind == "guard_block":
        found.append(["blocked", count(item.copies, "time")])
        found.append(["by", _decided_by(item)])
    if item.kind == "case":
        words = {
            "mirrored": "mirrored" if evidence.get("mirrored") else None,
            "changed": ", ".join(evidence.get("altered_by") or ()) or None,
        }
        found += [[name, value] for name, value in words.items() if value]
        found.append(["training rows that show it", count(item.copies, "row")])
        for name, label in (
            ("copy_score", "cosine of the embeddings"),
            ("p_value", "p-value"),
            ("aligned_distance", "pixels differ by, of the range"),
            ("inliers", "features that agree"),
        ):
            if evidence.get(name) is not None:
                found.append([label, value_text(evidence[name])])
        if evidence.get("pdq_distance") is not None:
            found.append(["hashes", likeness(evidence["pdq_distance"])])
    return found


def _decided_by(item: Item) -> str:
    """Return by what the guard blocked an image, in words."""
    if item.method == "pdq" and item.measure is not None:
        return likeness(item.measure)
    words = {"sha256": "the same file", "pixels": "the same pixels", "override": "a curator's entry"}
    if item.method in words:
        return words[item.method]
    return f"{item.method or 'nothing'}: {value_text(item.measure)} against {value_text(item.threshold)}"


def _effect(item: Item, answer: str) -> str:
    """Return what an answer would do, in a sentence."""
    rows = count(item.copies, "row")
    return {
        ("pair", "same"): "Their clusters become one, whatever the tests say.",
        ("pair", "different"): "They are never in one cluster, whatever resembles both.",
        ("cluster", "fine"): f"None of the {rows} goes as a duplicate.",
        ("cluster", "keep"): f"The chosen picture stands for the {rows}, and its row stays.",
        ("cluster", "remove_all"): f"All {rows} go on the removal list.",
        ("cluster", "different"): "The chosen picture leaves the cluster, with what is nearer to it.",
        ("case", "copy"): "It counts as a copy, confirmed by you.",
        ("case", "not_a_copy"): "The verdict is taken away, with your name and reason.",
        ("guard_block", "block"): "The guard's list blocks this image.",
        ("guard_block", "allow"): "The guard's list allows this image.",
    }.get((item.kind, answer), "Nothing changes; the item is not asked again.")
