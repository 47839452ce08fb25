"""Where things that can be computed again are kept."""

from __future__ import annotations

import os
from pathlib import Path


def cache_root() -> Path:
    """`$LERF_CACHE`, or `~/.cache/lerf`."""
    given = os.environ.get("LERF_CACHE")
    return Path(given) if given else Path.home() / ".cache" / "lerf"
