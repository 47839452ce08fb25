"""Training pictures for `mini`: many small scenes, a few photographs of each, with labels.

    python recipes/mini/render_data.py OUT

One file a scene, written atomically; what is there is kept, so the command goes on where it stopped. Seeds start at
`FIRST_SEED`, which `lerf make-scene` refuses: no scene that anybody evaluates on can be among them. Held-out pairs
(`lerf_scenes/pairs.py`) are never drawn.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np

from lerf.evaluation.annotations import Thing
from lerf.files import write_atomically
from lerf_scenes.arrange import compose
from lerf_scenes.path import training_cameras
from lerf_scenes.render import Photographer

FIRST_SEED, MEASURE_SEED = 2_000_000, 3_000_000
PATHS = 3
"""Segments of a light path: one bounce between things; more cost as much again and change little."""
SETTINGS = ("table", "table", "shelf", "desk")


def render_scene(path: Path, seed: int, training: bool, views: int, width: int, height: int, spp: int) -> None:
    """Photographs and labels of one scene in one file of arrays."""
    random = np.random.default_rng([seed, 11])
    composition = compose(seed, SETTINGS[seed % len(SETTINGS)], training=training, objects=(12, 20))
    photographer = Photographer(composition, PATHS)
    pictures, labels = [], []
    for number, camera in enumerate(training_cameras(composition, random, views)):
        picture = photographer.picture(camera.pose, camera.fov, width, height, spp, seed=seed * 100 + number)
        pictures.append(picture.colour)
        labels.append(picture.labels)
    described = json.dumps([describe(thing.described()) for thing in composition.things])
    arrays = {"pictures": np.stack(pictures), "labels": np.stack(labels), "things": np.array(described)}
    write_atomically(path, lambda file: np.savez(file, **arrays))


def describe(thing: Thing) -> dict:
    """What captions need to know of a thing."""
    return {
        "identifier": thing.identifier, "kind": thing.kind, "colour": thing.colour, "material": thing.material,
        "pattern": thing.pattern, "second": thing.second, "furniture": thing.furniture,
        "parts": [[part.label, part.name] for part in thing.parts],
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--scenes", type=int, default=1800)
    parser.add_argument("--views", type=int, default=3)
    parser.add_argument("--width", type=int, default=320)
    parser.add_argument("--height", type=int, default=240)
    parser.add_argument("--spp", type=int, default=4)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--part", type=int, default=0, help="of --parts, for several processes side by side")
    parser.add_argument("--parts", type=int, default=1)
    parser.add_argument(
        "--measure", action="store_true", help="other seeds, and every pair of kind and colour or material"
    )
    arguments = parser.parse_args()
    first = MEASURE_SEED if arguments.measure else FIRST_SEED
    start = time.monotonic()
    made = 0
    for number in range(arguments.part, arguments.scenes, arguments.parts):
        path = arguments.out / f"{number:05d}.npz"
        if path.exists():
            continue
        if time.monotonic() - start > 60 * arguments.minutes:
            break
        render_scene(
            path,
            first + number,
            not arguments.measure,
            arguments.views,
            arguments.width,
            arguments.height,
            arguments.spp,
        )
        made += 1
        if made % 20 == 0:
            rate = made * arguments.views / (time.monotonic() - start)
            print(f"{number + 1} of {arguments.scenes} scenes, {rate:.2f} pictures/s", flush=True)


if __name__ == "__main__":
    main()
