"""The page that says why a check was decided as it was.

What belongs here: the page of one record. What does not: the records (`guard/service/records.py`), case pages of a
warehouse (`reports/case_pages.py`). The image itself is not kept, so the page shows the training picture alone, if the
bundle that answered is in use and has a small copy of it.
"""

import base64
import json
from collections.abc import Mapping
from html import escape
from typing import Any

from transforms.guard import Bundle

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; img-src data:; style-src 'unsafe-inline'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
_STYLE = """body{font:16px/1.5 system-ui,sans-serif;max-width:50rem;margin:2rem auto;padding:0 1rem}
table{border-collapse:collapse}td,th{padding:.2rem .8rem .2rem 0;text-align:left;vertical-align:top}
figure{position:relative;display:inline-block;margin:1rem 0}figure img{display:block}
figure i{position:absolute;border:2px solid #d33}code{overflow-wrap:anywhere}"""


def page(record: Mapping[str, Any], bundle: Bundle) -> str:
    """Return the page of a record, in HTML.

    Args:
        record: As `CheckRecords.why` returns it.
        bundle: The one in use.
    """
    answer = record["answer"]
    decided = f"{answer['decision']}: {answer['verdict']}"
    if answer["would"]:
        decided += f" (shadow mode: would be {answer['would']})"
    rows = {
        "Checked": f"{record['checked_at']} by bundle {answer['searched']['bundle']}",
        "Client": record["client"],
        "Reason": answer["reason"],
        "Measured": _measured(answer["evidence"]),
        "Searched": f"{answer['searched']['pictures']:,} pictures, {answer['searched']['coverage']:.1%} of all rows",
        "SHA-256": answer["sha256"],
        "SHA-256 of the pixels": answer["pixel_sha256"],
        "Entry of a curator": answer["override"],
        "Observed": ", ".join(answer["observed"]),
    }
    sources = "".join(_source(source, bundle, answer["searched"]["bundle"]) for source in answer["sources"])
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Check {escape(record["check_id"])}</title>'
        f"<style>{_STYLE}</style><h1>{escape(decided)}</h1>{_table(rows)}"
        f"<h2>Likely sources ({answer['sources_found']})</h2>{sources or '<p>None.</p>'}</html>"
    )


def _measured(evidence: Mapping[str, Any] | None) -> str:
    return f"{evidence['method']}: {evidence['value']:.4g}, limit {evidence['threshold']:g}" if evidence else ""


def _table(rows: Mapping[str, Any]) -> str:
    cells = (f"<tr><th>{escape(name)}<td><code>{escape(str(value))}</code>" for name, value in rows.items() if value)
    return f"<table>{''.join(cells)}</table>"


def _source(source: Mapping[str, Any], bundle: Bundle, answered_by: str) -> str:
    pixels = source["pixels"] or {}
    rows = {
        "Cluster": source["cluster_id"],
        "Rows that show it": source["duplicate_count"],
        "Address": source["url"],
        "Licences": ", ".join(source["licenses"]),
        "Bits of the hash": source["pdq_distance"],
        "Cosine": source["copy_score"],
        "Region of the image": source["region"] and json.dumps(source["region"]),
        "Pixels": pixels and ("confirm " if pixels["verdict"] != "similar" else "refuse: ") + pixels["verdict"],
        "Matches": pixels.get("inliers"),
        "Agreement": pixels.get("agreement"),
        "Altered by": ", ".join(pixels.get("altered_by") or ()),
    }
    shown = _picture(int(source["cluster_id"]), pixels, bundle) if bundle.name == answered_by else ""
    return f"<h3>{escape(source['dataset'])}</h3>{shown}{_table(rows)}"


def _picture(cluster_id: int, pixels: Mapping[str, Any], bundle: Bundle) -> str:
    """Return the small copy of a training picture, with the shared part framed."""
    number = next(iter(bundle.by_cluster({cluster_id: True})), None)
    kept = bundle.renditions and bundle.renditions[0]
    if number is None or not kept or number not in kept:
        return ""
    data = base64.b64encode(kept.file(number)).decode("ascii")
    frame = ""
    if region := pixels.get("source_region"):
        x, y, width, height = (100 * each for each in region)
        frame = f'<i style="left:{x:.2f}%;top:{y:.2f}%;width:{width:.2f}%;height:{height:.2f}%"></i>'
    return f'<figure><img alt="the training picture" src="data:image/webp;base64,{data}">{frame}</figure>'
