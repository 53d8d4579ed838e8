"""Runs that are killed right before or after a commit, one commit after another, end as an undisturbed run does.

The process under test kills itself at a commit that it counts, so that neither the speed nor the load of a machine
decides where a kill comes.
"""

import json
import os
import re
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest
from conftest import Landing, Row, encoded, picture

from orchestration.facts import Facts
from orchestration.reports import exports
from orchestration.warehouse import publishing
from tests import records
from tests.processes import FORKS

type Rows = Callable[[int, int], list[Row]]
type Point = tuple[str, str]

BEFORE, AFTER = "before", "after"
_VERSION, _LINK, _EXPORT = "-> raisonne-#.duckdb", "-> raisonne.duckdb", "-> raisonne.xlsx"
"""A version takes its place, the link turns to it, an export is finished."""
_STAGES = {
    "landing_shards",
    "image_fingerprints",
    "copy_embeddings",
    "generation_fingerprints",
    "recalled_rows",
    "near_hashes",
    "near_pictures",
    "joins",
    "pixel_comparisons",
    "duplicate_pairs",
    "cluster_members",
    "caption_groups",
    "prompt_captions",
    "neighbour_lists",
    "match_comparisons",
    "match_evidence",
    "calibration_comparisons",
    "null_scores",
    "prompt_cliques",
    "memorized_pairs",
    "outlier_scores",
    _VERSION,
    _LINK,
    _EXPORT,
}
_TRIAL = "link"
"""What every run renames first, to see whether the home can: `runtime/homes.py`."""
_NUMBERS = re.compile(r"\d+")
UNLIKE = {"seconds", "run_id", "published_at", "version", "lance_versions"}
"""Columns that tell of one run: how long it took, when, and how often versions and tables were written on the way."""


class Commits:
    """Writes down every commit of this process, and kills it with SIGKILL at one of them.

    Commits are `TABLE` (rows of a fact table are written or deleted), `TABLE: made` (it is there, empty),
    `TABLE: recipe` (what made the rows is noted), and `-> FILE` (a file below the home takes its name by a rename;
    digits in it are written as #).

    Attributes:
        log: Where commits are written down, a line each, before they happen.
        point: The first commit of this name kills, before or after it is done. None: none does.
    """

    def __init__(self, log: Path, home: Path, point: Point | None) -> None:
        self.log, self.home, self.point = log, str(home), point
        self._dies = False

    def watch(self) -> None:
        """Wrap what commits: Lance's writers, and renames."""
        import lance
        from lance.dataset import MergeInsertBuilder

        merge_insert, update_config = lance.LanceDataset.merge_insert, lance.LanceDataset.update_config

        def merged(dataset: lance.LanceDataset, *given: object) -> MergeInsertBuilder:
            builder = merge_insert(dataset, *given)
            builder.table = Path(dataset.uri).stem
            return builder

        def configured(dataset: lance.LanceDataset, values: dict[str, str]) -> object:
            step = f"{Path(dataset.uri).stem}: recipe"
            if not any(values.values()):  # a recipe is forgotten
                return update_config(dataset, values)
            return self.commit(step, update_config, dataset, values)

        def wrap(owner: Any, name: str, table: Callable[..., str]) -> None:  # noqa: ANN401 -- a module or a class
            plain = getattr(owner, name)
            setattr(owner, name, lambda *given, **named: self.commit(table(*given), plain, *given, **named))

        lance.LanceDataset.merge_insert, lance.LanceDataset.update_config = merged, configured
        wrap(MergeInsertBuilder, "execute", lambda builder, _: builder.table)
        wrap(lance.LanceDataset, "delete", lambda dataset, _: Path(dataset.uri).stem)
        wrap(lance.LanceDataset, "commit", lambda uri, *_, **__: Path(uri).stem)
        wrap(lance, "write_dataset", lambda _, uri, **__: Path(uri).stem)
        sys.addaudithook(self._heard)

    def commit(self, step: str, do: Callable[..., Any], *given: object, **named: object) -> Any:  # noqa: ANN401
        """Do what commits, or die on this side of it or on the other."""
        if step == "memory:":  # a table that is not there yet is read
            return do(*given, **named)
        here = self._is_point(f"{step}: made" if named.get("mode") == "create" else step)
        if here == BEFORE:
            self._die()
        done = do(*given, **named)
        if here == AFTER:
            self._die()
        return done

    def _is_point(self, step: str) -> str:
        with self.log.open("a") as log:
            log.write(f"{step}\n")
        if self.point is None or self.point[0] != step:
            return ""
        return self.point[1]

    def _heard(self, event: str, given: tuple[object, ...]) -> None:
        if self._dies:  # the first thing to happen after the rename
            self._dies = False  # the kill is heard as well
            self._die()
        if event == "os.rename" and (target := os.fsdecode(given[1])).startswith(self.home):
            if Path(target).name == _TRIAL:
                return
            here = self._is_point(f"-> {_NUMBERS.sub('#', Path(target).name)}")
            if here == BEFORE:
                self._die()
            self._dies = here == AFTER

    @staticmethod
    def _die() -> None:
        os.kill(os.getpid(), signal.SIGKILL)


def run(config: str, home: str, log: str, point: Point | None) -> None:
    """Run everything in this process, which is one of its own, with its commits watched."""
    os.environ |= {"RAISONNE_CONFIG": config, "DAGSTER_HOME": str(Path(config).parent)}
    import dagster as dg

    from orchestration.definitions import defs

    Commits(Path(log), Path(home), point).watch()
    with records.outline(), dg.DagsterInstance.ephemeral() as instance:
        quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
        assert defs.resolve_job_def("everything").execute_in_process(quiet, instance=instance).success


def fill(landing: Landing, rows_of: Callable[[int, int], list[Row]]) -> None:
    """Land what gives every stage something to commit: copies, captions, prompts, opt-outs, a second dump."""
    landing.write_config(
        '[calibration]\ntrials = 2\n[limits]\nnull_sample = 4\n[[recalls]]\nname = "web"\npath = "lists/*.csv"\n'
    )
    rows = rows_of(0, 4)
    smaller, cut = encoded(picture(0, 200, 150)), encoded(picture(0).crop((20, 15, 236, 177)))
    landing.shard("00000", rows)
    left = Row("https://left.example.net/5.jpg", "picture 5", encoded(picture(5)))
    again = Row("https://again.example.org/0.jpg", "picture 0 again", smaller)
    part = Row("https://again.example.org/part.jpg", "a part of picture 0", cut)  # that no hash finds
    landing.shard("00001", [*rows_of(4, 1), left, again, part])
    (landing.folder / "lists").mkdir()
    (landing.folder / "lists" / "web.csv").write_text("url\nhttps://left.example.net/5.jpg\n")
    shown = {"copy-0.png": picture(0), "copy-1.png": picture(0).rotate(1), "other.png": picture(90)}
    lines = []
    for seed, (name, image) in enumerate(shown.items()):
        image.save(landing.folder / "generations" / name)
        lines.append({"file_name": name, "model": "planted", "prompt": "picture 0", "seed": seed})
    (landing.folder / "generations" / "generations.jsonl").write_text("\n".join(map(json.dumps, lines)))


class Home:
    """A warehouse, and runs of it, each in a process of its own whose imports are done."""

    def __init__(self, landing: Landing, name: str) -> None:
        self.home, self.config = landing.folder / name, landing.folder / f"{name}.toml"
        self.config.write_text(landing.config.read_text().replace('home = "home"', f'home = "{name}"'))
        self._runs = 0

    def run(self, point: Point | None = None) -> list[str]:
        """Run everything, or as far as the point. Returns the commits; fails where the run should have got further."""
        self._runs += 1
        log = self.home.with_name(f"{self.home.name}-{self._runs}.log")
        log.touch()
        process = FORKS.Process(target=run, args=(str(self.config), str(self.home), str(log), point))
        process.start()
        process.join()
        commits = log.read_text().splitlines()
        expected = 0 if point is None else -signal.SIGKILL
        assert process.exitcode == expected, f"exit {process.exitcode}, not {expected}, with {point} after {commits}"
        return commits


def facts(home: Path) -> dict[str, list[str]]:
    """Return the rows of every fact table, in an order of their own."""
    return {
        table.name: sorted(
            repr({name: value for name, value in row.items() if name not in UNLIKE}) for row in table.read().to_pylist()
        )
        for table in Facts(home / "facts")
    }


def published(home: Path) -> dict[str, list[str]]:
    """Return the rows of every published table, in an order of their own."""
    with duckdb.connect(str(home / "raisonne.duckdb"), read_only=True) as con:
        names = con.execute("select schema_name || '.' || table_name from duckdb_tables() order by all").fetchall()
        compared = [name for (name,) in names if not name.startswith("warehouse.")]
        return {name: sorted(map(repr, _alike(con.table(name)).fetchall())) for name in compared}


def exports_of_newest(home: Path) -> bool:
    """Return whether the published version has all its exports."""
    version = publishing.current(home)
    return version is not None and exports.complete(exports.default_folder(home, version.number), version.number)


def _alike(table: duckdb.DuckDBPyRelation) -> duckdb.DuckDBPyRelation:
    return table.select(*(duckdb.ColumnExpression(name) for name in table.columns if name not in UNLIKE))


def points(commits: list[str]) -> list[Point]:
    """Return where a run may be killed: at the first commit of each fact table, before it and after it by turns."""
    tables = [each for each in dict.fromkeys(commits) if ": " not in each and "->" not in each]
    return [(step, BEFORE if turn // 2 % 2 else AFTER) for turn, step in enumerate(tables)]


def changed(landing: Landing, rows_of: Rows) -> None:
    """Take a shard away, land another, add a generation and change an opt-out list: rows of every stage go and come."""
    for ending in ("parquet", "tar"):
        (landing.folder / "laion" / f"00001.{ending}").unlink()
    [known] = rows_of(1, 1)
    landing.shard("00002", [*rows_of(10, 2), Row("https://again.example.org/1.jpg", "picture 1", known.data)])
    picture(11).save(landing.folder / "generations" / "later.png")
    (landing.folder / "lists" / "web.csv").write_text("url\nhttps://again.example.org/1.jpg\n")


def same(one: dict[str, list[str]], other: dict[str, list[str]]) -> None:
    assert one.keys() == other.keys()
    assert [name for name in one if one[name] != other[name]] == []


@pytest.mark.parametrize(
    ("every", "publishing"),
    [
        pytest.param(None, [(_VERSION, AFTER)], id="two"),
        pytest.param(
            2,
            [(_VERSION, BEFORE), (_VERSION, AFTER), (_LINK, BEFORE), (_EXPORT, BEFORE)],
            marks=pytest.mark.thorough,
            id="every stage",
        ),
    ],
)
def test_killed_runs_leave_what_an_undisturbed_run_leaves(
    landing: Landing, rows_of: Rows, every: int | None, publishing: list[Point]
) -> None:
    fill(landing, rows_of)
    calm, shaken = Home(landing, "calm"), Home(landing, "shaken")
    commits = calm.run()
    assert set(commits) >= _STAGES, "a stage has nothing to do, so no kill comes there"
    for point in [("joins: made", AFTER), *(points(commits)[::every] if every else ()), *publishing]:
        shaken.run(point)
    shaken.run()
    assert exports_of_newest(shaken.home)
    assert shaken.run() == [], "nothing is left to do"
    same(facts(shaken.home), facts(calm.home))
    same(published(shaken.home), published(calm.home))


@pytest.mark.thorough
def test_runs_killed_while_rows_of_every_stage_come_and_go_leave_it_too(landing: Landing, rows_of: Rows) -> None:
    fill(landing, rows_of)
    calm, shaken = Home(landing, "calm"), Home(landing, "shaken")
    assert calm.run() and shaken.run()
    changed(landing, rows_of)
    for point in [*points(calm.run())[1::4], (_LINK, AFTER)]:
        shaken.run(point)
    shaken.run()
    assert exports_of_newest(shaken.home)
    same(facts(shaken.home), facts(calm.home))
    same(published(shaken.home), published(calm.home))
