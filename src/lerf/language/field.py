"""The language field: at every point and scale an embedding of the encoder's space, and a dense regulariser."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lerf import kernels
from lerf.errors import QueryError
from lerf.geometry.contraction import to_unit_cube
from lerf.geometry.traced_rays import TracedRays
from lerf.kernels.layout import GridLayout
from lerf.language.config import LanguageConfig
from lerf.language.scale_bounds import ScaleBounds
from lerf.networks.dense_layers import DenseLayers
from lerf.networks.hash_grid import HashGrid


class LanguageField(nn.Module):
    """Hash grid -> head that also sees the scale -> embedding; and a dense head that reads the same grid.

    The dense head is the regulariser: it sees no scale and its targets have sharp borders, so it shapes the grid that
    the language head reads (LERF, section 3.3).
    """

    log_scale_range: Tensor

    def __init__(self, config: LanguageConfig, width: int, dense_width: int, scale_range: tuple[float, float]) -> None:
        """
        Args:
            config: sizes.
            width: length of the encoder's embeddings.
            dense_width: width of the dense regulariser's features; 0 for none.
            scale_range: 1st and 99th percentile of the tile heights seen in training, normalised units.
        """
        super().__init__()
        self.config = config
        layout = GridLayout((), config.features, config.log2_entries)
        for levels, coarsest, finest in config.grids:
            layout = layout + GridLayout.geometric(levels, coarsest, finest, config.features, config.log2_entries)
        self.grid = HashGrid(layout)
        self.head = DenseLayers(layout.width + 1, *[config.hidden] * config.layers, width)
        self.dense_head = DenseLayers(layout.width, config.dense_hidden, dense_width) if dense_width else None
        self.bounds = ScaleBounds()
        self.register_buffer("log_scale_range", torch.tensor(scale_range, dtype=torch.float32).log())

    @property
    def width(self) -> int:
        """Length of an embedding."""
        return self.head[-1].out_features  # type: ignore[return-value]

    @property
    def scale_range(self) -> tuple[float, float]:
        """1st and 99th percentile of the tile heights seen in training, normalised units."""
        low, high = self.log_scale_range.exp().tolist()
        return low, high

    def features(self, positions: Float[Tensor, "points 3"]) -> Float[Tensor, "points features"]:
        """Grid features at points of the normalised frame."""
        return self.grid(to_unit_cube(positions, self.config.contraction))

    def embed(
        self, features: Float[Tensor, "points features"], scale: Float[Tensor, " points"]
    ) -> Float[Tensor, "points width"]:
        """Unit embeddings of grid features at scales in normalised units."""
        return kernels.unit_vectors(self.head(self.head_input(features, scale)))

    def head_input(
        self, features: Float[Tensor, "points features"], scale: Float[Tensor, " points"]
    ) -> Float[Tensor, "points inputs"]:
        """Grid features beside the bounded scale: what the head sees."""
        return torch.cat([features, self.bounded_scale(scale)[:, None]], dim=-1)

    def bounded_scale(self, scale: Float[Tensor, " points"]) -> Float[Tensor, " points"]:
        """Logarithm of a scale in normalised units, -1 to 1 over the scales seen in training, at most half as far
        beyond."""
        low, high = self.log_scale_range
        return ((scale.log() - low) / (high - low)).clamp(-0.25, 1.25) * 2.0 - 1.0

    def ray_features(self, rays: TracedRays) -> Float[Tensor, "rays features"]:
        """Grid features composited along rays: the mean under the weights."""
        inside = to_unit_cube(rays.positions, self.config.contraction)
        return self.grid.composite(inside, rays.weights)

    def forward(
        self, rays: TracedRays, scale_per_depth: Float[Tensor, " rays"]
    ) -> tuple[Float[Tensor, "rays width"], Float[Tensor, "rays dense"] | None]:
        """Rendered unit embeddings, and rendered dense features if there is a dense head.

        `scale_per_depth` = tile_ratio * image_height / fy: times the depth, it is the height of a tile at a sample.
        """
        if self.config.estimator == "deferred":
            mean = self.ray_features(rays)
            embedding = self.embed(mean, scale_per_depth * rays.median_depth)
            return embedding, None if self.dense_head is None else self.dense_head(mean)
        features = self.features(rays.positions.reshape(-1, 3))
        embedding = self.composite_embeddings(rays, features, scale_per_depth[:, None] * rays.depths)
        dense = None if self.dense_head is None else self.composite_dense(rays, features)
        return embedding, dense

    def composite_embeddings(
        self,
        rays: TracedRays,
        features: Float[Tensor, "points features"],
        scale: Float[Tensor, "rays samples"],
    ) -> Float[Tensor, "rays width"]:
        """Unit embeddings of rays: those of the samples under their weights (LERF, equation 2).

        Args:
            rays: with `points` = rays * samples.
            features: grid features at the samples.
            scale: at each sample, normalised units.
        """
        phi = self.embed(features, scale.reshape(-1)).view(*rays.weights.shape, self.width)
        return kernels.unit_vectors(kernels.composite(rays.weights, phi))

    def composite_dense(
        self, rays: TracedRays, features: Float[Tensor, "points features"]
    ) -> Float[Tensor, "rays dense"]:
        """Dense features of rays: those of the samples, whose grid features are given, under their weights.

        Raises:
            QueryError: when the field was trained without a dense head.
        """
        each = self.dense(features)
        return kernels.composite(rays.weights, each.view(*rays.weights.shape, each.shape[-1]))

    def dense(self, features: Float[Tensor, "points features"]) -> Float[Tensor, "points dense"]:
        """Dense features of grid features.

        Raises:
            QueryError: when the field was trained without a dense head.
        """
        if self.dense_head is None:
            raise QueryError("The run was trained without a dense regulariser: it has no dense features.")
        return self.dense_head(features)
