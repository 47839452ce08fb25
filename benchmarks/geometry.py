"""What choices of radiance training are worth: held-out PSNR and depth, in short trainings of the radiance alone.

    python benchmarks/geometry.py CAPTURE [--downscale N] [--steps N] [--rays N] [--seeds N ...] [--thin N]
        VARIANT [VARIANT ...]

A variant is a name with settings of `RadianceTraining` and `RadianceConfig`, for example `plain` or
`points=surfaces,level_share=0.4`; `plain` changes nothing. The preset is `lerf-cpu` without points, its schedule
compressed to the steps given. `--thin 3` learns from every third of the training photos. PSNR is over random pixels of
all held-out photos at the mean exposure; beside it stands what a gain for each channel and photo, fitted on the photo
itself, would add: what exposure costs. Depth is that of `lerf eval --protocol depth`. Seconds are of processor time.
"""

from __future__ import annotations

import argparse
import math
import time
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lerf.evaluation.depth import depth_errors, sightings, spread_of
from lerf.geometry.camera_table import CameraTable
from lerf.radiance.hash_grid.config import RadianceConfig
from lerf.radiance.hash_grid.field import RadianceField
from lerf.radiance.hash_grid.radiance import HashGridRadiance
from lerf.run.make_settings import setting_hints
from lerf.run.settings import PRESETS
from lerf.scenes.inspection.tracks import Tracks, tracks_of
from lerf.scenes.load import load_scene, read_points
from lerf.scenes.scene import Scene
from lerf.scenes.sparse_points import SparsePoints
from lerf.training.pixels import PixelPool, camera_table
from lerf.training.point_rays import PointRays, point_rays
from lerf.training.radiance import RadianceTrainer
from lerf.training.schedules import RadianceTraining

PIXELS, AT_ONCE = 8000, 4096
"""Of a held-out photo that are compared, and rays that are rendered together."""
SAMPLES = 64


def settings_of(variant: str, steps: int, rays: int) -> tuple[RadianceConfig, RadianceTraining]:
    """Sizes and schedule of a variant.

    Raises:
        SystemExit: it names a setting that there is not.
    """
    preset = PRESETS["lerf-cpu"]
    part = steps / preset.radiance_training.steps
    first, last = preset.radiance_training.distortion_ramp
    training = replace(
        preset.radiance_training, steps=steps, rays=rays, points="none", level_share=0.0,
        distortion_ramp=(int(part * first), int(part * last)), anneal_steps=int(part * 200),
    )  # fmt: skip
    sizes, hints = preset.radiance, setting_hints()
    for item in () if variant == "plain" else variant.split(","):
        name, _, text = item.partition("=")
        owner = "radiance_training" if name in {field.name for field in fields(training)} else "radiance"
        if f"{owner}.{name}" not in hints:
            raise SystemExit(f"There is no setting {name!r} of the radiance or of its training.")
        old = getattr(training if owner == "radiance_training" else sizes, name)
        value = text if isinstance(old, str) else type(old)(float(text))
        if owner == "radiance_training":
            training = replace(training, **{name: value})
        else:
            sizes = replace(sizes, **{name: value})
    return sizes, training


def bounded(sizes: RadianceConfig, training: RadianceTraining, rays: PointRays | None) -> RadianceConfig:
    """Sizes with near and far as `stages/sparse_prior.py` takes them from points."""
    if training.points == "none" or rays is None:
        return sizes
    near, far = rays.bounds()
    return replace(sizes, near=max(near, sizes.near), far=min(far, sizes.far))


def held_out_pixels(scene: Scene) -> list[tuple[int, Tensor, Tensor]]:
    """Of each held-out photo its index, some pixels [pixels, 2] and their colours [pixels, 3]."""
    generator, found = torch.Generator().manual_seed(5), []
    for photo in scene.test:
        colours = torch.from_numpy(scene.pixels(photo)).float() / 255.0
        height, width = colours.shape[:2]
        chosen = torch.randperm(height * width, generator=generator)[:PIXELS]
        if (mask := scene.mask(photo)) is not None:
            chosen = chosen[torch.from_numpy(mask.reshape(-1))[chosen]]
        pixels = torch.stack([chosen % width, chosen // width], -1).float() + 0.5
        found.append((photo, pixels, colours.view(-1, 3)[chosen]))
    return found


@torch.no_grad()
def colour_scores(
    field: RadianceField, cameras: CameraTable, held_out: list[tuple[int, Tensor, Tensor]]
) -> tuple[float, float]:
    """Mean PSNR of held-out photos as they are rendered, and with each channel's gain fitted."""
    plain, fitted = [], []
    for photo, pixels, truth in held_out:
        rays = cameras.rays(torch.full((len(pixels),), photo), pixels)
        parts = [field.view_rays(rays[at : at + AT_ONCE], SAMPLES) for at in range(0, len(pixels), AT_ONCE)]
        colour = torch.cat([part.colour + 1.0 - part.weights.sum(-1, keepdim=True) for part in parts]).clamp(0.0, 1.0)
        gain = (colour * truth).sum(0) / colour.square().sum(0).clamp(min=1e-9)
        for scores, shown in ((plain, colour), (fitted, colour * gain)):
            scores.append(-10.0 * math.log10(float((shown - truth).square().mean())))
    return float(np.mean(plain)), float(np.mean(fitted))


def depth_scores(field: RadianceField, cameras: CameraTable, scene: Scene, tracks: Tracks | None) -> str:
    """Median and 90th percentile of depth errors, in words; empty where the capture has no points to measure with."""
    if tracks is None or tracks.point is None:
        return ""
    radiance, every = HashGridRadiance(field), []
    for photo in scene.test:
        places = tracks.points[tracks.point[sightings(tracks, photo)]]
        every.append(depth_errors(radiance, cameras, photo, places))
    errors = np.concatenate(every)
    if len(errors) == 0:
        return ""
    found = spread_of(errors)
    return f"{100 * found['depth_error_median']:6.2f} % {100 * found['depth_error_p90']:6.2f} %"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("capture", type=Path)
    parser.add_argument("variants", nargs="+", metavar="VARIANT")
    for name, default in (("--downscale", None), ("--steps", 400), ("--rays", 4096), ("--thin", 1)):
        parser.add_argument(name, type=int, default=default)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    arguments = parser.parse_intermixed_args()
    scene = load_scene(arguments.capture, arguments.downscale)
    scene = replace(scene, train=scene.train[:: arguments.thin])
    points: SparsePoints | None = read_points(scene)
    tracks = None if points is None else tracks_of(scene, points)
    cameras, pool, held_out = camera_table(scene), PixelPool(scene), held_out_pixels(scene)
    rays = None if points is None else point_rays(scene, points, cameras)
    print(f"{'variant':40} seed    PSNR  fitted   depth median, p90   seconds")
    for variant in arguments.variants:
        sizes, training = settings_of(variant, arguments.steps, arguments.rays)
        sizes = bounded(sizes.for_background(scene.background), training, rays)
        for seed in arguments.seeds:
            torch.manual_seed(seed)
            field = RadianceField(sizes, len(scene.train))
            trainer = RadianceTrainer(
                field, training, seed, points=rays if training.points == "surfaces" else None
            )  # fmt: skip
            start = time.process_time()
            for _ in range(training.steps):
                trainer.step(pool.draw)
            spent = time.process_time() - start
            field.eval()
            plain, fitted = colour_scores(field, cameras, held_out)
            depth = depth_scores(field, cameras, scene, tracks)
            print(f"{variant:40} {seed:4}  {plain:6.2f}  {fitted:6.2f}  {depth:19} {spent:8.0f}", flush=True)


if __name__ == "__main__":
    main()
