"""Memory that was let go stays the process's own.

Of numpy's larger arrays the C library asks the system for each anew, and it clears them page by
page: as long again as much of the work on them.
"""

from __future__ import annotations

from ctypes import CDLL

# glibc's M_MMAP_THRESHOLD and M_TRIM_THRESHOLD, and how many bytes each is set to
SETTINGS = ((-3, 32 << 20), (-1, 256 << 20))


def keep() -> None:
    """From now on; where the C library knows no such setting, all stays as it was."""
    try:
        mallopt = CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):
        return
    for setting, count in SETTINGS:
        mallopt(setting, count)
