"""Clothes and headgear."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from lerf_scenes.kind import Kind, Look, Part
from lerf_scenes.kinds.shapes import squarish
from lerf_scenes.mesh import (
    Mesh,
    arc,
    capsule_field,
    ellipsoid_field,
    from_field,
    revolved,
    rounded_profile,
    sphere,
    swept,
    torus,
    union_field,
)


def _hat(rng: np.random.Generator) -> list[Part]:
    style = int(rng.integers(3))
    if style == 0:  # sun hat
        brim, crown, top = rng.uniform(1.9, 2.4), rng.uniform(0.65, 0.9), rng.uniform(0.8, 0.95)
    elif style == 1:  # bowler, fedora
        brim, crown, top = rng.uniform(1.5, 1.8), rng.uniform(0.85, 1.15), rng.uniform(0.75, 0.95)
    else:  # top hat
        brim, crown, top = rng.uniform(1.45, 1.7), rng.uniform(1.3, 1.7), rng.uniform(0.95, 1.12)
    round_ = rng.uniform(0.05, 0.15) if style == 2 else rng.uniform(0.3, 0.5)
    curl, oval = rng.uniform(0.0, 0.22), rng.uniform(0.86, 1.0)
    dome = [(1.0, 0.0), (0.5 + 0.5 * top, 0.5 * crown), (top, crown - round_ * 0.8)]
    dome += [(top - 0.3 * round_, crown - 0.2 * round_), (top - round_, crown), (0.0, crown)]
    body = revolved(rounded_profile(dome, 6) if style < 2 else dome, smooth=style < 2)
    edge = [(0.9, 0.0), (0.5 + 0.5 * brim, 0.0), (brim, curl), (brim, curl + 0.06), (0.5 + 0.5 * brim, 0.06)]
    rim = revolved([*edge, (0.9, 0.07), (0.9, 0.0)])
    tall = rng.uniform(0.18, 0.3)
    wide = 1.0 + (top - 1.0) * tall / crown
    swell = 1.05 if style == 2 else 1.07
    band = revolved(
        [(0.9, 0.03), (swell, 0.03), (max(swell * wide, 1.0), 0.05 + tall), (0.85, 0.05 + tall), (0.9, 0.03)]
    )
    return [
        Part("body", body.scaled(oval, 1, 1), "main"),
        Part("brim", rim.scaled(oval, 1, 1), "main"),
        Part("band", band.scaled(oval, 1, 1), "accent"),
    ]


def _shoe(rng: np.random.Generator) -> list[Part]:
    long, wide = 1.0, rng.uniform(0.34, 0.4)
    sole_high, ankle = rng.uniform(0.1, 0.18), rng.uniform(0.55, 0.95)
    toe_high = rng.uniform(0.28, 0.36)

    def footprint(mesh: Mesh, grow: float) -> Mesh:
        """A round body drawn to the outline of a sole, toe towards -y."""
        x, y, z = mesh.vertices.T
        waist = 0.86 + 0.14 * np.cos(2.2 * (y + 0.45)) - 0.06 * y
        return replace(mesh, vertices=np.stack([(wide + grow) * x * waist, (long + grow) * y, z], -1))

    tread = footprint(revolved([(0, 0), (0.97, 0), (1, 0.03), (1, sole_high), (0, sole_high)]), 0.03)
    # The upper: its front draws back from the toe to the instep as it rises.
    rise = np.array([0.0, 0.45 * toe_high, 0.8 * toe_high, toe_high, 0.6 * ankle, 0.8 * ankle, ankle])
    rise = np.maximum.accumulate(rise + np.arange(7) * 1e-3)
    front = np.array([-1.0, -1.0, -0.9, -0.65, -0.22, -0.04, 0.06])
    back = np.array([0.98, 1.0, 1.0, 0.99, 0.97, 0.96, 0.97])
    half = wide * np.array([0.97, 1.0, 0.95, 0.85, 0.68, 0.6, 0.58])
    levels = np.linspace(0, ankle, 18)

    def upper(mesh: Mesh, shrink: float) -> Mesh:
        x, y, z = mesh.vertices.T
        first, last = np.interp(z, rise, front) + shrink, np.interp(z, rise, back) - shrink
        side = np.interp(z, rise, half) - shrink
        waist = 0.9 + 0.1 * np.cos(2.2 * (y + 0.45))
        return replace(mesh, vertices=np.stack([side * x * waist, (first + last) / 2 + (last - first) / 2 * y, z], -1))

    shell = upper(revolved([(0, 0), *((1.0, float(z)) for z in levels), (0, ankle)]), 0.0).moved(z=sole_high)
    rim_path = upper(
        Mesh(arc(1.0, 0, 345, 24, plane="xy") + np.array([0, 0, ankle]), np.zeros((0, 3), int)), 0.02
    ).vertices
    rim = swept(rim_path + np.array([0, 0, sole_high]), 0.055, closed=True, segments=8)
    opening = upper(revolved([(0, ankle), (1, ankle), (1, ankle + 0.01), (0, ankle + 0.01)]), 0.05)
    laces = []
    rows = int(rng.integers(3, 6))
    for z in np.linspace(toe_high + 0.02, ankle - 0.12, rows):
        y = float(np.interp(z, rise, front))
        reach = float(np.interp(z, rise, half)) * 0.62
        for lean in (-0.05, 0.05):
            path = [
                (reach * u, y + 0.1 * u * u - 0.035, z + sole_high + lean * u + 0.025) for u in (-1, -0.5, 0, 0.5, 1)
            ]
            laces.append(swept(path, 0.032, segments=8))
    light = Look(str(rng.choice(["white", "black", "beige"], p=[0.6, 0.25, 0.15])), "fabric")
    return [
        Part("body", shell, "main"),
        Part("body", opening.moved(z=sole_high + 0.005), Look("black", "fabric")),
        Part("body", rim, "accent"),
        Part("sole", tread, Look(str(rng.choice(["white", "black", "brown"], p=[0.6, 0.25, 0.15])), "plastic")),
        *(Part("lace", lace, light) for lace in laces),
    ]


def _crown(rng: np.random.Generator) -> list[Part]:
    points = int(rng.integers(5, 9))
    low, high, flare = rng.uniform(0.35, 0.5), rng.uniform(0.5, 0.85), rng.uniform(0.0, 0.25)
    sharp = rng.uniform(0.8, 1.4)
    per = 12
    segments = per * points
    mesh = revolved([(0.95, 0), (1, 0), (1, 1), (0.95, 1), (0.95, 0)], segments, smooth=False)
    x, y, z = mesh.vertices.T
    phase = np.abs(((np.arctan2(y, x) * points / (2 * np.pi)) % 1.0) - 0.5) * 2
    top = low + high * phase**sharp
    height = z * top
    widening = 1 + flare * height
    parts = [
        Part("body", replace(mesh, vertices=np.stack([x * widening, y * widening, height], -1)), "main"),
        Part("rim", torus(1.0, 0.085).moved(z=0.085), "main" if rng.random() < 0.5 else "accent"),
    ]
    tip, jewel = rng.uniform(0.08, 0.13), rng.uniform(0.09, 0.14)
    out = 1 + flare * (low + high)
    gems = Look(str(rng.choice(["red", "blue", "green", "purple"])), "glass")
    for k in range(points):
        degrees = 360 * k / points
        ball = sphere(tip, 8).moved(x=0.975 * out, z=low + high).turned("z", degrees)
        gem = sphere(jewel, 8).scaled(0.5, 1, 1.2).moved(x=1 + flare * 0.35, z=0.35).turned("z", degrees)
        parts += [Part("point", ball, "main"), Part("jewel", gem, gems)]
    return parts


def _mitten(rng: np.random.Generator) -> list[Part]:
    wide, tall, thick = rng.uniform(0.4, 0.5), rng.uniform(0.6, 0.75), rng.uniform(0.2, 0.28)
    aside, reach, thumb = rng.uniform(0.28, 0.5), rng.uniform(0.45, 0.62), rng.uniform(0.15, 0.19)
    side = float(rng.choice([-1, 1]))
    root = (side * 0.6 * wide, 0.0, 0.32 * tall)
    tip = (side * (0.8 * wide + aside), 0.0, 0.32 * tall + reach)
    cuff, flare = rng.uniform(0.3, 0.5), rng.uniform(1.0, 1.15)
    hand = from_field(
        union_field(
            ellipsoid_field((0, 0, tall), (wide, thick, tall)),
            ellipsoid_field((0, 0, 0.5 * tall), (0.86 * wide, 0.95 * thick, 0.62 * tall)),
            blend=0.08,
        ),
        (-0.65, -0.4, -0.25),
        (0.65, 0.4, 1.65),
        34,
    )
    finger = from_field(capsule_field(root, tip, 0.9 * thumb, thumb), (-1.3, -0.3, -0.2), (1.3, 0.3, 1.3), 34)
    sleeve = [(0.0, -cuff), (0.96, -cuff), (1.0, -cuff + 0.04), (0.98, 0.06), (0.9, 0.12), (0.0, 0.12)]
    band = squarish(revolved(sleeve), 0.86 * wide * flare, 0.95 * thick * flare, 2.4)
    return [
        Part("body", hand, "main"),
        Part("thumb", finger, "main"),
        Part("cuff", band, "accent"),
    ]


KINDS: tuple[Kind, ...] = (
    Kind(
        "hat",
        _hat,
        (0.24, 0.30),
        hypernyms=("clothing", "headgear", "accessory"),
        uses=("something to wear", "something to wear on the head", "something to keep the sun off"),
        materials=("fabric",),
        patterns=True,
        askable_parts=("brim", "band"),
    ),
    Kind(
        "shoe",
        _shoe,
        (0.22, 0.28),
        synonyms=("sneaker", "trainer"),
        hypernyms=("clothing", "footwear"),
        uses=("something to wear", "something to wear on the foot", "something to walk in"),
        materials=("fabric", "leather"),
        askable_parts=("sole",),
    ),
    Kind(
        "crown",
        _crown,
        (0.18, 0.24),
        synonyms=("royal crown",),
        hypernyms=("headgear", "accessory"),
        uses=("something to wear", "something to wear on the head", "something for a king"),
        colours=("yellow", "yellow", "yellow", "grey", "red", "blue", "purple", "pink", "green", "white"),
        materials=("metal", "plastic"),
    ),
    Kind(
        "mitten",
        _mitten,
        (0.18, 0.24),
        hypernyms=("clothing", "accessory"),
        uses=("something to wear", "something to wear on the hand", "something to keep a hand warm"),
        materials=("fabric",),
        patterns=True,
        askable_parts=("cuff", "thumb"),
    ),
)
