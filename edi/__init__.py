"""X12 in and out: bytes to frames and frames to bytes. Knows nothing of money rules."""
