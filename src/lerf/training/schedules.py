"""How both fields are trained: steps, rates, weights of losses; without torch, as the command line reads them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from tyro.conf import arg

from lerf.ranges import ADDED, Count, NotNegative, NotNegativeCount, Positive, Range, Share

UseOfPoints = Literal["none", "bounds", "surfaces"]


@dataclass(frozen=True)
class RadianceTraining:
    """How the radiance field is trained."""

    steps: Count = 4000
    """Optimiser steps."""
    rays: Count = 4096
    """Rays of a step."""
    rate: Positive = 3e-2
    """Learning rate at the start."""
    final_rate: Positive = 5e-4
    """Learning rate at the end."""
    network_rate: NotNegative = 0.5
    """Learning rate of the networks as a share of the table's."""
    gain_rate: NotNegative = 0.02
    """Learning rate of the photos' colour gains as a share of the table's; 0 leaves all gains at 1."""
    distortion: NotNegative = 2e-3
    """Weight of the distortion loss."""
    distortion_ramp: tuple[NotNegativeCount, NotNegativeCount] = (400, 1200)
    """Steps between which the distortion loss is faded in; from the first step on it makes floaters."""
    anneal_steps: NotNegativeCount = 200
    """Steps during which the proposal sharpens."""
    grid_every: Count = 8
    """Steps between refreshes of the density grid."""
    grid_cells: Count = 65536
    """Cells of the density grid that a refresh reads."""
    grid_decay: Share = 0.3
    """What a refreshed cell keeps of its old density; small values forget fast."""
    sample_decay: Share = 0.6
    """What the density grid keeps at the cells of a step's samples before it sees their new density."""
    refine_poses: Annotated[bool, arg(aliases=("--refine-poses",))] = False
    """Also correct the training cameras' poses by small motions."""
    pose_rate: NotNegative = 0.05
    """Learning rate of the pose corrections as a share of the table's."""
    level_share: Annotated[float, Range(0, 0.9)] = field(default=0.0, metadata=ADDED)
    """Share of the steps during which levels of the hash grid come in, coarse ones first; 0 has all at once."""
    points: UseOfPoints = field(default="none", metadata=ADDED)
    """What the capture's sparse 3D points are for, where it has any: none, near and far, or also where rays end."""
    point_rays: Count = field(default=256, metadata=ADDED)
    """Rays of a step that must end at sparse points."""
    point_weight: NotNegative = field(default=1e-3, metadata=ADDED)
    """Weight of the loss on rays that must end at sparse points, at the start."""
    point_share: Annotated[float, Range(0, 1)] = field(default=0.5, metadata=ADDED)
    """Share of the steps over which that weight falls to nothing: points are less exact than photos."""


@dataclass(frozen=True)
class LanguageTraining:
    """How the language field is trained."""

    steps: Count = 30000
    """Optimiser steps."""
    rays: Count = 4096
    """Rays of a step."""
    rate: Positive = 1e-2
    """Learning rate at the start."""
    final_rate: Positive = 1e-3
    """Learning rate at the end of the decay."""
    decay_steps: Count = 4000
    """Steps over which the rate falls."""
    network_rate: NotNegative = 1.0
    """Learning rate of the heads as a share of the table's."""
    clip_weight: NotNegative = 0.1
    """Weight of the Huber loss on embeddings."""
    dense_weight: NotNegative = 1.0
    """Weight of the squared error on the dense regulariser's features."""
    pool_rays: Count = 500_000
    """Training rays whose samples are computed once and drawn from."""
    weight_decay: NotNegative = 1e-9
    """Weight decay of the heads."""
