"""What generations and training pictures mean: resemblance, concepts, prompts, by the semantic encoder.

What belongs here: facts of semantic embeddings. What does not: sources, which are found by copy embeddings and pixels
(`matches/`): what resembles in meaning is no evidence of copying.
"""
