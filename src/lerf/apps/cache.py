"""Options of `lerf cache`; `cache_folders.py` does it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from tyro.conf import Positional

from lerf.apps.options import JsonOption
from lerf.run.settings import optional


@dataclass(frozen=True, kw_only=True)
class Cache(JsonOption):
    """Show what is in the cache of features ($LERF_CACHE, or ~/.cache/lerf), or delete from it."""

    action: Annotated[Literal["ls", "prune"], Positional]
    """ls lists; prune deletes what nothing can use any more, and whatever the options below name."""
    older_than: Annotated[float | None, optional("DAYS")] = None
    """Only with prune: also what was not used for so many days."""
    encoder: Annotated[str | None, optional("ENCODER")] = None
    """Only with prune: also what came from this encoder."""
    all: bool = False
    """Only with prune: everything."""
