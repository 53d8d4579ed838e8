"""The committed sample against its planted truth, the tables others build on, and what a second run does not do."""

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from conftest import ROOT, Landing

from orchestration import settings
from orchestration.facts import Facts
from orchestration.warehouse import build
from orchestration.warehouse.models import Model, load

# What DESIGN.md promises to whoever builds on the published file. Columns may be added, never renamed.
_CONTRACT = {
    "catalog.samples": ("sample_id dataset shard row_number url url_host caption width height license recalled"),
    "catalog.generations": "generation_id source path model prompt seed",
    "fingerprints.images": "sample_id status failure sha256 pdq pdq_quality width height",
    "fingerprints.coverage": "dataset fingerprint expected ok low_quality failed missing",
    "duplicates.pairs": "sample_id_a sample_id_b method distance threshold",
    "duplicates.clusters": "sample_id cluster_id representative_id rank distance_to_representative",
    "duplicates.counts": (
        "cluster_id representative_id duplicate_count exact_count near_count distinct_urls distinct_captions "
        "distinct_hosts max_distance_to_representative recalled_count distinct_licenses min_similarity"
    ),
    "duplicates.methods": "method computed exact threshold pairs recall recall_low recall_high recall_pairs",
    "duplicates.policies": (
        "policy description rows removed_rows kept_rows removed_share pictures_removed largest_count_after frequency"
    ),
    "matches.candidates": "generation_id sample_id method score region",
    "provenance.sources": (
        "generation_id rank sample_id cluster_id verdict p_value q_value duplicate_count copy_score pdq_distance "
        "aligned_distance inliers region url caption license recalled recalled_count"
    ),
    "provenance.generations": "generation_id verdict best_sample_id sources searched searchable coverage",
    "reports.duplicate_frequency": "band clusters rows share_of_rows",
    "warehouse.versions": "version published_at lance_versions encoders settings_hash",
}
_TYPES = {
    ("catalog.samples", "sample_id"): "UBIGINT",
    ("catalog.generations", "generation_id"): "VARCHAR",
    ("duplicates.pairs", "distance"): "DOUBLE",
    ("provenance.sources", "aligned_distance"): "DOUBLE",
    ("provenance.sources", "p_value"): "DOUBLE",
}


@pytest.fixture(scope="module")
def truth() -> ModuleType:
    """Return data/check_truth.py, which is a script and no part of a package."""
    spec = importlib.util.spec_from_file_location("check_truth", ROOT / "data" / "check_truth.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["check_truth"] = module  # its dataclass looks itself up there
    spec.loader.exec_module(module)
    return module


def test_every_promise_about_the_sample_holds(sample: Landing, truth: ModuleType) -> None:
    promises = list(truth.promises(sample.home / "raisonne.duckdb"))
    assert len(promises) == 5
    assert [f"{p.sentence}: {p.kept} of {p.of}" for p in promises if not p.holds] == []


def test_the_demonstration_starts_without_torch() -> None:
    code = "import sys; from data import demo; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n", "a demonstration with nothing due waits for it"


def test_the_most_repeated_picture_is_counted_120_times(sample: Landing) -> None:
    assert sample.query("select max(duplicate_count) from duplicates.counts") == [(120,)]
    assert sample.query(
        "select count(*) from duplicates.clusters group by cluster_id order by count(*) desc limit 1"
    ) == [(120,)]


@pytest.mark.parametrize("table", _CONTRACT)
def test_the_table_has_the_columns_others_rely_on(sample: Landing, table: str) -> None:
    columns = dict(sample.query(f"select column_name, column_type from (describe {table})"))  # noqa: S608
    assert [name for name in _CONTRACT[table].split() if name not in columns] == []
    assert sample.query(f"select count(*) > 0 from {table}") == [(True,)]  # noqa: S608
    for (of, column), kind in _TYPES.items():
        if of == table:
            assert columns[column] == kind


def test_verdicts_are_words_of_the_contract_and_say_what_was_searched(sample: Landing) -> None:
    verdicts = {name for (name,) in sample.query("select distinct verdict from provenance.generations")}
    assert verdicts <= {"exact", "copy", "partial_copy", "altered_copy", "similar", "no_match_found"}
    assert len(verdicts) > 2
    unsaid = "select count(*) from provenance.generations where coverage is null or searched > searchable"
    assert sample.query(unsaid) == [(0,)]
    assert sample.query("select count(*) from duplicates.pairs where sample_id_a >= sample_id_b") == [(0,)]


def test_a_second_run_fingerprints_and_publishes_nothing(sample: Landing) -> None:
    facts = Facts(sample.home / "facts")
    before, published = facts.versions(), (sample.home / "raisonne.duckdb").resolve()
    done = sample.raisonne("run")
    assert [line for line in done.stderr.splitlines() if line.startswith("fingerprint")] == []
    assert "building tables" not in done.stderr
    assert facts.versions() == before
    assert (sample.home / "raisonne.duckdb").resolve() == published


def test_the_lance_versions_of_a_published_version_are_tagged(sample: Landing) -> None:
    [(number, versions)] = sample.query(
        "select version, lance_versions from warehouse.versions order by version desc limit 1"
    )
    facts = Facts(sample.home / "facts")
    assert versions.keys() == {table.name for table in facts}
    for table in facts:
        tags = table.dataset().tags.list()
        assert tags[f"warehouse-{number}"]["version"] == versions[table.name], table.name


def test_a_failing_audit_names_the_failing_rows(landing: Landing) -> None:
    model = _model(landing.folder / "sql", "-- unique: number\n-- assert: number < 3\n-- assert: number >= 0")
    with build.open_build(landing.folder / "private.duckdb", settings.load(landing.config)) as con:
        assert build.materialize(con, model) == 5
        unique, below, at_least = build.audit(con, model)
    assert (unique.failing, below.failing, at_least.failing) == (2, 2, 0)
    assert below.sentence == "catalog.numbers: 2 rows where not: number < 3; such as (3, 'three'); (3, 'again')"
    assert at_least.sentence == "catalog.numbers: number >= 0"


def test_a_build_is_closed_without_a_log_and_a_broken_model_names_its_file(landing: Landing) -> None:
    file = landing.folder / "private.duckdb"
    model = _model(landing.folder / "sql", "-- column missing: not there")
    with (
        build.open_build(file, settings.load(landing.config)) as con,
        pytest.raises(RuntimeError, match=r"numbers\.sql.*missing"),
    ):
        build.materialize(con, model)
    assert not file.with_name("private.duckdb.wal").exists()


def _model(folder: Path, header: str) -> Model:
    (folder / "catalog").mkdir(parents=True)
    (folder / "catalog" / "numbers.sql").write_text(
        f"-- Numbers.\n{header}\n\nselect * from (values (0, 'zero'), (1, 'one'), (2, 'two'), (3, 'three'), "
        "(3, 'again')) as numbers (number, word)\n"
    )
    [model] = load(folder)
    return model
