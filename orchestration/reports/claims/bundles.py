"""The answers of a guard bundle to a claim: whether each picture was trained on, offline, without the warehouse.

What belongs here: asking the guard, and its answers as the files of a claim. What does not: checking
(`transforms/guard/check.py`), a claim against the warehouse itself (`claims/files.py`).

A bundle compares by hashes and embeddings, not by pixels: what is not equal is near, and no more than that.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from orchestration.compute.engines import CORES
from orchestration.matches.claims import ClaimFile
from orchestration.progress import track
from orchestration.reports.claims.files import CLAIMS, FILES, OPT_OUTS, PAGE, SHOWN, thumbnails_of
from orchestration.reports.exports import write_csv, write_folder
from transforms.fingerprints.ahead import WorkPace, work_ahead
from transforms.fingerprints.fingerprint import OK, Rules, fingerprint
from transforms.guard import Guard, Verdict
from transforms.guard.verdict import ALLOW, BLOCK, EXACT
from transforms.readable import count, decimal
from transforms.reports import claim_page
from transforms.reports.claim_page import Answer, ClaimCase, ClaimPage
from transforms.storage.stores import plain

_MEMORY = "1GB"
_COLUMNS = pa.schema(
    {
        "picture": pa.string(),
        "trained_on": pa.string(),
        "verdict": pa.string(),
        "reason": pa.string(),
        "rows": pa.int64(),
        "withdrawn_rows": pa.int64(),
        "licences": pa.list_(pa.string()),
        "copy_score": pa.float64(),
        "pdq_distance": pa.int64(),
        "sample_ids": pa.list_(pa.string()),
        "urls": pa.list_(pa.string()),
        "sha256": pa.string(),
    }
)
_OPT_OUTS = pa.schema(
    {
        **dict.fromkeys(("sample_id", "sha256", "pdq"), pa.string()),
        "within": pa.int64(),
        "picture": pa.string(),
    }
)


def write(guard: Guard, folder: Path, source: Path, files: Sequence[ClaimFile]) -> tuple[list[Path], dict[str, int]]:
    """Write what a bundle says of a claim, all files or none.

    Args:
        guard: The bundle.
        folder: Where the files go, as for `claims.files.write`.
        source: The claimed folder.
        files: The claimed files.

    Returns:
        The files, and the count of pictures by answer.

    Raises:
        FileExistsError: If the folder holds anything else.
        OSError: If the file system refuses.
    """
    counts: dict[str, int] = {}

    def fill(made: Path) -> None:
        checked = work_ahead(lambda file: _row(file, guard.check(file.path)), files, WorkPace(CORES, CORES))
        rows = list(track(checked, "searching for pictures", len(files)))
        rows.sort(key=lambda row: (list(claim_page.MEANINGS).index(row["trained_on"]), -row["rows"], row["picture"]))
        for row in rows:
            counts[row["trained_on"]] = counts.get(row["trained_on"], 0) + 1
        con.register("claims", pa.Table.from_pylist(rows, _COLUMNS))
        listed = list(_opt_outs(rows, guard))
        con.register("opt_outs", pa.Table.from_pylist(listed, _OPT_OUTS))
        write_csv(con, "claims", made / CLAIMS)
        write_csv(con, "opt_outs", made / OPT_OUTS)
        page = _page(guard, source, rows, counts)
        (made / PAGE).write_text(claim_page.render(page), encoding="utf-8")

    with duckdb.connect() as con:
        return write_folder(con, folder, {"claim": str(source.resolve())}, _MEMORY, fill), counts


def _row(file: ClaimFile, verdict: Verdict) -> dict[str, Any]:
    best = verdict.sources[0] if verdict.sources else None
    return {
        "picture": file.name,
        "trained_on": _answer(verdict),
        "verdict": verdict.verdict,
        "reason": verdict.reason,
        "rows": sum(source.duplicate_count + source.recalled_count for source in verdict.sources),
        "withdrawn_rows": sum(source.recalled_count for source in verdict.sources),
        "licences": sorted({name for source in verdict.sources for name in source.licenses}),
        "copy_score": best and best.copy_score,
        "pdq_distance": best and best.pdq_distance,
        "sample_ids": [str(source.sample_id) for source in verdict.sources],
        "urls": [source.url for source in verdict.sources if source.url],
        "sha256": verdict.sha256,
        "path": file.path,
    }


def _answer(verdict: Verdict) -> Answer:
    if verdict.decision == BLOCK:
        return "yes" if verdict.verdict == EXACT else "not confirmed"
    return "not found" if verdict.decision == ALLOW else "not searched"


def _opt_outs(rows: Sequence[dict[str, Any]], guard: Guard) -> Iterator[dict[str, Any]]:
    """Yield the rows of equal pictures, which stand for all of their cluster, and the claimed files themselves.

    Of these also the perceptual hashes, turned and mirrored, with the bits within which they count.
    """
    hashed = work_ahead(partial(_hashes, guard.rules), rows, WorkPace(CORES, CORES))
    for row, hashes in zip(track(rows, "hashing pictures", len(rows)), hashed, strict=True):
        if row["trained_on"] == "yes":
            yield from ({"sample_id": each, "picture": row["picture"]} for each in row["sample_ids"])
        if row["sha256"]:
            yield {"sha256": row["sha256"], "picture": row["picture"]}
        yield from ({"pdq": pdq, "within": guard.policy.pdq, "picture": row["picture"]} for pdq in hashes)


def _hashes(rules: Rules, row: dict[str, Any]) -> list[str]:
    """Return the different hashes of a picture and its rotations and reflections.

    There are none of one that was not searched, and none of one too flat for a hash.
    """
    if row["trained_on"] == "not searched":
        return []
    data = ClaimFile(row["picture"], row["path"]).read(rules.member_bytes)
    print_, _ = fingerprint(data, rules, dihedral=True)
    if print_.status != OK or print_.dihedral is None:
        return []
    return list(dict.fromkeys(each.tobytes().hex() for each in print_.dihedral))


def _page(guard: Guard, source: Path, rows: Sequence[dict[str, Any]], counts: dict[str, int]) -> ClaimPage:
    searched, policy = guard.searched, guard.policy
    pixels = ", not pixels" if guard.bundle.renditions is None else ", and few pixels"
    warnings = [f"A bundle compares hashes and embeddings{pixels}: “not confirmed” may be a copy, whole or in part."]
    if policy.at_least > 1:
        warnings.append(f"It holds pictures of {policy.at_least} training rows or more; the others were not searched.")
    methods = [f"By {name}" for name in searched.fingerprints]
    methods.append(f"Near: up to {count(policy.pdq, 'bit')} of 256 between perceptual hashes")
    if guard.bundle.encoder is not None:
        methods[-1] += f", or from a copy score of {policy.copy_score:g}"
    shown = (None if row["trained_on"] == "not searched" else row["path"] for row in rows[:SHOWN])
    small = thumbnails_of(shown, guard.rules.bounds)
    return ClaimPage(
        title=plain(source.resolve().name or str(source)),
        of=f"Guard bundle {searched.bundle}",
        published_at="",
        searched=searched.rows if searched.coverage == 1 else round(searched.coverage * searched.searchable),
        searchable=searched.searchable,
        methods=tuple(methods),
        counts=counts,
        cases=tuple(map(_case, rows[:SHOWN], small)),
        left_out=max(0, len(rows) - SHOWN),
        warnings=tuple(warnings),
        files={name: what for name, what in FILES.items() if name in (CLAIMS, OPT_OUTS)},
    )


def _case(row: dict[str, Any], small: str | None) -> ClaimCase:
    facts = [("Answer", row["reason"])]
    if row["licences"]:
        facts.append(("Licences", ", ".join(row["licences"])))
    if row["withdrawn_rows"]:
        facts.append(("Of these withdrawn", f"{row['withdrawn_rows']:,}"))
    if row["copy_score"] is not None:
        facts.append(("Copy score", decimal(row["copy_score"])))
    rows = row["rows"] if row["sample_ids"] else None
    return ClaimCase(row["picture"], row["trained_on"], row["verdict"], small, rows, tuple(facts))
