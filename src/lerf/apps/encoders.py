"""Options of `lerf encoders`; `encoder_weights.py` does it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from lerf.apps.options import Command
from lerf.errors import ConfigError
from lerf.ranges import Words


@dataclass(frozen=True, kw_only=True)
class Encoders(Command):
    """Show which encoders there are and where their weights come from, or fetch weights from the model hub."""

    action: Annotated[Literal["ls", "fetch"], Positional]
    """ls lists; fetch brings the weights of the named encoders into the hub's local cache, and goes on where it broke
    off."""
    names: Annotated[tuple[Words, ...], Positional, arg(metavar="[ENCODER ...]", help_behavior_hint="")] = ()
    """Only with fetch: names of encoders, or ids of models on the hub, ORGANISATION/NAME[@REVISION]."""

    def check(self) -> None:
        if self.action == "fetch" and not self.names:
            raise ConfigError("Say what to fetch, for example: lerf encoders fetch openclip dino.")
        if self.action == "ls" and self.names:
            raise ConfigError("Names of encoders are for 'lerf encoders fetch'; give fetch instead of ls.")
