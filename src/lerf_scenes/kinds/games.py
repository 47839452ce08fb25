"""Balls, pieces of board games and stacking toys."""

from __future__ import annotations

import numpy as np

from lerf_scenes.kind import PAINTS, Kind, Look, Part
from lerf_scenes.kinds.shapes import ellipsoid, rounded_box
from lerf_scenes.mesh import Mesh, box, cylinder, joined, revolved, rounded_profile, sphere

_PIPS: dict[int, tuple[tuple[int, int], ...]] = {
    1: ((0, 0),),
    2: ((-1, -1), (1, 1)),
    3: ((-1, -1), (0, 0), (1, 1)),
    4: ((-1, -1), (-1, 1), (1, -1), (1, 1)),
    5: ((-1, -1), (-1, 1), (1, -1), (1, 1), (0, 0)),
    6: ((-1, -1), (-1, 0), (-1, 1), (1, -1), (1, 0), (1, 1)),
}


def _zone(radius: float, low: float, high: float) -> Mesh:
    """A thin band over a sphere, between two latitudes in degrees."""
    turn = np.deg2rad(np.linspace(low, high, 9))
    skin = [(float(1.012 * radius * np.cos(t)), float(1.012 * radius * np.sin(t))) for t in turn]
    inner = [(0.97 * r, 0.97 * z) for r, z in skin]
    return revolved([*skin, *inner[::-1], skin[0]])


def _ball(rng: np.random.Generator) -> list[Part]:
    parts = [Part("body", sphere(1.0), "main")]
    style = int(rng.integers(3))
    tilt, spin = rng.uniform(10, 80), rng.uniform(0, 360)
    bands: list[tuple[float, float]] = []
    if style == 1:
        wide = rng.uniform(6, 18)
        bands = [(-wide, wide)]
    elif style == 2:
        wide, at = rng.uniform(5, 11), rng.uniform(25, 42)
        bands = [(at - wide, at + wide), (-at - wide, -at + wide)]
    parts += [Part("stripe", _zone(1.0, *band).turned("x", tilt).turned("z", spin), "accent") for band in bands]
    return parts


def _dice(rng: np.random.Generator) -> list[Part]:
    body = rounded_box(1, 1, 1, rng.uniform(0.05, 0.22), 5).moved(z=-0.5)
    dot = ellipsoid(rng.uniform(0.09, 0.125), 1.0, 1.0, 6)
    radius = float(dot.box[1, 0])
    dot = dot.scaled(1.0, radius, 0.03)
    step = rng.uniform(0.22, 0.26)
    turns = {1: ("x", 0), 6: ("x", 180), 2: ("x", 90), 5: ("x", -90), 3: ("y", 90), 4: ("y", -90)}
    pips = [
        dot.moved(step * a, step * b, 0.495).turned(axis, degrees)
        for number, (axis, degrees) in turns.items()
        for a, b in _PIPS[number]
    ]
    up = [("x", 0), ("x", 90), ("x", 180), ("x", 270), ("y", 90), ("y", 270)][rng.integers(6)]
    return [Part("body", body.turned(*up), "main"), Part("dot", joined(*pips).turned(*up), "accent")]


def _chess_piece(rng: np.random.Generator) -> list[Part]:
    foot, waist, tall = rng.uniform(0.3, 0.4), rng.uniform(0.12, 0.18), rng.uniform(0.5, 0.75)
    low = rng.uniform(0.12, 0.2)
    base = revolved(
        [
            (0, 0),
            *rounded_profile([(foot, 0), (foot * 1.05, low * 0.4), (foot * 0.95, low * 0.75)], 4),
            *rounded_profile([(foot * 0.78, low * 0.8), (foot * 0.8, low), (foot * 0.6, low * 1.15)], 4),
            (0, low * 1.15),
        ]
    )
    collar = waist * rng.uniform(1.5, 1.8)
    stem = [(0.0, low), (foot * 0.62, low), (waist * 1.25, low + 0.25 * tall), (waist, low + 0.85 * tall)]
    neck = low + tall
    stem = [stem[0], *rounded_profile(stem[1:], 6), (collar, neck - 0.04), (collar, neck), (0.0, neck + 0.02)]
    pieces = [revolved(stem)]
    shape = rng.integers(3)
    if shape == 0:
        head = rng.uniform(0.2, 0.26)
        pieces.append(sphere(head, 16).moved(z=neck + 0.85 * head))
    elif shape == 1:
        head, height = rng.uniform(0.18, 0.22), rng.uniform(0.4, 0.5)
        drop = rounded_profile(
            [(0.5 * head, 0), (head, 0.3 * height), (0.75 * head, 0.62 * height), (0.2 * head, height)], 6
        )
        pieces += [
            revolved([(0, 0), *drop, (0, height)]).moved(z=neck),
            sphere(0.06, 8).moved(z=neck + height + 0.03),
        ]
    else:
        head, height = rng.uniform(0.25, 0.31), rng.uniform(0.22, 0.3)
        wall = 0.35 * head
        cup = [(0, 0), (head * 0.85, 0), (head, 0.3 * height), (head, height)]
        pieces.append(
            revolved([*cup, (head - wall, height), (head - wall, 0.6 * height), (0, 0.6 * height)], smooth=False)
        )
        pieces[-1] = pieces[-1].moved(z=neck)
        teeth = int(rng.integers(4, 7))
        tooth = box(wall, 2 * np.pi * head / teeth * 0.5, 0.13).moved(head - wall * 0.53, 0, neck + height - 0.01)
        pieces += [tooth.turned("z", 360 * k / teeth) for k in range(teeth)]
    return [Part("base", base, "main"), *(Part("body", piece, "main") for piece in pieces)]


def _stacking_rings(rng: np.random.Generator) -> list[Part]:
    count = int(rng.integers(4, 7))
    widest, narrowest, flat = 1.0, rng.uniform(0.45, 0.65), rng.uniform(0.55, 0.85)
    base = rng.uniform(0.12, 0.2)
    parts = [Part("base", cylinder(rng.uniform(0.85, 1.1), base, 0.85, bevel=0.05), "main")]
    height = base
    for k in range(count):
        outer = widest + (narrowest - widest) * k / (count - 1)
        tube = (outer - 0.18) / 2
        around = np.linspace(0, 2 * np.pi, 15)
        section = [(float(outer + tube * (np.cos(a) - 1)), float(flat * tube * np.sin(a))) for a in around]
        ring = revolved(section, 32)
        parts.append(Part("ring", ring.moved(z=height + flat * tube), "accent" if k % 2 else "main"))
        height += 1.93 * flat * tube
    knob = rng.uniform(0.2, 0.28)
    parts += [
        Part("pole", cylinder(0.14, height + 0.05), Look("white", "plastic")),
        Part("knob", sphere(knob, 14).moved(z=height + 0.75 * knob), "main" if count % 2 == 0 else "accent"),
    ]
    return parts


KINDS: tuple[Kind, ...] = (
    Kind(
        "ball",
        _ball,
        (0.10, 0.15),
        hypernyms=("toy",),
        uses=("something to play with", "something to throw", "something to kick"),
        materials=("plastic", "leather", "fabric"),
        patterns=True,
    ),
    Kind(
        "dice",
        _dice,
        (0.08, 0.10),
        synonyms=("die",),
        hypernyms=("game", "toy"),
        uses=("something to play with", "something to roll for a number"),
        colours=PAINTS,
        materials=("plastic", "wooden"),
        askable_parts=(),
        accents=("white", "black"),
    ),
    Kind(
        "chess piece",
        _chess_piece,
        (0.12, 0.18),
        synonyms=("chessman", "chess figure"),
        hypernyms=("game",),
        uses=("something to play with", "something to play chess with"),
        colours=("black", "white", "brown", "red", "grey", "blue", "green"),
        materials=("wooden", "plastic", "glass"),
        askable_parts=("base",),
    ),
    Kind(
        "stacking rings",
        _stacking_rings,
        (0.15, 0.22),
        synonyms=("ring stacker", "stacking toy", "ring tower"),
        hypernyms=("toy",),
        uses=("something to play with", "something for a baby to stack"),
        colours=("red", "orange", "yellow", "green", "blue", "purple", "pink"),
        materials=("plastic", "wooden"),
    ),
)
