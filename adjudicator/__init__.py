"""Decides claims: the stages, the edits, the money, the night."""

import schemas  # noqa: F401 (first: it loads dataframely lightly)
