"""What a kind of object is: how it is modelled, what it may be made of, and the words that name it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from jaxtyping import Float

from lerf_scenes.mesh import Mesh

COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "brown", "black", "white", "grey")
"""Colours that phrases name."""
MATERIALS = ("wooden", "metal", "glass", "ceramic", "plastic", "fabric")
"""Materials that phrases name."""
PAINTS = tuple(colour for colour in COLOURS if colour != "brown")
"""Colours of what is painted or dyed."""
FINISHES = (*MATERIALS, "natural", "paper", "wax", "leather", "screen", "glow")
"""Everything that a surface can look like. "natural" is fruit, plant and food; "screen" a lit display, "glow" a flame
or a lit bulb."""


@dataclass(frozen=True)
class Look:
    """How a surface looks."""

    colour: str
    """One of `COLOURS`, or "gold", "silver", "beige", "skin": phrases never name the last four."""
    finish: str
    """One of `FINISHES`."""
    pattern: Literal["plain", "striped", "dotted"] = "plain"
    second: str = "white"
    """Colour of stripes or dots."""


@dataclass(frozen=True)
class Part:
    """A named piece of an object. Pieces of one name count as one part (two wheels: both "wheel")."""

    name: str
    """"body" for the main mass; otherwise the word people say: "handle", "lid", "wheel"."""
    mesh: Mesh
    look: Look | Literal["main", "accent"]
    """A look of its own, or the object's: "main" has the colour that phrases name, "accent" a second one."""


@dataclass(frozen=True)
class Kind:
    """A kind of object."""

    name: str
    """Singular, as people say it: "mug", "rubber duck"."""
    model: Callable[[np.random.Generator], list[Part]]
    """Parts of one specimen, in any unit and position, +z up, its front towards -y. Proportions vary with the generator
    over what people would still call by the name."""
    size: tuple[float, float]
    """Range of the longest side in metres, as it stands on a table in our scenes (toys for houses and rockets)."""
    synonyms: tuple[str, ...] = ()
    """Other names, true of every specimen and of no other kind."""
    hypernyms: tuple[str, ...] = ()
    """Wider words, shared with other kinds where they fit: "fruit", "toy", "tool"."""
    uses: tuple[str, ...] = ()
    """What it is for, said as a phrase: "something to drink from"."""
    colours: tuple[str, ...] = COLOURS
    """Colours of the main look."""
    materials: tuple[str, ...] = ()
    """Finishes of the main look, of which phrases name those in `MATERIALS` ("wooden spoon")."""
    patterns: bool = False
    """Whether the main look may be striped or dotted."""
    askable_parts: tuple[str, ...] = ()
    """Parts big and plain enough to ask for: "mug handle". Never "body"."""
    accents: tuple[str, ...] = field(default=COLOURS)
    """Colours of the accent look."""


def normalised(parts: list[Part]) -> list[Part]:
    """Parts rescaled together: longest side 1, standing on z = 0, centred on the z axis."""
    low, high = bounds(parts)
    size = float((high - low).max())
    shift = np.array([-(low[0] + high[0]) / 2, -(low[1] + high[1]) / 2, -low[2]])
    return [replace(p, mesh=replace(p.mesh, vertices=(p.mesh.vertices + shift) / size)) for p in parts]


def bounds(parts: list[Part]) -> tuple[Float[np.ndarray, " 3"], Float[np.ndarray, " 3"]]:
    """Lower and upper corner of all parts."""
    boxes = np.stack([part.mesh.box for part in parts])
    return boxes[:, 0].min(0), boxes[:, 1].max(0)
