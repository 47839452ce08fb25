"""What a capture or a run holds, and the arithmetic of what training will take."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from lerf.encoders.mini import DEFAULTS as MINI
from lerf.encoders.mini import HEIGHT, SPACING
from lerf.errors import ConfigError
from lerf.kernels.layout import GridLayout
from lerf.pyramids.tiles import layout
from lerf.run.device import default_device
from lerf.run.folder import RunFolder
from lerf.run.settings import MEMORY, PRESETS, TrainSettings
from lerf.scenes.load import load_scene
from lerf.training.pixels import pixel_bytes

BASE_BYTES = 700_000_000
"""Interpreter, torch, numba and an offline encoder, measured with lerf-cpu."""
RAYS_PER_SECOND_CPU = {
    "lerf-cpu": (50_000, 65_000),
    "lerf-demo": (50_000, 65_000),
    "lerf-lite": (3_300, 7_900),
    "lerf": (3_300, 5_900),
    "lerf-big": (3_300, 4_400),
}
"""Rays a second of radiance and language training on two cores, measured; language of lerf is taken to lie between its
neighbours."""


TILES = (0.05, 0.125, 0.2, 0.275, 0.35, 0.425, 0.5)
"""Tile ratios of CLIP's kin."""


def _grid(rows: float) -> Callable[[int, int], float]:
    """A grid of about so many rows of square cells over a photo."""
    return lambda height, width: rows * rows * width / height


def _short(cells: float) -> Callable[[int, int], float]:
    """A grid with so many cells along a photo's short side."""
    return lambda height, width: cells * cells * max(height, width) / min(height, width)


def _tiles(height: int, width: int) -> float:
    return tile_cells(height, width, TILES)


ENCODER_SIZES: dict[str, tuple[int, Callable[[int, int], float]]] = {
    "conse": (384, lambda height, width: 470.0),
    "conse-lite2": (384, lambda height, width: 470.0),
    "conse-mid": (112, _short(32)),
    "dino": (384, _short(500 / 8)),
    "dinov2": (384, _short(500 / 14)),
    "hf": (768, _tiles),
    "mini": (128, lambda height, width: len(MINI.tile_ratios) * _grid(HEIGHT / SPACING)(height, width)),
    "mini-map": (256, _grid(60)),
    "openclip": (512, _tiles),
    "openclip-l": (768, _tiles),
}
"""Width, and cells of a photo of given height and width in all levels, as each encoder comes."""


def features_of(
    encoder: str, sizes: Sequence[tuple[int, int]], width: int | None = None, tile_ratios: Sequence[float] | None = None
) -> int | None:
    """Bytes that an encoder's features of photos of these sizes (height, width) take; None for one not known here."""
    family = re.split(r"[:+]", encoder)[0]
    if family not in ENCODER_SIZES:
        return None
    usual, cells = ENCODER_SIZES[family]
    if tile_ratios and cells is _tiles:
        counts = [float(tile_cells(*size, tile_ratios)) for size in sizes]
    else:
        counts = [cells(*size) for size in sizes]
    return int(2 * (width or usual) * sum(counts))


def tile_cells(height: int, width: int, tile_ratios: Sequence[float]) -> int:
    """Tiles of all heights over one photo."""
    grids = [layout(height, width, ratio) for ratio in tile_ratios]
    return sum(grid.rows * grid.columns for grid in grids)


def size_text(count: int | float) -> str:
    """Bytes in words."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"


def describe_capture(
    path: Path,
    downscale: int | None,
    preset: str | None,
    *,
    encoder: str | None = None,
    dense: str | None = None,
    tile_ratios: Sequence[float] | None = None,
    memory: float = MEMORY,
) -> dict[str, Any]:
    """Photos, cameras and split, and an estimate of memory, disk and (on a CPU) minutes for a preset.

    The features of an encoder that is not known here are left out of it.

    Args:
        path: capture.
        downscale: what the photos' size is divided by.
        preset: name; by default that of this machine.
        encoder: image-text encoder, by default the preset's.
        dense: dense regulariser, by default the preset's.
        tile_ratios: heights of tiles over the photo's, by default the encoder's.
        memory: gigabytes that photos, and later features, may take.

    Raises:
        SceneError: when the capture cannot be read.
        ConfigError: when the preset is unknown.
    """
    scene = load_scene(path, downscale)
    preset = preset or ("lerf-cpu" if default_device() == "cpu" else "lerf")
    if preset not in PRESETS:
        raise ConfigError(f"There is no preset '{preset}'; known are {', '.join(PRESETS)}.")
    chosen = PRESETS[preset]
    sizes = sorted({(photo.camera.width, photo.camera.height) for photo in scene.photos})
    radiance, language = chosen.radiance, chosen.language
    radiance_grid = GridLayout.geometric(
        radiance.levels, radiance.coarsest, radiance.finest, radiance.features, radiance.log2_entries
    )
    language_grid = GridLayout((), language.features, language.log2_entries)
    for levels, coarsest, finest in language.grids:
        language_grid += GridLayout.geometric(levels, coarsest, finest, language.features, language.log2_entries)
    tables = 4 * sum(grid.entries * grid.features for grid in (radiance_grid, language_grid))
    rays = chosen.language_training.pool_rays
    # Features are made of the photos before --downscale.
    factor = downscale or 1
    full = [(scene.photos[i].camera.height * factor, scene.photos[i].camera.width * factor) for i in scene.train]
    features = features_of(encoder or chosen.encoder, full, tile_ratios=tile_ratios) or 0
    if (dense or chosen.dense) != "none":
        features += features_of(dense or chosen.dense, full) or 0
    budget = int(memory * 1e9)
    # The photos go before the features come; of either there is no more than the budget.
    resident = max(min(pixel_bytes(scene), budget), min(features, budget))
    pool = rays * (language.samples * 20 + 40)
    # A step keeps encodings, hidden layers and their gradients.
    step = 4096 * radiance.samples * 4 * (4 * radiance.levels * radiance.features + 6 * radiance.hidden)
    radiance_speed, language_speed = RAYS_PER_SECOND_CPU[preset]
    minutes = (
        chosen.radiance_training.steps * chosen.radiance_training.rays / radiance_speed
        + (chosen.language_source == "field")
        * chosen.language_training.steps
        * chosen.language_training.rays
        / language_speed
        + len(scene.train)
    ) / 60
    return {
        "photos": len(scene),
        "training_photos": len(scene.train),
        "held_out_photos": len(scene.test),
        "sizes": [list(size) for size in sizes],
        "cameras": sorted({"fisheye" if photo.camera.fisheye else "perspective" for photo in scene.photos}),
        "normalised_units_per_capture_unit": scene.similarity.scale,
        "preset": preset,
        # Table, gradient and two moments, and all but the gradient once more while a checkpoint is written.
        "memory_bytes": int(BASE_BYTES + resident + 7 * tables + pool + step),
        "disk_bytes": int(features + 4 * tables),
        "features_bytes": features,
        "minutes_on_two_cores": round(minutes, 1),
    }


def describe_run(run: RunFolder) -> dict[str, Any]:
    """Settings, progress, timings and size on disk of a run.

    Raises:
        RunError: when the folder is damaged or from a newer version.
    """
    config = run.read_config()
    settings: TrainSettings = config["settings"]
    stages = {}
    for stage, total in (
        ("radiance", settings.radiance_training.steps),
        ("language", settings.language_training.steps),
    ):
        if run.has_stage(stage):  # type: ignore[arg-type]
            facts = run.load_stage(stage)[1]  # type: ignore[arg-type]
            if "index" in facts:
                stages[stage] = "lifted from the pyramids, no steps"
                continue
            lent = stage == "radiance" and settings.radiance_run
            # The settings say how long this run would train, not how long the other one did.
            stages[stage] = f"{facts['step']} steps, from {lent}" if lent else f"{facts['step']} of {total} steps"
        else:
            stages[stage] = "not started"
    timings = run.read_json("timings.json") if (run.path / "timings.json").is_file() else {}
    return {
        "data": settings.data,
        "preset": settings.preset,
        "encoder": settings.encoder,
        "dense": settings.dense,
        "estimator": settings.language.estimator,
        "stages": stages,
        "seconds": timings.get("seconds", {}),
        "peak_memory_bytes": timings.get("peak_memory_bytes", 0),
        "disk_bytes": sum(file.stat().st_size for file in run.path.iterdir() if file.is_file()),
    }
