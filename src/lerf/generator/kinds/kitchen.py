"""Things to cook with, to eat from and to drink from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
from jaxtyping import Float

from lerf.generator.kind import Kind, Look, Part
from lerf.generator.mesh import Mesh, joined, piece, revolved, rounded_profile, sphere, swept

Outline = list[tuple[float, float]]
"""Points (radius, z) of a profile, from the bottom up."""


def _shell(outer: Outline, wall: float, segments: int = 48) -> Mesh:
    """A hollow vessel open at the top: `outer` is its outside from the edge of the foot up to the rim."""
    p = np.asarray(outer, dtype=float)
    along = np.gradient(p, axis=0)
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    inner = p - wall * np.stack([along[:, 1], -along[:, 0]], -1)
    # The rim is drawn by three points, so that light runs round it and does not break at one edge.
    rim = [0.5 * (p[-1] + inner[-1]) + wall * (0.4 * along[-1] + side * (inner[-1] - p[-1])) for side in (-5, 0, 5)]
    floor = float(p[0, 1]) + wall
    inside = [(float(r), float(z)) for r, z in inner[::-1] if r > 0.02 and z > floor]
    bottom = [(0.0, float(p[0, 1])), (float(p[0, 0]) * 0.96, float(p[0, 1]))]
    return revolved([*bottom, *outer, (float(rim[1][0]), float(rim[1][1])), *inside, (0.0, floor)], segments)


def _handle_path(
    top: tuple[float, float], bottom: tuple[float, float], reach: float, squareness: float, count: int = 28
) -> Float[np.ndarray, "count 3"]:
    """A loop in y = 0 between two points (x, z), as far as `reach` to +x; 2 is round, more is squarer."""
    angles = np.linspace(0.0, np.pi, 400)
    out = np.abs(np.sin(angles)) ** (2 / squareness)
    up = np.sign(np.cos(angles)) * np.abs(np.cos(angles)) ** (2 / squareness)
    share = 0.5 * (1 - up)
    x = top[0] + share * (bottom[0] - top[0]) + reach * out
    z = top[1] + share * (bottom[1] - top[1])
    length = np.concatenate([[0.0], np.cumsum(np.hypot(np.diff(x), np.diff(z)))])
    even = np.linspace(0.0, length[-1], count)
    return np.stack([np.interp(even, length, x), np.zeros(count), np.interp(even, length, z)], -1)


def _radius_at(outline: Outline, z: float) -> float:
    """Radius of an outline that only rises, at a height."""
    p = np.asarray(outline)
    return float(np.interp(z, p[:, 1], p[:, 0]))


def _curve(points: Sequence[tuple[float, float]], count: int = 24) -> Float[np.ndarray, "count 3"]:
    """A smooth curve in y = 0 through points (x, z) of x at least 0, evenly walked."""
    p = np.asarray(rounded_profile(points, 12))
    length = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(p, axis=0), axis=1))])
    even = np.linspace(0.0, length[-1], count)
    return np.stack([np.interp(even, length, p[:, 0]), np.zeros(count), np.interp(even, length, p[:, 1])], -1)


def _mug(rng: np.random.Generator) -> list[Part]:
    height = rng.uniform(0.85, 1.5)
    taper, belly = rng.uniform(-0.1, 0.12), rng.uniform(-0.06, 0.14)
    t = np.linspace(0.0, 1.0, 14)
    radii = 0.5 + taper * (t - 0.5) + belly * np.sin(np.pi * t)
    foot = rng.uniform(0.03, 0.1)
    outline: Outline = [(float(radii[0]) - foot, 0.0), (float(radii[0]) - 0.3 * foot, 0.3 * foot)]
    outline += [(float(r), float(foot + s * (height - foot))) for r, s in zip(radii, t, strict=True)]
    wall = rng.uniform(0.035, 0.06)
    high, low = height * rng.uniform(0.78, 0.9), height * rng.uniform(0.14, 0.32)
    path = _handle_path(
        (_radius_at(outline, high) - 0.5 * wall, high),
        (_radius_at(outline, low) - 0.5 * wall, low),
        rng.uniform(0.3, 0.5),
        rng.uniform(1.8, 3.6),
    )
    handle = swept(path, rng.uniform(0.055, 0.085), flatten=rng.uniform(0.9, 1.5))
    return [
        Part("body", _shell(outline, wall), "main"),
        Part("handle", handle, "accent" if rng.random() < 0.2 else "main"),
    ]


def _teapot(rng: np.random.Generator) -> list[Part]:
    height, mouth = rng.uniform(0.72, 1.15), rng.uniform(0.2, 0.27)
    widest, shoulder = rng.uniform(0.35, 0.55), rng.uniform(0.36, 0.44)
    foot = rng.uniform(0.26, 0.36)
    outline = [
        (foot, 0.0),
        (foot, 0.03),
        *rounded_profile(
            [
                (foot - 0.01, 0.05),
                (0.44, 0.5 * widest * height),
                (0.5, widest * height),
                (shoulder, 0.82 * height),
                (mouth, height),
            ]
        ),
    ]
    body = revolved([(0.0, 0.0), *outline, (0.0, height + 0.005)], 40)
    dome = rng.uniform(0.06, 0.2)
    cap = rounded_profile(
        [(mouth + 0.03, height + 0.02), (0.75 * mouth, height + 0.02 + 0.65 * dome), (0.05, height + 0.02 + dome)], 6
    )
    knob = rng.uniform(0.055, 0.085)
    lid = joined(
        revolved([(0.0, height - 0.02), (mouth, height - 0.01), (mouth + 0.03, height), *cap, (0.0, cap[-1][1])]),
        sphere(knob, 10).scaled(1.0, 1.0, rng.uniform(0.7, 1.2)).moved(z=height + 0.02 + dome + 0.75 * knob),
    )
    start, tip = rng.uniform(0.2, 0.34) * height, rng.uniform(0.85, 1.05) * height
    reach = rng.uniform(0.85, 1.0)
    x = _radius_at(outline, start) - 0.08
    spout_path = _curve(
        [(x, start), (x + 0.22, start + 0.06), (x + 0.55 * (reach - x), 0.55 * (start + tip)), (reach, tip)]
    )
    wide, thin = rng.uniform(0.13, 0.17), rng.uniform(0.05, 0.075)
    share = np.linspace(0.0, 1.0, len(spout_path))
    radii = thin + (wide - thin) * (1 - share) ** 1.4
    opening = np.stack([spout_path[-1], spout_path[-1] + 0.03 * (spout_path[-1] - spout_path[-3])])
    high, low = height * rng.uniform(0.76, 0.86), height * rng.uniform(0.2, 0.34)
    loop = _handle_path(
        (_radius_at(outline, high) - 0.04, high),
        (_radius_at(outline, low) - 0.04, low),
        rng.uniform(0.28, 0.46),
        rng.uniform(1.8, 3.0),
    )
    handle = swept(loop, rng.uniform(0.04, 0.06), flatten=1.3).turned("z", 180)
    contrast = rng.random() < 0.3
    return [
        Part("body", body, "main"),
        Part("lid", lid, "accent" if contrast else "main"),
        Part("spout", swept(spout_path, radii.tolist()), "main"),
        # The mouth of the spout is a dark disc: so small a hole shows nothing else.
        Part("spout", swept(opening, 0.72 * thin), Look("black", "plastic")),
        Part("handle", handle, "accent" if contrast else "main"),
    ]


def _bottle(rng: np.random.Generator) -> list[Part]:
    radius, body = rng.uniform(0.12, 0.21), rng.uniform(0.38, 0.62)
    neck, slope = rng.uniform(0.045, 0.06), rng.uniform(0.1, 0.26)
    top = rng.uniform(0.9, 0.97)
    shoulder = rounded_profile(
        [
            (radius, body),
            (0.93 * radius + 0.07 * neck, body + 0.25 * slope),
            (0.35 * radius + 0.65 * neck, body + 0.75 * slope),
            (neck, body + slope + 0.02),
        ],
        5,
    )
    waist = rng.uniform(-0.12, 0.03) * radius if rng.random() < 0.4 else 0.0
    side = [(radius + waist * float(np.sin(np.pi * t)), 0.03 + t * (body - 0.04)) for t in np.linspace(0, 1, 10)]
    glass = revolved(
        [(0.0, 0.0), (0.9 * radius, 0.0), (0.97 * radius, 0.008), *side, *shoulder, (neck, top), (0.0, top)]
    )
    wide, long = neck + rng.uniform(0.008, 0.016), rng.uniform(0.06, 0.12)
    start, end = top - 0.75 * long, top + 0.25 * long
    cap = revolved(
        [
            (0.0, start),
            (wide - 0.003, start),
            (wide, start + 0.003),
            (wide, end - 0.008),
            (wide - 0.008, end),
            (0.0, end),
        ]
    )
    parts = [Part("body", glass, "main"), Part("cap", cap, "accent")]
    if rng.random() < 0.4:
        low, high = body * rng.uniform(0.15, 0.3), body * rng.uniform(0.65, 0.85)
        parts.append(_label(side, low, high))
    return parts


def _label(side: Outline, low: float, high: float) -> Part:
    """Paper round a vessel between two heights, a little outside the outline of its wall."""
    levels = np.linspace(low, high, 8)
    outside = [(1.01 * _radius_at(side, z), float(z)) for z in levels]
    inside = [(0.98 * _radius_at(side, z), float(z)) for z in levels[::-1]]
    return Part("label", revolved([*outside, *inside, outside[0]]), Look("white", "paper"))


def _wine_glass(rng: np.random.Generator) -> list[Part]:
    foot, stem = rng.uniform(0.17, 0.22), rng.uniform(0.28, 0.48)
    thick = rng.uniform(0.015, 0.024)
    bowl, wide, rim = 1.0 - stem, rng.uniform(0.17, 0.27), rng.uniform(0.66, 1.0)
    belly = rng.uniform(0.35, 0.5)
    outline = rounded_profile(
        [
            (0.03, stem),
            (0.72 * wide, stem + 0.14 * bowl),
            (wide, stem + belly * bowl),
            (wide * (0.35 + 0.65 * rim), stem + 0.75 * bowl),
            (wide * rim, 1.0),
        ],
        5,
    )
    shaft = rounded_profile([(2.6 * thick, 0.022), (thick, 0.08), (thick, stem - 0.06), (2.2 * thick, stem + 0.012)], 6)
    base = [(0.0, 0.0), (foot, 0.0), (foot, 0.008), (0.6 * foot, 0.015), (2.4 * thick, 0.028), (0.0, 0.034)]
    return [
        Part("body", _shell(outline, 0.011, 40), "main"),
        Part("stem", revolved([(0.0, 0.022), *shaft, (0.0, stem + 0.012)], 20), "main"),
        Part("base", revolved(base), "main"),
    ]


def _bowl(rng: np.random.Generator) -> list[Part]:
    height, foot, power = rng.uniform(0.32, 0.62), rng.uniform(0.2, 0.28), rng.uniform(1.7, 3.2)
    ring = rng.uniform(0.02, 0.06)
    angles = np.linspace(0.0, np.pi / 2, 20)[1:]
    sides = [
        (float(foot + (0.5 - foot) * np.sin(a) ** (2 / power)), float(ring + height * (1 - np.cos(a) ** (2 / power))))
        for a in angles
    ]
    lip = rng.uniform(0.0, 0.03)
    outline = [(foot, 0.0), (foot, 0.8 * ring), *sides[:-1], (0.5 + lip, ring + height)]
    return [Part("body", _shell(outline, rng.uniform(0.018, 0.03)), "main")]


def _plate(rng: np.random.Generator) -> list[Part]:
    well, depth, rise = rng.uniform(0.28, 0.37), rng.uniform(0.02, 0.045), rng.uniform(0.0, 0.035)
    thick = 0.014
    edge = depth + rise + 0.02
    upper: Outline = [
        (0.49, edge + thick),
        (well + 0.045, 0.02 + depth + thick),
        (well + 0.025, 0.02 + 0.85 * depth + thick),
        (well, 0.02 + thick),
        (0.97 * well, 0.014 + thick),
        (0.9 * well, 0.012 + thick),
        (0.0, 0.012 + thick),
    ]
    lower: Outline = [
        (0.0, 0.006),
        (0.8 * well, 0.006),
        (0.82 * well, 0.0),
        (0.9 * well, 0.0),
        (0.92 * well, 0.008),
        (well + 0.01, 0.02),
        (well + 0.045, 0.02 + depth),
        (0.49, edge),
        (0.498, edge + 0.3 * thick),
        (0.498, edge + 0.7 * thick),
    ]
    parts = [Part("body", revolved([*lower, *upper], 64), "main")]
    if rng.random() < 0.5:
        inner = rng.uniform(0.44, 0.465)
        share = (inner - well - 0.045) / (0.49 - well - 0.045)
        low = 0.02 + depth + thick + share * (edge - 0.02 - depth) + 0.002
        band = [(0.501, edge + 0.2 * thick), (0.501, edge + 0.8 * thick), (0.49, edge + thick + 0.002), (inner, low)]
        parts.append(Part("rim", revolved([*band, (inner, low - 0.004), band[0]], 64), "accent"))
    return parts


def _frying_pan(rng: np.random.Generator) -> list[Part]:
    depth, flare = rng.uniform(0.13, 0.24), rng.uniform(0.03, 0.12)
    outline = rounded_profile(
        [(0.48 - flare, 0.0), (0.5 - 0.8 * flare, 0.02), (0.5 - 0.4 * flare, 0.5 * depth), (0.5, depth)], 6
    )
    length, rise = rng.uniform(0.65, 0.95), rng.uniform(0.04, 0.2)
    t = np.linspace(0.0, 1.0, 30)
    start = 0.8 * depth
    path = np.stack([0.47 + t * length, np.zeros(30), start + rise * np.sin(0.5 * np.pi * t)], -1)
    grip = rng.uniform(0.05, 0.075)
    radii = grip * np.interp(t, [0.0, 0.2, 0.5, 0.9, 0.97, 1.0], [0.55, 0.65, 1.0, 1.0, 0.8, 0.3])
    looks: list[Look | Literal["main"]] = [Look("brown", "wooden"), Look("black", "plastic"), "main"]
    look = looks[int(rng.integers(len(looks)))]
    return [
        Part("body", _shell(outline, 0.025), "main"),
        Part("handle", swept(path, radii.tolist(), flatten=rng.uniform(0.55, 0.8)), look),
    ]


def _spoon(rng: np.random.Generator) -> list[Part]:
    bowl, wide = rng.uniform(0.26, 0.36), rng.uniform(0.105, 0.15)
    neck, end = rng.uniform(0.024, 0.032), rng.uniform(0.034, 0.055)
    thick, depth, bend = rng.uniform(0.01, 0.014), rng.uniform(0.04, 0.065), rng.uniform(0.02, 0.07)
    x = np.concatenate([bowl * (0.5 - 0.5 * np.cos(np.linspace(0.0, np.pi, 24)))[1:], np.linspace(bowl, 1.0, 30)[1:]])

    def half_width(at: np.ndarray) -> np.ndarray:
        u = np.clip(at / bowl, 0.0, 1.0)
        oval = wide * np.sqrt(np.clip(4 * u * (1 - u), 0.0, None)) * (1.1 - 0.2 * u)
        along = np.clip((at - bowl) / (1 - bowl), 0.0, 1.0)
        handle = (neck + (end - neck) * along**1.5) * np.sqrt(np.clip(1 - ((along - 0.94) / 0.063).clip(0) ** 2, 0, 1))
        return np.where(at < 0.6 * bowl, oval, np.maximum(oval, handle))

    straight = np.stack([x, np.zeros_like(x), np.zeros_like(x)], -1)
    rod = swept(straight, np.maximum(half_width(x), 1e-3).tolist(), segments=24)
    at, across, up = rod.vertices.T
    size = np.maximum(half_width(at), 1e-3)
    hollow = depth * np.clip(1 - (across / size) ** 2, 0.0, 1.0) * np.clip(4 * at / bowl * (1 - at / bowl), 0.0, 1.0)
    spine = depth + bend * np.sin(np.pi * np.clip((at - 0.8 * bowl) / (1 - 0.8 * bowl), 0.0, 1.0))
    height = spine - hollow + np.minimum(size, thick) * up / size
    whole = replace(rod, vertices=np.stack([at, across, height], -1))
    behind = whole.vertices[whole.faces].mean(1)[:, 0] > bowl
    return [
        Part("body", piece(whole, ~behind), "main"),
        Part("handle", piece(whole, behind), "main"),
    ]


def _jar(rng: np.random.Generator) -> list[Part]:
    height, mouth = rng.uniform(0.95, 1.6), rng.uniform(0.36, 0.45)
    belly = rng.uniform(0.0, 0.07)
    side = [(0.5 + belly * float(np.sin(np.pi * t)), 0.06 + t * (height - 0.24)) for t in np.linspace(0.0, 1.0, 12)]
    neck = rounded_profile([(0.5, height - 0.17), (0.9 * mouth + 0.05, height - 0.06), (mouth, height)], 5)
    body = revolved(
        [(0.0, 0.0), (0.44, 0.0), (0.485, 0.02), *side, *neck, (mouth, height + 0.04), (0.0, height + 0.04)]
    )
    wide, tall = mouth + rng.uniform(0.015, 0.04), rng.uniform(0.12, 0.2)
    top = height + 0.02 + tall
    lid_profile: Outline = [(0.0, height + 0.02), (wide - 0.01, height + 0.02), (wide, height + 0.03)]
    lid_profile += [(wide, top - 0.03), (wide - 0.008, top - 0.008), (wide - 0.03, top)]
    if rng.random() < 0.4:
        dome = rng.uniform(0.05, 0.14)
        lid_profile += [(wide * float(np.cos(a)), top + dome * float(np.sin(a))) for a in np.linspace(0.4, 1.55, 8)]
        knob = rng.uniform(0.08, 0.12)
        lid = joined(revolved([*lid_profile, (0.0, top + dome)]), sphere(knob, 12).moved(z=top + dome + 0.6 * knob))
    else:
        lid = revolved([*lid_profile, (0.0, top)])
    parts = [Part("body", body, "main"), Part("lid", lid, "accent")]
    if rng.random() < 0.4:
        low, high = height * rng.uniform(0.15, 0.25), height * rng.uniform(0.55, 0.68)
        parts.append(_label(side, low, high))
    return parts


_GLASS_COLOURS = ("white", "green", "blue", "purple", "pink", "red", "grey", "yellow")

KINDS: tuple[Kind, ...] = (
    Kind(
        "mug",
        _mug,
        (0.10, 0.14),
        synonyms=("cup", "coffee mug"),
        hypernyms=("drinkware", "tableware", "kitchenware", "container"),
        uses=("something to drink from", "something to drink coffee from"),
        materials=("ceramic", "metal", "plastic"),
        patterns=True,
        askable_parts=("handle",),
    ),
    Kind(
        "teapot",
        _teapot,
        (0.20, 0.26),
        synonyms=("tea pot",),
        hypernyms=("tableware", "kitchenware", "container"),
        uses=("something to pour tea", "something to pour from", "something to make tea in"),
        materials=("ceramic", "metal"),
        patterns=True,
        askable_parts=("spout", "handle", "lid"),
    ),
    Kind(
        "bottle",
        _bottle,
        (0.24, 0.30),
        hypernyms=("container",),
        uses=("something to keep a drink in", "something to pour from"),
        colours=(*_GLASS_COLOURS, "brown"),
        materials=("glass", "plastic", "metal"),
        askable_parts=("cap",),
    ),
    Kind(
        "wine glass",
        _wine_glass,
        (0.18, 0.24),
        synonyms=("wineglass", "goblet"),
        hypernyms=("drinkware", "tableware", "kitchenware", "container"),
        uses=("something to drink wine from", "something to drink from"),
        colours=_GLASS_COLOURS,
        materials=("glass",),
        askable_parts=("stem",),
    ),
    Kind(
        "bowl",
        _bowl,
        (0.15, 0.22),
        hypernyms=("tableware", "kitchenware", "container"),
        uses=("something to eat soup from", "something to eat from"),
        materials=("ceramic", "wooden", "metal", "plastic", "glass"),
        patterns=True,
    ),
    Kind(
        "plate",
        _plate,
        (0.20, 0.27),
        synonyms=("dinner plate",),
        hypernyms=("tableware", "kitchenware"),
        uses=("something to serve food on", "something to eat from"),
        materials=("ceramic", "plastic", "metal", "wooden"),
        patterns=True,
    ),
    Kind(
        "frying pan",
        _frying_pan,
        (0.26, 0.30),
        synonyms=("pan", "skillet"),
        hypernyms=("kitchenware", "cookware"),
        uses=("something to cook with", "something to fry eggs in"),
        colours=("black", "grey", "red", "blue", "green", "orange", "white"),
        materials=("metal",),
        askable_parts=("handle",),
    ),
    Kind(
        "spoon",
        _spoon,
        (0.18, 0.25),
        hypernyms=("cutlery", "utensil", "tableware", "kitchenware"),
        uses=("something to stir with", "something to eat soup with"),
        materials=("wooden", "metal", "plastic"),
        askable_parts=("handle",),
    ),
    Kind(
        "jar",
        _jar,
        (0.13, 0.20),
        hypernyms=("kitchenware", "container"),
        uses=("something to keep jam in", "something to store food in"),
        materials=("glass", "ceramic", "plastic"),
        patterns=True,
        askable_parts=("lid",),
    ),
)
