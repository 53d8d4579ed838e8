"""The assets of the stage `provenance` that rest on semantic embeddings, one module a question."""
