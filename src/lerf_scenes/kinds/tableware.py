"""Vessels and utensils to cook with, to eat from and to keep food in."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np

from lerf_scenes.kind import Kind, Look, Part
from lerf_scenes.kinds.shapes import Outline, sleeve, vessel
from lerf_scenes.mesh import joined, piece, revolved, rounded_profile, sphere, swept


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
    return [Part("body", vessel(outline, rng.uniform(0.018, 0.03)), "main")]


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
        Part("body", vessel(outline, 0.025), "main"),
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
        parts.append(Part("label", sleeve(side, low, high), Look("white", "paper")))
    return parts


KINDS: tuple[Kind, ...] = (
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
