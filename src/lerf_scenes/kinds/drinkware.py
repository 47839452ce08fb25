"""Vessels to drink from and to pour from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from lerf_scenes.kind import Kind, Look, Part
from lerf_scenes.kinds.shapes import Outline, radius_at, sleeve, vessel
from lerf_scenes.mesh import joined, revolved, rounded_profile, sphere, swept


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


def _curve(points: Sequence[tuple[float, float]], count: int = 24) -> Float[np.ndarray, "count 3"]:
    """A smooth curve in y = 0 through points (x, z) of x at least 0, at equal distances."""
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
        (radius_at(outline, high) - 0.5 * wall, high),
        (radius_at(outline, low) - 0.5 * wall, low),
        rng.uniform(0.3, 0.5),
        rng.uniform(1.8, 3.6),
    )
    handle = swept(path, rng.uniform(0.055, 0.085), flatten=rng.uniform(0.9, 1.5))
    return [
        Part("body", vessel(outline, wall), "main"),
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
    x = radius_at(outline, start) - 0.08
    spout_path = _curve(
        [(x, start), (x + 0.22, start + 0.06), (x + 0.55 * (reach - x), 0.55 * (start + tip)), (reach, tip)]
    )
    wide, thin = rng.uniform(0.13, 0.17), rng.uniform(0.05, 0.075)
    share = np.linspace(0.0, 1.0, len(spout_path))
    radii = thin + (wide - thin) * (1 - share) ** 1.4
    opening = np.stack([spout_path[-1], spout_path[-1] + 0.03 * (spout_path[-1] - spout_path[-3])])
    high, low = height * rng.uniform(0.76, 0.86), height * rng.uniform(0.2, 0.34)
    loop = _handle_path(
        (radius_at(outline, high) - 0.04, high),
        (radius_at(outline, low) - 0.04, low),
        rng.uniform(0.28, 0.46),
        rng.uniform(1.8, 3.0),
    )
    handle = swept(loop, rng.uniform(0.04, 0.06), flatten=1.3).turned("z", 180)
    contrast = rng.random() < 0.3
    return [
        Part("body", body, "main"),
        Part("lid", lid, "accent" if contrast else "main"),
        Part("spout", swept(spout_path, radii.tolist()), "main"),
        # The opening of the spout is modelled as a dark disc.
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
        parts.append(Part("label", sleeve(side, low, high), Look("white", "paper")))
    return parts


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
        Part("body", vessel(outline, 0.011, 40), "main"),
        Part("stem", revolved([(0.0, 0.022), *shaft, (0.0, stem + 0.012)], 20), "main"),
        Part("base", revolved(base), "main"),
    ]


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
)
