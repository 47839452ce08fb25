"""Known things on a wall, in 3D and in the photo alone: what lifting and the choice of scale cost, geometry apart.

    python benchmarks/wall.py PHOTOS [--encoder conse] [--walls 3] [--half reported] [--hanging many] [--json]

Photographs of known classes (`composed.py` says how they are named) hang on a flat wall, small and large; cameras look
at it from near and far and from the side. The radiance is the wall itself: nothing of the answer is the fault of
geometry. Language is lifted from the training views and asked for the names in the held-out ones, at one scale for a
wall; beside it stands the 2D baseline, whose scale is chosen for each view. A name is found where the most relevant
pixel lies on its photograph. Pyramids are kept in the cache. `--hanging few` hangs six large photographs in place
of ten small ones and goes closer, as somebody does who films things to find them again.
"""

from __future__ import annotations

import argparse
import json
import math
import random
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from composed import SEED, photos_of
from lerf.encoders.protocols import ImageTextEncoder
from lerf.encoders.registry import load_encoder
from lerf.encoders.taxonomy import CLASSES, load_taxonomy
from lerf.evaluation.baseline import table_maps
from lerf.geometry.camera import Camera
from lerf.geometry.camera_table import CameraTable, image_pixels
from lerf.geometry.traced_rays import TracedRays
from lerf.language.cell_language import CellLanguage
from lerf.language.lift import LiftInputs, lift
from lerf.pyramids.lookup import PyramidTable
from lerf.pyramids.store import build_pyramids
from lerf.queries.phrases import embed_phrases
from lerf.queries.scales import ScaleSearch, choose_scales, relevancy_at
from lerf.radiance.protocol import ColourPicture
from lerf.radiance.surface import trace_surface
from lerf.steps import Steps, finish

WIDTH, HEIGHT, FOCAL = 480, 360, 330.0
HALF = (1.3, 0.9)
"""Half the wall's width and height."""
TEXELS = 640
"""Of the wall's texture, a unit."""
TRAIN, HELD_OUT = 9, 4


@dataclass(frozen=True)
class Hanging:
    """How many photographs hang on a wall, how large they are, and how far away cameras are; in units of the wall."""

    columns: int
    rows: int
    sides: tuple[float, float]
    distances: tuple[float, float]


HANGINGS = {
    "many": Hanging(5, 2, (0.18, 0.42), (0.8, 2.2)),
    "few": Hanging(3, 2, (0.4, 0.65), (0.9, 1.8)),
}


class Wall:
    """Implements `Radiance` for a wall in the plane z = 0, white beyond: one sample a ray."""

    def __init__(self, texture: Tensor) -> None:
        """`texture` is [1, 3, rows, columns] in 0..1; its first row is the highest."""
        self.texture = texture

    def colours(self, points: Tensor) -> Tensor:
        """Of points (x, y) on the wall, [rows, columns, 2], the colours [3, rows, columns]; black beyond it."""
        where = points / torch.tensor(HALF) * torch.tensor([1.0, -1.0])
        return F.grid_sample(self.texture, where[None], mode="bilinear", padding_mode="zeros", align_corners=False)[0]

    def render(self, cameras: CameraTable, index: int, samples: int | None = None) -> Steps[ColourPicture]:
        """See `Radiance.render`."""
        width, height = cameras.sizes[index].tolist()
        pixels = image_pixels(width, height)
        rays = self.trace(cameras, torch.full((len(pixels),), index), pixels, 1)
        yield
        hit = rays.hit.view(height, width)
        colour = self.colours(rays.median_position[:, :2].view(height, width, 2)).permute(1, 2, 0)
        depth = rays.median_depth.view(height, width).masked_fill(~hit, torch.nan)
        return ColourPicture(torch.where(hit[..., None], colour, 1.0), depth, hit.float())

    def trace(
        self, cameras: CameraTable, index: Tensor, pixels: Tensor, heaviest: int, samples: int | None = None
    ) -> TracedRays:
        """See `Radiance.trace`."""
        rays = cameras.rays(index, pixels)
        distance = -rays.origins[:, 2] / rays.directions[:, 2].clamp(max=-1e-6)
        points = rays.origins + rays.directions * distance[:, None]
        hit = (points[:, :2].abs() <= torch.tensor(HALF)).all(dim=-1)
        depth = distance * rays.axis_cosine
        return TracedRays(points[:, None], torch.ones(len(hit), 1), depth[:, None], hit, depth, points)


@dataclass(frozen=True)
class Hung:
    """A wall with photographs, and who looks at it."""

    wall: Wall
    labels: tuple[int, ...]
    boxes: tuple[tuple[float, float, float, float], ...]
    """Of each photograph: left, bottom, right, top on the wall."""
    cameras: CameraTable


def hang(photos: dict[int, list[Path]], classes: list[int], number: int, how: Hanging) -> Hung:
    """The wall of a number, the same every time."""
    rng = random.Random(1000 * SEED + number)
    width, height = (round(2 * half * TEXELS) for half in HALF)
    wall = np.empty((height, width, 3))
    wall[:] = [rng.uniform(110, 190) for _ in range(3)]
    wall += np.random.default_rng(number).normal(0, 5, (height, width, 1))
    labels, boxes = rng.sample(classes, how.columns * how.rows), []
    for place, label in enumerate(labels):
        side = rng.uniform(*how.sides)
        x = -HALF[0] + 2 * HALF[0] * (place % how.columns + 0.5) / how.columns + rng.uniform(-0.04, 0.04)
        free = min(0.2, HALF[1] / how.rows - side / 2)
        y = -HALF[1] + 2 * HALF[1] * (place // how.columns + 0.5) / how.rows + rng.uniform(-free, free)
        photo, texels = Image.open(rng.choice(photos[label])).convert("RGB"), round(side * TEXELS)
        short = min(photo.size)
        left, top = (photo.width - short) // 2, (photo.height - short) // 2
        square = photo.crop((left, top, left + short, top + short)).resize((texels, texels), Image.Resampling.LANCZOS)
        column, row = round((x - side / 2 + HALF[0]) * TEXELS), round((HALF[1] - y - side / 2) * TEXELS)
        wall[row : row + texels, column : column + texels] = np.asarray(square)
        boxes.append((x - side / 2, y - side / 2, x + side / 2, y + side / 2))
    cameras = []
    for view in range(TRAIN + HELD_OUT):
        # Near and far in turn, so that held-out views have both.
        distance = how.distances[0] * (how.distances[1] / how.distances[0]) ** ((view % 4 + rng.random()) / 4)
        reach = max(0.0, 1.0 - distance / 2.4)
        aim = np.array([rng.uniform(-1, 1) * HALF[0] * reach, rng.uniform(-1, 1) * HALF[1] * reach, 0.0])
        away = [rng.uniform(-0.4, 0.4) * distance, rng.uniform(-0.2, 0.2) * distance, distance]
        eye = aim + np.array(away)
        back = (eye - aim) / np.linalg.norm(eye - aim)
        right = np.cross([0.0, 1.0, 0.0], back)
        right /= np.linalg.norm(right)
        pose = np.stack([right, np.cross(back, right), back, eye], axis=1)
        cameras.append(Camera(WIDTH, HEIGHT, FOCAL, FOCAL, WIDTH / 2, HEIGHT / 2, pose))
    texture = torch.from_numpy(wall.clip(0, 255).astype(np.float32)).permute(2, 0, 1)[None] / 255.0
    return Hung(Wall(texture), tuple(labels), tuple(boxes), CameraTable.from_cameras(cameras))


def points_of(hung: Hung, view: int, finer: int = 1) -> Tensor:
    """Where the pixels of a view lie on the wall, (x, y), [finer * height, finer * width, 2]."""
    pixels = image_pixels(finer * WIDTH, finer * HEIGHT) / finer
    index = torch.full((len(pixels),), view)
    return hung.wall.trace(hung.cameras, index, pixels, 1).median_position[:, :2].view(finer * HEIGHT, finer * WIDTH, 2)


def photograph(hung: Hung, view: int) -> np.ndarray:
    """What a camera sees, [height, width, 3]; black beyond the wall."""
    picture = F.avg_pool2d(hung.wall.colours(points_of(hung, view, 3))[None], 3)[0].permute(1, 2, 0)
    return (255 * picture).round().to(torch.uint8).numpy()


def measure(encoder: ImageTextEncoder, hung: Hung) -> dict[str, list[float]]:
    """For each name in each held-out view that shows its photograph whole, 1 where it is found, in 3D and in 2D."""
    views = range(len(hung.cameras))
    store = build_pyramids([partial(photograph, hung, view) for view in views], encoder)
    train, held_out = tuple(views[:TRAIN]), views[TRAIN:]
    targets = PyramidTable.from_store(store, train)
    surface = finish(trace_surface(hung.wall, hung.cameras, train, 1, points=20_000))
    inputs = LiftInputs(surface, hung.wall, hung.cameras, train, 1, encoder)
    language = CellLanguage(lift(inputs, targets, "0" * 64), 1)
    search = ScaleSearch(language, language.encode_cells())
    names = [load_taxonomy().lemmas[label][0] for label in hung.labels]
    defaults = encoder.defaults
    phrases = embed_phrases(encoder, names, defaults.canonical, defaults.temperature, scene=lambda: search)
    scales = finish(choose_scales(search, phrases))
    found: dict[str, list[float]] = {"lifted": [], "2d": [], "side": [], "scale": []}
    for view in held_out:
        where = points_of(hung, view).reshape(-1, 2)
        pixels = image_pixels(WIDTH, HEIGHT)
        latent = language.encode(hung.wall.trace(hung.cameras, torch.full((len(pixels),), view), pixels, 1))
        flat = table_maps(PyramidTable.from_store(store, [view]), WIDTH, HEIGHT, phrases).flatten(1)
        for row, (left, bottom, right, top) in enumerate(hung.boxes):
            corners = torch.tensor([[left, bottom, 0.0], [right, bottom, 0.0], [right, top, 0.0], [left, top, 0.0]])
            seen, _ = hung.cameras.project(view, corners)
            if not bool(((seen >= 0) & (seen <= torch.tensor([WIDTH, HEIGHT]))).all()):
                continue
            lifted = relevancy_at(language, latent, phrases.chosen([row]), scales[row])[0]
            for name, relevancy in (("lifted", lifted), ("2d", flat[row])):
                x, y = where[int(relevancy.argmax())].tolist()
                found[name].append(float(left <= x <= right and bottom <= y <= top))
            found["side"].append(float(seen[:, 1].max() - seen[:, 1].min()) / HEIGHT)
            found["scale"].append(scales[row] / (right - left))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--encoder", default="conse")
    parser.add_argument("--half", choices=("tuning", "reported"), default="reported")
    parser.add_argument("--walls", type=int, default=3)
    parser.add_argument("--hanging", choices=tuple(HANGINGS), default="many")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    photos, encoder = photos_of(arguments.photos), load_encoder(arguments.encoder)
    names = [lemmas[0] for lemmas in load_taxonomy().lemmas[:CLASSES]]
    odd = int(arguments.half == "reported")
    classes = [label for label in sorted(photos) if label % 2 == odd and names.count(names[label]) == 1]
    how = HANGINGS[arguments.hanging]
    if len(classes) < how.columns * how.rows:
        parser.error(f"{arguments.photos} has fewer than {how.columns * how.rows} classes of this half.")
    together: dict[str, list[float]] = {}
    for wall in range(arguments.walls):
        for name, values in measure(encoder, hang(photos, classes, wall, how)).items():
            together.setdefault(name, []).extend(values)
    report: dict[str, Any] = {"walls": arguments.walls, "asked": len(together["2d"])}
    small = [side <= math.sqrt(0.1 * 0.5) for side in together["side"]]
    for name in ("lifted", "2d"):
        report[name] = mean(together[name])
        for size, wanted in (("small", True), ("large", False)):
            chosen = [value for value, flag in zip(together[name], small, strict=True) if flag is wanted]
            report[f"{name}_{size}"] = mean(chosen) if chosen else None
    report["scale_over_side"] = mean(together["scale"])
    print(json.dumps(report, indent=2 if arguments.json else None))


if __name__ == "__main__":
    main()
