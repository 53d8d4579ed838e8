"""Looking hashes up in a bundle of millions: an index by blocks of bits, beside the scan.

What belongs here: the index, building it, its loops, when it pays. What does not: a scan of all hashes
(`joins/hamming/scan.py`), joining many with many (`joins/hamming/`), deciding (`guard/check.py`).
"""
