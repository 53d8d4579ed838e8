"""The kinds of fingerprint of training pictures, and the fact tables that hold them. What files say of rights is one.

What belongs here: names. What does not: rules and encoders (`fingerprints/makers.py`).
"""

HASHES, COPY, SEMANTIC, REDOWNLOAD, RIGHTS = "hashes", "copy", "semantic", "redownload", "rights"
EMBEDDINGS = {COPY: "copy_embeddings", SEMANTIC: "semantic_embeddings"}
IMAGES = {HASHES: "image_fingerprints", REDOWNLOAD: "redownload_fingerprints"}
FIRST_DUMP = (HASHES, *EMBEDDINGS, RIGHTS)
"""The kinds that are read of the dump that a row came with."""
TABLES = EMBEDDINGS | IMAGES | {RIGHTS: "picture_rights"}
