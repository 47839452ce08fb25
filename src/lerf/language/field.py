"""The language field: at every point and scale an embedding of the encoder's space, and a dense regulariser."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lerf import kernels
from lerf.geometry.contraction import to_unit_cube
from lerf.kernels.layout import GridLayout
from lerf.language.config import LanguageConfig
from lerf.language.scale_bounds import ScaleBounds
from lerf.networks.dense_layers import DenseLayers
from lerf.networks.hash_grid import HashGrid


@dataclass(frozen=True)
class LightStops:
    """Where the light of rays stops: their heaviest samples, detached from radiance."""

    positions: Float[Tensor, "rays samples 3"]
    """Normalised frame."""
    weights: Float[Tensor, "rays samples"]
    """Summing to one along each ray."""
    depths: Float[Tensor, "rays samples"]
    """Along the optical axis, normalised units."""
    median_depth: Float[Tensor, " rays"]
    """Depth at which half of the light has stopped; a mean would lie between the two sides of an edge."""
    median_position: Float[Tensor, "rays 3"]

    @property
    def tensors(self) -> dict[str, Tensor]:
        """Everything it holds, by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def __getitem__(self, index: slice | Tensor) -> LightStops:
        """Those of some rays."""
        return LightStops(**{name: tensor[index] for name, tensor in self.tensors.items()})

    @staticmethod
    def joined(parts: Sequence[LightStops]) -> LightStops:
        """Those of all parts' rays, one part after the other."""
        return LightStops(**{f.name: torch.cat([getattr(part, f.name) for part in parts]) for f in fields(LightStops)})


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

    @property
    def middle_scale(self) -> float:
        """The middle of `scale_range` in its logarithm, normalised units."""
        low, high = self.scale_range
        return (low * high) ** 0.5

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

    def ray_features(self, stops: LightStops) -> Float[Tensor, "rays features"]:
        """Grid features composited along rays: the mean under the weights."""
        rays, samples = stops.weights.shape
        inside = to_unit_cube(stops.positions.reshape(-1, 3), self.config.contraction).view(rays, samples, 3)
        return kernels.encode_composite(inside, stops.weights, self.grid.table, self.grid.layout)

    def forward(
        self, stops: LightStops, scale_per_depth: Float[Tensor, " rays"]
    ) -> tuple[Float[Tensor, "rays width"], Float[Tensor, "rays dense"] | None]:
        """Rendered unit embeddings, and rendered dense features if there is a dense head.

        `scale_per_depth` = tile_ratio * image_height / fy: times the depth, it is the height of a tile at a sample.
        """
        if self.config.estimator == "deferred":
            mean = self.ray_features(stops)
            embedding = self.embed(mean, scale_per_depth * stops.median_depth)
            dense = self.dense_head(mean) if self.dense_head is not None else None
            return embedding, dense
        rays, samples = stops.weights.shape
        flat = self.features(stops.positions.reshape(-1, 3))
        scale = (scale_per_depth[:, None] * stops.depths).reshape(-1)
        phi = self.embed(flat, scale).view(rays, samples, self.width)
        embedding = kernels.unit_vectors(kernels.composite(stops.weights, phi))
        if self.dense_head is None:
            return embedding, None
        return embedding, kernels.composite(
            stops.weights, self.dense_head(flat).view(rays, samples, self.dense_head[-1].out_features)
        )

    def render_dense(self, stops: LightStops) -> Float[Tensor, "rays dense"]:
        """Rendered features of the dense head, which must be there."""
        assert self.dense_head is not None
        if self.config.estimator == "deferred":
            return self.dense_head(self.ray_features(stops))
        rays, samples = stops.weights.shape
        dense = self.dense_head(self.features(stops.positions.reshape(-1, 3))).view(
            rays, samples, self.dense_head[-1].out_features
        )
        return kernels.composite(stops.weights, dense)

    def render_at_scale(self, stops: LightStops, scale: Float[Tensor, " rays"]) -> Float[Tensor, "rays width"]:
        """Rendered unit embeddings at one physical scale for each ray, normalised units: what a query looks at."""
        if self.config.estimator == "deferred":
            return self.embed(self.ray_features(stops), scale)
        rays, samples = stops.weights.shape
        each = self.features(stops.positions.reshape(-1, 3))
        phi = self.embed(each, scale[:, None].expand(-1, samples).reshape(-1)).view(rays, samples, self.width)
        return kernels.unit_vectors(kernels.composite(stops.weights, phi))
