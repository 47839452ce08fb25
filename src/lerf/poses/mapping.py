"""Cameras and points from matches: COLMAP's incremental or global mapper, and a last adjustment of everything."""

from __future__ import annotations

import math
import shutil
import threading
from collections.abc import Callable
from typing import Any

from lerf.errors import SceneError
from lerf.poses.colmap_library import library
from lerf.poses.settings import PosesSettings
from lerf.poses.workspace import Workspace
from lerf.run.interrupt import deferred_interrupt

SMALLEST_MODEL = 3
"""Photos of a model, at least."""
WELL_SEEN = 20
"""Photos of a camera from which its principal point can be told from its motion."""
LOOK_SECONDS = 0.2
"""Between two looks at Ctrl-C."""


def solve_models(workspace: Workspace, settings: PosesSettings, report: Callable[[int], object]) -> list[Any]:
    """The models that the matches allow, the one with most photos first.

    Args:
        workspace: with a database of matches.
        settings: mapper and seed.
        report: called with the number of photos placed.

    Raises:
        SceneError: no two photos could be placed.
        KeyboardInterrupt: on Ctrl-C; the matches stay.
    """
    colmap = library()
    colmap.set_random_seed(settings.seed)
    # Whatever an interrupted mapping left.
    shutil.rmtree(workspace.models, ignore_errors=True)
    workspace.models.mkdir(parents=True)
    found = _in_thread(lambda token: _mapped(colmap, workspace, settings, report, token), colmap.CancellationToken())
    models = sorted(found.values(), key=lambda model: (-model.num_reg_images(), -model.num_points3D()))
    models = [model for model in models if model.num_reg_images() >= 2]
    if not models:
        raise SceneError(
            "No two photos could be connected: take them from places a step apart, with much of the scene in common, "
            "sharp and well lit."
        )
    return models


def _mapped(
    colmap: Any, workspace: Workspace, settings: PosesSettings, report: Callable[[int], object], token: Any
) -> dict[int, Any]:
    if settings.mapper == "global":
        colmap.calibrate_view_graph(workspace.database)
        options = colmap.GlobalPipelineOptions()
        options.random_seed, options.min_model_size = settings.seed, SMALLEST_MODEL
        return colmap.global_mapping(workspace.database, workspace.numbered, workspace.models, options)
    options = colmap.IncrementalPipelineOptions()
    options.random_seed, options.min_model_size = settings.seed, SMALLEST_MODEL
    placed = [0]

    def first_two() -> None:
        placed[0] = 2
        report(2)

    def another() -> None:
        placed[0] += 1
        report(placed[0])

    return colmap.incremental_mapping(
        workspace.database,
        workspace.numbered,
        workspace.models,
        options,
        initial_image_pair_callback=first_two,
        next_image_callback=another,
        cancellation_token=token,
    )


def _in_thread(work: Callable[[Any], dict[int, Any]], token: Any) -> dict[int, Any]:
    """Work that can be called off by Ctrl-C, which a long call into a library would keep waiting."""
    result: list[dict[int, Any]] = []
    failure: list[BaseException] = []

    def run() -> None:
        try:
            result.append(work(token))
        except BaseException as error:  # handed to the caller's thread
            failure.append(error)

    thread = threading.Thread(target=run, name="mapping")
    with deferred_interrupt() as interrupted:
        thread.start()
        while thread.is_alive():
            thread.join(LOOK_SECONDS)
            if interrupted.is_set():
                token.cancel()
    if interrupted.is_set():
        raise KeyboardInterrupt
    if failure:
        raise failure[0]
    return result[0]


def adjust(model: Any) -> float:
    """Adjust cameras, poses and points together, with the principal points of cameras that saw enough; returns the
    mean reprojection error in pixels.

    A principal point that is held in the middle where it is not turns all photos of a camera by the same angle.
    """
    colmap = library()
    photos: dict[int, int] = {}
    for number in model.reg_image_ids():
        camera = model.images[number].camera_id
        photos[camera] = photos.get(camera, 0) + 1
    options = colmap.BundleAdjustmentOptions()
    options.print_summary = False
    options.refine_principal_point = min(photos.values()) >= WELL_SEEN
    # `colmap.bundle_adjustment` does the same, and writes to the terminal whatever the level of the log.
    adjusted = colmap.BundleAdjustmentConfig()
    for number in model.reg_image_ids():
        adjusted.add_image(number)
    adjusted.fix_gauge(colmap.BundleAdjustmentGauge.TWO_CAMS_FROM_WORLD)
    colmap.create_default_bundle_adjuster(options, adjusted, model).solve()
    model.update_point_3d_errors()
    error = float(model.compute_mean_reprojection_error())
    if not math.isfinite(error):
        raise SceneError("The solved cameras are not finite: take photos with more overlap.")
    return error
