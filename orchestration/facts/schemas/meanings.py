"""What the columns of the fact tables mean, in plain English.

What belongs here: one sentence a column that several tables share. What does not: columns of one table, types and keys
(the modules of the stages), columns of published tables (`sql/<stage>/<table>.sql`).
"""

from orchestration.facts.schemas import catalog, duplicates, fingerprints, guard, matches, provenance, review

_EVERYWHERE = {
    # what a row is about
    "sample_id": "the training row: id of its shard and row number in one",
    "sample_id_a": "the row with the lower id",
    "sample_id_b": "the row with the higher id",
    "shard_id": "the shard, by the number that the ids of its rows begin with",
    "generation_id": "the generated image: its source and its path below it",
    "listed_sha256": "the picture of an opt-out list: SHA-256 of its file",
    "cluster_id": "the cluster: the sample_id of its representative",
    "representative_id": "the row that stands for the cluster",
    "nearest_id": "the training row of the best match",
    "dataset": "name of the dataset in the settings",
    "shard": "name of the metadata file or the dump, without its ending",
    "source": "name of the source of generations in the settings",
    "model": "the model that made the image, as stated; null where none is",
    "prompt": "text that the image was generated from",
    "edit": "the edit that was made to the picture; empty for the picture as it is",
    "view": "the part of the picture that is embedded, and whether it is mirrored",
    "picture_a": "SHA-256 of the pixels of the first picture",
    "picture_b": "SHA-256 of the pixels of the second picture",
    "prompt_key": "SHA-256 of the prompt",
    "caption_key": "MD5 of the normalised caption",
    # how it was made
    "recipe": "hash of all that the row was made by; another one makes it due",
    "maker": "hash of the rules and the encoder that make the fingerprint",
    "encoder": "identity of the encoder; null for hashes",
    "join_id": "the join that wrote the row; a note in `joins` says that it is finished",
    "seconds": "what it took",
    "failure": "why it could not be done, in plain words; the next run tries again",
    # pictures
    "status": "ok, low_quality (too flat for a perceptual hash) or failed",
    "note": "what is odd about a file whose pixels are whole",
    "sha256": "SHA-256 of the file's bytes",
    "pixel_sha256": "SHA-256 of all that the picture shows: pixels, transparency, samples in all bits",
    "pdq": "256-bit perceptual hash",
    "pdq_quality": "0 to 100; below `thresholds.pdq_quality` the hash is not compared",
    "dihedral_pdq": "perceptual hashes of the image turned and mirrored",
    "width": "width in pixels",
    "height": "height in pixels",
    "vector": "the embedding, of length 1",
    "pixels": "the picture at 32 x 32: red, green and blue, one byte each",
    "key": "name of the picture in the dump, without its ending",
    "member": "name of the picture in the dump",
    "member_offset": "where its bytes begin in the dump",
    "member_size": "how many bytes it has",
    "mirrored": "whether the picture is mirrored",
    # measurements
    "copy_score": "cosine of the two copy embeddings",
    "pdq_distance": "differing bits of 256 between the two hashes",
    "aligned_distance": "root mean square of aligned pixels in [0, 1]",
    "inliers": "matched local features that agree on one geometry",
    "score": "cosine of the two embeddings; of hashes the share of equal bits",
    "threshold": "the limit that the method admits",
    "method": "the method that brings the two together",
    "distance": "how far apart the two are, by the method",
    "confirmed": "whether aligned pixels confirm the copy",
    "outcome": "the measurements, as JSON",
    "waiting": "whether the failure lasts until an image dump that is gone is back",
    "p_value": "how often a picture that is not in the training set has a best match this strong",
    "pairs": "pairs that were found",
    "pictures": "count of pictures",
    "rows": "count of training rows",
    "compared": "how many were compared",
    "neighbours": "different training pictures that the measure was taken against",
    "members": "the generations of the largest clique that was found",
}

_BOX = {
    "x": "left edge of the part, as a fraction of the width",
    "y": "top edge of the part, as a fraction of the height",
    "width": "width of the part, as a fraction",
    "height": "height of the part, as a fraction",
}
_IN_TABLE = {
    table: columns
    for stage in (catalog, fingerprints, duplicates, matches, provenance, guard, review)
    for table, columns in stage.MEANINGS.items()
}
for _table in ("generation_embeddings", "match_candidates", "match_evidence"):
    _IN_TABLE[_table] = _BOX | _IN_TABLE.get(_table, {})
_IN_TABLE["match_evidence"] |= {f"source_{side}": f"of the training picture: {text}" for side, text in _BOX.items()}


def meaning(table: str, column: str) -> str:
    """Return what a column means; empty where nobody wrote it.

    Args:
        table: The fact table.
        column: One of its columns.
    """
    return _IN_TABLE.get(table, {}).get(column) or _EVERYWHERE.get(column, "")
