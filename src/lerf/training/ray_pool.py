"""A pool of training rays with where their light stops, drawn once because the radiance no longer moves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lerf.devices import resident_bytes, upload
from lerf.errors import RunError
from lerf.geometry.camera_table import CameraTable
from lerf.geometry.traced_rays import TracedRays
from lerf.pyramids.lookup import PyramidTable, ResidentTable
from lerf.pyramids.store import PyramidStore
from lerf.radiance.protocol import Radiance
from lerf.training.photo_window import PhotoWindow, capacity_of, rate_of

CHUNK = 16384


@dataclass(frozen=True)
class RayPool:
    """Rays of random pixels of the training photos."""

    rays: TracedRays
    train_index: Int[Tensor, " rays"]
    """Each ray's photo, as an index among the training photos."""
    pixels: Float[Tensor, "rays 2"]
    """(x, y) at the resolution in use, centres at +0.5."""
    height_per_depth: Float[Tensor, " rays"]
    """Photo height / fy: times a tile ratio and a depth it is the tile's height in normalised units."""

    def __len__(self) -> int:
        return len(self.train_index)

    def take(self, index: Int[Tensor, " batch"]) -> RayPool:
        """The chosen rays."""
        return RayPool(self.rays[index], self.train_index[index], self.pixels[index], self.height_per_depth[index])

    def _that_hit(self) -> RayPool:
        """Without the rays that meet nothing."""
        hit = self.rays.hit
        return self if bool(hit.all()) else self.take(hit.nonzero().squeeze(-1))

    def scale_range(self, ratios: Sequence[float]) -> tuple[float, float]:
        """1st and 99th percentile of the tile heights that these rays show, normalised units."""
        unit = self.height_per_depth * self.rays.median_depth
        sample = unit[torch.linspace(0, len(unit) - 1, min(len(unit), 200_000)).long()]
        heights = torch.cat([sample * min(ratios), sample * max(ratios)])
        low, high = torch.quantile(heights, torch.tensor([0.01, 0.99], device=heights.device)).tolist()
        return low, max(high, low * 1.001)


def draw_pool(
    radiance: Radiance,
    cameras: CameraTable,
    train: Sequence[int],
    count: int,
    heaviest: int,
    generator: torch.Generator,
    allowed: Callable[[int], Tensor | None],
    progress: Callable[[int, int], None] | None = None,
) -> RayPool:
    """About `count` rays, the same number from each training photo, at uniformly random pixels.

    `allowed(photo)` gives the flat indices of the pixels that take part, or None for all. Rays that meet nothing are
    left out.

    Raises:
        RunError: when no ray meets anything.
    """
    device = cameras.positions.device
    each = max(1, count // len(train))
    parts: list[RayPool] = []
    for train_index, photo in enumerate(train):
        width, height = cameras.sizes_on_host[photo]
        choice = allowed(photo)
        if choice is not None and len(choice) == 0:
            continue
        # On the CPU, where the masks are.
        drawn = torch.randint(width * height if choice is None else len(choice), (each,), generator=generator)
        flat = drawn if choice is None else choice[drawn]
        pixels = torch.stack([flat % width, flat // width], dim=-1).float() + 0.5
        for start in range(0, each, CHUNK):
            part = upload(pixels[start : start + CHUNK], device)
            index = torch.full((len(part),), photo, device=device)
            rays = radiance.trace(cameras, index, part, heaviest)
            ratio = torch.full((len(part),), height / cameras.focal_on_host[photo][1], device=device)
            drawn_rays = RayPool(rays, torch.full((len(part),), train_index, device=device), part, ratio)
            # A GPU is waited for once, at the end.
            parts.append(drawn_rays._that_hit() if device.type == "cpu" else drawn_rays)
        if progress:
            progress(train_index + 1, len(train))
    pool = (
        RayPool(
            TracedRays.joined([p.rays for p in parts]),
            torch.cat([p.train_index for p in parts]),
            torch.cat([p.pixels for p in parts]),
            torch.cat([p.height_per_depth for p in parts]),
        )._that_hit()
        if parts
        else None
    )
    if pool is None or len(pool) == 0:
        raise RunError("The radiance is transparent everywhere; train it with more --steps in a new folder.")
    return pool


class ResidentRays:
    """Rays of the photos whose features are resident at a step, where those of all photos do not fit into memory."""

    def __init__(
        self, train_index: Int[Tensor, " rays"], tables: Sequence[ResidentTable], capacity: int, steps: int, seed: int
    ) -> None:
        """
        Args:
            train_index: photo of each ray of the pool, in increasing order, as `draw_pool` makes them.
            tables: filled together, all with `capacity` cache slots.
            capacity: photos that are resident at a time.
            steps: of the training, in which every photo is to be seen.
            seed: of the order in which photos come.
        """
        self.tables = tables
        photos, counts = torch.unique_consecutive(train_index.cpu(), return_counts=True)
        self._first = dict(zip(photos.tolist(), (counts.cumsum(0) - counts).tolist(), strict=True))
        self._count = dict(zip(photos.tolist(), counts.tolist(), strict=True))
        rate = rate_of(len(photos), capacity, steps)
        self.window = PhotoWindow(photos.tolist(), capacity, rate, seed, self._load, self._put)

    def _load(self, photo: int) -> list[Tensor]:
        return [table.read(photo) for table in self.tables]

    def _put(self, cache_slot: int, photo: int, cells: list[Tensor]) -> None:
        for table, own in zip(self.tables, cells, strict=True):
            table.put(cache_slot, photo, own)

    def draw(self, step: int, count: int, generator: torch.Generator) -> Int[Tensor, " count"]:
        """Indices into the pool of `count` random rays, all of photos that are resident at this step from now on."""
        if self.window.go_to(step):
            photos = self.window.photos
            counts = torch.tensor([self._count[photo] for photo in photos])
            ends, device = counts.cumsum(0), generator.device
            shift = torch.tensor([self._first[photo] for photo in photos]) - (ends - counts)
            self._total, self._ends, self._shift = int(ends[-1]), upload(ends, device), upload(shift, device)
        drawn = torch.randint(self._total, (count,), generator=generator, device=generator.device)
        return drawn + self._shift[torch.searchsorted(self._ends, drawn, right=True)]


def open_tables(stores: Sequence[PyramidStore], budget: int, device: str = "cpu") -> list[PyramidTable]:
    """Tables of the stores of one capture: whole where together they fit into `budget` bytes, on a GPU into a share of
    its free memory, else `ResidentTable`s.

    Resident tables have the same number of cache slots, so that a photo is in all of them or in none.
    """
    budget = resident_bytes(device, budget)
    if feature_bytes(stores) <= budget:
        return [PyramidTable.from_store(store, device=device) for store in stores]
    each = sum(2 * store.width * max(entry.cells for entry in store.entries) for store in stores)
    capacity = capacity_of(budget, each, len(stores[0]))
    return [ResidentTable.empty(store, capacity, device) for store in stores]


def feature_bytes(stores: Sequence[PyramidStore]) -> int:
    """What whole tables of stores take."""
    return sum(2 * store.width * entry.cells for store in stores for entry in store.entries)
