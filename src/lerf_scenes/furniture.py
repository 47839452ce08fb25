"""Tables, shelves, desks, floors and walls with pictures, and the textures that cover them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.fft
from jaxtyping import Float, Int, UInt8
from scipy.ndimage import gaussian_filter

from lerf_scenes.mesh import Mesh, box, cylinder, joined

Texture = UInt8[np.ndarray, "rows columns 3"]
"""sRGB; repeats without a seam, except for pictures on walls."""


@dataclass(frozen=True)
class FurniturePiece:
    """A mesh of one piece of furniture in the scene's frame, its texture, and the words for both."""

    kind: str
    colour: str
    material: str
    part: str
    mesh: Mesh
    texture: Texture
    tile: float | None
    """Metres that one repetition of the texture covers; None where it is stretched over the whole side once."""
    gloss: bool = False


def box_coordinates(
    mesh: Mesh, tile: float | None
) -> tuple[Float[np.ndarray, "corners 3"], Int[np.ndarray, "faces 3"], Float[np.ndarray, "corners 2"]]:
    """Unshared vertices, faces and texture coordinates, projected along each face's steepest axis."""
    corners = mesh.vertices[mesh.faces]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    axes = np.array([[1, 2], [0, 2], [0, 1]])[np.abs(normals).argmax(1)]
    planar = np.take_along_axis(corners, np.repeat(axes[:, None, :], 3, 1), 2)
    if tile is None:
        low, high = mesh.box
        planar = (planar - low[axes][:, None]) / np.maximum(high - low, 1e-9)[axes][:, None]
    else:
        planar = planar / tile
    return corners.reshape(-1, 3), np.arange(3 * len(mesh.faces)).reshape(-1, 3), planar.reshape(-1, 2)


def _noise(size: int, sigma: float | tuple[float, float], rng: np.random.Generator) -> Float[np.ndarray, "size size"]:
    """Seamless noise of unit deviation, blurred over `sigma` pixels."""
    down, across = (sigma, sigma) if isinstance(sigma, int | float) else sigma
    y, x = np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None]
    blur = np.exp(-2 * np.pi**2 * ((down * y) ** 2 + (across * x) ** 2)).astype(np.float32)
    white = rng.standard_normal((size, size), dtype=np.float32)
    noise = scipy.fft.irfft2(scipy.fft.rfft2(white) * blur, s=(size, size))
    return noise / noise.std()


def _bytes(values: Float[np.ndarray, "rows columns 3"]) -> Texture:
    return np.clip(values * 255 + 0.5, 0, 255).astype(np.uint8)


_WOODS = {
    "brown": ((0.52, 0.36, 0.22), (0.40, 0.26, 0.15), (0.62, 0.45, 0.29), (0.68, 0.52, 0.36)),
    "white": ((0.84, 0.82, 0.78),),
    "grey": ((0.52, 0.51, 0.49),),
    "black": ((0.17, 0.155, 0.15),),
}


def wood(colour: str, rng: np.random.Generator, boards: int = 5) -> Texture:
    """Boards with grain along the first texture axis."""
    size = 512
    choices = _WOODS[colour]
    base = np.array(choices[rng.integers(len(choices))])
    rows = np.arange(size)
    board = rows * boards // size
    grain = 0.6 * _noise(size, (1.2, 40.0), rng) + 0.4 * _noise(size, (5.0, 90.0), rng) + 0.12 * _noise(size, 0.7, rng)
    shift = rng.integers(0, size, boards)
    grain = np.stack([np.roll(line, shift[board[k]]) for k, line in enumerate(grain)])
    tone = 1 + 0.13 * grain + 0.10 * rng.normal(size=boards)[board][:, None]
    seam = (rows * boards % size) < 1.3 * boards
    tone[seam] *= 0.55
    return _bytes(base * tone[..., None])


def check(first: tuple[float, ...], second: tuple[float, ...], rng: np.random.Generator) -> Texture:
    """A chequered cloth of two colours."""
    size, period = 512, int(rng.choice([64, 128]))
    on = (np.arange(size) % period) < period // 2
    share = (on[:, None] * 0.5 + on[None] * 0.5)[..., None]
    weave = 1 + 0.05 * _noise(size, 0.6, rng) + 0.04 * _noise(size, 25, rng)
    return _bytes((np.array(first) * (1 - share) + np.array(second) * share) * weave[..., None])


def marble(rng: np.random.Generator) -> Texture:
    """White stone with grey veins."""
    field = _noise(512, 38, rng) + 0.45 * _noise(512, 11, rng) + 0.2 * _noise(512, 4, rng)
    veins = np.exp(-np.abs(field) * 7)
    tone = 0.87 - 0.42 * veins + 0.03 * _noise(512, 30, rng) + 0.012 * _noise(512, 0.6, rng)
    return _bytes(tone[..., None] * np.array([1.0, 0.985, 0.96]))


def mottled(base: tuple[float, ...], rng: np.random.Generator, depth: float = 0.06) -> Texture:
    """Plaster, paint or carpet: noise at several scales over one colour."""
    noise = 0.5 * _noise(512, 1.0, rng) + 0.5 * _noise(512, 4, rng) + 0.5 * _noise(512, 24, rng)
    return _bytes(np.array(base) * (1 + depth * noise)[..., None])


def tiles(first: tuple[float, ...], second: tuple[float, ...], rng: np.random.Generator, count: int = 4) -> Texture:
    """Square tiles in two colours with joints."""
    size = 512
    cell = np.arange(size) * count // size
    odd = (cell[:, None] + cell[None]) % 2
    tone = 1 + 0.06 * rng.normal(size=(count, count))[cell[:, None], cell[None]]
    tone = tone + 0.04 * _noise(size, 6, rng)
    values = np.where(odd[..., None] == 1, np.array(first), np.array(second)) * tone[..., None]
    joint = (np.arange(size) * count % size) < 4 * count
    values[joint] = values[:, joint] = 0.55
    return _bytes(values)


def bricks(base: tuple[float, ...], rng: np.random.Generator) -> Texture:
    """A wall of bricks with light joints."""
    size, rows, columns = 512, 16, 6
    y, x = np.meshgrid(np.arange(size), np.arange(size), indexing="ij")
    row = y * rows // size
    along = (x * columns / size + 0.5 * (row % 2)) % columns
    tone = 1 + 0.14 * rng.normal(size=(rows, columns))[row, along.astype(int)] + 0.08 * _noise(size, 2, rng)
    values = np.array(base) * tone[..., None]
    joint = ((y * rows / size) % 1 < 0.12) | (along % 1 < 0.05)
    values[joint] = np.array([0.72, 0.70, 0.67]) * (1 + 0.05 * _noise(size, 2, rng)[joint])[:, None]
    return _bytes(values)


def wallpaper(base: tuple[float, ...], rng: np.random.Generator) -> Texture:
    """Stripes or a lattice of diamonds, a little lighter or darker than the base colour."""
    size, count = 512, int(rng.choice([6, 8, 10]))
    y, x = np.meshgrid(np.arange(size), np.arange(size), indexing="ij")
    u, v = x * count / size, y * count / size
    if rng.random() < 0.5:
        shape = (u % 1 < 0.45).astype(float) * 0.7 + (np.abs(u % 1 - 0.72) < 0.03)
    else:
        shape = (np.abs((u + v) % 1 - 0.5) + np.abs((u - v) % 1 - 0.5) < 0.35).astype(float)
    tone = 1 + rng.choice([-1, 1]) * 0.12 * gaussian_filter(shape, 1.0, mode="wrap") + 0.02 * _noise(size, 3, rng)
    return _bytes(np.array(base) * tone[..., None])


def painting(rng: np.random.Generator) -> Texture:
    """An abstract picture: a sky, a ground, and discs and bars of strong colours."""
    height, width = 192, 256
    y, x = np.meshgrid(np.linspace(0, 1, height), np.linspace(0, 1, width), indexing="ij")
    top, bottom, ground = rng.uniform(0.25, 0.95, (3, 3))
    values = top + (bottom - top) * y[..., None]
    values[y > 0.55 + 0.12 * np.sin(5 * x + rng.uniform(0, 6))] = ground
    for _ in range(int(rng.integers(3, 8))):
        cx, cy, size = rng.random(), rng.random(), rng.uniform(0.05, 0.2)
        if rng.random() < 0.5:
            inside = (x - cx) ** 2 + (y - cy) ** 2 < size**2
        else:
            inside = (np.abs(x - cx) < size) & (np.abs(y - cy) < size * rng.uniform(0.2, 1.0))
        values[inside] = rng.uniform(0.05, 0.95, 3)
    values += 0.03 * rng.normal(size=values.shape)
    rim = (np.minimum(x, 1 - x) < 0.045) | (np.minimum(y, 1 - y) < 0.06)
    values[rim] = rng.choice([0.1, 0.35, 0.9])
    # Texture rows count upwards from the picture's lower edge.
    return _bytes(values[::-1])


def _pale(rng: np.random.Generator, low: float = 0.62, high: float = 0.88) -> tuple[float, ...]:
    grey = rng.uniform(low, high)
    return tuple(np.clip(grey + rng.normal(scale=0.045, size=3), 0.0, 0.95))


def surface(rng: np.random.Generator) -> tuple[str, str, Texture, float, bool]:
    """Colour, material, texture, metres a tile and gloss of a table top or a board."""
    draw = rng.random()
    if draw < 0.6:
        colour = str(rng.choice(["brown", "brown", "brown", "white", "grey", "black"]))
        return (
            colour,
            "wooden",
            wood(colour, rng, int(rng.integers(4, 8))),
            float(rng.uniform(0.6, 0.9)),
            rng.random() < 0.5,
        )
    if draw < 0.82:
        tints = {
            "red": (0.66, 0.16, 0.15),
            "blue": (0.22, 0.36, 0.62),
            "green": (0.27, 0.47, 0.32),
            "grey": (0.45, 0.45, 0.46),
        }
        colour = str(rng.choice(list(tints)))
        return colour, "fabric", check((0.88, 0.87, 0.84), tints[colour], rng), float(rng.uniform(0.35, 0.55)), False
    if draw < 0.92:
        return "white", "natural", marble(rng), float(rng.uniform(0.7, 1.0)), True
    pale = _pale(rng, 0.5, 0.8)
    return "grey", "plastic", mottled(pale, rng, 0.05), 0.5, True


def room(rng: np.random.Generator, floor_height: float, walls: dict[str, float]) -> list[FurniturePiece]:
    """Floor, and walls at given distances from the middle on the sides "+y", "-y", "+x" and "-x", with pictures."""
    pieces = []
    half = 3.2
    draw = rng.random()
    if draw < 0.45:
        colour = str(rng.choice(["brown", "brown", "grey"]))
        texture, material, tile = wood(colour, rng, 6), "wooden", 0.9
    elif draw < 0.7:
        texture, colour, material, tile = tiles(_pale(rng), _pale(rng, 0.25, 0.7), rng), "grey", "ceramic", 1.2
    else:
        colour = str(rng.choice(["grey", "blue", "brown"]))
        tufts = {"grey": (0.5, 0.5, 0.5), "blue": (0.33, 0.40, 0.52), "brown": (0.47, 0.38, 0.30)}[colour]
        texture, material, tile = mottled(tufts, rng, 0.16), "fabric", 0.8
    floor = box(2 * half, 2 * half, 0.1).moved(z=floor_height - 0.1)
    pieces.append(FurniturePiece("floor", colour, material, "body", floor, texture, tile))
    draw = rng.random()
    base = _pale(rng)
    colour, material, tile = "white" if min(base) > 0.75 else "grey", "natural", 1.0
    if draw < 0.4:
        texture = mottled(base, rng, 0.035)
    elif draw < 0.75:
        texture, material = wallpaper(base, rng), "paper"
    else:
        red = rng.random() < 0.6
        clay = (0.56, 0.30, 0.23) if red else (0.72, 0.70, 0.66)
        texture = bricks(clay, rng)
        colour = "brown" if red else "white"
    height = 2.7
    for side, distance in walls.items():
        turn = {"+y": 0.0, "-x": 90.0, "-y": 180.0, "+x": 270.0}[side]
        wall = box(2 * half, 0.1, height).moved(y=distance + 0.05, z=floor_height).turned("z", turn)
        pieces.append(FurniturePiece("wall", colour, material, "body", wall, texture, tile))
        for _ in range(int(rng.integers(1, 3))):
            width = rng.uniform(0.35, 0.75)
            picture = box(width, 0.02, 0.75 * width)
            x, z = rng.uniform(-0.9, 0.9), floor_height + rng.uniform(1.15, 1.6)
            picture = picture.moved(x, distance - 0.01, z).turned("z", turn)
            if not any(_overlap(picture, other.mesh) for other in pieces if other.kind == "picture"):
                pieces.append(FurniturePiece("picture", "", "paper", "body", picture, painting(rng), None))
    return pieces


def _overlap(first: Mesh, second: Mesh) -> bool:
    (a, b), (c, d) = first.box, second.box
    return bool(np.all(a < d + 0.05) and np.all(c < b + 0.05))


def table(
    rng: np.random.Generator, round_top: bool, half: tuple[float, float], floor_height: float
) -> list[FurniturePiece]:
    """A table whose top is at z = 0: a disc of radius half[0], or a rectangle of half sides `half`."""
    colour, material, texture, tile, gloss = surface(rng)
    thick = rng.uniform(0.025, 0.045)
    if round_top:
        top = cylinder(half[0], thick, bevel=0.006).moved(z=-thick)
        legs = joined(
            cylinder(0.05, -floor_height - thick).moved(z=floor_height), cylinder(0.3, 0.03, 0.1).moved(z=floor_height)
        )
    else:
        top = box(2 * half[0], 2 * half[1], thick).moved(z=-thick)
        leg = box(0.06, 0.06, -floor_height - thick).moved(z=floor_height)
        legs = joined(*(leg.moved(x * (half[0] - 0.05), y * (half[1] - 0.05)) for x in (-1, 1) for y in (-1, 1)))
    frame = wood(str(rng.choice(["brown", "black", "white"])), rng)
    return [
        FurniturePiece("table", colour, material, "body", top, texture, tile, gloss),
        FurniturePiece("table", colour, material, "leg", legs, frame, 0.7),
    ]


def desk(rng: np.random.Generator, half: tuple[float, float], floor_height: float) -> list[FurniturePiece]:
    """A desk whose top is at z = 0, with a poster on the wall behind it."""
    pieces = [
        FurniturePiece("desk", p.colour, p.material, p.part, p.mesh, p.texture, p.tile, p.gloss)
        for p in table(rng, False, half, floor_height)
    ]
    width = rng.uniform(0.5, 0.9)
    poster = box(width, 0.012, rng.uniform(0.35, 0.5)).moved(
        rng.uniform(-0.2, 0.2), half[1] + 0.045, rng.uniform(0.2, 0.3)
    )
    pieces.append(FurniturePiece("picture", "", "paper", "body", poster, painting(rng), None))
    return pieces


def shelf(rng: np.random.Generator, half: tuple[float, float], heights: tuple[float, ...]) -> list[FurniturePiece]:
    """A shelf open to -y: boards whose upper sides are at `heights`, cheeks and a back."""
    colour = str(rng.choice(["brown", "brown", "brown", "white", "white", "grey", "grey", "black"]))
    texture, thick = wood(colour, rng, 4), 0.022
    boards = [box(2 * half[0], 2 * half[1], thick).moved(z=z - thick) for z in heights]
    low, high = heights[0] - thick, heights[-1] + 0.06
    cheek = box(thick, 2 * half[1], high - low).moved(z=low)
    boards += [cheek.moved(x=sign * (half[0] + thick / 2)) for sign in (-1, 1)]
    back = box(2 * half[0] + 2 * thick, 0.012, high - low).moved(y=half[1] + 0.006, z=low)
    tone = mottled(_pale(rng, 0.35, 0.85), rng, 0.06) if rng.random() < 0.5 else wood(colour, rng, 7)
    return [
        FurniturePiece("shelf", colour, "wooden", "body", joined(*boards), texture, 0.8, rng.random() < 0.4),
        FurniturePiece("shelf", colour, "wooden", "back", back, tone, 0.8),
    ]
