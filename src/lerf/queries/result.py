"""What a query returns, and the JSON that it becomes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from jaxtyping import Float
from torch import Tensor

from lerf.radiance.protocol import ColourPicture

SCHEMA = 2
"""Version of the JSON; raised when a field changes its meaning or goes."""

NOT_KNOWN = "Not or not wholly known to the encoder, so that the answer may mean nothing"
"""What people are told of an answer whose `known` is below 1."""

Vector = tuple[float, float, float]


@dataclass(frozen=True)
class Geometry:
    """Where something is, in the capture frame and its units."""

    point: Vector
    """The most relevant point."""
    scale: float
    """Scale of language at which it answers: height of the tile that supervised it, at the point."""
    extent: tuple[Vector, Vector]
    """Lower and upper corner along the capture's axes, tails trimmed (`geometry.extent.robust_extent`)."""
    view: str | None
    """Path of the photo that shows the point best, as the capture names it; None when none shows it."""
    pixel: tuple[float, float] | None
    """The point in that photo, (x, y) in pixels of the original file; None with `view`."""

    def to_dict(self) -> dict[str, Any]:
        """The geometry fields of the query JSON."""
        low, high = self.extent
        return {
            "point": [float(value) for value in self.point],
            "scale": float(self.scale),
            "extent": {"min": [float(value) for value in low], "max": [float(value) for value in high]},
            "view": self.view,
            "pixel": None if self.pixel is None else [float(value) for value in self.pixel],
        }


ABSENT: dict[str, None] = {"point": None, "scale": None, "extent": None, "view": None, "pixel": None}
"""The geometry fields of a phrase that is not in the scene."""


@dataclass(frozen=True)
class Instance:
    """One occurrence of a phrase."""

    relevancy: float
    """At its best point, 0..1."""
    geometry: Geometry

    def to_dict(self) -> dict[str, Any]:
        """One entry of `instances`."""
        return {"relevancy": float(self.relevancy), **self.geometry.to_dict()}


@dataclass(frozen=True)
class Answer:
    """The answer to one phrase. It is present exactly when it has a geometry."""

    text: str
    relevancy: float
    """Of the phrase to the scene, 0..1, whether present or not (`phrases.presence`)."""
    geometry: Geometry | None = None
    instances: tuple[Instance, ...] = ()
    """Most relevant first; none when absent."""
    known: float | None = None
    """How much of the phrase the encoder can read, 0 to 1; None where it cannot tell."""

    def __post_init__(self) -> None:
        if self.geometry is None and self.instances:
            raise ValueError(f"{self.text!r} has instances but no geometry")

    @property
    def present(self) -> bool:
        """Whether the phrase is in the scene."""
        return self.geometry is not None

    def to_dict(self) -> dict[str, Any]:
        """One entry of `queries`."""
        geometry = ABSENT if self.geometry is None else self.geometry.to_dict()
        head = {"text": self.text, "present": self.present, "relevancy": float(self.relevancy)}
        instances = [instance.to_dict() for instance in self.instances]
        return {**head, **geometry, "instances": instances, "known": self.known}


@dataclass(frozen=True)
class IndexNote:
    """The baked index that answered, and how far it is from the field."""

    source: str
    """`field` or `lift`: what its embeddings were made from."""
    cells: int
    cosine: float | None
    """Mean cosine of its embeddings with what the field renders; None where that was not measured."""
    lowest_cosine: float | None
    """5th percentile of the same."""
    differences: dict[str, float] | None = None
    """By phrase the mean absolute difference of relevancy to the field's, where a comparison was asked for."""

    def to_dict(self) -> dict[str, Any]:
        """The entry `index` of the query JSON."""
        facts: dict[str, Any] = {
            "source": self.source,
            "cells": self.cells,
            "cosine": self.cosine,
            "lowest_cosine": self.lowest_cosine,
        }
        return facts if self.differences is None else {**facts, "differences": self.differences}


@dataclass(frozen=True)
class QueryResult:
    """Answers to phrases, in the order asked, with the settings that they depend on."""

    encoder: str
    canonical: tuple[str, ...]
    temperature: float
    threshold: float
    """Relevancy from which a phrase counts as present."""
    queries: tuple[Answer, ...]
    index: IndexNote | None = None
    """The index that answered; None where the field did."""
    exclusive: bool = False
    """Whether every place answers only the phrase that leads there."""

    def to_dict(self) -> dict[str, Any]:
        """The query JSON, of plain Python values only."""
        return {
            "schema": SCHEMA,
            "encoder": self.encoder,
            "canonical": list(self.canonical),
            "temperature": float(self.temperature),
            "threshold": float(self.threshold),
            "exclusive": self.exclusive,
            "queries": [answer.to_dict() for answer in self.queries],
            **({} if self.index is None else {"index": self.index.to_dict()}),
        }


@dataclass(frozen=True)
class View:
    """A rendered view; relevancy by phrase."""

    picture: ColourPicture
    """Its depth in capture units."""
    relevancy: dict[str, Float[Tensor, "height width"]]
    """0..1, at the phrase's scale, propagated along the surface; 0 where nothing stands."""
    scales: dict[str, float]
    """Capture units."""


@dataclass(frozen=True)
class QueryDefaults:
    """What a query takes where it is told nothing else: the run's encoder's own."""

    canonical: tuple[str, ...]
    temperature: float
    threshold: float
