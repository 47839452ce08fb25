"""What is known of a generated scene: its things and their parts, and which phrases are true of which.

`lerf_scenes` writes these files, evaluation reads them. Beside a capture's `transforms.json` lies `annotation.json`,
and for every photo `labels/NAME.png`: one byte a pixel, the label of the part seen through the pixel's centre, or 0.
The shipped demo scene has labels of its held-out photos alone. Positions are in the capture's frame, in metres, +z up.
"""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import msgspec
import numpy as np
from jaxtyping import Bool, UInt8

from lerf.documents import converted, read_document
from lerf.errors import SceneError
from lerf.evaluation.label_pictures import read_label_picture
from lerf.files import is_file

VERSION = 1
"""Of `annotation.json`."""
LARGEST_FILE = 64_000_000
"""Bytes of an annotation."""
_AGAIN = "make the scene again"

Label = Annotated[int, msgspec.Meta(ge=1, le=255)]
Identifier = Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]
Metres = Annotated[float, msgspec.Meta(ge=-1e6, le=1e6)]
Corner = tuple[Metres, Metres, Metres]
Words = Annotated[str, msgspec.Meta(min_length=1, max_length=2000, pattern=r"\S")]


@dataclass(frozen=True)
class LabelledPart:
    """A named part of a thing, as labels show it."""

    label: Label
    """Its value in the label pictures, 1 to 255."""
    name: str
    """"body", or the word that asks for it: "handle"."""
    minimum: Corner
    """Lower corner of its box along the capture's axes."""
    maximum: Corner


@dataclass(frozen=True)
class Thing:
    """One object, or one piece of the furniture."""

    identifier: Identifier
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
    minimum: Corner
    """Lower corner of its box along the capture's axes."""
    maximum: Corner


@dataclass(frozen=True)
class Phrase:
    """A phrase and what it is true of."""

    text: Words
    type: str
    """"name", "synonym", "hypernym", "colour", "material", "part", "use", or "absent" for nothing in the scene."""
    things: tuple[Identifier, ...]
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
    if not is_file(path):
        raise SceneError(f"{folder} has no annotation.json; only scenes of `lerf make-scene` and the demo have one.")
    document = read_document(path, dict, error=SceneError, remedy=_AGAIN, largest=LARGEST_FILE)
    if document.pop("version", None) != VERSION:
        raise SceneError(f"{path} is not an annotation of version {VERSION}; {_AGAIN}.")
    annotation = converted(document, Annotation, str(path), error=SceneError, remedy=_AGAIN)
    problem = _unread(document, msgspec.to_builtins(annotation)) or _contradiction(annotation)
    if problem:
        raise SceneError(f"{path} is damaged ({problem}); {_AGAIN}.")
    return annotation


def read_labels_of_view(folder: str | os.PathLike[str], name: str) -> UInt8[np.ndarray, "height width"]:
    """Label picture of the photo whose file name without suffix is `name`.

    Raises:
        SceneError: as `read_label_picture`.
    """
    return read_label_picture(Path(folder) / "labels" / f"{name}.png")


def _unread(given: Any, read: Any) -> str:
    """An entry of the file that no field of an annotation is, in words; empty where there is none."""
    if isinstance(given, dict):
        unknown = sorted(set(given) - set(read))
        if unknown:
            return f"nothing is known of its entry {unknown[0]!r}"
        return next(filter(None, (_unread(given[name], read[name]) for name in given)), "")
    if isinstance(given, list | tuple):
        return next(filter(None, map(_unread, given, read)), "")
    return ""


def _contradiction(annotation: Annotation) -> str:
    """What cannot be true at once, in words; empty where all can."""
    counts = Counter(thing.identifier for thing in annotation.things)
    labels = Counter(part.label for thing in annotation.things for part in thing.parts)
    for what, counted in (("thing", counts), ("label", labels)):
        if counted and max(counted.values()) > 1:
            return f"two have the {what} {counted.most_common(1)[0][0]}"
    parts = [part for thing in annotation.things for part in thing.parts]
    boxes = [(box.minimum, box.maximum) for listed in (annotation.things, parts) for box in listed]
    if any(low > high for minimum, maximum in boxes for low, high in zip(minimum, maximum, strict=True)):
        return "a box is turned inside out"
    for phrase in annotation.phrases:
        if not set(phrase.things) <= set(counts):
            return f"{phrase.text!r} is said to be true of a thing that is not there"
        if (phrase.type == "absent") != (not phrase.things):
            return f"{phrase.text!r} is both absent and in the scene"
    return ""
