"""The guard of the sample: what goes into its bundle, that it agrees with the warehouse, and `raisonne check`."""

import json
import math
import os
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import bundles
import click
import pytest
from bundles import POLICY, Blurred
from conftest import PATIENCE_S, ROOT, Landing, command, encoded, picture

from orchestration.cli.guard import options
from orchestration.guard import folders
from orchestration.guard.folders import BundleOptions
from tests import processes
from transforms.guard import Guard, Verdict

GENERATIONS = ROOT / "data" / "sample" / "generations"


@pytest.fixture(scope="module")
def exported(sample: Landing) -> tuple[Path, str]:
    """Return the bundle of the sample, and what exporting it said."""
    done = sample.raisonne("export", "guard")
    return Path(done.stdout.strip()), done.stderr


@pytest.fixture(scope="module")
def hashes(sample: Landing, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a bundle of the pictures shown twice or more, without embeddings."""
    folder = tmp_path_factory.mktemp("guard") / "twice"
    sample.raisonne("export", "guard", "--at-least", "2", "--hashes-only", "--to", str(folder))
    return folder


@pytest.fixture(scope="module")
def verdicts(exported: tuple[Path, str]) -> dict[str, Verdict]:
    guard = Guard.load(exported[0])
    paths = (path for path in sorted(GENERATIONS.iterdir()) if path.suffix in (".jpg", ".png", ".webp"))
    return {f"simulated/{path.name}": guard.check(path) for path in paths}


def test_guard_and_warehouse_agree_where_both_apply_the_same_rule(
    sample: Landing, verdicts: dict[str, Verdict]
) -> None:
    """Equal files or pixels, hashes within the threshold, embeddings from the threshold on: pixels are not aligned."""
    ruled = sample.query(
        "select generation_id, bool_or(coalesce(evidence.verdict = 'exact' or pdq_distance <= thresholds.pdq "
        "or copy_score >= thresholds.similar, false)), any_value(generations.verdict), any_value(best_cluster_id), "
        "any_value(generations.p_value) "
        "from provenance.generations left join matches.evidence using (generation_id) group by all"
    )
    assert {name for name, *_ in ruled} == verdicts.keys()
    for name, blocked, word, cluster, p_value in ruled:
        verdict = verdicts[name]
        assert verdict.decision == ("block" if blocked else "allow"), name
        expected = {"exact": "exact", "no_match_found": "no_match_found"}.get(word, "similar")
        assert verdict.verdict == expected, f"{name}: the warehouse, which aligns pixels, says {word}"
        if blocked:
            assert verdict.sources[0].cluster_id == cluster, name
        if verdict.p_value is not None:  # quantised vectors move a score by less than a thousandth
            assert abs(math.log(verdict.p_value / p_value)) < 0.1, name
    assert {verdict.decision for verdict in verdicts.values()} == {"allow", "block"}


@pytest.mark.parametrize("step", [4, pytest.param(1, marks=pytest.mark.thorough)])
def test_with_evidence_the_guard_says_what_the_warehouse_says(sample: Landing, tmp_path: Path, step: int) -> None:
    """Pixels confirm and refuse by the same policy, so the words agree; small copies are of the size compared."""
    folder = tmp_path / "evidence"
    options = ("--evidence-bytes", "8MB", "--pixels-decide", "--look-from", "0.25", "--to", str(folder))
    said = sample.raisonne("export", "guard", *options).stderr
    assert "by which pixels confirm or refuse" in said
    guard = Guard.load(folder)
    assert guard.searched.renditions == guard.bundle.manifest["counts"]["clusters"]
    words = dict(sample.query("select generation_id, verdict from provenance.generations"))
    differ = {}
    for name in sorted(words)[::step]:
        verdict, word = guard.check(GENERATIONS / Path(name).name), words[name]
        if verdict.verdict != word:
            differ[name] = verdict.verdict, word
        assert verdict.decision == ("allow" if verdict.verdict in ("similar", "no_match_found") else "block"), name
    assert len(differ) <= 0.02 * len(words), differ


def test_a_source_is_what_the_warehouse_says_of_it(sample: Landing, verdicts: dict[str, Verdict]) -> None:
    counted = {
        row[0]: row[1:]
        for row in sample.query(
            "select cluster_id, duplicate_count, url, license from provenance.sources "
            "join catalog.samples using (url, license) where samples.sample_id = cluster_id"
        )
    }
    seen = {s.cluster_id: s for verdict in verdicts.values() for s in verdict.sources if s.cluster_id in counted}
    assert seen
    for cluster, (count, url, license_) in counted.items():
        source = seen[cluster]
        assert (source.duplicate_count, source.url) == (count, url)
        assert license_ in source.licenses
    [(searched, searchable)] = sample.query("select searched, searchable from provenance.generations limit 1")
    about = verdicts["simulated/0000.jpg"].searched
    assert (about.rows, about.searchable, about.coverage) == (searched, searchable, searched / searchable)


def test_exporting_says_what_is_lost_and_how_often_the_rule_errs(exported: tuple[Path, str]) -> None:
    folder, said = exported
    manifest = json.loads((folder / "manifest.json").read_text())
    sketches, rates = manifest["sketches"], manifest["calibration"]["error_rates"]
    assert sketches["recall"] >= 0.99
    assert sketches["pairs"] > 0
    assert sketches["least_self_cosine"] > 0.999
    assert sketches["largest_cosine_error"] < 0.01
    assert {(row["population"], row["error"]) for row in rates} == {
        ("not_trained", "false_positive"),
        ("whole", "false_negative"),
        ("part", "false_negative"),
    }
    assert "false positives by embedding, not trained: " in said
    assert manifest["encoder"]["identity"].startswith("sscd_distilled ")


def test_the_page_shows_the_operating_points_of_the_sample(exported: tuple[Path, str]) -> None:
    page = (ROOT / "docs" / "how-to" / "guard.md").read_text(encoding="utf-8")
    calibration = json.loads((exported[0] / "manifest.json").read_text())["calibration"]
    points = {(row["copy_score"], row["population"]): row for row in calibration["operating_points"]}
    rows = [line.strip("| ").split(" | ") for line in page.splitlines() if line.startswith("| 0.")]
    assert len(rows) == 5
    for score, *cells in rows:
        for cell, population in zip(cells, ("not_trained", "whole", "part"), strict=True):
            row = points[float(score), population]
            said = f"{row['wrong']} of {row['pictures']} ({row['low']:.1%} to {row['high']:.1%})"
            assert cell == said, (score, population)
    innocent, missed = points[0.5, "not_trained"], points[0.5, "whole"]["rate"]
    blocked = 999_000 * innocent["rate"]
    assert f"{blocked:,.0f} innocent images are" in page
    assert f"{1000 * missed:.0f} copies get out; {blocked / (blocked + 1000 * (1 - missed)):.0%} of what" in page
    assert f"{999_000 * innocent['high']:,.0f} images" in page


def test_the_same_version_gives_the_same_bytes(sample: Landing, exported: tuple[Path, str], tmp_path: Path) -> None:
    again = tmp_path / "again"
    sample.raisonne("export", "guard", "--to", str(again))
    for path in exported[0].iterdir():
        assert (again / path.name).read_bytes() == path.read_bytes(), path.name
    refused = sample.raisonne("export", "guard", "--to", str(again), check=False)
    assert refused.returncode == 1
    assert "never overwritten" in refused.stderr


def test_a_policy_leaves_out_what_was_shown_less_often(sample: Landing, hashes: Path) -> None:
    [(clusters, rows)] = sample.query("select count(*), sum(duplicate_count)::int from duplicates.counts")
    counts = json.loads((hashes / "manifest.json").read_text())["counts"]
    assert (counts["clusters"], counts["rows"]) == (clusters, rows)
    [(searched, searchable)] = sample.query(
        "select count(*) filter (where status = 'ok' and sample_id in (select sample_id from duplicates.clusters)), "
        "(select count(*) from catalog.samples) from fingerprints.images"
    )
    assert counts["coverage"] == searched / searchable < 0.9
    none = sample.raisonne("export", "guard", "--at-least", "121", check=False)
    assert (none.returncode, "would allow everything" in none.stderr) == (1, True)
    assert not (hashes / "vectors.npy").exists()


def check(*arguments: str, data: bytes | None = None) -> tuple[int, list[dict], str]:
    done = processes.call(["check", *arguments], processes.environment(), ROOT, PATIENCE_S, data or b"")
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()], done.stderr


def test_check_prints_a_line_an_image_and_its_exit_code_is_that_of_the_worst(hashes: Path, tmp_path: Path) -> None:
    shown = tmp_path / "shown"
    shown.mkdir()
    hostile = shown / "a\n\x1b[2J{}';--.png"
    hostile.write_bytes(encoded(picture(1), "PNG"))
    (shown / "-b.jpg").write_bytes(encoded(picture(2)))
    (shown / "notes.txt").write_text("no image")
    (shown / "unnamed").write_bytes(encoded(picture(3)))
    code, lines, said = check("--bundle", str(hashes), str(shown))
    assert (code, [line["decision"] for line in lines]) == (0, ["allow"] * 3)
    assert "1 file not checked, being no picture, such as" in said
    assert {line["image"] for line in lines} == {str(hostile), str(shown / "-b.jpg"), str(shown / "unnamed")}
    (shown / "elsewhere").symlink_to(GENERATIONS)
    (shown / "drawing.svg").write_text("<svg/>")
    (shown / "part").write_bytes(encoded(picture(3))[:999])
    code, lines, _ = check("--bundle", str(hashes), str(shown))
    unread = {Path(line["image"]).name for line in lines if line["decision"] == "unavailable"}
    assert (code, unread) == (3, {"elsewhere", "drawing.svg", "part"})
    (shown / "elsewhere").unlink()
    (shown / "drawing.svg").unlink()
    (shown / "part").unlink()

    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (shown / "link").symlink_to(elsewhere)
    code, lines, _ = check("--bundle", str(hashes), str(shown))
    assert (code, {line["image"]: line["decision"] for line in lines}[str(shown / "link")]) == (3, "unavailable")
    (shown / "link").unlink()

    os.mkfifo(shown / "pipe.png")  # nobody writes into it
    assert "2 files not checked, being no picture" in check("--bundle", str(hashes), str(shown))[2]
    (shown / "pipe.png").unlink()

    (shown / "broken.jfif").write_bytes(b"\xff\xd8\xff no picture")
    code, lines, _ = check("--bundle", str(hashes), str(shown))
    assert code == 3
    assert next(line for line in lines if "broken" in line["image"])["verdict"] == "not_searched"

    copy = shown / "copy.jpg"
    shutil.copy(GENERATIONS / "0028.webp", copy)
    code, lines, _ = check("--bundle", str(hashes), str(hostile), str(shown / "gone.png"), "-", data=copy.read_bytes())
    assert code == 10
    assert [line["decision"] for line in lines] == ["allow", "unavailable", "block"]
    assert lines[2]["sources"][0]["duplicate_count"] == 120


def test_check_without_a_usable_bundle_is_unavailable(hashes: Path, tmp_path: Path) -> None:
    code, lines, said = check("--bundle", str(tmp_path), "any.png")
    assert (code, lines) == (3, [])
    assert "raisonne export guard" in said
    broken = shutil.copytree(hashes, tmp_path / "broken")
    words = broken / "pdq_words.npy"
    words.unlink()
    words.write_bytes((hashes / "pdq_words.npy").read_bytes()[:-1])
    code, lines, said = check("--bundle", str(broken), "any.png")
    assert (code, lines) == (3, [])
    assert "pdq_words.npy" in said
    assert "Traceback" not in said


def test_settings_that_were_named_and_are_missing_switch_no_signature_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = str(tmp_path / "typo.toml")
    unsigned = bundles.write(tmp_path / "bundle", [encoded(picture(1))])
    code, lines, said = check("--bundle", str(unsigned), "--config", missing, "any.png")
    assert (code, lines, f"no settings at {missing}" in said) == (2, [], True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RAISONNE_CONFIG", raising=False)
    assert options.trusted_keys((), None) == ()
    monkeypatch.setenv("RAISONNE_GUARD__TRUSTED_KEYS", '["guard.pub"]')
    assert options.trusted_keys((), None) == (tmp_path / "guard.pub",)
    monkeypatch.setenv("RAISONNE_CONFIG", missing)
    with pytest.raises(click.UsageError, match=re.escape(missing)):
        options.trusted_keys((), None)


def test_a_narrower_bundle_takes_nothing_from_what_is_checked_by_default(tmp_path: Path) -> None:
    """Of the newest version that has one, the strictest bundle is meant; it stays when its version goes."""
    data, embedding = [encoded(picture(1))], Blurred()
    assert folders.newest(tmp_path) is None
    for choice in (
        BundleOptions(10),
        BundleOptions(hashes_only=True),
        BundleOptions(),
        BundleOptions(copy_score=0.7),
        BundleOptions(p_value=0.01),
    ):
        policy = replace(POLICY, at_least=choice.at_least, copy_score=choice.copy_score or 0.5, p_value=choice.p_value)
        encoder = None if choice.hashes_only else embedding
        for version, its in (2, policy), (1, POLICY):
            bundles.write(folders.default_folder(tmp_path, version, choice), data, encoder, its)
    lie = tmp_path / "guard"
    (lie / "version-000003").mkdir()  # without a manifest
    assert folders.newest(tmp_path) == lie / "version-000002-p-value-0.01"
    shutil.rmtree(lie / "version-000002-p-value-0.01")
    assert folders.newest(tmp_path) == lie / "version-000002"
    folders.prune(tmp_path, {1, 3})
    assert {path.name[:14] for path in lie.iterdir()} == {"version-000001", "version-000002", "version-000003"}
    opened = Guard.load(lie / "version-000001-hashes")
    folders.prune(tmp_path, {3})
    assert {path.name[:14] for path in lie.iterdir()} == {"version-000002", "version-000003"}
    assert opened.check(data[0]).sources[0].url, "whoever has it open goes on"


def test_a_signed_bundle_is_taken_and_an_unsigned_one_refused_where_a_key_is_trusted(
    sample: Landing, hashes: Path, tmp_path: Path
) -> None:
    private, public = tmp_path / "guard.key", tmp_path / "guard.pub"
    for line in (f"genpkey -algorithm ed25519 -out {private}", f"pkey -in {private} -pubout -out {public}"):
        subprocess.run(["openssl", *line.split()], check=True)
    folder = tmp_path / "signed"
    sample.raisonne("export", "guard", "--hashes-only", "--sign", str(private), "--to", str(folder))
    copy = str(GENERATIONS / "0028.webp")
    assert sample.raisonne("check", "--bundle", str(folder), "--trust", str(public), copy, check=False).returncode == 10
    for trusting in (["--trust", str(public)], []):
        config = tmp_path / "trusting.toml"
        keys = "" if trusting else '[guard]\ntrusted_keys = ["guard.pub"]\n'
        config.write_text(sample.config.read_text() + keys)
        refused = command(config, "check", "--bundle", str(hashes), *trusting, copy, check=False)
        said = refused.stderr
        assert (refused.returncode, refused.stdout) == (3, "")
        assert f"manifest.sig: No such file or directory; the bundle must be signed by a key of {public}" in said
    unusable = sample.raisonne("export", "guard", "--sign", str(public), "--to", str(tmp_path / "not"), check=False)
    assert (unusable.returncode, "no private key in PEM" in unusable.stderr) == (2, True)


def test_options_of_a_guard_are_refused_elsewhere(sample: Landing) -> None:
    refused = sample.raisonne("export", "report", "--at-least", "3", check=False)
    assert refused.returncode == 2
    assert "--at-least" in refused.stderr


def test_logged_checks_come_back_beside_what_the_warehouse_says(sample: Landing, hashes: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    shutil.copytree(sample.home, home, symlinks=True)
    own = Landing(tmp_path)
    own.config.write_text(sample.config.read_text().replace(str(sample.home), str(home)))
    copy = str(GENERATIONS / "0028.webp")
    (tmp_path / "broken.png").write_bytes(b"no picture")
    own.raisonne("check", "--log", "--bundle", str(hashes), copy, str(tmp_path / "broken.png"), check=False)
    own.run_here("derive")
    rows = own.query(
        "select decision, verdict, method, value <= threshold, duplicate_count, generation_id, warehouse_verdict, "
        "sha256 is null from provenance.guard_log order by decision"
    )
    assert rows == [
        ("block", "similar", "pdq", True, 120, "simulated/0028.webp", "copy", False),
        ("unavailable", "not_searched", None, None, None, None, None, True),
    ]


def test_checks_that_cannot_be_noted_are_counted_at_the_end(tmp_path: Path) -> None:
    bundle = bundles.write(tmp_path / "bundle", [encoded(picture(1))])
    (tmp_path / "raisonne.toml").write_text(f'home = "{tmp_path}"\n')
    (tmp_path / "facts").write_text("no folder")
    (tmp_path / "new.jpg").write_bytes(encoded(picture(2)))
    config = str(tmp_path / "raisonne.toml")
    code, lines, said = check("--log", "--config", config, "--bundle", str(bundle), str(tmp_path / "new.jpg"))
    assert (code, [line["decision"] for line in lines]) == (1, ["allow"])
    assert f"1 check answered, but not logged in {tmp_path}: " in said
    assert "Traceback" not in said
