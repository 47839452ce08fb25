"""`render.json` beside the frames of a camera path: what was asked for, and what is the same in all of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import msgspec

from lerf.documents import read_document
from lerf.errors import ConfigError, RunError
from lerf.files import write_json
from lerf.run.differences import differences, listed

FORMAT = 2
"""Version of the file; frames of another one are not continued."""
ELSEWHERE = "choose another folder, or delete this one"

Length = Annotated[float, msgspec.Meta(gt=0, le=1e12)]
Depth = Annotated[float, msgspec.Meta(ge=0, le=1e12)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]


class Fixed(msgspec.Struct, frozen=True):
    """Content of the file."""

    request: dict[str, Any]
    """Everything that the frames depend on."""
    scales: list[Length]
    """Of each phrase, normalised units."""
    scores: list[Share]
    """Relevancy of each phrase to the scene."""
    depth_range: tuple[Depth, Depth]
    """Capture units."""


def write_fixed(place: Path, fixed: Fixed) -> None:
    """Write it, atomically."""
    write_json(place, msgspec.to_builtins(fixed))


def read_fixed(place: Path, request: Mapping[str, Any]) -> Fixed:
    """What a folder's frames share, if they are those of a request.

    Raises:
        RunError: the file is damaged, or not that of a camera path.
        ConfigError: the frames are those of another request.
    """
    try:
        fixed = read_document(place, Fixed, error=RunError, remedy=ELSEWHERE)
    except RunError:
        raise RunError(f"{place} is not that of a camera path, or damaged: {ELSEWHERE}.") from None
    if apart := differences(fixed.request, request):
        told = listed([one.name if one.name in ("cameras", "checkpoints") else one for one in apart])
        raise ConfigError(f"{place.parent} holds frames of another rendering (other {told}): {ELSEWHERE}.")
    phrases = len(request["phrases"])
    low, high = fixed.depth_range
    if (len(fixed.scales), len(fixed.scores)) != (phrases, phrases) or low > high:
        raise RunError(f"{place} is damaged (its numbers are not those of {phrases} phrases): {ELSEWHERE}.")
    return fixed
