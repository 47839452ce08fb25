"""Small electronic devices."""

from __future__ import annotations

import numpy as np

from lerf_scenes.kind import Kind, Look, Part
from lerf_scenes.mesh import Mesh, arc, box, cylinder, extruded, joined, revolved, rounded_profile, swept

STEEL = Look("silver", "metal")
DARK = Look("black", "plastic")


def _plate(x: float, y: float, z: float, corner: float) -> Mesh:
    """A box centred on the z axis, standing on z = 0, whose upright edges are rounded by `corner`."""
    outline = []
    for quarter, (sx, sy) in enumerate(((1, 1), (-1, 1), (-1, -1), (1, -1))):
        for angle in np.deg2rad(90 * quarter + np.linspace(0, 90, 5)):
            outline.append((
                sx * (x / 2 - corner) + corner * float(np.cos(angle)),
                sy * (y / 2 - corner) + corner * float(np.sin(angle)),
            ))  # fmt: skip
    return extruded(outline, z)


def _laptop(rng: np.random.Generator) -> list[Part]:
    width, depth = 1.4, rng.uniform(0.88, 1.02)
    thick = rng.uniform(0.055, 0.08)
    corner = rng.uniform(0.03, 0.08)
    base = _plate(width, depth, thick, corner)
    columns, rows = 12, 4
    keys_width, keys_depth = width * 0.86, depth * 0.44
    tray = box(keys_width, keys_depth, 0.008)
    key = box(keys_width / columns * 0.72, keys_depth / rows * 0.7, 0.03)
    keys = [
        key.moved(keys_width * ((i + 0.5) / columns - 0.5), keys_depth * ((j + 0.5) / rows - 0.5))
        for i in range(columns)
        for j in range(rows)
    ]
    dark_keys = rng.random() < 0.6
    keyboard = [
        Part("keyboard", tray.moved(y=depth * 0.16, z=thick), Look("grey" if dark_keys else "black", "plastic")),
        Part(
            "keyboard",
            joined(*keys).moved(y=depth * 0.16, z=thick),
            Look("black" if dark_keys else "white", "plastic"),
        ),
    ]
    pad = box(width * rng.uniform(0.24, 0.36), depth * 0.24, 0.01).moved(y=-depth * 0.31, z=thick)
    opening = rng.uniform(95, 122)
    tall = depth * 0.97
    lid = _plate(width, tall, 0.045, corner).moved(y=-tall / 2, z=-0.045)
    margin = rng.uniform(0.05, 0.09)
    screen = box(width - 2 * margin, tall - 2.4 * margin, 0.01).moved(y=-tall / 2)
    windows = [
        box(width * rng.uniform(0.25, 0.4), tall * rng.uniform(0.3, 0.5), 0.008).moved(
            x=side * width * 0.2, y=-tall * rng.uniform(0.45, 0.55), z=0.008
        )
        for side in (-1, 1)
    ]
    raised = [Part("body", lid, "main"), Part("screen", screen, Look(str(rng.choice(["blue", "purple"])), "screen"))]
    raised += [Part("screen", w, Look(c, "screen")) for w, c in zip(windows, ("white", "grey"), strict=True)]
    raised = [  # the lid's inside looks down on the keys when shut; its hinge is the x axis
        Part(p.name, p.mesh.turned("y", 180).turned("x", -opening).moved(y=depth / 2, z=thick + 0.01), p.look)
        for p in raised
    ]
    return [Part("body", base, "main"), *keyboard, Part("touchpad", pad, Look("grey", "plastic")), *raised]


def _camera(rng: np.random.Generator) -> list[Part]:
    width, height, depth = 1.4, rng.uniform(0.8, 0.98), rng.uniform(0.4, 0.52)
    top = height * rng.uniform(0.2, 0.28)
    body = _plate(width, depth, height - top, 0.12)
    plate = _plate(width, depth * 0.98, top, 0.12).moved(z=height - top)
    hump_width = rng.uniform(0.4, 0.55)
    slope = [(-hump_width / 2, 0.0), (hump_width / 2, 0.0), (hump_width * 0.32, 0.2), (-hump_width * 0.32, 0.2)]
    hump = extruded(slope, depth * 0.9).turned("x", 90).moved(y=depth * 0.45, z=height)
    radius, length = height * rng.uniform(0.36, 0.44), rng.uniform(0.3, 0.7)
    across = rng.uniform(-0.12, 0.05)
    barrel = revolved(
        [
            (0.0, 0.0),
            (radius, 0.0),
            (radius, length * 0.3),
            (radius * 0.92, length * 0.34),
            (radius * 0.92, length * 0.7),
            (radius, length * 0.74),
            (radius, length),
            (radius * 0.82, length),
            (radius * 0.74, length * 0.9),
            (0.0, length * 0.9),
        ],
        smooth=False,
    )
    ring = revolved([(radius, 0.0), (radius * 1.05, 0.0), (radius * 1.05, 0.06), (radius, 0.06)], smooth=False)
    dome = revolved(rounded_profile([(radius * 0.74, 0.0), (radius * 0.5, 0.05), (0.0, 0.08)]))
    forward = {"x": across, "y": -depth / 2, "z": height * 0.46}
    lens = [
        Part("lens", barrel.turned("x", 90).moved(**forward), DARK),
        Part("lens", ring.moved(z=length - 0.05).turned("x", 90).moved(**forward), STEEL),
        Part("lens", dome.moved(z=length * 0.9).turned("x", 90).moved(**forward), Look("blue", "glass")),
    ]
    button = cylinder(0.09, 0.08, bevel=0.02).moved(-width * 0.38, -depth * 0.1, height)
    dial = cylinder(0.13, 0.09, bevel=0.02).moved(width * 0.36, 0.0, height)
    flash = box(0.22, 0.03, 0.12).moved(width * 0.36, -depth / 2, height - top * 0.5 - 0.06)
    return [
        Part("body", body, "main"),
        Part("body", joined(plate, hump), STEEL if rng.random() < 0.6 else DARK),
        *lens,
        Part("button", joined(button, dial), STEEL),
        Part("flash", flash, Look("white", "glass")),
    ]


def _phone(rng: np.random.Generator) -> list[Part]:
    width, length = 1.0, rng.uniform(1.8, 2.15)
    thick, corner = rng.uniform(0.16, 0.2), rng.uniform(0.1, 0.2)
    margin = rng.uniform(0.06, 0.1)
    body = _plate(width, length, thick, corner)
    screen = _plate(width - 2 * margin, length - 2 * margin, 0.012, max(corner - margin, 0.03)).moved(z=thick)
    rows = int(rng.integers(4, 7))
    across = (width - 2 * margin) * 0.86
    colours = ("red", "green", "yellow", "orange", "white", "purple")
    parts = [Part("body", body, "main"), Part("screen", screen, Look(str(rng.choice(["blue", "black"])), "screen"))]
    for i in range(3):
        for j in range(rows):
            icon = _plate(across / 3 * 0.62, across / 3 * 0.62, 0.006, 0.03)
            icon = icon.moved(across * ((i + 0.5) / 3 - 0.5), length * 0.36 - j * across / 3, thick + 0.012)
            parts.append(Part("screen", icon, Look(colours[int(rng.integers(len(colours)))], "screen")))
    return parts


def _calculator(rng: np.random.Generator) -> list[Part]:
    width, length = 1.0, rng.uniform(1.25, 1.6)
    low, high = rng.uniform(0.12, 0.16), rng.uniform(0.2, 0.34)
    slope = float(np.rad2deg(np.arctan2(high - low, length)))
    side = [(-length / 2, 0.0), (length / 2, 0.0), (length / 2, high), (-length / 2, low)]
    # The wedge is drawn in its side view, (y, z), and then stood up
    body = extruded(side, width).turned("x", 90).turned("z", 90).moved(x=-width / 2)
    shown = length * rng.uniform(0.2, 0.26)
    columns, rows = 4, int(rng.integers(4, 6))
    field = length * 0.9 - shown - 0.06
    button = _plate(0.86 / columns * 0.76, field / rows * 0.72, 0.06, 0.03)
    dark = rng.random() < 0.5

    def on_top(mesh: Mesh) -> Mesh:
        return mesh.turned("x", slope).moved(z=(low + high) / 2)

    bezel = _plate(0.88, shown, 0.02, 0.03).moved(y=length * 0.45 - shown / 2)
    window = box(0.78, shown * 0.7, 0.012).moved(y=length * 0.45 - shown / 2, z=0.02)
    parts = [
        Part("body", body, "main"),
        Part("screen", on_top(bezel), DARK),
        Part("screen", on_top(window), Look("green" if rng.random() < 0.5 else "grey", "screen")),
    ]
    for i in range(columns):
        for j in range(rows):
            x, y = 0.86 * ((i + 0.5) / columns - 0.5), -length * 0.45 + field * (j + 0.5) / rows
            plain = Look("grey" if dark else "white", "plastic")
            parts.append(Part("button", on_top(button.moved(x, y)), "accent" if i == columns - 1 else plain))
    return parts


def _headphones(rng: np.random.Generator) -> list[Part]:
    radius, drop = 1.0, rng.uniform(0.15, 0.5)
    left, right = (radius, 0.0, -drop), (-radius, 0.0, -drop)
    path = np.concatenate([np.linspace(left, (radius, 0, 0), 4)[:-1], arc(radius, 0, 180, 32),
                           np.linspace((-radius, 0, 0), right, 4)[1:]])  # fmt: skip
    tall = rng.uniform(0.85, 1.1)
    path = path * [1.0, 1.0, tall]
    band = swept(path, rng.uniform(0.13, 0.2), flatten=0.45, segments=14)
    soft = swept(arc(radius - 0.07, 40, 140, 20) * [1.0, 1.0, tall], 0.15, flatten=0.5, segments=12)
    cup, oval, deep = rng.uniform(0.42, 0.55), rng.uniform(1.0, 1.25), rng.uniform(0.2, 0.3)
    bulge = [(cup, 0.0), (cup * 0.95, deep * 0.55), (cup * 0.6, deep * 0.98), (0.0, deep)]
    shell = revolved([(0.0, 0.0), *rounded_profile(bulge)], 32)
    cushion = [
        (0.0, -0.16),
        (cup * 0.5, -0.16),
        (cup * 0.62, -0.24),
        (cup * 0.9, -0.22),
        (cup, -0.1),
        (cup * 0.95, 0.0),
    ]
    pad = revolved(cushion, 32)
    disc = cylinder(cup * 0.45, 0.03, bevel=0.01).moved(z=deep * 0.97)
    black = Look("black", "leather")
    parts = [Part("headband", band, "main"), Part("headband", soft, black)]
    ears = [Part("ear cup", shell, "main"), Part("ear cup", disc, "accent"), Part("ear pad", pad, black)]
    for side in (1, -1):
        for ear in ears:
            mesh = ear.mesh.scaled(oval, 1.0, 1.0).turned("y", side * 90)
            parts.append(Part(ear.name, mesh.moved(x=side * (radius - 0.02), z=-drop * tall), ear.look))
    return parts


KINDS: tuple[Kind, ...] = (
    Kind(
        "laptop",
        _laptop,
        (0.28, 0.32),
        synonyms=("laptop computer", "notebook computer", "portable computer"),
        hypernyms=("electronics", "electronic device", "computer"),
        uses=("something to work on", "something to type on"),
        colours=("grey", "black", "white", "blue", "pink", "red", "green"),
        materials=("metal", "plastic"),
        askable_parts=("screen", "keyboard"),
    ),
    Kind(
        "camera",
        _camera,
        (0.13, 0.16),
        synonyms=("photo camera", "photographic camera"),
        hypernyms=("electronics", "electronic device"),
        uses=("something to take pictures with", "something to photograph with"),
        materials=("plastic", "leather"),
        askable_parts=("lens",),
    ),
    Kind(
        "phone",
        _phone,
        (0.14, 0.17),
        synonyms=("smartphone", "mobile phone", "cell phone", "telephone"),
        hypernyms=("electronics", "electronic device"),
        uses=("something to make calls with", "something to send messages with", "something to take pictures with"),
        materials=("plastic", "metal"),
        askable_parts=("screen",),
    ),
    Kind(
        "calculator",
        _calculator,
        (0.13, 0.17),
        synonyms=("pocket calculator", "electronic calculator"),
        hypernyms=("electronics", "electronic device", "office supplies"),
        uses=("something to do sums with", "something to calculate with"),
        materials=("plastic",),
        askable_parts=("screen", "button"),
    ),
    Kind(
        "headphones",
        _headphones,
        (0.19, 0.23),
        synonyms=("pair of headphones", "over-ear headphones"),
        hypernyms=("electronics", "electronic device"),
        uses=("something to listen to music with",),
        materials=("plastic", "metal"),
        askable_parts=("headband", "ear cup"),
    ),
)
