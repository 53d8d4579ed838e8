-- One row per unordered pair of training rows that may show the same picture, with the test that says so.
-- Equal fingerprints are tied to their lowest id (n - 1 pairs, not n(n - 1)/2): a picture held a million times stays
-- linear. A pair that embeddings propose is not compared by pixels where other pairs already tie its ends, or where
-- pixels refused eight closer pairs of the same two groups of copies.
-- unique: sample_id_a, sample_id_b
-- not_null: sample_id_a, sample_id_b, method, distance, threshold
-- assert: sample_id_a < sample_id_b
-- assert: method in ('sha256', 'pixels', 'pdq', 'aligned', 'similar')
-- assert: distance <= threshold
-- column sample_id_a: the row with the lower id
-- column sample_id_b: the row with the higher id
-- column pdq_distance: differing bits of 256 between the two hashes
-- column aligned_distance: root mean square of aligned pixels, where these were compared
-- column inliers: matched local features that agree on one geometry
-- column method: sha256 (same bytes), pixels (same decoded pixels), pdq (perceptual hash), aligned (confirmed by aligned pixels), similar (close in embedding, not confirmed: not duplicates)
-- column distance: sha256, pixels: 0; pdq: bits of 256; aligned: root mean square of aligned pixels; similar: 1 - cosine
-- column threshold: the largest distance the method admits
-- column copy_score: cosine of the copy embeddings, where they were compared
-- column failure: why the two could not be compared by pixels, so that they are not duplicates; NULL where they could, or need not be

select pairs.*
from lance_duplicate_pairs as pairs
semi join fingerprints.images as a on a.sample_id = pairs.sample_id_a
semi join fingerprints.images as b on b.sample_id = pairs.sample_id_b
