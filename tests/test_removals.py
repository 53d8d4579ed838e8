"""The removal list: what it says goes, that removing it does what was predicted, and that other tools can read it."""

import hashlib
import json
import shutil
import tarfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import Landing, Row, add, command, encoded, picture

from orchestration.reports import removal_lists
from orchestration.warehouse import publishing

POLICIES = ("keep-1", "keep-2", "drop-from-3", "distance-0", "distance-40")
_EXTRA = """
[policies]
keep = [2, 1, 1]
drop_from = [3]
distance = [0, 40]
[[datasets]]
name = "comp"
metadata = "comp/*.parquet"
images = "comp/*.tar"
"""
_RECALL = '[[recalls]]\nname = "list"\npath = "list.txt"\n'


def rows() -> dict[str, list[Row]]:
    """Return the rows by shard: picture 0 four times, in two datasets; 1 and 5 twice; 4 recalled; one without any."""
    shown = [encoded(picture(seed)) for seed in range(7)]
    near = encoded(picture(0), quality=10)
    where = "https://images.example.org"
    return {
        "tiny/00000": [
            Row(f"{where}/0.jpg", "zero", shown[0]),
            Row(f"{where}/1.jpg", "=one", shown[1]),
            Row(f"{where}/0-near.jpg", "zero", near),
            Row(f"{where}/2.jpg", None, shown[2]),
            Row(f"{where}/gone.jpg", "gone", None),
        ],
        "tiny/00001": [
            Row(f"{where}/0-again.jpg", "zero again", shown[0]),
            Row(f"{where}/1-again.jpg", "one", shown[1]),
            Row(f"{where}/3.jpg", "three", shown[3]),
            Row(f"{where}/4.jpg", "four", shown[4]),
        ],
        "comp/00000": [
            Row(f"{where}/5.jpg", "five", shown[5]),
            Row(f"{where}/5-again.jpg", "five", shown[5]),
            Row(f"{where}/0-comp.jpg", "zero", shown[0]),
            Row(f"{where}/6.jpg", "six", shown[6]),
        ],
    }


def uid(row: Row) -> str:
    return hashlib.md5(row.url.encode()).hexdigest()  # noqa: S324 -- an id


def land(landing: Landing, shards: dict[str, list[Row]], extra: str = "") -> None:
    landing.write_config(extra + _EXTRA)
    for name, held in shards.items():
        dataset, _, shard = name.partition("/")
        if dataset == "tiny":
            landing.shard(shard, held)
            continue
        (landing.folder / dataset).mkdir(exist_ok=True)
        keys = [f"{number:08d}" for number in range(len(held))]
        columns = {"uid": [uid(r) for r in held], "url": [r.url for r in held], "text": [r.caption for r in held]}
        pq.write_table(pa.table(columns | {"key": keys}), landing.folder / dataset / f"{shard}.parquet")
        with tarfile.open(landing.folder / dataset / f"{shard}.tar", "w") as archive:
            for key, row in zip(keys, held, strict=True):
                assert row.data
                add(archive, f"{key}.jpg", row.data)


@dataclass(frozen=True)
class Exported:
    """A warehouse, and the removal list of each policy."""

    landing: Landing
    folders: dict[str, Path]

    def listed(self, policy: str) -> list[dict]:
        return pl.read_parquet(self.folders[policy] / "removal.parquet").to_dicts()

    def manifest(self, policy: str) -> dict:
        return json.loads((self.folders[policy] / "manifest.json").read_text())


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """Run a small warehouse and export every policy; the first by the command, into its default folder."""
    landing = Landing(tmp_path_factory.mktemp("removals"))
    land(landing, rows(), _RECALL)
    (landing.folder / "list.txt").write_text("http://images.example.org/4.jpg\n")
    landing.run_here()
    printed = landing.raisonne("export", "removal-list").stdout.splitlines()
    first = Path(next(name for name in printed if name.endswith("manifest.json"))).parent
    folders = {"keep-1": first}
    with publishing.connect(landing.home) as con:
        for policy in POLICIES[1:]:
            folders[policy] = landing.folder / policy
            removal_lists.write(con, folders[policy], policy, "1GB")
    assert first.parent.name == "version-000001"
    assert sorted(printed) == sorted(str(path) for path in first.rglob("*") if path.is_file())
    return Exported(landing, folders)


@pytest.mark.parametrize("policy", POLICIES)
def test_what_is_listed_is_what_the_policy_predicts(exported: Exported, policy: str) -> None:
    [(removed, kept, predicted)] = exported.landing.query(
        f"select removed_rows, kept_rows, frequency from duplicates.policies where policy = '{policy}'"  # noqa: S608
    )
    listed = exported.listed(policy)
    assert [row["url"] for row in listed if row["reason"] == "recalled"] == ["https://images.example.org/4.jpg"]
    gone = {row["sample_id"] for row in listed if row["reason"] == "duplicate"}
    assert len(gone) == len(listed) - 1 == removed
    shown = exported.landing.query(
        "select images.sample_id, coalesce(cluster_id, images.sample_id) from fingerprints.images "
        "left join duplicates.clusters using (sample_id) join catalog.samples using (sample_id) where not recalled"
    )
    left = Counter(cluster for sample_id, cluster in shown if sample_id not in gone)
    assert sum(left.values()) == kept
    counts, about = exported.manifest(policy)["counts"], (exported.folders[policy] / "README.md").read_text()
    assert (counts["kept"], counts["kept_without_picture"]) == (kept + 1, 1), "one has no picture"
    assert f"{kept + 1} of 13 stay. 1 of those that stay have no usable picture" in about
    bands = exported.landing.query("select band, first, last from duplicates.bands order by first")
    counted = [(band, [n for n in left.values() if first <= n <= last]) for band, first, last in bands]
    assert [tuple(each.values()) for each in predicted] == [(band, len(n), sum(n)) for band, n in counted if n]


def test_every_row_that_goes_names_the_row_that_stays(exported: Exported) -> None:
    listed = {row["url"].rpartition("/")[2]: row for row in exported.listed("keep-1")}
    stays = [
        [name for name in names if name not in listed]
        for names in (["0.jpg", "0-again.jpg", "0-comp.jpg"], ["1.jpg", "1-again.jpg"], ["5.jpg", "5-again.jpg"])
    ]
    assert [len(names) for names in stays] == [1, 1, 1]
    assert "0-near.jpg" in listed
    for names, prefix in zip(stays, "015", strict=True):
        gone = [row for name, row in listed.items() if name.startswith(prefix)]
        assert {row["kept_url"] for row in gone} == {f"https://images.example.org/{names[0]}"}
        assert {row["duplicate_count"] for row in gone} == {len(gone) + 1}
        assert len({row["kept_sample_id"] for row in gone}) == 1
    distances = {name: (row["method"], row["distance_to_representative"]) for name, row in listed.items()}
    assert distances.pop("0-near.jpg") > ("pdq", 0)
    assert distances.pop("4.jpg") == (None, None)
    assert set(distances.values()) == {("sha256", 0)}
    uids = {row["url"]: row["uid"] for row in exported.listed("drop-from-3") if row["dataset"] == "comp"}
    assert uids == {"https://images.example.org/0-comp.jpg": uid(rows()["comp/00000"][2])}
    assert (listed["4.jpg"]["kept_sample_id"], listed["4.jpg"]["duplicate_count"]) == (None, 0)
    assert all(row["kept_sample_id"] is None for row in exported.listed("drop-from-3"))


def test_removing_the_list_leaves_what_was_predicted(exported: Exported, landing: Landing) -> None:
    """Deliver the training set again without the listed rows: no picture is there twice."""
    gone = {(f"{row['dataset']}/{row['shard']}", row["row_number"]) for row in exported.listed("keep-1")}
    left = {name: [r for at, r in enumerate(held) if (name, at) not in gone] for name, held in rows().items()}
    land(landing, left)
    landing.run_here(tables=("reports.duplicate_frequency", "duplicates.audit"))
    [(predicted, kept)] = exported.landing.query(
        "select frequency, kept_rows from duplicates.policies where policy = 'keep-1'"
    )
    frequency = landing.query("select band, clusters, rows from reports.duplicate_frequency")
    assert frequency == [tuple(each.values()) for each in predicted]
    assert landing.query("select count(*) from duplicates.counts") == [(0,)]
    assert landing.query("select sum(rows)::bigint, sum(unusable_rows)::bigint from duplicates.audit") == [
        (kept + 1, 1)
    ]


def filtered(folder: Path, rank: int, documents: list) -> Iterator[tuple[object, int, int]]:
    """Filter documents as datatrove's MinhashDedupFilter does, with its cluster ids and sizes."""
    remove = np.fromfile(folder / f"{rank:06d}.remove", "<u4")
    assert (np.diff(remove.astype(int)) > 0).all(), "it reads them once, in order"
    pairs = {}
    for kind in ("clusters", "sizes"):
        found = np.fromfile(folder / f"{rank:06d}.{kind}", "<u4").reshape(-1, 2)
        assert (np.diff(found[:, 0].astype(int)) > 0).all()
        pairs[kind] = dict(found.tolist())
    for at, document in enumerate(documents):
        if at not in remove:
            yield document, pairs["clusters"].get(at, -1), pairs["sizes"].get(at, 1)


@pytest.mark.parametrize("policy", POLICIES)
def test_datatrove_and_img2dataset_keep_the_same_rows(exported: Exported, policy: str) -> None:
    folder = exported.folders[policy]
    gone = {row["url"] for row in exported.listed(policy)}
    manifest = exported.manifest(policy)
    for dataset in ("tiny", "comp"):
        names = (folder / "datatrove" / dataset / "paths.txt").read_text().splitlines()
        paths = [exported.landing.folder / ("laion" if dataset == "tiny" else dataset) / name for name in names]
        assert [str(path) for path in paths] == manifest["datatrove_tasks"][dataset] == sorted(map(str, paths))
        kept: list[tuple] = []
        for rank, path in enumerate(paths):
            frame = pl.read_parquet(path)
            urls = frame[next(name for name in frame.columns if name.lower() == "url")].to_list()
            kept += filtered(folder / "datatrove" / dataset, rank, urls)
        wanted = [row.url for name, held in rows().items() if name.startswith(dataset) for row in held]
        assert [url for url, _, _ in kept] == [url for url in wanted if url not in gone]
        sizes = {url.rpartition("/")[2]: (cluster, size) for url, cluster, size in kept}
        for url, size in (("0.jpg", 4), ("1.jpg", 2), ("5.jpg", 2)):
            assert sizes.get(url, (0, size))[1] == size
        assert all(sizes[url] == (-1, 1) for url in ("2.jpg", "6.jpg", "gone.jpg") if url in sizes)
        listed = pl.read_parquet(folder / "img2dataset" / f"{dataset}.parquet")
        assert sorted(listed["url"]) == sorted(url for url, _, _ in kept)
    assert manifest["counts"]["kept"] == 13 - len(gone)


def test_img2dataset_reads_its_list(exported: Exported, tmp_path: Path) -> None:
    reader = pytest.importorskip("img2dataset.reader")
    path = str(exported.folders["keep-1"] / "img2dataset" / "comp.parquet")
    found = reader.Reader(path, "parquet", "url", "caption", None, None, ["uid", "sample_id"], 2, set(), str(tmp_path))
    shards = [pa.ipc.open_file(name).read_all() for _, (_, name) in enumerate(found)]
    read = pa.concat_tables(shards)
    kept = [row for row in rows()["comp/00000"] if row.url in read["url"].to_pylist()]
    assert len(kept) == len(read) >= 2
    assert sorted(read["uid"].to_pylist()) == sorted(uid(row) for row in kept)


def test_datacomp_finds_the_uids_that_stay(exported: Exported) -> None:
    for policy in POLICIES:
        folder = exported.folders[policy] / "datacomp"
        assert [path.name for path in folder.iterdir()] == ["comp.npy"], "the other dataset has no such uids"
        subset = np.load(folder / "comp.npy", mmap_mode="r")
        assert subset.dtype == np.dtype("u8,u8")
        gone = {row["url"] for row in exported.listed(policy)}
        for row in rows()["comp/00000"]:  # as resharder.py looks them up
            key = np.array([divmod(int(uid(row), 16), 2**64)], subset.dtype)[0]
            count = np.searchsorted(subset, key, "right") - np.searchsorted(subset, key, "left")
            assert count == (row.url not in gone)
        assert any("no datacomp/tiny.npy" in note for note in exported.manifest(policy)["notes"])


def test_the_manifest_vouches_for_every_file(exported: Exported) -> None:
    for policy, folder in exported.folders.items():
        manifest = exported.manifest(policy)
        files = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
        assert manifest["files"].keys() == files - {"manifest.json"}
        for name, about in manifest["files"].items():
            assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == about["sha256"], name
        assert (manifest["policy"], manifest["version"]) == (policy, 1)
        assert manifest["counts"]["rows"] == 13
        assert f"policy `{policy}`" in (folder / "README.md").read_text()


def test_a_list_replaces_an_earlier_one_and_nothing_else(exported: Exported, tmp_path: Path) -> None:
    folder = tmp_path / "list"
    shutil.copytree(exported.folders["keep-1"], folder)
    (folder / "notes.txt").write_text("mine")
    with publishing.connect(exported.landing.home) as con:
        written = removal_lists.write(con, folder, "keep-2", "1GB")
    assert {path for path in folder.rglob("*") if path.is_file()} == {*written, folder / "notes.txt"}
    assert json.loads((folder / "manifest.json").read_text())["policy"] == "keep-2"
    assert [path.name for path in tmp_path.iterdir()] == ["list"], "nothing is left beside it"


@pytest.mark.parametrize("name", ["README.md", "manifest.json", "img2dataset/main.py", "datatrove/tiny/mine.txt"])
def test_what_somebody_else_wrote_is_never_replaced(exported: Exported, tmp_path: Path, name: str) -> None:
    folder = tmp_path / "list"
    if name.startswith("datatrove"):
        shutil.copytree(exported.folders["keep-1"], folder)  # beside a list of ours
    else:
        (folder / name).parent.mkdir(parents=True)
        (folder / "manifest.json").write_text('{"name": "an app", "icons": []}')
    (folder / name).write_text("[1]")
    with (
        publishing.connect(exported.landing.home) as con,
        pytest.raises(removal_lists.RemovalError, match="not of an earlier"),
    ):
        removal_lists.write(con, folder, "keep-2", "1GB")
    assert (folder / name).read_text() == "[1]"


def test_a_list_that_fails_leaves_the_folder_as_it_was(
    exported: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "list"
    shutil.copytree(exported.folders["keep-1"], folder)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with publishing.connect(exported.landing.home) as con:
        monkeypatch.setattr(removal_lists, "_describe", full)
        with pytest.raises(OSError, match="No space left"):
            removal_lists.write(con, folder, "keep-2", "1GB")
        monkeypatch.undo()
        (folder / "manifest.json").unlink()
        with pytest.raises(removal_lists.RemovalError, match="is not of an earlier removal list"):
            removal_lists.write(con, folder, "keep-2", "1GB")
    del before[folder / "manifest.json"]
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["list"]


def test_an_unknown_policy_is_a_usage_error_that_names_those_there_are(exported: Exported) -> None:
    done = command(exported.landing.config, "export", "removal-list", "--policy", "keep-3", check=False)
    assert done.returncode == 2
    assert "unknown policy 'keep-3'; available: keep-1, keep-2, drop-from-3, distance-0, distance-40" in done.stderr


def test_a_run_takes_decisions_up_and_the_list_follows(exported: Exported, tmp_path: Path) -> None:
    landing = exported.landing
    ids = {
        url.rpartition("/")[2]: sample_id
        for sample_id, url in landing.query("select sample_id, url from catalog.samples")
    }
    [(cluster,)] = landing.query(f"select cluster_id from duplicates.clusters where sample_id = {ids['1.jpg']}")  # noqa: S608
    labels = tmp_path / "labels.jsonl"
    answers = (
        {"sample_id_a": str(ids["0.jpg"]), "sample_id_b": str(ids["0-near.jpg"]), "label": "different"},
        {"cluster_id": str(cluster), "answer": "remove all", "reason": "a logo"},
    )
    labels.write_text("".join(json.dumps(each) + "\n" for each in answers))
    said = landing.raisonne("review", "--import", str(labels), "--by", "ana")
    assert "2 decisions taken in" in said.stdout
    assert (
        "0 decisions taken in, 2 known already"
        in landing.raisonne("review", "--import", str(labels), "--by", "ana").stdout
    )
    landing.run_here()
    assert landing.query("select answer, decided_by, state from reports.decisions order by answer") == [
        ("different", "ana", "applied"),
        ("remove_all", "ana", "applied"),
    ]
    assert landing.query(f"from duplicates.clusters where sample_id = {ids['0-near.jpg']}") == []
    landing.raisonne("export", "removal-list", "--to", str(tmp_path / "list"), "--merge")
    listed = pl.read_parquet(tmp_path / "list" / "removal.parquet")
    by_reason = {
        reason: sorted(url.rpartition("/")[2] for url in listed.filter(reason=reason)["url"])
        for reason in ("duplicate", "decided", "recalled")
    }
    assert by_reason["decided"] == ["1-again.jpg", "1.jpg"] and by_reason["recalled"] == ["4.jpg"]
    assert len(by_reason["duplicate"]) == 3 and "0-near.jpg" not in by_reason["duplicate"]
    assert (tmp_path / "list" / "merged.parquet").exists()
    printed = landing.raisonne("export", "decisions", "--to", str(tmp_path / "out")).stdout
    assert "guard_overrides.jsonl" in printed and "a logo" in (tmp_path / "out" / "decisions.csv").read_text()
