"""What is known of a generated scene: its things and their parts, what phrases are true of which, labels of every view.

Beside a capture's `transforms.json` lies `annotation.json`, and for every photo `labels/NAME.png` (one byte a pixel:
the identifier of the part seen through the pixel's centre, 0 for none) and `depth/NAME.png` (16 bits a pixel: depth
along the optical axis in units of 0.1 mm, 0 for none); the shipped demo scene has labels of held-out photos alone.
Positions are in the capture's frame, in metres, +z up.
"""

from __future__ import annotations

import dataclasses
import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, UInt8
from PIL import Image

from lerf.errors import SceneError
from lerf.files import write_json

VERSION = 1
DEPTH_UNIT = 1e-4


@dataclass(frozen=True)
class LabelledPart:
    """A named part of a thing, as labels show it."""

    label: int
    """Its value in the label pictures, 1 to 255."""
    name: str
    """"body", or the word that asks for it: "handle"."""
    minimum: tuple[float, float, float]
    """Lower corner of its box along the capture's axes."""
    maximum: tuple[float, float, float]


@dataclass(frozen=True)
class Thing:
    """One object, or one piece of the furniture."""

    identifier: int
    """1, 2, ... within the scene."""
    kind: str
    """Name of its kind: "mug"; of furniture "table", "wall", "floor", "shelf", "desk", "picture"."""
    colour: str
    material: str
    """A finish (`kind.FINISHES`)."""
    pattern: str
    second: str
    """Colour of stripes or dots; empty for a plain thing."""
    furniture: bool
    """Background: no phrase asks for it."""
    parts: tuple[LabelledPart, ...]
    minimum: tuple[float, float, float]
    """Lower corner of its box along the capture's axes."""
    maximum: tuple[float, float, float]


@dataclass(frozen=True)
class Phrase:
    """A phrase and what it is true of."""

    text: str
    type: str
    """"name", "synonym", "hypernym", "colour", "material", "part", "use", or "absent" for nothing in the scene."""
    things: tuple[int, ...]
    """Identifiers of every thing that it is true of; of "part", the owners."""
    part: str = ""
    """Of "part": the name of the part that is meant."""
    unseen: bool = False
    """Whether it joins a kind with a colour or material that training captions never joined."""


@dataclass(frozen=True)
class Annotation:
    """Everything known of one scene."""

    seed: int
    setting: str
    """"table", "shelf" or "desk"."""
    things: tuple[Thing, ...]
    phrases: tuple[Phrase, ...]

    @property
    def objects(self) -> tuple[Thing, ...]:
        """Things that are no furniture."""
        return tuple(thing for thing in self.things if not thing.furniture)

    def labels_of(self, phrase: Phrase) -> list[int]:
        """Values in the label pictures that the phrase is true of."""
        return [
            part.label
            for thing in self.things
            if thing.identifier in phrase.things
            for part in thing.parts
            if not phrase.part or part.name == phrase.part
        ]

    def mask(self, phrase: Phrase, labels: UInt8[np.ndarray, "height width"]) -> Bool[np.ndarray, "height width"]:
        """Where a view shows what the phrase is true of."""
        return np.isin(labels, self.labels_of(phrase))


def write_annotation(folder: str | os.PathLike[str], annotation: Annotation) -> None:
    """Write `annotation.json`."""
    write_json(Path(folder) / "annotation.json", {"version": VERSION, **dataclasses.asdict(annotation)})


def read_annotation(folder: str | os.PathLike[str]) -> Annotation:
    """Read `annotation.json` of a generated scene.

    Raises:
        SceneError: when there is none, or it is not one that this version reads.
    """
    path = Path(folder) / "annotation.json"
    try:
        document = json.loads(path.read_text())
    except FileNotFoundError:
        raise SceneError(
            f"{folder} has no annotation.json; only scenes of `lerf make-scene` and the demo have one."
        ) from None
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise SceneError(f"{path} cannot be read ({error}); make the scene again.") from error
    if not isinstance(document, dict) or document.get("version") != VERSION:
        raise SceneError(f"{path} is not an annotation of version {VERSION}; make the scene again.")
    try:
        things = tuple(
            Thing(**{
                **thing, "parts": tuple(LabelledPart(**_corners(part)) for part in thing["parts"]), **_box(thing)
            })
            for thing in document["things"]
        )  # fmt: skip
        phrases = tuple(Phrase(**{**phrase, "things": tuple(phrase["things"])}) for phrase in document["phrases"])
        return Annotation(int(document["seed"]), str(document["setting"]), things, phrases)
    except (KeyError, TypeError, ValueError) as error:
        raise SceneError(f"{path} is damaged ({type(error).__name__}: {error}); make the scene again.") from error


def read_labels_of_view(folder: str | os.PathLike[str], name: str) -> UInt8[np.ndarray, "height width"]:
    """Label picture of the photo whose file name without suffix is `name`."""
    return np.asarray(Image.open(Path(folder) / "labels" / f"{name}.png"), dtype=np.uint8)


def read_depth_of_view(folder: str | os.PathLike[str], name: str) -> Float[np.ndarray, "height width"]:
    """Depth along the optical axis in metres, NaN where the view meets nothing."""
    units = np.asarray(Image.open(Path(folder) / "depth" / f"{name}.png"), dtype=np.float64)
    return np.where(units > 0, units * DEPTH_UNIT, np.nan)


def _corners(part: dict) -> dict:
    return {**part, **_box(part)}


def _box(entry: dict) -> dict:
    return {name: tuple(float(x) for x in entry[name]) for name in ("minimum", "maximum")}
