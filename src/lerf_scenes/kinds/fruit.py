"""Fruit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from lerf_scenes.kind import Kind, Look, Part
from lerf_scenes.kinds.shapes import azimuths, leaf_blade, swollen
from lerf_scenes.mesh import Mesh, arc, joined, piece, revolved, rounded_profile, swept

_STEM = Look("brown", "wooden")
_LEAF = Look("green", "natural")


def _stalk(height: float, radius: float, bend: float, base: float) -> Mesh:
    """A short stem of a fruit, from z = `base` up, leaning by `bend` at its top."""
    t = np.linspace(0.0, 1.0, 8)
    path = np.stack([bend * t**2, np.zeros(8), base + height * t], -1)
    return swept(path, (radius * np.interp(t, [0.0, 0.6, 1.0], [1.0, 0.8, 1.25])).tolist(), segments=8)


def _banana(rng: np.random.Generator) -> list[Part]:
    radius, span = rng.uniform(0.36, 0.62), rng.uniform(0.85, 1.1)
    angle = float(np.rad2deg(span / radius))
    thick = rng.uniform(0.095, 0.135)
    t = np.linspace(0.0, 1.0, 44)
    path = arc(radius, -90 - angle / 2, -90 + angle / 2, 44, plane="xy")
    shape = [0.3, 0.55, 0.85, 1.0, 1.0, 0.85, 0.5, 0.32, 0.3]
    radii = thick * np.interp(t, [0.0, 0.04, 0.15, 0.35, 0.65, 0.82, 0.91, 0.95, 1.0], shape)
    # Five soft edges run along a banana.
    tube = swept(path, radii.tolist(), segments=20)
    x, y, z = tube.vertices.T
    from_axis = np.hypot(x, y)
    around = np.arctan2(z, from_axis - radius)
    ridged = 1 + 0.05 * np.cos(5 * around)
    out = radius + (from_axis - radius) * ridged
    whole = replace(tube, vertices=np.stack([x * out / from_axis, y * out / from_axis, z * ridged], -1))
    middle = whole.vertices[whole.faces].mean(1)
    along = (np.rad2deg(np.arctan2(middle[:, 0], -middle[:, 1])) + angle / 2) / angle
    tip, stem = along < 0.03, along > rng.uniform(0.93, 0.96)
    return [
        Part("body", piece(whole, ~tip & ~stem), "main"),
        Part("tip", piece(whole, tip), Look("black", "natural")),
        Part("stem", piece(whole, stem), Look("brown", "natural")),
    ]


def _apple(rng: np.random.Generator) -> list[Part]:
    height, dip = rng.uniform(0.8, 1.02), rng.uniform(0.08, 0.15)
    high = rng.uniform(0.52, 0.66) * height
    outline = rounded_profile(
        [
            (0.0, 0.07),
            (0.12, 0.02),
            (0.24, 0.01),
            (0.4, 0.16 * height),
            (0.5, high),
            (0.42, 0.86 * height),
            (0.25, 0.985 * height),
            (0.12, height - 0.35 * dip),
            (0.0, height - dip),
        ],
        5,
    )
    skin = revolved(outline)
    lobes = 1 + rng.uniform(0.01, 0.035) * np.cos(5 * azimuths(skin)) * (1 - skin.vertices[:, 2] / height)
    stalk = rng.uniform(0.22, 0.36)
    parts = [
        Part("body", swollen(skin, lobes), "main"),
        Part("stem", _stalk(stalk, 0.028, rng.uniform(0.0, 0.12), height - dip - 0.03), _STEM),
    ]
    if rng.random() < 0.6:
        leaf = leaf_blade(rng.uniform(0.32, 0.5), rng.uniform(0.16, 0.22), 40, 50, count=10)
        leaf = leaf.moved(z=height - dip + 0.45 * stalk).turned("z", rng.uniform(0, 360))
        parts.append(Part("leaf", leaf, _LEAF))
    return parts


def _lemon(rng: np.random.Generator) -> list[Part]:
    half, nub = rng.uniform(0.6, 0.78), rng.uniform(0.09, 0.14)
    outline = rounded_profile(
        [
            (0.0, -half - 0.75 * nub),
            (0.09, -half - 0.5 * nub),
            (0.17, -half + 0.04),
            (0.36, -0.62 * half),
            (0.48, -0.25 * half),
            (0.5, 0.05 * half),
            (0.42, 0.5 * half),
            (0.22, half - 0.06),
            (0.13, half + 0.4 * nub),
            (0.07, half + nub),
            (0.0, half + 1.05 * nub),
        ],
        4,
    )
    peel = revolved(outline, 40).turned("y", 90 + rng.uniform(-8, 8))
    return [Part("body", peel, "main")]


def _pear(rng: np.random.Generator) -> list[Part]:
    height, neck = rng.uniform(1.2, 1.65), rng.uniform(0.17, 0.25)
    wide = rng.uniform(0.26, 0.36) * height
    outline = rounded_profile(
        [
            (0.0, 0.06),
            (0.14, 0.01),
            (0.3, 0.04),
            (0.48, wide * 0.6),
            (0.5, wide),
            (0.41, wide + 0.2 * height),
            (neck + 0.05, 0.74 * height),
            (neck, 0.86 * height),
            (0.75 * neck, 0.965 * height),
            (0.35 * neck, height),
            (0.0, height - 0.03),
        ],
        4,
    )
    skin = revolved(outline)
    lean = rng.uniform(0.0, 0.12)
    vertices = skin.vertices.copy()
    vertices[:, 0] += lean * (vertices[:, 2] / height) ** 2
    stalk = _stalk(rng.uniform(0.2, 0.34), 0.03, rng.uniform(0.02, 0.15), height - 0.06).moved(x=0.94 * lean)
    parts = [Part("body", replace(skin, vertices=vertices), "main"), Part("stem", stalk, _STEM)]
    if rng.random() < 0.4:
        leaf = leaf_blade(rng.uniform(0.35, 0.5), rng.uniform(0.18, 0.24), 45, 45, count=10)
        leaf = leaf.turned("z", rng.uniform(0, 360)).moved(x=lean, z=height + 0.06)
        parts.append(Part("leaf", leaf, _LEAF))
    return parts


def _pineapple(rng: np.random.Generator) -> list[Part]:
    height, square = rng.uniform(1.15, 1.65), rng.uniform(2.2, 3.2)
    rings, around = 36, 54
    angles = np.linspace(-np.pi / 2, np.pi / 2, rings + 1)
    profile = [
        (0.5 * float(max(np.cos(a), 0.0) ** (2 / square)), height * 0.5 * (1 + float(np.sin(a)))) for a in angles
    ]
    profile[0], profile[-1] = (0.0, 0.0), (0.0, height)
    skin = revolved(profile, around)
    rows, columns = int(rng.integers(6, 9)), int(rng.integers(8, 11))
    u, v = columns * azimuths(skin) / (2 * np.pi), rows * skin.vertices[:, 2] / height
    eyes = np.abs(np.sin(np.pi * (u + v)) * np.sin(np.pi * (u - v)))
    body = swollen(skin, 0.94 + 0.14 * eyes)
    crown = []
    tuft = rng.uniform(0.6, 1.0)
    for layer, (count, lean) in enumerate([(8, 48), (8, 28), (6, 10)]):
        # Two leaves a layer, alternating: drawing each one anew would take most of the time.
        leaves = [
            leaf_blade(
                tuft * (0.65 + 0.2 * layer) * rng.uniform(0.85, 1.1),
                rng.uniform(0.13, 0.18),
                lean + rng.uniform(-6, 6),
                rng.uniform(10, 40) * (1 - 0.3 * layer),
                thickness=0.2,
                count=7,
            ).moved(x=0.06 - 0.02 * layer, z=height - 0.05)
            for _ in range(2)
        ]
        for k in range(count):
            turn = 360 * (k + 0.5 * layer) / count + rng.uniform(-8, 8)
            crown.append(leaves[k % 2].turned("z", turn))
    return [Part("body", body, "main"), Part("leaves", joined(*crown), _LEAF)]


KINDS: tuple[Kind, ...] = (
    Kind(
        "banana",
        _banana,
        (0.16, 0.20),
        hypernyms=("fruit", "food"),
        uses=("something to eat", "something to peel and eat"),
        colours=("yellow", "green"),
        materials=("natural",),
    ),
    Kind(
        "apple",
        _apple,
        (0.085, 0.11),
        hypernyms=("fruit", "food"),
        uses=("something to eat",),
        colours=("red", "green", "yellow"),
        materials=("natural",),
    ),
    Kind(
        "lemon",
        _lemon,
        (0.085, 0.11),
        hypernyms=("citrus fruit", "fruit", "food"),
        uses=("something to eat", "something to squeeze for juice"),
        colours=("yellow",),
        materials=("natural",),
    ),
    Kind(
        "pear",
        _pear,
        (0.11, 0.14),
        hypernyms=("fruit", "food"),
        uses=("something to eat",),
        colours=("green", "yellow", "brown"),
        materials=("natural",),
    ),
    Kind(
        "pineapple",
        _pineapple,
        (0.22, 0.29),
        synonyms=("ananas",),
        hypernyms=("fruit", "food"),
        uses=("something to eat",),
        colours=("yellow", "orange", "brown"),
        materials=("natural",),
        askable_parts=("leaves",),
    ),
)
