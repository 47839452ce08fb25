"""The hash-grid radiance field: density and colour in space."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from lerf import kernels
from lerf.geometry.contraction import to_unit_cube
from lerf.geometry.rays import RayBundle
from lerf.geometry.traced_rays import RaySamples
from lerf.kernels.layout import GridLayout
from lerf.kernels.types import ProposalSettings
from lerf.networks.dense_layers import DenseLayers
from lerf.networks.directions import WIDTH as DIRECTION_WIDTH
from lerf.networks.directions import spherical_harmonics
from lerf.networks.hash_grid import HashGrid
from lerf.radiance.hash_grid.config import RadianceConfig
from lerf.radiance.hash_grid.gradients import exponential, scale_gradient


@dataclass(frozen=True)
class RadianceOutput:
    """What one pass over rays gives; all differentiable."""

    colour: Float[Tensor, "rays 3"]
    """Before the background is added: light of the samples only, 0..1."""
    weights: Float[Tensor, "rays samples"]
    edges: Float[Tensor, "rays edges"]
    positions: Float[Tensor, "rays samples 3"]
    points: Float[Tensor, "rays samples 3"]
    """The positions in the unit cube that the contracted space is mapped to."""
    densities: Float[Tensor, "rays samples"]


@dataclass(frozen=True)
class ViewedRays:
    """What a picture is made of, as in `RadianceOutput`."""

    colour: Float[Tensor, "rays 3"]
    weights: Float[Tensor, "rays samples"]
    edges: Float[Tensor, "rays edges"]


class RadianceField(nn.Module):
    """Hash grid -> density and geometry features -> colour that depends on the direction of view.

    A coarse grid of densities over the contracted cube, a buffer that training keeps up to date, says where to sample.
    """

    density_grid: Tensor

    def __init__(self, config: RadianceConfig, photos: int) -> None:
        """`photos` is the number of training photos, each of which has a colour gain of its own."""
        super().__init__()
        self.config = config
        self.grid = HashGrid(
            GridLayout.geometric(config.levels, config.coarsest, config.finest, config.features, config.log2_entries)
        )
        self.density_in = nn.Linear(self.grid.layout.width, config.hidden, bias=False)
        self.density_out = nn.Linear(config.hidden, 1 + config.geometry)
        self.colour_net = DenseLayers(config.geometry + DIRECTION_WIDTH, config.colour_hidden, config.colour_hidden, 3)
        self._initialise()
        self.log_gain = nn.Parameter(torch.zeros(photos, 3))
        side = config.grid_side
        self.register_buffer("density_grid", torch.full((side, side, side), INITIAL_DENSITY))
        self._seen: Tensor | None = None
        self._gate: Tensor | None = None

    def _initialise(self) -> None:
        """He initialisation with zero biases (He et al. 2015).

        The first layer is larger still, because encodings are small: with torch's default the networks see next to
        nothing at first, and a third of the colour network's units die before they are of use.
        """
        if self.density_in.weight.is_meta:
            # A checkpoint will be laid over it. Normal numbers on that device would load torch's compiler: 2 s.
            return
        colour = self.colour_net.layers
        for layer in (self.density_in, self.density_out, *colour):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
        with torch.no_grad():
            self.density_in.weight.mul_(ENCODING_GAIN)
            colour[-1].weight.mul_(0.5)

    def open_levels(self, share: float | Tensor) -> None:
        """Let the coarsest `FIRST_LEVELS` levels of the grid and a share of the others take part, finer ones in turn.

        Fine levels, there from the first step on, explain each photo by specks of matter before it; after coarse ones
        they add to shapes that all photos share (FreeNeRF, Yang et al. 2023, anneals frequencies; Neuralangelo, Li et
        al. 2023, levels of a hash grid). The level that is opening counts in part. 1 opens all; a share
        that is a tensor is less.
        """
        levels = self.config.levels
        first = min(FIRST_LEVELS, levels)
        opened = first + (levels - first) * share - torch.arange(levels, device=self.density_in.weight.device)
        weights = opened.clamp(0.0, 1.0).repeat_interleave(self.config.features)
        self._gate = None if not isinstance(share, Tensor) and share >= 1.0 else weights

    @property
    def _first_layer(self) -> Float[Tensor, "hidden width"]:
        """Weights of the first layer, 0 for levels that take no part yet."""
        return self.density_in.weight if self._gate is None else self.density_in.weight * self._gate

    def density(self, positions: Float[Tensor, "points 3"]) -> tuple[Tensor, Tensor]:
        """Density per normalised unit, [points], and geometry features, [points, geometry], in the normalised frame."""
        return self._density_in_cube(to_unit_cube(positions))

    def _density_in_cube(self, points: Float[Tensor, "points 3"]) -> tuple[Tensor, Tensor]:
        out = self._layers(points, self.density_out.weight, self.density_out.bias)
        # The shift makes space nearly empty at the start: light must first pass to reach what the photos show.
        return exponential(out[:, 0] + LOG_DENSITY_SHIFT), out[:, 1:]

    def _density_alone(self, points: Float[Tensor, "points 3"]) -> Float[Tensor, " points"]:
        """Density without what the colour needs, for passes without gradients."""
        logits = self._layers(points, self.density_out.weight[:1], self.density_out.bias[:1])
        return exponential(logits[:, 0] + LOG_DENSITY_SHIFT)

    def _layers(self, points: Float[Tensor, "points 3"], weight: Tensor, bias: Tensor) -> Float[Tensor, "points out"]:
        """The density network with a last layer."""
        weights, biases = [self._first_layer, weight], [None, bias]
        if torch.is_grad_enabled():
            return kernels.dense_layers(self.grid(points), weights, biases)
        return kernels.encoded_layers(points, self.grid.table, self.grid.layout, weights, biases)

    def colour(self, geometry: Float[Tensor, "points geometry"], directions: Float[Tensor, "points 3"]) -> Tensor:
        """Colour in 0..1, [points, 3]."""
        return torch.sigmoid(self.colour_net(torch.cat([geometry, spherical_harmonics(directions)], dim=-1)))

    def place_samples(
        self,
        rays: RayBundle,
        jitter: Tensor,
        anneal: float | Tensor = 1.0,
        samples: int | None = None,
        bins: int | None = None,
    ) -> Float[Tensor, "rays edges"]:
        """Edges of the sample intervals, from the density grid; `jitter` in 0..1 shifts them along each ray."""
        c = self.config
        settings = ProposalSettings(samples or c.samples, bins or c.bins, c.near, c.far, anneal, c.padding, c.cap)
        return kernels.proposal_edges(
            rays.origins.detach(), rays.directions.detach(), self.density_grid, jitter, settings
        )

    def _weights(
        self, density: Float[Tensor, "rays samples"], edges: Float[Tensor, "rays edges"]
    ) -> Float[Tensor, "rays samples"]:
        """Rendering weights; in a closed scene the last interval never ends, so that every ray meets something.

        Without it, a field that lets some light through is rewarded for any density at all, next to the camera first.
        """
        lengths = edges[:, 1:] - edges[:, :-1]
        if self.config.closed:
            lengths[:, -1] = 1e6
            density = density + LEAST_DENSITY
        return kernels.render_weights(density, lengths)

    def forward(self, rays: RayBundle, edges: Float[Tensor, "rays edges"]) -> RadianceOutput:
        """Render rays with samples in the middle of the intervals between `edges`."""
        count, samples = edges.shape[0], edges.shape[1] - 1
        middle = 0.5 * (edges[:, 1:] + edges[:, :-1])
        positions = rays.origins[:, None] + rays.directions[:, None] * middle[..., None]
        if positions.is_cpu or positions.requires_grad:
            points = to_unit_cube(positions)
        else:
            points = kernels.interval_points(rays.origins, rays.directions, edges)
        density, geometry = self._density_in_cube(points.reshape(-1, 3))
        # Close to a camera many rays of one photo share few cells, whose gradients pile up into floaters; scaling by
        # the squared distance undoes the pile-up (Philip and Deschaintre 2023).
        damping = middle.detach().clamp(max=1.0).square()
        density = scale_gradient(density.view(count, samples), damping)
        geometry = scale_gradient(geometry.view(count, samples, self.config.geometry), damping[..., None])
        weights = self._weights(density, edges)
        colour = self._light(weights, geometry, rays.directions)
        return RadianceOutput(colour, weights, edges, positions, points, density)

    def _light(
        self,
        weights: Float[Tensor, "rays samples"],
        geometry: Float[Tensor, "rays samples geometry"],
        directions: Float[Tensor, "rays 3"],
    ) -> Float[Tensor, "rays 3"]:
        """Light of the samples along each ray."""
        if self.config.shading == "deferred":
            opacity = weights.sum(-1, keepdim=True)
            # Divided by the opacity, the features of a thin ray stay in the domain that the network knows.
            mean = kernels.composite(weights, geometry) / opacity.clamp(min=1e-4)
            return self.colour(mean, directions) * opacity
        each = directions[:, None].expand(-1, weights.shape[1], -1).reshape(-1, 3)
        return kernels.composite(weights, self.colour(geometry.flatten(0, 1), each).view(*weights.shape, 3))

    @torch.no_grad()
    def view_rays(self, rays: RayBundle, samples: int) -> ViewedRays:
        """Render rays without gradients: some samples find where light stops, others, placed by these, show it.

        The density grid is coarse: samples that are placed by the field's own densities show as much as twice as many
        that are placed by the grid. Three of eight search and half of `samples` show: more to search with show no more.
        """
        first = max(1, 3 * samples // 8)
        middle = torch.full((len(rays),), 0.5, device=rays.origins.device)
        edges = self.place_samples(rays, middle, samples=first)
        points = kernels.interval_points(rays.origins, rays.directions, edges)
        weights = self._weights(self._density_alone(points.flatten(0, 1)).view(len(rays), first), edges)
        edges = kernels.refined_edges(edges, weights, max(1, samples // 2), REFINED_PADDING)
        points = kernels.interval_points(rays.origins, rays.directions, edges)
        density, geometry = self._density_in_cube(points.flatten(0, 1))
        density = density.view(points.shape[:2])
        weights = self._weights(density, edges)
        return ViewedRays(self._light(weights, geometry.view(*density.shape, -1), rays.directions), weights, edges)

    def gain(self, photo: Int[Tensor, " rays"]) -> Float[Tensor, "rays 3"]:
        """Colour gain of training photos relative to their mean; 1 for cameras that are no training photo (-1)."""
        centred = self.log_gain - self.log_gain.mean(0, keepdim=True)
        return torch.where(photo[:, None] >= 0, torch.exp(centred[photo.clamp(min=0)]), torch.ones_like(centred[:1]))

    @torch.no_grad()
    def refresh_density_grid(self, count: int, decay: float, generator: torch.Generator) -> None:
        """Re-read `count` cells of the density grid at random points inside, half of them where there is matter."""
        side, flat = self.config.grid_side, self.density_grid.view(-1)
        drawn_on = generator.device
        index = torch.randint(flat.numel(), (count // 2,), generator=generator, device=drawn_on).to(flat.device)
        index = torch.cat([index, _occupied_cells(flat, count - count // 2, generator)])
        cells = torch.stack([index % side, index // side % side, index // (side * side)], dim=-1)
        inside = torch.rand(cells.shape, generator=generator, device=drawn_on).to(flat.device)
        density = self._density_alone((cells + inside) / side)
        self._blend_into_grid(index, density, decay)

    @torch.no_grad()
    def note_densities(self, positions: Tensor, densities: Tensor, decay: float) -> None:
        """Let the density grid learn from a step's own samples."""
        self.note_densities_in_cube(to_unit_cube(positions.reshape(-1, 3)), densities, decay)

    @torch.no_grad()
    def note_densities_in_cube(self, points: Tensor, densities: Tensor, decay: float) -> None:
        """As `note_densities`, of samples whose place in the unit cube is known."""
        side = self.config.grid_side
        cell = (points.reshape(-1, 3) * side).to(torch.int64).clamp_(0, side - 1)
        self._blend_into_grid(cell[:, 0] + side * (cell[:, 1] + side * cell[:, 2]), densities.reshape(-1), decay)

    def _blend_into_grid(self, index: Tensor, densities: Tensor, decay: float) -> None:
        """Cells keep `decay` of their value and take the rest from the mean of the densities seen in them.

        A mean, not a maximum: single dense outliers would draw all samples to themselves, and with them all density.
        """
        flat = self.density_grid.view(-1)
        if self._seen is None or self._seen.device != flat.device:
            self._seen = flat.new_zeros(2, flat.numel())
        total, count = self._seen
        total.index_add_(0, index, densities)
        count.index_add_(0, index, torch.ones_like(densities))
        # Repeated cells write the same number, so the order of the writes does not matter.
        flat[index] = flat[index] * decay + (1.0 - decay) * (total[index] / count[index])
        # Of millions of cells few are seen: clearing these alone spares most of the work.
        total[index], count[index] = 0.0, 0.0

    @torch.no_grad()
    def sample_rays(self, rays: RayBundle, samples: int | None = None) -> RaySamples:
        """`samples` samples of rays, by default as many as training takes but at most `TRACED_SAMPLES`, and their
        weights; the same for the same rays."""
        c = self.config
        middle = torch.full((len(rays),), 0.5, device=rays.origins.device)
        count = samples or min(c.samples, TRACED_SAMPLES)
        bins = c.bins if count > TRACED_SAMPLES else min(c.bins, TRACED_BINS)
        edges = self.place_samples(rays, middle, samples=count, bins=bins)
        middle = 0.5 * (edges[:, 1:] + edges[:, :-1])
        positions = rays.origins[:, None] + rays.directions[:, None] * middle[..., None]
        density = self._density_alone(to_unit_cube(positions.reshape(-1, 3)))
        weights = self._weights(density.view_as(middle), edges)
        return RaySamples(positions, middle, weights)


def _occupied_cells(flat: Float[Tensor, " cells"], count: int, generator: torch.Generator) -> Int[Tensor, " found"]:
    """Indices of `count` random cells among those with matter in them; where no cell has any, of none on a CPU, and on
    other devices, where nothing waits to be told, of any cells."""
    occupied = flat > 1.0
    if flat.device.type == "cpu":
        found = occupied.nonzero().squeeze(-1)
        return found[torch.randint(len(found), (count,), generator=generator)] if len(found) else found
    rank = occupied.cumsum(0, dtype=torch.int32)
    share = torch.rand(count, generator=generator, device=generator.device).to(flat.device)
    wanted = (share * rank[-1]).int() + 1
    found = torch.searchsorted(rank, wanted).clamp(max=len(flat) - 1)
    return torch.where(rank[-1] > 0, found, (share * len(flat)).long().clamp(max=len(flat) - 1))


REFINED_PADDING = 0.02
"""Share of the samples that show a picture that is spread evenly over where those that searched lay."""
TRACED_SAMPLES = 16
"""Samples along a ray, at most, by which it is told where its light stops. On the fox capture the median depths of 16
and of 64 samples differ by 0.2 %, and by more than 5 % for 0.3 % of the rays."""
TRACED_BINS = 96
"""Bins of the proposal for these samples, at most: what `lerf-cpu` trains with."""
ENCODING_GAIN = 8.0
FIRST_LEVELS = 4
"""Levels of the grid that take part from the first step on."""
LEAST_DENSITY = 1e-4
"""Of a closed scene, per normalised unit: too thin to be seen, but an interval without end absorbs all light."""
LOG_DENSITY_SHIFT = -1.0
INITIAL_DENSITY = 0.1
