"""What the JSON of a run must be: types and bounds of `config.json` and of the facts of a checkpoint."""

from __future__ import annotations

from typing import Annotated, Any, TypedDict

import msgspec

Fingerprint = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
Phrase = Annotated[str, msgspec.Meta(max_length=2000)]
Width = Annotated[int, msgspec.Meta(ge=0, le=1 << 16)]
Steps = Annotated[int, msgspec.Meta(ge=0, le=2**53)]


class Config(msgspec.Struct):
    """Entries of `config.json`."""

    format: int
    settings: dict[str, Any]
    encoder_fingerprint: Fingerprint
    canonical: Annotated[list[Phrase], msgspec.Meta(min_length=1, max_length=1000)]
    temperature: Annotated[float, msgspec.Meta(gt=0, le=1e6)]
    threshold: Annotated[float, msgspec.Meta(ge=0, le=1)]
    dense_fingerprint: Fingerprint | None = None


class Facts(TypedDict, total=False):
    """Facts of a checkpoint, where it has them."""

    step: Steps
    finished: bool
    key: Annotated[str, msgspec.Meta(max_length=200)]
    decided_by: dict[str, Any]
    width: Annotated[int, msgspec.Meta(ge=1, le=1 << 16)]
    dense_width: Width
    index: dict[str, Any]
    nerfacto: dict[str, Any]
