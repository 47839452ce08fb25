"""Options of `lerf encoders`; `encoder_weights.py` does it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from lerf.apps.checks import check_folder, only_with
from lerf.apps.options import Command
from lerf.errors import ConfigError
from lerf.ranges import Words
from lerf.run.settings import optional


@dataclass(frozen=True, kw_only=True)
class Encoders(Command):
    """Show which encoders there are and where their weights come from, or fetch weights from the model hub."""

    action: Annotated[Literal["ls", "fetch"], Positional]
    """ls lists; fetch brings the weights of the named encoders into the hub's local cache, and goes on where it broke
    off."""
    names: Annotated[tuple[Words, ...], Positional, arg(metavar="[ENCODER ...]", help_behavior_hint="")] = ()
    """Only with fetch: names of encoders, or ids of models on the hub, ORGANISATION/NAME[@REVISION]."""

    output: Annotated[Path | None, optional("DIR")] = None
    """Only with fetch: folder to fetch into, for a machine without network, where HF_HUB_CACHE is to name it."""

    def check(self) -> None:
        only_with(self, ("output",), self.action == "fetch", "for 'lerf encoders fetch'; give fetch instead of ls")
        if self.output is not None:
            check_folder(self.output, "output")
        if self.action == "fetch" and not self.names:
            raise ConfigError("Say what to fetch, for example: lerf encoders fetch openclip dino.")
        if self.action == "ls" and self.names:
            raise ConfigError("Names of encoders are for 'lerf encoders fetch'; give fetch instead of ls.")
