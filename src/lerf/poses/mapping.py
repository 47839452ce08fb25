"""Cameras and points from matches: COLMAP's incremental or global mapper, and a last adjustment of everything."""

from __future__ import annotations

import math
import shutil
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from lerf.errors import SceneError
from lerf.poses.colmap_library import library
from lerf.poses.pairs import LEAST_MATCHES
from lerf.poses.settings import PosesSettings
from lerf.poses.workspace import Workspace
from lerf.run.interrupt import deferred_interrupt

Mapper = Literal["incremental", "global"]

SMALLEST_MODEL = 3
"""Photos of a model, at least."""
ENOUGH = 0.9
"""Share of the photos that matches connect; with fewer placed another mapper is tried."""
WELL_SEEN = 20
"""Photos of a camera from which its principal point can be told from its motion."""
LOOK_SECONDS = 0.2
"""Between two looks at Ctrl-C."""


@dataclass(frozen=True)
class Solved:
    """What the matches allow."""

    models: tuple[Any, ...]
    """COLMAP's reconstructions, the one with most photos first."""
    mapper: Mapper
    """By which they came about."""
    tried: tuple[tuple[Mapper, int], ...]
    """Mappers in the order of their trial, with the photos that each placed in its largest model."""

    def sentences(self) -> list[str]:
        """What is worth saying of the way it went."""
        if len(self.tried) < 2:
            return []
        (_, one_by_one), (_, at_once) = self.tried
        used = "the first" if self.mapper == "incremental" else "the second"
        return [
            f"Placed one after another {one_by_one} photos held together, placed all at once {at_once}: {used} is used."
        ]


def solve_models(
    workspace: Workspace, settings: PosesSettings, connected: int, report: Callable[[int], object]
) -> Solved:
    """The models that the matches allow.

    Where `settings.mapper` leaves the choice, photos are placed one after another; if that leaves out more than a tenth
    of those that matches connect, also all at once, and the larger result is used. The incremental mapper stands on its
    first pair, which a walk straight ahead or a scene with little texture may not offer.

    Args:
        workspace: with a database of matches.
        settings: mapper and seed.
        connected: photos that matches connect, see `pairs.connected_photos`.
        report: called with the number of photos placed.

    Raises:
        SceneError: no two photos could be placed.
        KeyboardInterrupt: on Ctrl-C; the matches stay.
    """
    colmap = library()
    choice: tuple[Mapper, ...] = ("incremental", "global") if settings.mapper == "auto" else (settings.mapper,)
    tried: list[tuple[Mapper, int]] = []
    best: tuple[Mapper, list[Any]] = (choice[0], [])
    for mapper in choice:
        models = _solve(colmap, workspace, mapper, settings.seed, report)
        tried.append((mapper, _photos_of(models)))
        if _photos_of(models) > _photos_of(best[1]):
            best = mapper, models
        if _photos_of(models) >= ENOUGH * connected:
            break
    if not best[1]:
        raise SceneError(
            "No two photos could be connected: take them from places a step apart, with much of the scene in common, "
            "sharp and well lit."
        )
    return Solved(tuple(best[1]), best[0], tuple(tried))


def _photos_of(models: Sequence[Any]) -> int:
    """Photos of the largest of models in their order."""
    return int(models[0].num_reg_images()) if models else 0


def _solve(colmap: Any, workspace: Workspace, mapper: Mapper, seed: int, report: Callable[[int], object]) -> list[Any]:
    """Models by one mapper, the largest first."""
    colmap.set_random_seed(seed)
    # Whatever an interrupted mapping left.
    shutil.rmtree(workspace.models, ignore_errors=True)
    workspace.models.mkdir(parents=True)
    if mapper == "global":
        found = _in_thread(lambda _: _mapped_at_once(colmap, workspace, seed), colmap.CancellationToken())
    else:
        found = _in_thread(
            lambda token: _mapped_one_by_one(colmap, workspace, seed, report, token), colmap.CancellationToken()
        )
    models = [model for model in found.values() if model.num_reg_images() >= 2]
    return sorted(models, key=lambda model: (-model.num_reg_images(), -model.num_points3D()))


def _mapped_at_once(colmap: Any, workspace: Workspace, seed: int) -> dict[int, Any]:
    """COLMAP's global mapper, on a copy of the database: it writes focal lengths that it estimates there."""
    database = workspace.path / "global.db"
    shutil.copyfile(workspace.database, database)
    try:
        colmap.calibrate_view_graph(database)
        options = colmap.GlobalPipelineOptions()
        options.random_seed, options.min_model_size = seed, SMALLEST_MODEL
        found = colmap.global_mapping(database, workspace.numbered, workspace.models, options)
    finally:
        database.unlink(missing_ok=True)
    for model in found.values():
        # It keeps photos on which too few points agree, where one after another they are not let in.
        weak = [model.images[number] for number in model.reg_image_ids()]
        for frame in {image.frame_id for image in weak if image.num_points3D < LEAST_MATCHES}:
            model.deregister_frame(frame)
    return found


def _mapped_one_by_one(
    colmap: Any, workspace: Workspace, seed: int, report: Callable[[int], object], token: Any
) -> dict[int, Any]:
    """COLMAP's incremental mapper."""
    options = colmap.IncrementalPipelineOptions()
    options.random_seed, options.min_model_size = seed, SMALLEST_MODEL
    # Threads add in the order in which they happen to be done: on a busy machine one seed gave several results.
    options.num_threads = options.mapper.num_threads = 1
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
    options.ceres.solver_options.num_threads = 1  # as in the mapping
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
