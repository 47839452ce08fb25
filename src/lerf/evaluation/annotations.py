"""What is known of a generated scene: its things and their parts, and which phrases are true of which.

`lerf_scenes` writes these files, evaluation reads them. Beside a capture's `transforms.json` lies `annotation.json`,
and for every photo `labels/NAME.png`: one byte a pixel, the label of the part seen through the pixel's centre, or 0.
The shipped demo scene has labels of its held-out photos alone. Positions are in the capture's frame, in metres, +z up.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, UInt8
from PIL import Image

from lerf.errors import SceneError

VERSION = 1
"""Of `annotation.json`."""


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
    """What it looks made of (`lerf_scenes.kind.FINISHES`)."""
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
    """Content of `annotation.json`."""

    seed: int
    setting: str
    """"table", "shelf" or "desk"."""
    things: tuple[Thing, ...]
    phrases: tuple[Phrase, ...]

    @property
    def objects(self) -> tuple[Thing, ...]:
        """Things that are not furniture."""
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
        """Pixels of a view that show what the phrase is true of, from the view's label picture."""
        return np.isin(labels, self.labels_of(phrase))


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
            Thing(**{**_with_box(thing), "parts": tuple(LabelledPart(**_with_box(part)) for part in thing["parts"])})
            for thing in document["things"]
        )
        phrases = tuple(Phrase(**{**phrase, "things": tuple(phrase["things"])}) for phrase in document["phrases"])
        return Annotation(int(document["seed"]), str(document["setting"]), things, phrases)
    except (KeyError, TypeError, ValueError) as error:
        raise SceneError(f"{path} is damaged ({type(error).__name__}: {error}); make the scene again.") from error


def read_labels_of_view(folder: str | os.PathLike[str], name: str) -> UInt8[np.ndarray, "height width"]:
    """Label picture of the photo whose file name without suffix is `name`."""
    return np.asarray(Image.open(Path(folder) / "labels" / f"{name}.png"), dtype=np.uint8)


def _with_box(entry: Any) -> dict[str, Any]:
    """The file's entry of a thing or part with its corners as tuples of numbers; TypeError when it is no mapping."""
    return {**entry, **{name: tuple(float(x) for x in entry[name]) for name in ("minimum", "maximum")}}
