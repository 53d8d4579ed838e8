"""One numbering of the different pictures: by digest, whatever the order of rows and of stored vectors."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from orchestration.facts import SCHEMAS, Facts
from orchestration.fingerprints import picture_set
from orchestration.fingerprints.picture_index import PictureIndex, read_index
from orchestration.fingerprints.picture_set import usable_pictures
from transforms.encoders import EncoderId
from transforms.fingerprints.picture_set import Pictures

ENCODER = EncoderId("tiny", "w" * 64, "none", 4, "float32")
# sample id → picture; rows 3 and 9 show one picture, 5 has none that can be used
SHOWN = {9: 0, 3: 0, 4: 1, 7: 2, 8: 3}
HEADS = {4: 4, 8: 4}


def digest(picture: int) -> str:
    return f"{(7 * picture + 5) % 11:064x}"


@pytest.fixture
def index(tmp_path: Path) -> PictureIndex:
    facts = Facts(tmp_path)
    empty = dict.fromkeys(SCHEMAS["image_fingerprints"].names)
    rows = [
        empty
        | {"sample_id": i, "status": "ok", "width": 2, "height": 2}
        | {"sha256": i.to_bytes(32), "pixel_sha256": bytes.fromhex(digest(p)), "pdq": p.to_bytes(32)}
        for i, p in SHOWN.items()
    ]
    rows.append(empty | {"sample_id": 5, "status": "failed"})
    facts["image_fingerprints"].upsert(pa.Table.from_pylist(rows, SCHEMAS["image_fingerprints"]))
    facts["copy_embeddings"].reset(str(ENCODER), 4)
    table = facts.embeddings("copy_embeddings", str(ENCODER), 4)
    for sample_id in (8, 3, 7, 4, 9):  # stored in no order
        vector = np.eye(4, dtype=np.float32)[SHOWN[sample_id]].tolist()
        table.upsert(pa.Table.from_pylist([{"sample_id": sample_id, "shard_id": 0, "vector": vector}], table.schema))
    members = [{"sample_id": i, "representative_id": head} for i, head in HEADS.items()]
    facts["cluster_members"].upsert(pa.Table.from_pylist(members, facts["cluster_members"].schema))
    return read_index(facts, ENCODER, usable_pictures(facts, 10**9))


def test_pictures_are_in_the_order_of_their_digests(index: PictureIndex) -> None:
    assert [index.hex_digest(i) for i in range(len(index))] == sorted(map(digest, range(4)))
    by_digest = {digest(p): min(i for i, shown in SHOWN.items() if shown == p) for p in range(4)}
    assert index.ids.tolist() == [by_digest[index.hex_digest(i)] for i in range(4)]


def test_without_pictures_there_is_an_index_of_none(tmp_path: Path) -> None:
    none = read_index(Facts(tmp_path), None, Pictures((), 0, tmp_path, 0))
    assert len(none) == len(none.heads) == len(none.vectors) == 0 and none.find([3]) == [None]


def test_rows_and_vectors_lead_to_their_pictures(index: PictureIndex) -> None:
    assert {i: index.hex_digest(index.index(i)) for i in SHOWN} == {i: digest(p) for i, p in SHOWN.items()}
    assert index.find([9, 5, 6, 100]) == [index.index(3), None, None, None]
    assert index.row_counts[index.index(3)] == 2
    for sample_id, picture in SHOWN.items():
        vectors, owner = index.in_stored_order(np.array([index.index(sample_id)]))
        assert owner.tolist() == [index.index(sample_id)]
        assert vectors.take(np.array([0])).argmax() == picture
        position = index.vector_positions[[index.index(sample_id)]]
        assert index.vectors.take(position).argmax() == picture


def test_clusters_are_those_of_the_rows(index: PictureIndex) -> None:
    assert index.cluster(index.index(8)).tolist() == [index.index(4), index.index(8)]
    assert index.cluster(index.index(9)).tolist() == [index.index(3)]
    assert sorted(index.heads) == sorted({index.index(i) for i in (3, 4, 7)})
    assert index.sample(2).tolist() == sorted(index.heads)[:2]


def test_pictures_are_read_once_until_something_changes(index: PictureIndex, tmp_path: Path) -> None:
    facts = Facts(tmp_path)
    read = usable_pictures(facts, 10**9)
    assert usable_pictures(facts, 10**9) is read
    assert usable_pictures(facts, 10**8) is not read
    listed = dict.fromkeys(SCHEMAS["recalled_rows"].names) | {"sample_id": 3, "list": "l", "kind": "url", "value": "v"}
    facts["recalled_rows"].upsert(pa.Table.from_pylist([listed], SCHEMAS["recalled_rows"]))
    withdrawn = usable_pictures(facts, 10**9)
    assert withdrawn.ids[~withdrawn.live].tolist() == [3]
    facts["image_fingerprints"].delete("sample_id = 9")
    assert 9 in withdrawn.ids
    assert 9 not in (fewer := usable_pictures(facts, 10**9)).ids
    picture_set.forget()
    assert usable_pictures(facts, 10**9) is not fewer
