"""Records of a folder of embeddings as JSON: what each entry may be, and whether it is the one that was written."""

from __future__ import annotations

import hashlib
import json
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Annotated, Any

import msgspec

from lerf.documents import converted, read_document
from lerf.errors import StorageError

FORMAT = 2
"""Version of the layout on disk: part of the key."""
REMEDY = "run 'lerf cache prune'"

_Count = Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]
_Pixels = Annotated[float, msgspec.Meta(ge=-1e6, le=1e6)]
_Step = Annotated[float, msgspec.Meta(gt=0, le=1e6)]
_Ratio = Annotated[float, msgspec.Meta(ge=0, le=1)]
_Level = tuple[_Ratio, _Count, _Count, _Pixels, _Pixels, _Step, _Step]
"""As `Level`."""
_Bytes = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
_Photo = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{40}$")]
_Sha256 = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]


class Settings(msgspec.Struct):
    """What every plan says of itself (`plan.Plan.settings`); some say more."""

    format: int
    encoder: str
    fingerprint: str
    width: _Count
    mode: str
    tile_ratios: list[_Ratio]
    precision: str = "float32"


class Manifest(msgspec.Struct):
    """Content of `manifest.json`."""

    settings: dict[str, Any]
    layouts: list[list[_Level]]
    photos: dict[_Photo, list[Any]]


_Row = tuple[_Count, _Count, Annotated[int, msgspec.Meta(ge=0)], _Bytes, _Sha256]
"""Height, width, number of the layout, bytes and SHA-256; after them, where this version wrote it, `Record.check`."""


class _Journal(msgspec.Struct):
    height: _Count
    width: _Count
    levels: list[_Level]
    bytes: _Bytes
    sha256: _Sha256
    check: str = ""


@dataclass(frozen=True)
class Level:
    """One grid of cells over a photo: geometry as in `FeatureGrid`, and its tile height over the photo's height."""

    tile_ratio: float
    rows: int
    columns: int
    x0: float
    y0: float
    dx: float
    dy: float

    @property
    def cells(self) -> int:
        return self.rows * self.columns


Levels = tuple[Level, ...]


@dataclass(frozen=True)
class Record:
    """What is known of one photo's array."""

    height: int
    width: int
    levels: Levels
    bytes: int
    """Length of the file."""
    sha256: str
    """Of the numbers in it."""

    @property
    def cells(self) -> int:
        return sum(level.cells for level in self.levels)

    @property
    def check(self) -> str:
        """A hash of all of this, so that numbers at other places are not taken for the ones that were written."""
        levels = [list(map(float, astuple(level))) for level in self.levels]
        told = (self.height, self.width, levels, self.bytes, self.sha256)
        return hashlib.sha256(json_bytes(told)).hexdigest()[:16]

    def if_checked(self, check: object) -> Record | None:
        """The record, unless `check` is another's; records of older versions come without one."""
        return self if check in ("", self.check) else None


def levels_of(plain: list[_Level]) -> Levels:
    """Levels of a photo from rows of JSON."""
    return tuple(Level(*level) for level in plain)


def read_manifest_file(path: Path) -> Manifest | None:
    """Content of a manifest; None without a readable one of this format."""
    try:
        value = read_document(path, Manifest, error=StorageError, remedy=REMEDY)
        told = converted(value.settings, Settings, str(path), error=StorageError, remedy=REMEDY)
    except StorageError:
        return None
    return value if told.format == FORMAT else None


def record_of_row(row: list[Any], layouts: list[Levels]) -> Record | None:
    """The record of a row of the manifest; None for one that is damaged."""
    try:
        height, width, place, size, digest = msgspec.convert(row[:5], _Row)
        return Record(height, width, layouts[place], size, digest).if_checked(*(row[5:] or [""]))
    except (msgspec.ValidationError, IndexError, TypeError):
        return None


def read_journal(path: Path) -> Record | None:
    """The record of a file of the journal; None without one, or for one that is damaged."""
    try:
        told = read_document(path, _Journal, error=StorageError, remedy=REMEDY)
    except StorageError:
        return None
    record = Record(told.height, told.width, levels_of(told.levels), told.bytes, told.sha256)
    return record.if_checked(told.check)


def json_bytes(value: Any) -> bytes:
    """JSON that is the same for the same value."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()
