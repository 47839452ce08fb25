"""What is true of a scene, view by view: the common form of label files, box files and generated annotations.

Pixels are counted in the resolution of the labels. Boxes are x1, y1, x2, y2 in columns and rows, both edges included: a
pixel lies in a box when its column and row do, as in LangSplat's evaluation.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import ClassVar, Literal

import numpy as np
import torch
from jaxtyping import Bool, UInt8
from torch import Tensor

from lerf.errors import ConfigError, LerfError, SceneError
from lerf.evaluation.annotations import Annotation, read_annotation, read_labels_of_view
from lerf.evaluation.annotations import Phrase as AnnotatedPhrase
from lerf.evaluation.labels import PhotoLabels
from lerf.evaluation.lerf_boxes import Box, PhotoBoxes
from lerf.evaluation.lerf_boxes import read_photo as read_labelled_photo
from lerf.files import is_file, is_folder, read_bytes, resolved
from lerf.scenes.scene import Scene

LARGEST_TEXT = 16_000_000
"""Bytes of a file of absent phrases."""
MIN_PIXELS = 30
"""A phrase is asked of a generated view that shows at least so many pixels of what it is true of."""


@dataclass(frozen=True)
class Question:
    """A phrase whose answer is known."""

    text: str
    type: str
    """An annotation's type of phrase; "category" of label files; "absent" for nothing in the scene."""
    unseen: bool = False
    """Whether it joins words that training captions never joined."""

    @property
    def present(self) -> bool:
        """Whether it is true of something in the scene."""
        return self.type != "absent"


@dataclass(frozen=True)
class Target:
    """Where one view shows what a phrase is true of."""

    boxes: tuple[Box, ...]
    """One for each instance."""
    mask: Bool[Tensor, "height width"] | None
    """Union of the instances; None where only boxes are known."""
    exact: bool = False
    """Whether the mask is known to the pixel, so that a peak must lie in it and not only in a box."""


@dataclass(frozen=True)
class ViewTruth:
    """What one view shows."""

    height: int
    width: int
    targets: dict[int, Target]
    """By index of the question; questions whose truth the view does not show are missing."""


@dataclass(frozen=True)
class AnnotatedTruth:
    """Truth of a generated scene: masks, and around each visible instance a box."""

    folder: Path
    """Holds `annotation.json` and `labels/`."""
    annotation: Annotation
    scene: Scene
    rule: ClassVar[Literal["mask", "boxes"]] = "mask"
    """What LERF's localisation looks a peak up in."""
    has_masks: ClassVar[bool] = True

    @property
    def questions(self) -> tuple[Question, ...]:
        return tuple(Question(phrase.text, phrase.type, phrase.unseen) for phrase in self.annotation.phrases)

    @property
    def views(self) -> tuple[int, ...]:
        return tuple(range(len(self.scene)))

    def shown(self, photo: int) -> set[int]:
        """Indices of the questions whose truth a view shows by at least `MIN_PIXELS`."""
        return self._shown(self._labels(photo))

    def view(self, photo: int) -> ViewTruth:
        labels = self._labels(photo)
        found = {
            number: self._target(self.annotation.phrases[number], labels) for number in sorted(self._shown(labels))
        }
        height, width = labels.shape
        return ViewTruth(height, width, found)

    def _labels(self, photo: int) -> UInt8[np.ndarray, "height width"]:
        name = Path(self.scene.photos[photo].name).stem
        labels = read_labels_of_view(self.folder, name)
        height, width = labels.shape
        check_aspect(self.scene, photo, width, height, f"The labels of {name}")
        return labels

    def _shown(self, labels: UInt8[np.ndarray, "height width"]) -> set[int]:
        pixels = np.bincount(labels.ravel(), minlength=256)
        return {
            number
            for number, phrase in enumerate(self.annotation.phrases)
            if pixels[self.annotation.labels_of(phrase)].sum() >= MIN_PIXELS
        }

    def _target(self, phrase: AnnotatedPhrase, labels: UInt8[np.ndarray, "height width"]) -> Target:
        boxes = []
        for thing in self.annotation.things:
            if thing.identifier in phrase.things:
                wanted = [part.label for part in thing.parts if not phrase.part or part.name == phrase.part]
                box = box_of(np.isin(labels, wanted))
                if box is not None:
                    boxes.append(box)
        return Target(tuple(boxes), torch.from_numpy(self.annotation.mask(phrase, labels)), exact=True)


@dataclass(frozen=True)
class LabelledTruth:
    """Truth of label files or box files, one a photo."""

    photos: dict[int, PhotoLabels | PhotoBoxes]
    absent: tuple[str, ...] = ()
    """Phrases that are in no photo."""
    rule: ClassVar[Literal["mask", "boxes"]] = "boxes"
    categories: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        named = (category for labels in self.photos.values() for category in categories_of(labels))
        object.__setattr__(self, "categories", tuple(dict.fromkeys(named)))

    @property
    def questions(self) -> tuple[Question, ...]:
        present = [Question(text, "category") for text in self.categories]
        return (*present, *(Question(text, "absent") for text in self.absent))

    @property
    def has_masks(self) -> bool:
        return all(isinstance(labels, PhotoLabels) for labels in self.photos.values())

    @property
    def views(self) -> tuple[int, ...]:
        return tuple(sorted(self.photos))

    def shown(self, photo: int) -> set[int]:
        """Indices of the questions that a photo has labels of."""
        return {self.categories.index(text) for text in categories_of(self.photos[photo])}

    def view(self, photo: int) -> ViewTruth:
        labels = self.photos[photo]
        if isinstance(labels, PhotoBoxes):
            found = {self.categories.index(text): Target(boxes, None) for text, boxes in labels.boxes.items()}
        else:
            found = {
                self.categories.index(text): Target(
                    tuple(item.box for item in labels.objects if item.category == text), mask
                )
                for text, mask in labels.masks().items()
            }
        return ViewTruth(labels.height, labels.width, found)


SceneTruth = AnnotatedTruth | LabelledTruth


def box_of(mask: Bool[np.ndarray, "height width"]) -> Box | None:
    """The smallest box around the pixels of a mask; None around none."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if len(rows) == 0:
        return None
    return float(columns[0]), float(rows[0]), float(columns[-1]), float(rows[-1])


def categories_of(labels: PhotoLabels | PhotoBoxes) -> list[str]:
    """Categories of one photo, in the order of first appearance."""
    if isinstance(labels, PhotoBoxes):
        return list(labels.boxes)
    return list(dict.fromkeys(item.category for item in labels.objects))


def read_label_folder(folder: Path) -> list[PhotoLabels | PhotoBoxes]:
    """All label or box files of a folder, by name.

    Raises:
        SceneError: when there is none, or one cannot be read.
    """
    paths = [path for path in _entries(Path(folder)) if path.suffix == ".json"]
    if not paths:
        raise SceneError(f"{folder} holds no label file; give a folder with one JSON a labelled photo.")
    return [read_labelled_photo(path) for path in paths]


def find_truth(scene: Scene, labels: str | Path | None, absent: Sequence[str] | None = None) -> SceneTruth | None:
    """The truth that `labels`, or else the capture itself, tells; None where there is none.

    Raises:
        SceneError: when it is there and cannot be read.
    """
    folder = scene.root if labels is None else Path(labels)
    if is_file(folder / "annotation.json"):
        return AnnotatedTruth(folder, read_annotation(folder), scene)
    return None if labels is None else labelled_truth(folder, scene, absent)


def labelled_truth(folder: Path, scene: Scene, absent: Sequence[str] | None = None) -> LabelledTruth:
    """Truth of a folder of label or box files.

    Args:
        folder: one JSON a labelled photo, which `photo_of` finds by the name in the file.
        scene: where the photos are looked for.
        absent: phrases of nothing in the scene; by default the categories of the other scenes' folders beside `folder`.

    Raises:
        SceneError: when a file cannot be read, belongs to no photo of the scene or to several, or two belong to one.
    """
    photos: dict[int, PhotoLabels | PhotoBoxes] = {}
    for labels in read_label_folder(folder):
        index = photo_of(scene, labels.name, f"The labels in {folder}")
        if index in photos:
            raise SceneError(
                f"Two label files in {folder}, of {photos[index].name} and {labels.name}, belong to the photo "
                f"{scene.photos[index].name}; leave one."
            )
        check_aspect(scene, index, labels.width, labels.height, f"The labels of {labels.name}")
        photos[index] = labels
    here = {text.casefold() for labels in photos.values() for text in categories_of(labels)}
    elsewhere = other_categories(folder) if absent is None else absent
    missing = dict.fromkeys(text for text in elsewhere if text.casefold() not in here)
    return LabelledTruth(photos, tuple(missing))


def photo_of(scene: Scene, name: str, what: str) -> int:
    """Index of the photo of this name; where no photo has it, of the same file name, or else of that without suffix.

    Raises:
        SceneError: when there is none, or there are several.
    """
    for part in (lambda path: str(path), lambda path: path.name, lambda path: path.stem):
        wanted = part(PurePosixPath(name))
        found = [index for index, photo in enumerate(scene.photos) if part(PurePosixPath(photo.name)) == wanted]
        if len(found) == 1:
            return found[0]
        if found:
            first, second = (scene.photos[index].name for index in found[:2])
            raise SceneError(f"{what} are of {name}, which may be {first} or {second}; write the photo's whole name.")
    raise SceneError(
        f"{what} are of the photo {name}, which the scene does not have; "
        f"its photos are named like {scene.photos[0].name}."
    )


def other_categories(folder: Path) -> list[str]:
    """Categories of the label folders beside this one, by folder and file: what other scenes hold."""
    folder = resolved(Path(folder))
    names: list[str] = []
    for other in _entries(folder.parent):
        if other == folder or not is_folder(other):
            continue
        for path in _entries(other):
            # What lies beside the labels need not be labels.
            with contextlib.suppress(SceneError):
                names += categories_of(read_labelled_photo(path)) if path.suffix == ".json" else []
    return list(dict.fromkeys(names))


def _entries(folder: Path) -> list[Path]:
    """What a folder holds, by name; nothing of one that may not be looked into."""
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def read_absent(path: Path) -> list[str]:
    """Phrases of a text file, one a line; blank lines are skipped.

    Raises:
        ConfigError: when it cannot be read or is empty.
    """
    remedy = "give a text file with a phrase a line"
    if not is_file(Path(path)):
        raise ConfigError(f"Cannot read the absent phrases {path}: there is no such file; {remedy}.")
    data = read_bytes(Path(path), error=ConfigError, remedy=remedy, largest=LARGEST_TEXT)
    try:
        lines = [" ".join(line.split()) for line in data.decode("utf-8-sig").splitlines()]
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is not text in UTF-8; {remedy}.") from None
    phrases = [line for line in lines if line]
    if not phrases:
        raise ConfigError(f"{path} holds no phrase; write one a line.")
    return phrases


def check_aspect(
    scene: Scene, photo: int, width: int, height: int, what: str, error: type[LerfError] = SceneError
) -> None:
    """Refuse a picture that cannot lie over a photo: one of its size, or enlarged or reduced and rounded to pixels.

    Raises:
        LerfError: of the type `error`, when its aspect ratio is another.
    """
    camera = scene.photos[photo].camera
    # Factors that give either side up to one pixel; both sides must have one in common.
    low = max((width - 1) / camera.width, (height - 1) / camera.height)
    if low > min((width + 1) / camera.width, (height + 1) / camera.height):
        raise error(
            f"{what} have {width}x{height} pixels and the photo {camera.width}x{camera.height}: the shapes differ; "
            "give those of this photo."
        )
