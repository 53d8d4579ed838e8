"""From a shard to fingerprints: matched rows, decoded pictures, hashes and embeddings.

What belongs here: fingerprinting one shard, the views of a picture, and sets of fingerprinted pictures. What does not:
encoders (`encoders/`) and what is committed (`orchestration/fingerprints/`).
"""
