"""Options of `lerf catalogue` and `lerf search`; `catalogue_work.py` does them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from lerf.apps.checks import check_ray, only_with
from lerf.apps.options import Command, DeviceOption, EncoderOptions, ThresholdOption
from lerf.errors import ConfigError
from lerf.ranges import Count, Positive, Words
from lerf.run.settings import optional

Runs = Annotated[tuple[Words, ...], Positional, arg(metavar="[RUN ...]", help_behavior_hint="")]


@dataclass(frozen=True, kw_only=True)
class Catalogue(Command, DeviceOption, EncoderOptions):
    """Gather baked or lifted runs in a catalogue, which lerf search asks as one.

    add and rm take runs, ls and check none. Needs the extra lerf[catalogue].
    """

    action: Annotated[Literal["add", "rm", "ls", "check"], Positional, arg(metavar="add|rm|ls|check")]
    """Add runs or bring them up to date, take them away, list them, or look whether all is whole and fresh."""
    runs: Runs = ()
    """Run folders, or addresses of runs in an object store."""
    to: Annotated[Words, arg(name="to", metavar="DIR_OR_URI")]
    """The catalogue: a folder, or an address such as s3://bucket/catalogue."""
    ray: Annotated[tuple[str, ...] | None, optional("[ADDRESS]")] = None
    """Add runs in parallel on a Ray cluster: its address, or nothing for one on this machine."""

    def check(self) -> None:
        takes = self.action in ("add", "rm")
        if takes and not self.runs:
            raise ConfigError(
                f"Say which runs to {self.action}, for example: lerf catalogue {self.action} RUN --to DIR."
            )
        if not takes and self.runs:
            raise ConfigError(f"lerf catalogue {self.action} takes no runs; leave them out.")
        only_with(self, ("ray",), self.action == "add", "for adding; give it with lerf catalogue add")
        check_ray(self.ray)


@dataclass(frozen=True, kw_only=True)
class Search(Command, DeviceOption, EncoderOptions, ThresholdOption):
    """Ask in which scenes of a catalogue phrases are, and where. Needs the extra lerf[catalogue]."""

    phrases: Annotated[
        tuple[Words, ...], Positional, arg(metavar="PHRASE [PHRASE ...]", help_behavior_hint="(required)")
    ]
    """What to look for."""
    catalogue: Annotated[Words, arg(name="in", metavar="DIR_OR_URI")]
    """The catalogue that lerf catalogue add made."""
    top: Count = 20
    """Most scenes a phrase."""
    exact: bool = False
    """Ask every scene, not only those that the vector index finds."""
    canonical: Annotated[tuple[Words, ...] | None, optional("PHRASE [PHRASE ...]")] = None
    """Phrases that a phrase must beat; by default each run's. auto stands for what else the scene shows."""
    temperature: Annotated[Positive | None, optional()] = None
    """Factor on cosines; by default the encoder's."""

    def check(self) -> None:
        if not self.phrases:
            raise ConfigError('There is no phrase to look for; give one, for example: lerf search "mug" --in DIR.')
