"""The kinds of fingerprint of training pictures, and the fact tables that hold them.

What belongs here: names. What does not: rules and encoders (`fingerprints/makers.py`).
"""

HASHES, COPY, SEMANTIC, REDOWNLOAD = "hashes", "copy", "semantic", "redownload"
EMBEDDINGS = {COPY: "copy_embeddings", SEMANTIC: "semantic_embeddings"}
IMAGES = {HASHES: "image_fingerprints", REDOWNLOAD: "redownload_fingerprints"}
TABLES = EMBEDDINGS | IMAGES
