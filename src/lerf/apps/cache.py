"""Options of `lerf cache`; `cache_folders.py` does it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from tyro.conf import Positional

from lerf.apps.checks import is_given, only_with
from lerf.apps.options import Command
from lerf.errors import ConfigError
from lerf.ranges import NotNegative, Words
from lerf.run.settings import optional


@dataclass(frozen=True, kw_only=True)
class Cache(Command):
    """Show what is in the cache of features ($LERF_CACHE, or ~/.cache/lerf), or delete from it."""

    action: Annotated[Literal["ls", "prune"], Positional]
    """ls lists; prune deletes what nothing can use any more, and whatever the options below name."""
    older_than: Annotated[NotNegative | None, optional("DAYS")] = None
    """Only with prune: also what was not used for so many days."""
    encoder: Annotated[Words | None, optional("ENCODER")] = None
    """Only with prune: also what came from this encoder."""
    all: bool = False
    """Only with prune: everything."""

    def check(self) -> None:
        only_with(
            self,
            ("older_than", "encoder", "all"),
            self.action == "prune",
            "for 'lerf cache prune'; give prune instead of ls",
        )
        if self.all and is_given(self, "older_than", "encoder"):
            raise ConfigError("--all deletes everything; leave --older-than and --encoder out with it.")
