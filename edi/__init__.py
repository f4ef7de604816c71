"""X12 in and out: bytes to frames and frames to bytes. Knows nothing of money rules."""

import schemas  # noqa: F401 (first: it loads dataframely lightly)
