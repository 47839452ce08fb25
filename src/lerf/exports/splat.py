"""A run as a file of Gaussian splats: the splat that it stands on, or Gaussians on its traced surface."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy.spatial import cKDTree
from torch import Tensor

from lerf.errors import ConfigError, QueryError, RunError
from lerf.exports.cloud import Progress, _silent
from lerf.exports.point_relevancy import instances_of
from lerf.exports.splat_surface import capture_splats, filled, on_surface, refined
from lerf.geometry.contraction import contract
from lerf.geometry.harmonics import CONSTANT
from lerf.model import Model
from lerf.queries.answer import PhraseAnswer
from lerf.radiance.splats.radiance import SplatRadiance
from lerf.rendering.colour_maps import map_colours, normalised
from lerf.run.folder import RunFolder
from lerf.run.open_run import open_splats
from lerf.splats.splats import CONSTANTS, Splats, rest_names

POINTS = 100_000
"""Rays that look for the surface, by default: each becomes a Gaussian where it is sure."""
REACH = 6.0
"""How far the surface is followed, by default, as by a cloud."""
REFINE_STEPS = 400
"""Gradient steps on the training photos, by default."""
HIDDEN = 10.0
"""Sides of the cells that join points into instances: how far Gaussians that no photo shows are from those that they
belong to."""
AT_ONCE = 1 << 16
"""Gaussians whose relevancy is read together."""


@dataclass(frozen=True)
class NamedSplats:
    """Gaussians with what phrases say of them."""

    splats: Splats
    """Capture frame."""
    positions: Float[Tensor, "n 3"]
    """Means in the normalised frame."""
    relevancy: Float[Tensor, "phrases n"]
    """Raw, 0..1; no rows where nothing was asked."""
    instances: Int[Tensor, "phrases n"]
    """Number of the instance of each phrase that a Gaussian belongs to, the best first; -1 for none."""

    def __len__(self) -> int:
        return len(self.splats)

    @property
    def named(self) -> Bool[Tensor, " n"]:
        """Whether a Gaussian belongs to an instance of any phrase."""
        return (self.instances >= 0).any(0)

    def chosen(self, index: Bool[Tensor, " n"]) -> NamedSplats:
        """Some of the Gaussians."""
        return NamedSplats(
            self.splats.chosen(index.cpu().numpy()), self.positions[index], self.relevancy[:, index],
            self.instances[:, index],
        )  # fmt: skip

    def with_columns(self) -> Splats:
        """The splats with columns relevancy_i and instance_i, of earlier ones of these names none is left."""
        relevancy = {f"relevancy_{row}": values.cpu().numpy() for row, values in enumerate(self.relevancy)}
        instances = {f"instance_{row}": values.int().cpu().numpy() for row, values in enumerate(self.instances)}
        kept = [n for n in self.splats.names if n.rstrip("0123456789") not in ("relevancy_", "instance_")]
        plain = self.splats
        if relevancy and len(kept) < len(plain.names):
            table = np.empty(len(plain), [(name, plain.table.dtype[name]) for name in kept])
            for name in kept:
                table[name] = plain.table[name]
            plain = replace(plain, table=table)
        return plain.with_columns({**relevancy, **instances}) if relevancy else plain

    def recoloured(self) -> NamedSplats:
        """With the colours of the relevancy, of several phrases the highest, from every side, for viewers that know no
        columns."""
        shown = map_colours(normalised(self.relevancy.amax(0))).numpy()
        constant = (shown - 0.5) / CONSTANT
        columns = {name: constant[:, at] for at, name in enumerate(CONSTANTS)}
        higher = rest_names(self.splats.degree)
        columns |= dict(zip(higher, np.zeros((len(higher), len(self))), strict=True))
        return replace(self, splats=self.splats.with_columns(columns))


def build_splats(
    model: Model,
    points: int | None = None,
    reach: float | None = None,
    refine: int | None = None,
    progress: Progress = _silent,
) -> NamedSplats:
    """The Gaussians of a run, of whatever kind its radiance is; nothing is asked of them yet.

    Args:
        model: the run.
        points: rays that look for the surface, where the radiance is no splat.
        reach: how far it is followed then, as in `cloud.build_cloud`.
        refine: gradient steps on the training photos then.
        progress: hears of the work.

    Raises:
        ConfigError: points, a reach or steps are given where the radiance is a splat.
        SceneError: a photo to refine on cannot be read.
        RunError: the model has no folder, or no surface is sure anywhere.
    """
    if isinstance(model.radiance, SplatRadiance):
        if points is not None or reach is not None or refine is not None:
            raise ConfigError(
                "The run's radiance is a splat, which is written as it is: leave --points, --reach and "
                "--refine-steps out."
            )
        if model.folder is None:
            raise RunError("The splat lies in a run's folder, and this model has none; open one with lerf.load.")
        splats, positions = open_splats(RunFolder(model.folder)), model.radiance.gaussians.means
    else:
        gaussians = on_surface(model, points or POINTS, reach or REACH, progress)
        gaussians = filled(model, gaussians, reach or math.inf, progress)
        steps = REFINE_STEPS if refine is None else refine
        if steps:
            gaussians = refined(model, gaussians, steps, progress)
        splats, positions = capture_splats(model, gaussians), gaussians.means.to(model.device)
    nothing = torch.zeros(0, len(splats))
    return NamedSplats(splats, positions, nothing, nothing.long())


@torch.no_grad()
def ask(
    model: Model,
    gaussians: NamedSplats,
    answers: Sequence[PhraseAnswer],
    progress: Progress = _silent,
) -> NamedSplats:
    """The Gaussians with the relevancy of phrases at their means, that of answers and pictures, and their instances.

    A Gaussian belongs to the instance that the nearest point of the surface does, so that what is cropped is what a
    query finds; one that no photo shows, as within a thing and under it, to that of the nearest which one does.
    """
    surface = model.surfaces.open("auto")
    refined, parts = torch.stack([own.relevancy for own in answers]), []
    for part in torch.arange(len(gaussians), device=refined.device).split(AT_ONCE):
        parts.append(surface.reader.near(gaussians.positions[part]).read(refined))
        progress("relevancy", int(part[-1]) + 1, len(gaussians))
    relevancy = torch.cat(parts, dim=1)
    instances, known = instances_of(gaussians.positions, surface, answers)
    if bool(known.any()) and not bool(known.all()):
        places = contract(gaussians.positions).cpu().numpy()
        shown, hidden = (np.flatnonzero(which.cpu().numpy()) for which in (known, ~known))
        reach = HIDDEN * surface.join_size
        _, nearest = cKDTree(places[shown]).query(places[hidden], distance_upper_bound=reach)
        found = nearest < len(shown)
        instances[:, hidden[found]] = instances[:, shown[nearest[found]]]
    return replace(gaussians, relevancy=relevancy, instances=instances)


def cropped(gaussians: NamedSplats, keep: bool) -> NamedSplats:
    """Only the Gaussians that the phrases name, or all others.

    Raises:
        QueryError: none would be left.
    """
    chosen = gaussians.named if keep else ~gaussians.named
    if not bool(chosen.any()):
        what = "No Gaussian belongs" if keep else "Every Gaussian belongs"
        raise QueryError(f"{what} to what the phrases name, so that none would be left; name something else.")
    return gaussians.chosen(chosen)
