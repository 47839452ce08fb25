"""Extraction and training of a large capture under a hard limit of memory, with encoders that cost nothing.

    python benchmarks/bounded_memory.py [--photos 2000] [--limit 8] [--folder runs/bounded] > result.json

Makes a capture of synthetic photos, then trains on it in a process of its own whose anonymous memory is limited by
RLIMIT_DATA (heap, private writable mappings: whatever is not a page of a file), so that an allocation beyond the limit
fails and the process ends with an error. Pyramids have the paper's tiles at the width of CLIP ViT-B/16, dense maps the
size of DINO's. Prints the time of each stage and peaks, sampled twice a second.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import resource
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from lerf.encoders.protocols import EncoderDefaults, FeatureGrid
from lerf.pyramids.tiles import layout

RATIOS = (0.05, 0.125, 0.2, 0.275, 0.35, 0.425, 0.5)


def mixed(cells: torch.Tensor, width: int) -> torch.Tensor:
    """[3, rows, columns] to [rows, columns, width] by a fixed matrix."""
    matrix = torch.randn(3, width, generator=torch.Generator().manual_seed(width))
    return (cells.permute(1, 2, 0) - 0.5) @ matrix


class CheapTiles:
    """Grids of the paper's tiles whose embeddings are mean colours, spread over 512 numbers."""

    name, width, input_size, fingerprint = "cheap-tiles", 512, 224, "cheap-tiles-1"
    defaults = EncoderDefaults(RATIOS, temperature=10.0, threshold=0.5)

    def encode_text(self, phrases):
        return F.normalize(torch.randn(len(phrases), self.width, generator=torch.Generator().manual_seed(0)), dim=-1)

    def encode_tiles(self, tiles):
        return F.normalize(mixed(tiles.mean((2, 3)).T[..., None], self.width)[:, 0], dim=-1)

    def encode_photo_at(self, photo, tile_ratio):
        grid = layout(photo.shape[1], photo.shape[2], tile_ratio)
        cells = F.interpolate(photo[None], (grid.rows, grid.columns), mode="area")[0]
        return FeatureGrid(F.normalize(mixed(cells, self.width), dim=-1), 0.0, 0.0, grid.step, grid.step)


class CheapMap:
    """A map as fine as DINO ViT-S/8's of a photo whose short side is 500 pixels."""

    name, width, fingerprint = "cheap-map", 384, "cheap-map-1"

    def encode_photo(self, photo):
        _, height, width = photo.shape
        scale = 62.5 / min(height, width)
        rows, columns = round(height * scale), round(width * scale)
        cells = F.interpolate(photo[None], (rows, columns), mode="area")[0]
        dx, dy = width / columns, height / rows
        return FeatureGrid(mixed(cells, self.width), dx / 2, dy / 2, dx, dy)


def load_tiles(weights=None, offline=False, device="cpu"):
    return CheapTiles()


def load_map(weights=None, offline=False, device="cpu"):
    return CheapMap()


def make_capture(folder: Path, photos: int, width: int, height: int) -> None:
    """Photos of smooth random colours, cameras on a circle that look at its middle."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    frames = []
    for index in range(photos):
        name = f"images/{index:05d}.jpg"
        if not (folder / name).is_file():
            colours = np.random.default_rng(index).integers(0, 256, (9, 12, 3), dtype=np.uint8)
            picture = Image.fromarray(colours).resize((width, height), Image.Resampling.BICUBIC)
            picture.save(folder / "part.jpg", quality=85)
            os.replace(folder / "part.jpg", folder / name)
        angle = 2 * math.pi * index / photos
        right = (-math.sin(angle), math.cos(angle), 0.0)
        back = (math.cos(angle), math.sin(angle), 0.0)
        rows = [[right[i], (0.0, 0.0, 1.0)[i], back[i], 4.0 * back[i]] for i in range(3)]
        frames.append({"file_path": name, "transform_matrix": [*rows, [0.0, 0.0, 0.0, 1.0]]})
    camera = {"w": width, "h": height, "fl_x": width, "fl_y": width, "cx": width / 2, "cy": height / 2}
    (folder / "transforms.json").write_text(json.dumps({**camera, "frames": frames}))


def memory_now() -> dict[str, int]:
    """Bytes of this process: VmData is what RLIMIT_DATA counts."""
    lines = Path("/proc/self/status").read_text().splitlines()
    values = {line.split(":")[0]: line.split()[1] for line in lines if line.startswith(("VmData", "RssAnon", "VmRSS"))}
    return {name: 1024 * int(value) for name, value in values.items()}


def train_within(folder: Path, limit: float, memory: float, steps: int, rays: int, pool: int) -> None:
    """Work of the child: everything that `lerf train` does."""
    resource.setrlimit(resource.RLIMIT_DATA, (int(limit * 1e9),) * 2)
    from lerf import registry
    from lerf.run.make_settings import make_settings
    from lerf.run.report import Silent
    from lerf.stages.train import train

    registry.ENCODERS["cheap-tiles"] = "bounded_memory:load_tiles"
    registry.DENSE_ENCODERS["cheap-map"] = "bounded_memory:load_map"
    peaks: dict[str, int] = {}

    def watch() -> None:
        while True:
            for name, value in memory_now().items():
                peaks[name] = max(peaks.get(name, 0), value)
            time.sleep(0.5)

    class Log(Silent):
        def begin(self, stage, total):
            print(f"{time.strftime('%H:%M:%S')} {stage}: {total}", file=sys.stderr, flush=True)

        def note(self, message):
            print(message, file=sys.stderr, flush=True)

    threading.Thread(target=watch, daemon=True).start()
    settings = make_settings(
        folder / "capture", preset="lerf-cpu", encoder="cheap-tiles", dense="cheap-map", steps=steps, device="cpu",
        memory=memory,
    )  # fmt: skip
    settings = replace(
        settings,
        radiance_training=replace(settings.radiance_training, rays=rays),
        language_training=replace(settings.language_training, rays=rays, pool_rays=pool),
    )
    run = train(settings, folder / "run", reporter=Log())
    features = sum(path.stat().st_size for path in (folder / "cache").rglob("*.npy"))
    print(json.dumps({**run.read_timings().to_dict(), "peaks": peaks, "features_bytes": features}))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, default=2000)
    parser.add_argument("--width", type=int, default=994)
    parser.add_argument("--height", type=int, default=738)
    parser.add_argument("--limit", type=float, default=8.0, help="gigabytes of anonymous memory, hard")
    parser.add_argument("--memory", type=float, default=4.0, help="lerf train --memory")
    parser.add_argument("--steps", type=int, default=600, help="of each stage")
    parser.add_argument("--rays", type=int, default=4096, help="of each step")
    parser.add_argument("--pool", type=int, default=400_000, help="rays that language is trained on")
    parser.add_argument("--folder", type=Path, default=Path("runs/bounded"))
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        train_within(options.folder, options.limit, options.memory, options.steps, options.rays, options.pool)
        return 0
    start = time.perf_counter()
    make_capture(options.folder / "capture", options.photos, options.width, options.height)
    made = time.perf_counter() - start
    environment = {
        **os.environ, "LERF_CACHE": str(options.folder / "cache"), "PYTHONPATH": str(Path(__file__).parent),
    }  # fmt: skip
    child = subprocess.run(
        [sys.executable, __file__, "--child", *sys.argv[1:]], env=environment, stdout=subprocess.PIPE, text=True
    )
    if child.returncode != 0:
        print(f"The training ended with code {child.returncode} under a limit of {options.limit} GB.", file=sys.stderr)
        return 1
    facts = {
        "photos": options.photos, "size": [options.width, options.height], "limit": "RLIMIT_DATA",
        "limit_bytes": int(options.limit * 1e9), "memory_option": options.memory, "steps": options.steps,
        "rays": options.rays,
        "capture_seconds": round(made, 1), **json.loads(child.stdout),
    }  # fmt: skip
    print(json.dumps(facts, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
