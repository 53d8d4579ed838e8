"""The `raisonne` command as people type it: what it prints, how it refuses, and its exit codes."""

import csv
import dataclasses
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import click
import duckdb
import polars as pl
import pytest
from click.testing import CliRunner, Result
from conftest import PATIENCE_S, ROOT, Landing, command, encoded, picture

from orchestration import settings
from orchestration.cli import summary
from orchestration.cli.main import main
from orchestration.reports import exports
from orchestration.reports.pictures import PictureReader
from orchestration.runtime import installation
from orchestration.settings.thresholds import Thresholds
from tests import processes
from transforms.alignment.policy import PixelLimits
from transforms.generations import archives


def generation_with(sample: Landing, condition: str) -> str:
    return sample.query(
        f"select generation_id from provenance.generations where {condition} order by 1 limit 1"  # noqa: S608
    )[0][0]


def refused(config: object, *arguments: str, code: int) -> str:
    """Run a command that must fail with `code`. Returns its error, which is one sentence and no traceback."""
    done = command(config, *arguments, check=False)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


def test_show_prints_verdict_evidence_and_coverage_of_a_copy(sample: Landing) -> None:
    name = generation_with(sample, "verdict = 'copy'")
    [(sample_id, url, inliers, duplicates)] = sample.query(
        f"select sample_id, url, inliers, duplicate_count from provenance.sources "  # noqa: S608
        f"where generation_id = '{name}' and rank = 1"
    )
    [(searched, searchable)] = sample.query(
        f"select searched, searchable from provenance.generations where generation_id = '{name}'"  # noqa: S608
    )
    shown = sample.raisonne("show", name).stdout
    assert shown.splitlines()[0] == f"{name}: copy"
    assert f"searched: {searched:,} of {searchable:,} training rows" in shown
    words = {tuple(line.split(maxsplit=2)) for line in shown.splitlines()}
    assert ("sample", "id", str(sample_id)) in words
    assert ("duplicate", "count", str(duplicates)) in words
    lines = [line.split(maxsplit=1) for line in shown.splitlines()]
    assert ["inliers", str(inliers)] in lines
    assert ["url", url] in lines
    assert sample.raisonne("show", name.partition("/")[2]).stdout == shown, "the name without its source will do"


def test_show_says_what_was_searched_when_there_is_no_source(sample: Landing) -> None:
    name = generation_with(sample, "verdict in ('no_match_found', 'similar') and best_sample_id is null")
    shown = sample.raisonne("show", name).stdout
    assert shown.splitlines()[0] == f"{name}: no_match_found"
    assert shown.splitlines()[1].startswith("searched: ")
    assert "no likely source among them; this says nothing about rows that were not searched" in shown


def test_show_names_near_generations_for_an_unknown_one(sample: Landing) -> None:
    error = refused(sample.config, "show", "simulated/0000.jpeg", code=2)
    assert error.startswith("raisonne: unknown generation 'simulated/0000.jpeg'; the nearest names are: simulated/00")


@pytest.mark.parametrize("form", ["csv", "json"])
def test_sql_writes_rows_that_other_programs_read(sample: Landing, form: str) -> None:
    query = "select band, clusters, rows from reports.duplicate_frequency order by all"
    printed = sample.raisonne("sql", "--format", form, query).stdout
    if form == "csv":
        rows = [tuple(row.values()) for row in csv.DictReader(io.StringIO(printed))]
    else:
        rows = [tuple(str(value) for value in json.loads(line).values()) for line in printed.splitlines()]
    assert rows == [tuple(str(value) for value in row) for row in sample.query(query)]


def test_sql_reads_a_piped_script(sample: Landing) -> None:
    typed = b"select 1 as one;\nselect max(duplicate_count) as most from duplicates.counts;\n"
    arguments = ["sql", "--config", str(sample.config), "--format", "csv"]
    done = processes.call(arguments, processes.environment(), ROOT, PATIENCE_S, typed)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["one", "1", "most", "120"]


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("select nothing from catalog.samples", "nothing"),
        ("selec 1", "syntax error"),
        ("create table catalog.mine (x int)", "read-only"),
        ("delete from catalog.samples", "read-only"),
        ("drop table duplicates.counts", "read-only"),
    ],
)
def test_sql_refuses_errors_and_writing(sample: Landing, query: str, says: str) -> None:
    assert says in refused(sample.config, "sql", query, code=1)
    assert says in refused(sample.config, "sql", "--format", "csv", query, code=1)


def test_export_writes_page_and_tables(sample: Landing) -> None:
    folder = sample.folder / "given" / "to"
    written = sample.raisonne("export", "--to", str(folder)).stdout.split()
    shown = [path for path in folder.iterdir() if not path.name.startswith(".")]
    assert sorted(written) == sorted(str(path) for path in shown if path.is_file())
    assert {path.suffix for path in shown} == {".html", ".csv", ".xlsx", ".parquet", ""}
    [(clusters,)] = sample.query("select count(*) from reports.repeated_pictures")
    for path in folder.iterdir():
        if path.stem == "repeated_pictures":
            frame = pl.read_csv(path) if path.suffix == ".csv" else pl.read_parquet(path)
            assert len(frame) == clusters > 0
    assert "120" in (folder / "duplicate_frequency.html").read_text()
    [(confirmed,)] = sample.query("select count(*) from provenance.generations where confirms_copy(verdict)")
    assert len(list((folder / "pages" / "cases").glob("*.html"))) == confirmed > 0
    undescribed = sample.query(
        "select schema_name || '.' || table_name as exported, column_name from duckdb_columns() where comment is null"
    )
    assert [found for found in undescribed if found[0] in exports.TABLES] == [], (
        "the workbook's headings say what columns mean"
    )


def test_export_writes_only_the_formats_asked_for(sample: Landing) -> None:
    folder = sample.folder / "only-csv"
    sample.raisonne("export", "--to", str(folder), "--format", "csv")
    assert {path.suffix for path in folder.iterdir() if path.name != exports.MANIFEST} == {".csv"}


def test_a_version_that_cannot_be_exported_is_refused(sample: Landing, tmp_path: Path) -> None:
    assert "does not keep version 999; it has " in refused(sample.config, "export", "--version", "999", code=1)
    with duckdb.connect() as con:
        con.execute(
            "create schema warehouse; create table warehouse.versions as select 3 as version, now() as published_at"
        )
        with pytest.raises(exports.NotInVersion, match="version 3 was published by an earlier release without reports"):
            exports.write(
                con,
                tmp_path / "out",
                exports.FORMATS,
                PictureReader(lambda _: pytest.fail("a picture is read")),
                settings.Settings(home=tmp_path),
            )
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["export", "removals"], "'removals' is not one of 'report', 'removal-list'"),
        (["export", "--policy", "keep-1"], "only `raisonne export removal-list` takes --policy"),
        (["export", "report", "--at-least", "3"], "only `raisonne export guard` takes --at-least"),
        (["export", "report", "--colour"], "No such option"),
        (["sql", "--format", "parquet", "select 1"], "pass a query and --to FILE.parquet"),
        (["sql", "--to", "rows.txt", "select 1"], "--format csv, json or parquet"),
        (
            ["export", "removal-list", "--format", "csv"],
            "only `raisonne export report` and `raisonne export decisions` take --format",
        ),
        (
            ["export", "--format", "csv", "removal-list"],
            "only `raisonne export report` and `raisonne export decisions` take --format",
        ),
    ],
)
def test_options_that_do_not_go_together_are_refused(landing: Landing, arguments: list[str], says: str) -> None:
    assert says in refused(landing.config, *arguments, code=2)


def test_missing_settings_name_the_fix(landing: Landing) -> None:
    missing = landing.folder / "elsewhere.toml"
    for arguments in (["run"], ["show", "x"], ["sql", "select 1"], ["export"], ["ui"]):
        error = refused(missing, *arguments, code=2)
        assert f"no settings at {missing}" in error
        assert "pass --config FILE, set RAISONNE_CONFIG" in error


def test_an_unknown_setting_is_named(landing: Landing) -> None:
    landing.write_config("[thresholds]\npqd = 30\n")
    error = refused(landing.config, "run", code=2)
    assert str(landing.config) in error
    assert "unknown setting `thresholds.pqd`" in error
    landing.write_config("[thresholds]\npdq = 32\n")
    assert "`thresholds.pdq`" in refused(landing.config, "run", code=2)


@pytest.mark.parametrize(
    "line", ["cells = 1601", f"solid = {10**20}", "inliers = 601", "gain = inf", "agreement = 1.1"]
)
def test_a_threshold_that_nothing_can_meet_is_refused(landing: Landing, line: str) -> None:
    landing.write_config(f"[thresholds]\n{line}\n")
    with pytest.raises(settings.SettingsError, match=rf"`thresholds\.{line.split()[0]}`"):
        settings.load(landing.config)


def test_reading_before_any_run_says_to_run(landing: Landing) -> None:
    for arguments in (["sql", "select 1"], ["show", "x"], ["export"], ["export", "removal-list"]):
        error = refused(landing.config, *arguments, code=1)
        assert "`raisonne run`" in error
    assert not (landing.home / "raisonne.duckdb").exists()


def test_a_dataset_that_is_nowhere_cannot_be_forgotten(landing: Landing) -> None:
    landing.write_config()
    assert "the warehouse has no such dataset" in refused(landing.config, "run", "--forget", "typo", code=2)


def test_usage_errors_exit_2(landing: Landing) -> None:
    for arguments in (["run", "nothing"], ["sql", "--format", "xml", "select 1"], ["frobnicate"], ["show"]):
        refused(landing.config, *arguments, code=2)


@pytest.mark.parametrize("name", [None, *main.commands])
def test_help_has_an_example(landing: Landing, name: str | None) -> None:
    shown = landing.raisonne(*([name] if name else []), "--help").stdout
    assert f"Example: raisonne {name or 'run'}" in shown
    assert "..." not in shown.replace("[FOLDER]...", "").replace("[ARGS]...", "").replace("IMAGES...", "").replace(
        "[DATASETS]...", ""
    ), "no sentence is cut"


@pytest.mark.parametrize("name", list(main.commands["export"].commands))
def test_each_export_has_a_page_of_its_own(landing: Landing, name: str) -> None:
    shown = landing.raisonne("export", name, "--help").stdout
    assert f"Example: raisonne export {name}" in shown
    assert ("--policy" in shown, "--at-least" in shown, "--format" in shown) == (
        name == "removal-list",
        name == "guard",
        name in ("report", "decisions"),
    )


def test_init_refuses_what_it_cannot_look_at(tmp_path: Path) -> None:
    file, to = tmp_path / "file.jpg", tmp_path / "raisonne.toml"
    file.write_bytes(b"x")
    empty = tmp_path / "empty"
    empty.mkdir()
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "0.jpg").write_bytes(encoded(picture(1)))
    for arguments, says, code in (
        ([str(tmp_path / "nowhere")], "nowhere is not there", 2),
        (["--generations", str(tmp_path / "nowhere")], "nowhere is not there", 2),
        ([str(file)], "file.jpg is no folder; name the folder that holds it", 2),
        (["s3://bucket/laion"], "only folders on disk are looked at; name its glob under [[datasets]]", 2),
        ([str(photos), "--encoder", "typo"], "--encoder: no encoder is called 'typo'; use sscd, ", 2),
        ([str(empty)], f"nothing to use in {empty}: looked for metadata with URL and caption", 1),
    ):
        done = init(*arguments, "--to", str(to))
        assert done.exit_code == code, done.stderr
        assert says in done.stderr and isinstance(done.exception, SystemExit)
        assert len(done.stderr.splitlines()) == 1
    assert not to.exists()


def test_init_keeps_the_warehouse_out_of_its_own_pictures(tmp_path: Path) -> None:
    (tmp_path / "0.jpg").write_bytes(encoded(picture(1)))
    done = init(str(tmp_path), "--to", str(tmp_path / "raisonne.toml"))
    assert done.exit_code == 2 and "would lie among the pictures" in done.stderr and "pass --home" in done.stderr
    assert not (tmp_path / "raisonne.toml").exists()


def test_init_with_a_part_that_cannot_be_looked_into_is_done_and_says_so(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "0.jpg").write_bytes(encoded(picture(1)))
    (tmp_path / "cut").mkdir()
    (tmp_path / "cut" / "0.tar").write_bytes(b"no tar" * 500)
    done = init(str(tmp_path), "--to", str(tmp_path / "raisonne.toml"), "--encoder", "sscd_distilled")
    assert done.exit_code == 4, done.stderr
    assert "0.tar: not a readable tar" in done.stdout
    assert "measured on 1 of these pictures with sscd_distilled" in done.stdout
    assert settings.load(tmp_path / "raisonne.toml").datasets[0].images == str(tmp_path / "photos")


def init(*arguments: str) -> Result:
    """Run `raisonne init`, which takes no `--config`."""
    return CliRunner().invoke(main, ["init", *arguments], env=dict.fromkeys(os.environ, None) | processes.environment())


def test_doctor_names_the_fix_of_what_the_settings_name_and_is_not_there(landing: Landing) -> None:
    text = landing.config.read_text().replace("sscd_distilled", "sscd_distiled")
    landing.config.write_text(text.replace('images = "laion/*.tar"', 'download = "got"'))
    done = command(landing.config, "doctor", check=False)
    lines = done.stdout.splitlines()
    assert done.returncode == 1, done.stdout
    for says in (
        f"note   dataset tiny: nothing is found at {landing.folder}/laion/*.parquet: correct it, or mount its disk",
        f"ok     generations gen: {landing.folder}/generations",
        f"note   home: {landing.home} is not there yet: `raisonne run` makes it",
        "ok     writer's lock: free",
    ):
        assert says in lines, done.stdout
    assert any(line.startswith("FAULT  copy encoder: no encoder is called 'sscd_distiled'") for line in lines)
    assert any(line.startswith("ok     packages: Python 3.") for line in lines)
    assert any(line.startswith("ok     memory: limits.memory is ") for line in lines)
    assert any(line.startswith(("ok     part download", "FAULT  part download")) for line in lines)
    assert not landing.home.exists(), "a check makes nothing"
    assert installation._encoder("copy", "sscd_distilled", "cpu").finding.endswith(", on cpu")


def test_the_environment_overrides_the_file(landing: Landing, monkeypatch: pytest.MonkeyPatch) -> None:
    before = settings.load(landing.config)
    assert before.thresholds.pdq == 31
    monkeypatch.setenv("RAISONNE_THRESHOLDS__PDQ", "20")
    monkeypatch.setenv("RAISONNE_HOME", "another")
    after = settings.load(landing.config)
    assert after.thresholds.pdq == 20
    assert after.thresholds.similar == before.thresholds.similar
    assert after.home == landing.folder / "another"
    assert after.settings_hash != before.settings_hash
    monkeypatch.setenv("RAISONNE_THRESHOLDS__PDQ", "many")
    with pytest.raises(settings.SettingsError, match=r"`thresholds\.pdq`"):
        settings.load(landing.config)


def test_settings_and_alignment_have_the_same_defaults() -> None:
    limits = {field.name: field.default for field in dataclasses.fields(PixelLimits)}
    cut = Thresholds().model_dump()
    deciding = list(limits)[list(limits).index("structure") :]
    assert {name: limits[name] for name in deciding} == {name: cut[name] for name in deciding}


def test_help_does_not_load_what_only_runs_need() -> None:
    script = (
        "import sys\nfrom orchestration.cli.main import main\n"
        "main(['run', '--help'], standalone_mode=False)\n"
        "print('loaded:', *(name for name in ('torch', 'dagster', 'lance', 'duckdb') if name in sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=600, check=True
    )
    assert done.stdout.splitlines()[-1].split() == ["loaded:"]


def test_escape_codes_from_the_web_do_not_reach_a_terminal() -> None:
    with duckdb.connect() as con:
        for schema, columns in (
            (
                "catalog.shards",
                "null::varchar as failure, null::varchar as broken, 'd' as dataset, 's' as shard, 0 as unlisted, "
                "[''] as unlisted_examples, 0 as contradictions, [''] as contradiction_examples, "
                "null::varchar as images_path, false as images_gone",
            ),
            (
                "fingerprints.failures",
                "1 as rows, 'd' as dataset, 'why' as failure, false as not_downloaded, false as missing, "
                "chr(27) || ']0;owned' || chr(7) as example_member",
            ),
            ("catalog.generations", "'g/1' as generation_id, null::varchar as failure"),
            ("duplicates.methods", "0 as not_compared, '' as not_compared_because"),
            ("matches.evidence", "'g/1' as generation_id, null::varchar as failure"),
            ("reports.decisions", "'' as decision_id, '' as kind, '' as answer, 'undone' as state, '' as waits_for"),
            (
                "catalog.not_taken",
                "'d' as dataset, null::varchar as source, 0 as files, '' as place, '' as reason, [''] as examples "
                "limit 0",
            ),
        ):
            con.execute(f"create schema if not exists {schema.partition('.')[0]}")
            con.execute(f"create table {schema} as select {columns}")
        [warning] = summary.failures(con)
    assert "owned" in warning and warning.isprintable()


@pytest.mark.parametrize(
    ("part", "reason", "usable"),
    [
        ("generations", archives.BROKEN, False),
        ("generations", archives.UNREADABLE, False),
        ("generations", "a PDF", True),
        ("dump", archives.BROKEN, True),
    ],
)
def test_an_archive_of_generations_that_breaks_off_makes_a_run_incomplete(part: str, reason: str, usable: bool) -> None:
    with duckdb.connect() as con:
        con.execute("create schema catalog")
        con.execute("create table catalog.shards as select 'ok' as status")
        con.execute("create table catalog.not_taken as select ? as part, ? as reason", [part, reason])
        assert summary.all_usable(con) is usable


def hints() -> set[str]:
    """Return every `raisonne …` that a message, a comment or a page of help tells people to type."""
    files = [ROOT / "raisonne.toml", *ROOT.glob("sql/**/*.sql"), *ROOT.glob("docs/reference/*.md")]
    for package in ("raisonne", "orchestration", "transforms"):
        files += (ROOT / package).rglob("*.py")
    found = {hint for path in files for hint in re.findall(r"`raisonne ([^`\n]+)`", path.read_text("utf-8"))}
    return {hint for hint in found if not hint.startswith(("--", "COMMAND")) and "{" not in hint}


def test_every_command_that_people_are_told_to_type_exists() -> None:
    unknown, told = [], hints()
    assert len(told) > 20
    for hint in told:
        words = hint.split()
        chosen = main.commands.get(words[0])
        part = words[1] if len(words) > 1 and not words[1].startswith("-") else None
        if chosen is not None and words[0] == "export":
            chosen = chosen.commands.get(part or "report")
        elif isinstance(chosen, click.Group) and part:
            chosen = chosen.commands.get(part)
        options = {each.split("=")[0] for each in words if each.startswith("--") and each != "--help"}
        taken = {option for each in chosen.params for option in each.opts} if chosen else set()
        if chosen is None or not options <= taken:
            unknown.append(hint)
    assert unknown == []
