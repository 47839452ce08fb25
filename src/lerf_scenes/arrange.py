"""Compositions drawn from a seed: which things a scene holds, with their colours, materials, patterns and labels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from lerf.errors import ConfigError
from lerf_scenes.composition import SETTINGS, Composition, LabelledSurface, PlacedThing, Setting
from lerf_scenes.furniture import FurniturePiece
from lerf_scenes.kind import COLOURS, Kind, Look, normalised
from lerf_scenes.kinds import all_kinds
from lerf_scenes.lighting import drawn_lights, exposure_factor
from lerf_scenes.pairs import held_out
from lerf_scenes.placement import arranged, furnished


def drawn_setting(seed: int) -> Setting:
    """The setting of a scene when none is asked for."""
    return SETTINGS[int(np.random.default_rng([seed, 0]).choice(3, p=(0.5, 0.25, 0.25)))]


def compose(seed: int, setting: Setting, *, training: bool = False, objects: tuple[int, int] = (14, 18)) -> Composition:
    """Draw a scene.

    Args:
        seed: everything follows from it.
        setting: furniture that the objects stand on.
        training: avoid the pairs of kind and colour or finish that are held out (`lerf_scenes.pairs`).
        objects: fewest and most objects; fewer where they do not fit.

    Raises:
        ConfigError: for a setting that does not exist or a count out of range.
    """
    if setting not in SETTINGS:
        raise ConfigError(f"There is no setting {setting!r}; choose one of {', '.join(SETTINGS)}.")
    if not 1 <= objects[0] <= objects[1] <= 24:
        raise ConfigError(f"A scene holds 1 to 24 objects, fewest first, not {objects[0]} to {objects[1]}.")
    rng = np.random.default_rng([seed, 1])
    floor = -float(rng.uniform(0.68, 0.78))
    supports, pieces, half = furnished(setting, rng, floor)
    unplaced = [
        _thing(kind, colour, material, rng, [seed, 2, number])
        for number, (kind, colour, material) in enumerate(
            _drawn(rng, int(rng.integers(objects[0], objects[1] + 1)), training)
        )
    ]
    placed = arranged(unplaced, supports, setting, rng)
    lights, ambient = drawn_lights(setting, rng)
    middle = (0.0, 0.0, 0.05 if setting != "shelf" else 0.0)
    exposure = exposure_factor(setting, lights, ambient) * float(rng.uniform(0.92, 1.05))
    things = _numbered(placed, pieces)
    return Composition(seed, setting, things, lights, ambient, exposure, middle, half)


def _drawn(rng: np.random.Generator, count: int, training: bool) -> list[tuple[Kind, str, str]]:
    """Kinds with colours and materials; in some scenes one kind occurs two or three times, in different colours."""
    kinds = list(all_kinds().values())
    order = [kinds[int(k)] for k in rng.permutation(len(kinds))]
    several = [kind for kind in order if len(kind.colours) > 2]
    if several and rng.random() < 0.4:
        order = [several[0]] * int(rng.integers(1, 3)) + order
    while len(order) < count:
        order += [kinds[int(k)] for k in rng.permutation(len(kinds))]
    drawn: list[tuple[Kind, str, str]] = []
    for kind in order[:count]:
        used = {colour for other, colour, _ in drawn if other.name == kind.name}
        colours = [c for c in kind.colours if c not in used] or list(kind.colours) or ["white"]
        materials = list(kind.materials) or ["natural"]
        if training:
            colours = [c for c in colours if not held_out(kind.name, c)] or [
                c for c in kind.colours if not held_out(kind.name, c)
            ]
            materials = [m for m in materials if not held_out(kind.name, m)]
        colour, material = str(rng.choice(colours)), str(rng.choice(materials))
        if "brown" in colours and material == "wooden" and rng.random() < 0.35:
            colour = "brown"  # Bare wood is more common than painted wood.
        drawn.append((kind, colour, material))
    return drawn


def _thing(kind: Kind, colour: str, material: str, rng: np.random.Generator, seed: list[int]) -> PlacedThing:
    """A specimen at the origin of its own frame; `_numbered` sets its identifier and labels."""
    pattern, second = "plain", ""
    others = [c for c in COLOURS if c != colour]
    if kind.patterns and rng.random() < 0.4:
        pattern = str(rng.choice(["striped", "dotted"]))
        second = "white" if colour != "white" and rng.random() < 0.5 else str(rng.choice(others))
    accents = [c for c in kind.accents if c != colour] or list(kind.accents) or others
    hard = material not in ("natural", "wax", "glow", "screen", "paper", "glass")
    looks = {
        "main": Look(colour, material, pattern, second or "white"),  # type: ignore[arg-type]
        "accent": Look(str(rng.choice(accents)), material if hard else "plastic"),
    }
    extent = float(rng.uniform(*kind.size))
    surfaces = []
    for part in normalised(kind.model(np.random.default_rng([*seed, 1]))):
        look = looks[part.look] if isinstance(part.look, str) else part.look
        mesh = part.mesh.scaled(extent)
        # Parts that look alike share a base colour: the seed depends on the look alone.
        code = sum(ord(letter) * (k + 1) for k, letter in enumerate(f"{look.colour}{look.finish}{look.second}"))
        surfaces.append(LabelledSurface(part.name, 0, mesh, look, (*seed, 3, code)))
    return PlacedThing(0, kind.name, colour, material, pattern, second, False, tuple(surfaces), extent)


def _numbered(placed: list[PlacedThing], pieces: list[FurniturePiece]) -> tuple[PlacedThing, ...]:
    """Objects and then furniture, with identifiers and labels; parts of one name in one thing share a label."""
    groups: dict[tuple[str, int], list[FurniturePiece]] = {}
    for number, piece in enumerate(pieces):
        # Table, shelf or desk are one thing each; every wall and picture is its own.
        alone = number if piece.kind in ("wall", "picture") else 0
        groups.setdefault((piece.kind, alone), []).append(piece)
    unlabelled = list(placed)
    for (kind, _), group in groups.items():
        surfaces = tuple(
            LabelledSurface(p.part, 0, p.mesh, texture=p.texture, tile=p.tile, gloss=p.gloss) for p in group
        )
        first = group[0]
        unlabelled.append(PlacedThing(0, kind, first.colour, first.material, "plain", "", True, surfaces, 1.0))
    things, label = [], 0
    for identifier, thing in enumerate(unlabelled, 1):
        names = list(dict.fromkeys(surface.name for surface in thing.surfaces))
        numbered = tuple(replace(part, label=label + 1 + names.index(part.name)) for part in thing.surfaces)
        label += len(names)
        things.append(replace(thing, identifier=identifier, surfaces=numbered))
    if label > 255:
        raise AssertionError("labels of a scene must fit a byte")
    return tuple(things)
