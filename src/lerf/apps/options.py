"""Options that several commands share, and the command's class inherits."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from rich.console import Console
from tyro.conf import Positional, arg

from lerf.encoders.published import title_of
from lerf.ranges import Count, Port, Positive, Share, Words
from lerf.run.settings import Missing, optional


@dataclass(frozen=True, kw_only=True)
class Command:
    """What every command has."""

    json: bool = False
    """Print the result as JSON, alone on standard output."""

    def check(self) -> None:
        """Refuse options that contradict each other or have no effect, and outputs that cannot be written.

        It is called when every option is known to be within its bounds, and before anything is read or computed.

        Raises:
            LerfError: what is refused, and what to do.
        """


@dataclass(frozen=True, kw_only=True)
class DeviceOption:
    """Where the work runs."""

    device: Annotated[str | None, optional("DEVICE")] = None
    """cpu, cuda or mps; by default cuda where there is one."""


@dataclass(frozen=True, kw_only=True)
class OfflineOption:
    """Whether the network may be used."""

    offline: bool = False
    """Forbid downloads."""


@dataclass(frozen=True, kw_only=True)
class EncoderOptions(OfflineOption):
    """Where an encoder comes from."""

    weights: Annotated[Path | None, optional("PATH")] = None
    """Encoder weights, where they are not at their usual place."""


@dataclass(frozen=True, kw_only=True)
class RunOptions(Command, DeviceOption, EncoderOptions):
    """A run, and how it is opened."""

    run: Annotated[Path, Positional, arg(metavar="RUN")]
    """Run folder."""

    def open_model(self, console: Console) -> Any:
        """The run's `lerf.Model`, after a first line that names its encoder; torch is imported here, so that help need
        not wait for it."""
        from lerf.loading import load

        model = load(self.run, weights=self.weights, offline=self.offline, device=self.device)
        if not self.json:  # which has it as "encoder"
            console.print(f"Encoder {title_of(model.encoder.name)}.")
        return model


@dataclass(frozen=True, kw_only=True)
class MissingOption:
    """What becomes of photos that cannot be used."""

    missing: Missing = "refuse"
    """Photos whose file is not there or whose pose cannot be used: refuse the capture, or leave them out and say so."""


@dataclass(frozen=True, kw_only=True)
class CaptureOptions(MissingOption):
    """How a capture is read."""

    downscale: Annotated[Count | None, optional()] = None
    """Divide the photos' size by this; by default until the longest side is at most 1,600 pixels."""


@dataclass(frozen=True, kw_only=True)
class PhraseOptions:
    """How phrases are compared with what is seen."""

    canonical: Annotated[tuple[Words, ...] | None, optional("PHRASE [PHRASE ...]")] = None
    """Phrases that a phrase must beat; by default the run's. auto stands for what else the scene shows."""
    temperature: Annotated[Positive | None, optional()] = None
    """Factor on cosines; by default the encoder's."""
    scale: Annotated[Positive | None, optional()] = None
    """Tile height in capture units; by default the one that answers best."""
    exclusive: bool = False
    """Every place answers only the phrase, of those asked together, that leads there."""

    @property
    def compared(self) -> tuple[tuple[str, ...] | None, float | None, bool]:
        """What `Model.phrases` takes besides the phrases."""
        return self.canonical, self.temperature, self.exclusive


@dataclass(frozen=True, kw_only=True)
class ThresholdOption:
    """When a phrase is there."""

    threshold: Annotated[Share | None, optional()] = None
    """Relevancy from which a phrase counts as present; by default the encoder's."""


@dataclass(frozen=True, kw_only=True)
class PageOptions:
    """Where a page for the browser is served."""

    host: str = "127.0.0.1"
    """Address to listen on; 0.0.0.0 lets other machines in that know the page's address."""
    port: Port = 7007
    """Port to listen on; the next free one if it is taken."""
