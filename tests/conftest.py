"""What every test runs under."""

import os
from pathlib import Path

# what tests teach the guides is kept apart from the user's own cache
os.environ["XDG_CACHE_HOME"] = str(Path(__file__).parents[1] / "build" / "cache")

from hypothesis import settings

# a busy machine is no failure
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")
