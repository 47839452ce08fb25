"""Appearance of surfaces as colours at mesh vertices: base colours, grain, weave, stripes and dots.

Colours are linear RGB reflectances. Patterns live in a thing's own frame, in metres, so that they move with it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.spatial import cKDTree

from lerf_scenes.kind import Look
from lerf_scenes.mesh import Mesh

_HSV: dict[str, tuple[tuple[float, float], tuple[float, float], tuple[float, float]]] = {
    "red": ((-8, 4), (0.78, 0.95), (0.58, 0.85)),
    "orange": ((20, 28), (0.85, 1.0), (0.90, 1.0)),
    "yellow": ((47, 55), (0.72, 0.95), (0.88, 1.0)),
    "green": ((98, 150), (0.50, 0.85), (0.38, 0.70)),
    "blue": ((205, 232), (0.62, 0.90), (0.48, 0.85)),
    "purple": ((268, 286), (0.45, 0.70), (0.40, 0.64)),
    "pink": ((325, 345), (0.32, 0.55), (0.92, 1.0)),
    "brown": ((18, 28), (0.52, 0.70), (0.28, 0.44)),
    "black": ((0, 360), (0.0, 0.10), (0.06, 0.12)),
    "white": ((20, 80), (0.0, 0.06), (0.90, 0.96)),
    "grey": ((0, 360), (0.0, 0.06), (0.42, 0.58)),
    "gold": ((41, 47), (0.55, 0.70), (0.76, 0.90)),
    "silver": ((0, 360), (0.0, 0.03), (0.72, 0.80)),
    "beige": ((33, 42), (0.20, 0.32), (0.80, 0.90)),
    "skin": ((20, 26), (0.30, 0.45), (0.84, 0.94)),
}
"""Ranges of hue in degrees, saturation and value of sRGB, per colour word; the ranges do not overlap."""

MOST_FACES = 24000
"""Most faces of a part after subdivision."""


def srgb_of(word: str, rng: np.random.Generator) -> Float[np.ndarray, " 3"]:
    """A colour that people call by the word, in sRGB from 0 to 1."""
    hue, saturation, value = (rng.uniform(*bounds) for bounds in _HSV[word])
    offsets = (np.array([5.0, 3.0, 1.0]) + hue / 60.0) % 6.0
    return value * (1 - saturation * np.clip(np.minimum(offsets, 4.0 - offsets), 0.0, 1.0))


def linear(srgb: Float[np.ndarray, "*points 3"]) -> Float[np.ndarray, "*points 3"]:
    """sRGB values from 0 to 1 as linear reflectances."""
    return np.where(srgb <= 0.04045, srgb / 12.92, ((np.maximum(srgb, 0.0) + 0.055) / 1.055) ** 2.4)


@dataclass(frozen=True)
class Painted:
    """A mesh ready to be rendered: vertices in the thing's own frame, with normals and colours."""

    vertices: Float[np.ndarray, "vertices 3"]
    faces: Int[np.ndarray, "faces 3"]
    normals: Float[np.ndarray, "vertices 3"] | None
    """None for flat faces."""
    colours: Float[np.ndarray, "vertices 3"]
    """Linear RGB."""


def painted(mesh: Mesh, look: Look, extent: float, seed: list[int]) -> Painted:
    """A part with its colours.

    Args:
        mesh: in the thing's own frame, in metres.
        look: resolved; not "main" or "accent".
        extent: longest side of the whole thing in metres: the scale of grain, stripes and dots.
        seed: of everything that varies; parts of one thing that share a look share a base colour by sharing it.
    """
    rng = np.random.default_rng(seed)
    first, second = linear(srgb_of(look.colour, rng)), linear(srgb_of(look.second, rng))
    limit = _edge_limit(look, extent)
    refined = subdivided(mesh, limit) if limit else mesh
    vertices, faces, normals = shaded(refined)
    points = vertices / extent
    colours = np.broadcast_to(first, vertices.shape).copy()
    if look.pattern == "striped":
        share = _stripes(points, rng)
        colours = first + (second - first) * share[:, None]
    elif look.pattern == "dotted":
        share = _dots(points, rng)
        colours = first + (second - first) * share[:, None]
    colours = _finished(colours, points, look, rng)
    return Painted(vertices, faces, normals, np.clip(colours, 0.004, 0.93))


def _edge_limit(look: Look, extent: float) -> float:
    """Longest edge in metres that shows the pattern; 0 where none needs to be shown."""
    if look.pattern == "dotted":
        return extent / 48
    if look.pattern == "striped":
        return extent / 42
    return extent / {"wooden": 40, "screen": 24, "fabric": 30, "natural": 20, "leather": 20}.get(look.finish, 6)


def _stripes(points: Float[np.ndarray, "points 3"], rng: np.random.Generator) -> Float[np.ndarray, " points"]:
    """1 in the stripes, 0 between them, for a body of length 1."""
    spans = np.ptp(points, axis=0)
    axis = int(spans[:2].argmax()) if spans[2] < 0.4 * spans.max() or rng.random() < 0.25 else 2
    period = rng.uniform(0.16, 0.24)
    wave = np.sin(2 * np.pi * (points[:, axis] / period + rng.random()))
    return np.clip(0.5 + 2.5 * wave, 0.0, 1.0)


def _dots(points: Float[np.ndarray, "points 3"], rng: np.random.Generator) -> Float[np.ndarray, " points"]:
    """1 in round dots all over the surface, 0 between them, for a body of length 1."""
    spacing = rng.uniform(0.17, 0.22)
    order = rng.permutation(len(points))[:1500]
    centres: list[np.ndarray] = []
    for candidate in points[order]:
        if all(abs(candidate - c).max() > spacing or np.linalg.norm(candidate - c) > spacing for c in centres):
            centres.append(candidate)
    distance, _ = cKDTree(np.stack(centres)).query(points)
    return np.clip((0.33 * spacing - distance) / 0.012 + 0.5, 0.0, 1.0)


def waves(
    points: Float[np.ndarray, "points 3"], frequency: float, rng: np.random.Generator, count: int = 5
) -> Float[np.ndarray, " points"]:
    """Smooth noise of about unit deviation: plane waves of near one frequency (cycles per unit) in all directions."""
    directions = rng.normal(size=(count, 3))
    directions *= frequency * rng.uniform(0.6, 1.3, (count, 1)) / np.linalg.norm(directions, axis=1, keepdims=True)
    return np.sin(2 * np.pi * (points @ directions.T + rng.random(count))).sum(1) * np.sqrt(2.0 / count)


def _finished(
    colours: Float[np.ndarray, "points 3"], points: Float[np.ndarray, "points 3"], look: Look, rng: np.random.Generator
) -> Float[np.ndarray, "points 3"]:
    """Base colours with what the finish adds: grain, weave, speckle, or a picture on a screen."""
    finish, count = look.finish, len(points)
    slow = 1 + 0.05 * waves(points, 1.6, rng)
    if finish == "wooden":
        grain = _grain(points, rng)
        if look.colour == "brown" and look.pattern == "plain":
            light = linear(np.array([0.70, 0.50, 0.31]) * rng.uniform(0.85, 1.05))
            mix = np.clip(0.20 + 0.45 * grain, 0.0, 1.0)[:, None]
            return (colours * (1 - mix) + light * mix) * slow[:, None]
        return colours * (0.62 + 0.46 * grain)[:, None] * slow[:, None]
    if finish == "screen":
        return _picture(points, rng)
    if finish == "fabric":
        weave = 1 + 0.13 * waves(points, 9.0, rng, 8) + 0.10 * rng.normal(size=count)
        return colours * np.clip(weave * slow, 0.5, 1.4)[:, None]
    if finish == "natural":
        speckle = 1 + 0.07 * rng.normal(size=count) + 0.09 * waves(points, 3.0, rng)
        tint = 1 + 0.06 * waves(points, 1.2, rng)[:, None] * np.array([1.0, -0.5, 0.3])
        return colours * np.clip(speckle, 0.6, 1.35)[:, None] * tint
    if finish == "leather":
        return (
            colours * np.clip(1 + 0.10 * waves(points, 7.0, rng, 8) + 0.05 * rng.normal(size=count), 0.6, 1.4)[:, None]
        )
    if finish == "metal":
        return colours * np.clip(1 + 0.07 * waves(points * [1, 1, 4], 1.5, rng), 0.8, 1.2)[:, None]
    return colours * (slow + 0.02 * rng.normal(size=count))[:, None]


def _grain(points: Float[np.ndarray, "points 3"], rng: np.random.Generator) -> Float[np.ndarray, " points"]:
    """Brightness, 0 to 1, of growth rings about the body's longest axis."""
    axis = int(np.ptp(points, axis=0).argmax())
    stretched = points.copy()
    stretched[:, axis] *= 0.22
    across = np.delete(points, axis, 1) - rng.uniform(0.2, 0.6, 2) * rng.choice([-1, 1], 2)
    radius = np.linalg.norm(across, axis=1) + 0.035 * waves(stretched, 2.2, rng)
    ring = (radius * rng.uniform(7, 10)) % 1.0
    return np.clip(ring**1.5 * 0.75 + 0.15 + 0.12 * waves(stretched, 9.0, rng), 0.0, 1.0)


def _picture(points: Float[np.ndarray, "points 3"], rng: np.random.Generator) -> Float[np.ndarray, "points 3"]:
    """Bright coloured blocks, as windows on a display."""
    spans = np.ptp(points, axis=0)
    low = points.min(0)
    axes = np.argsort(spans)[1:]
    cells = ((points[:, axes] - low[axes]) / np.maximum(spans[axes], 1e-9) * [3.99, 4.99]).astype(int)
    base = linear(np.array([0.25, 0.55, 0.95]) * rng.uniform(0.8, 1.0, 3))
    tones = linear(np.clip(rng.uniform(0.45, 1.0, (4, 5, 3)), 0, 1))
    shown = rng.random((4, 5)) < 0.55
    tones[shown] = base
    return tones[cells[:, 0], cells[:, 1]]


def subdivided(mesh: Mesh, longest: float) -> Mesh:
    """The same surface with no edge longer than `longest` (or until it has `MOST_FACES`); vertices stay shared."""
    vertices, faces = mesh.vertices, mesh.faces
    for _ in range(10):
        edges = np.sort(np.stack([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]], 1), -1)
        lengths = np.linalg.norm(vertices[edges[..., 0]] - vertices[edges[..., 1]], axis=-1)
        cut = lengths > longest
        if not cut.any() or len(faces) > MOST_FACES // 3:
            break
        keys = edges[..., 0].astype(np.int64) * len(vertices) + edges[..., 1]
        unique, inverse = np.unique(keys[cut], return_inverse=True)
        middle = np.full(faces.shape, -1)
        middle[cut] = len(vertices) + inverse
        ends = np.stack([unique // len(vertices), unique % len(vertices)], -1)
        vertices = np.concatenate([vertices, vertices[ends].mean(1)])
        faces = _split(faces, middle, cut)
    return Mesh(vertices, faces, mesh.smooth)


def _split(faces: np.ndarray, middle: np.ndarray, cut: np.ndarray) -> Int[np.ndarray, "faces 3"]:
    """Each face in one to four, by the middles of those of its edges (ab, bc, ca) that are cut."""
    number = cut.sum(1)
    pieces = [faces[number == 0]]
    # Turned so that a face's only cut edge, or the edge after its only uncut one, comes first.
    first = np.where(number == 1, cut.argmax(1), np.where(number == 2, (cut.argmin(1) + 1) % 3, 0))
    order = (first[:, None] + np.arange(3)) % 3
    faces, middle = np.take_along_axis(faces, order, 1), np.take_along_axis(middle, order, 1)
    (a, b, c), (ab, bc, ca) = faces.T, middle.T
    one, two, three = number == 1, number == 2, number == 3
    for chosen, corners in (
        (one, ((a, ab, c), (ab, b, c))),
        (two, ((a, ab, c), (ab, bc, c), (ab, b, bc))),
        (three, ((a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca))),
    ):
        pieces += [np.stack(triple, -1)[chosen] for triple in corners]
    return np.concatenate(pieces)


def shaded(
    mesh: Mesh,
) -> tuple[Float[np.ndarray, "vertices 3"], Int[np.ndarray, "faces 3"], Float[np.ndarray, "vertices 3"] | None]:
    """Vertices, faces and vertex normals (None for a flat mesh); sharp edges of a smooth mesh stay sharp."""
    if not mesh.smooth:
        return mesh.vertices, mesh.faces, None
    corners = mesh.vertices[mesh.faces]
    weighted = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals = np.zeros_like(mesh.vertices)
    for k in range(3):
        np.add.at(normals, mesh.faces[:, k], weighted)
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-20)
    flat = weighted / np.maximum(np.linalg.norm(weighted, axis=1, keepdims=True), 1e-20)
    # Corners that lean far away from their vertex's normal lie at a crease: they get a vertex of their own.
    sharp = np.einsum("fkc,fc->fk", normals[mesh.faces], flat) < 0.82
    faces = mesh.faces.copy()
    faces[sharp] = len(mesh.vertices) + np.arange(sharp.sum())
    own = np.broadcast_to(flat[:, None], corners.shape)[sharp]
    return np.concatenate([mesh.vertices, corners[sharp]]), faces, np.concatenate([normals, own])
