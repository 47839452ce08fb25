"""`lerf.json`, which our plug-in for nerfstudio leaves in a run: its training photos and encoders."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec

from lerf.documents import read_document
from lerf.errors import RunError
from lerf.run.records import Fingerprint, Phrase

FILE, FORMAT = "lerf.json", 1
Number = Annotated[float, msgspec.Meta(ge=-1e12, le=1e12)]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=4096)]


class TrainedPhoto(msgspec.Struct, frozen=True):
    """A photo that was trained on."""

    file: Name
    camera_to_world: Annotated[list[Number], msgspec.Meta(min_length=12, max_length=12)]
    """In nerfstudio's frame, row by row."""


class PlugInFacts(msgspec.Struct, frozen=True):
    """Content of the file."""

    format: Annotated[int, msgspec.Meta(ge=1, le=FORMAT)]
    data: Name
    """The capture, as an absolute path where it was trained."""
    photos: Annotated[list[TrainedPhoto], msgspec.Meta(min_length=1, max_length=1_000_000)]
    """In the order of the training."""
    cut_out: bool
    """Whether photos are transparent around their subject."""
    encoder: Name
    encoder_fingerprint: Fingerprint
    dense: Name
    dense_fingerprint: Fingerprint | None
    features: Name
    canonical: Annotated[list[Phrase], msgspec.Meta(min_length=1, max_length=1000)]
    temperature: Annotated[float, msgspec.Meta(gt=0, le=1e6)]
    threshold: Annotated[float, msgspec.Meta(ge=0, le=1)]


def read_plug_in_facts(folder: Path) -> PlugInFacts:
    """The facts in the folder of a run.

    Raises:
        RunError: it has none, or they are damaged or of a newer version.
    """
    remedy = "give a run of ns-train lerf, lerf-lite, lerf-big or lerf-cpu with this package's plug-in"
    return read_document(folder / FILE, PlugInFacts, error=RunError, remedy=remedy)
