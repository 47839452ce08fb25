"""What a capture's sparse points give the training of a radiance: near and far, and rays that must end at surfaces."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from lerf.errors import RunError
from lerf.radiance.hash_grid.config import RadianceConfig
from lerf.run.open_run import BOUNDS, with_bounds
from lerf.scenes.inspection.fit import usable_points
from lerf.stages.stage import Context
from lerf.training.pixels import camera_table
from lerf.training.point_rays import PointRays, point_rays

POINTS = "sparse_points"
"""Fact of a radiance's checkpoint: how often its training photos see sparse points."""

ROUNDING = 1e-3
"""By which bounds may differ, as a share, and still be of the same points."""


@dataclass(frozen=True)
class SparsePrior:
    """What training begins with."""

    sizes: RadianceConfig
    """Of the field, with near and far from the points where they give them."""
    rays: PointRays | None = None
    """That must end at points; None where the settings do not ask for it."""
    facts: dict[str, Any] = field(default_factory=dict)
    """For the checkpoints."""


def sparse_prior(context: Context) -> SparsePrior:
    """Read the capture's points where the settings ask for them; what cannot be used is told.

    Raises:
        RunError: a training that was begun with points is to go on with others.
    """
    settings, scene = context.settings, context.scene
    sizes, use = settings.radiance.for_background(scene.background), settings.radiance_training.points
    rays = None if use == "none" else _rays(context)
    prior = SparsePrior(sizes)
    if rays is not None:
        near, far = rays.bounds()
        near, far = max(near, sizes.near), min(far, sizes.far)
        if near < far:
            facts = {BOUNDS: {"near": near, "far": far}, POINTS: len(rays)}
            prior = SparsePrior(replace(sizes, near=near, far=far), rays if use == "surfaces" else None, facts)
            told = "must lie on surfaces and bound" if use == "surfaces" else "bound"
            context.reporter.note(
                f"{len(rays)} sightings of sparse points {told} what photos see: {near:.3g} to {far:.3g} units "
                "of the normalised frame away."
            )
    _refuse_others(context, prior)
    return prior


def _rays(context: Context) -> PointRays | None:
    points, note = usable_points(context.scene)
    if note is not None:
        context.reporter.note(note)
    if points is None or len(points) == 0:
        return None
    rays = point_rays(context.scene, points, camera_table(context.scene, context.settings.device))
    if rays is None:
        context.reporter.note(
            f"The capture's {len(points)} sparse points are not used: which photos see them is not known, or too few "
            "training photos do."
        )
    return rays


def _refuse_others(context: Context, prior: SparsePrior) -> None:
    begun = context.run.read_facts("radiance")
    if begun is None or begun.get("finished"):
        return
    before, now = with_bounds(prior.sizes, begun, str(context.run.path)), prior.sizes
    # Bounds come out of arithmetic whose last digits differ from one machine to another.
    apart = max(abs(now.near / before.near - 1.0), abs(now.far / before.far - 1.0))
    if begun.get(POINTS) != prior.facts.get(POINTS) or apart > ROUNDING:
        raise RunError(
            f"The capture's sparse points are not those that {context.run.path} was begun with: restore them, or train "
            "into another --output."
        )
