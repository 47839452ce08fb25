"""What a capture or a run holds, and the arithmetic of what training will take."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from lerf.encoders.mini import DEFAULTS as MINI
from lerf.encoders.mini import HEIGHT, SPACING
from lerf.encoders.published import PUBLISHED, family_of
from lerf.files import bytes_in, resolved, size_of
from lerf.kernels.layout import GridLayout
from lerf.pyramids.tiles import layout as tile_layout
from lerf.run.folder import RunFolder
from lerf.run.settings import TrainSettings
from lerf.scenes.scene import Scene
from lerf.training.pixels import pixel_bytes

BASE_BYTES = 700_000_000
"""Interpreter, torch, numba and an offline encoder, measured with lerf-cpu."""
SPLAT_MEMORY = 8
"""Bytes of a splat with its language over those of its PLY file with all harmonics, in memory and on the disk."""
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


OPERATIONS: dict[str, dict[str | None, float]] = {
    "openclip": {"tiles": 113.0, "dense": 0.84},
    "openclip-l": {"tiles": 523.0, "dense": 3.3},
    "hf": {"tiles": 113.0, "dense": 0.84},
    "dino": {None: 0.72},
    "dinov2": {None: 0.25},
}
"""Operations in millions of millions that the features of a photo of 994x738 take, by mode, and about those of any
other, for all are seen at one height. `hf` is taken for a network of base size."""
OPERATIONS_A_SECOND = 0.12
"""Of the same, on two cores, measured with ViT-B/16."""


def features_of(
    encoder: str, sizes: Sequence[tuple[int, int]], width: int | None = None, tile_ratios: Sequence[float] | None = None
) -> int | None:
    """Bytes that an encoder's features of photos of these sizes (height, width) take; None for one not known here."""
    family = family_of(encoder)
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
    grids = [tile_layout(height, width, ratio) for ratio in tile_ratios]
    return sum(grid.rows * grid.columns for grid in grids)


def training_needs(settings: TrainSettings, scene: Scene) -> dict[str, Any]:
    """An estimate of the memory, disk and minutes (on two cores) that training on a scene takes.

    The features of an encoder that is not known here are left out of it.
    """
    features = _feature_bytes(settings, scene)
    # The photos go before the features come; of either there is no more than the budget.
    resident = min(max(pixel_bytes(scene), features), settings.memory_bytes)
    tables = 0 if settings.splat else _table_bytes(settings)
    splat = SPLAT_MEMORY * size_of(resolved(settings.splat)) if settings.splat else 0
    return {
        "preset": settings.preset,
        # Table, gradient and two moments, and all but the gradient once more while a checkpoint is written.
        "memory_bytes": int(BASE_BYTES + _weights(settings) + resident + 7 * tables + splat + _working_bytes(settings)),
        "disk_bytes": int(features + 4 * tables + splat),
        "features_bytes": features,
        "minutes_on_two_cores": round(_minutes(settings, len(scene.train)), 1),
    }


def _feature_bytes(settings: TrainSettings, scene: Scene) -> int:
    """Bytes of the features that training learns from; those of an encoder that is not known here count nothing."""
    # Features are made of the photos before --downscale.
    factor = settings.downscale or 1
    cameras = [scene.photos[index].camera for index in scene.train]
    sizes = [(camera.height * factor, camera.width * factor) for camera in cameras]
    count = features_of(settings.encoder, sizes, tile_ratios=settings.tile_ratios) or 0
    return count if settings.dense == "none" else count + (features_of(settings.dense, sizes) or 0)


def _table_bytes(settings: TrainSettings) -> int:
    """Bytes of the hash tables of both fields."""
    radiance, language = settings.radiance, settings.language
    grids = [(radiance.levels, radiance.coarsest, radiance.finest, radiance.features, radiance.log2_entries)]
    grids += [(*grid, language.features, language.log2_entries) for grid in language.grids]
    layouts = [GridLayout.geometric(*grid) for grid in grids]
    return 4 * sum(layout.entries * layout.features for layout in layouts)


def _working_bytes(settings: TrainSettings) -> int:
    """Bytes of the pool of rays, and of what a step of radiance keeps: encodings, hidden layers, their gradients."""
    radiance, rays = settings.radiance, settings.radiance_training.rays
    pool = settings.language_training.pool_rays * (settings.language.samples * 20 + 40)
    return pool + rays * radiance.samples * 4 * (4 * radiance.levels * radiance.features + 6 * radiance.hidden)


def _weights(settings: TrainSettings) -> int:
    """Bytes of the weights of encoders that are on the hub; those of the others are in `BASE_BYTES`."""
    families = (family_of(name) for name in (settings.encoder, settings.dense))
    return sum(PUBLISHED[family].bytes for family in families if family in PUBLISHED)


def _feature_seconds(encoder: str, mode: str | None) -> float:
    """Seconds that an encoder takes for a photo on two cores; the small ones take about half of one."""
    known = OPERATIONS.get(family_of(encoder), {})
    return known[mode] / OPERATIONS_A_SECOND if mode in known else 0.5


def _minutes(settings: TrainSettings, photos: int) -> float:
    """Minutes of both trainings and of the features on two cores."""
    radiance, language = settings.radiance_training, settings.language_training
    radiance_speed, language_speed = RAYS_PER_SECOND_CPU[settings.preset]
    features = _feature_seconds(settings.encoder, settings.features or "tiles") + _feature_seconds(settings.dense, None)
    seconds = radiance.steps * radiance.rays / radiance_speed + photos * features
    if settings.language_source == "field":
        seconds += language.steps * language.rays / language_speed
    return seconds / 60


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
        if (facts := run.read_facts(stage)) is not None:
            if "index" in facts:
                stages[stage] = "lifted from the pyramids, no steps"
                continue
            lent, done = stage == "radiance" and settings.radiance_run, facts.get("step", 0)
            # The settings say how long this run would train, not how long the other one did.
            stages[stage] = f"{done} steps, from {lent}" if lent else f"{done} of {total} steps"
        else:
            stages[stage] = "not started"
    timings = run.read_timings()
    return {
        "data": settings.data,
        "preset": settings.preset,
        "encoder": settings.encoder,
        "dense": settings.dense,
        "estimator": settings.language.estimator,
        "stages": stages,
        "seconds": timings.seconds,
        "peak_memory_bytes": timings.peak_memory_bytes,
        "disk_bytes": bytes_in(run.path),
    }
