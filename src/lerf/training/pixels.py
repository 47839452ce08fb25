"""The training photos' pixels in memory, all or a window over them, and random rays through them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import numpy as np
import torch
from torch import Tensor

from lerf.devices import upload
from lerf.errors import SceneError
from lerf.geometry.camera_table import CameraTable
from lerf.scenes.scene import Scene
from lerf.training.photo_window import PhotoWindow, capacity_of, rate_of
from lerf.training.radiance import RayBatch

THREADS = min(8, os.cpu_count() or 1)
"""Threads that decode photos."""
MASK_BYTES = 8
"""A pixel's, where photos have masks: its index in the list of those that take part."""
Progress = Callable[[int, int], None]


class PixelPool:
    """8-bit colours of the training photos, one after another, and what it takes to shoot a ray through any of them."""

    def __init__(self, scene: Scene, device: str = "cpu", progress: Progress | None = None) -> None:
        """Decode the training photos in parallel.

        Raises:
            SceneError: when a photo is missing or corrupt, or no pixel is left by the masks.
        """
        self.scene, self.train, self.device = scene, scene.train, device
        self.cameras = camera_table(scene, device)
        self.widths = torch.tensor([scene.photos[index].camera.width for index in scene.train]).to(device)
        self.photos = torch.tensor(scene.train).to(device)
        self._read(progress)

    def _read(self, progress: Progress | None) -> None:
        scene, device = self.scene, self.device
        sizes = [_size(scene, index) for index in scene.train]
        starts = [0, *np.cumsum(sizes).tolist()]
        self.colours = torch.empty(starts[-1], 3, dtype=torch.uint8)
        choices: list[Tensor | None] = []
        for train_index, (colours, choice) in enumerate(decoded(scene, scene.train)):
            self.colours[starts[train_index] : starts[train_index + 1]] = torch.from_numpy(colours)
            choices.append(choice)
            if progress:
                progress(train_index + 1, len(scene.train))
        counts = [size if choice is None else len(choice) for size, choice in zip(sizes, choices, strict=True)]
        _check_some_left(sum(counts))
        self.colours = self.colours.to(device)
        self.total = sum(counts)
        self.ends = torch.tensor(counts).cumsum(0).to(device)
        self.starts = torch.tensor(starts[:-1]).to(device)
        # With masks, a drawn number is an index into the list of allowed pixels, otherwise the pixel itself.
        self.masked = None
        if any(choice is not None for choice in choices):
            filled = [torch.arange(n) if k is None else k for n, k in zip(sizes, choices, strict=True)]
            self.masked = torch.cat(filled).to(device)
        self.alphas = None
        if scene.background == "alpha":
            self.alphas = torch.cat([_opacity(scene, index) for index in scene.train]).to(device)

    def go_to(self, step: int) -> bool:
        """Have in memory what belongs to a step; whether these are other photos. Here all are there, always."""
        return False

    def release(self) -> None:
        """Let go of the colours: no ray will be drawn any more."""
        self.colours, self.alphas = self.colours.new_empty(0, 3), None

    def draw(self, count: int, generator: torch.Generator) -> RayBatch:
        """`count` rays through uniformly random pixels of all training photos, with their colours.

        Where photos carry transparency, each ray gets a random background: white alone, emptiness and white matter
        would look the same, and the field would build walls far behind the object.
        """
        drawn = torch.randint(self.total, (count,), generator=generator, device=self.device)
        train_index = torch.searchsorted(self.ends, drawn, right=True)
        first = torch.where(train_index > 0, self.ends[(train_index - 1).clamp(min=0)], 0)
        inside = self.masked[drawn] if self.masked is not None else drawn - first
        return self._rays(train_index, inside, self.starts[train_index] + inside, generator)

    def _rays(self, train_index: Tensor, inside: Tensor, row: Tensor, generator: torch.Generator) -> RayBatch:
        """Rays through pixels `inside` of the training photos `train_index`, whose colours are in the rows `row`."""
        width, count = self.widths[train_index], len(train_index)
        pixels = torch.stack([inside % width, inside // width], dim=-1).float() + 0.5
        colours = self.colours[row].float() / 255.0
        background = torch.ones(1, 3, device=self.device).expand(count, 3)
        if self.alphas is not None:
            background = torch.rand(count, 3, generator=generator, device=self.device)
            # The colours hold white behind what is transparent: exchange it.
            clear = 1.0 - self.alphas[row].float()[:, None] / 255.0
            colours = colours + clear * (background - 1.0)
        rays = self.cameras.rays(self.photos[train_index], pixels)
        return RayBatch(rays, colours, background, train_index)


class WindowedPixelPool(PixelPool):
    """A pool that holds the photos of a window (`photo_window.py`); the others are decoded again when they enter it."""

    def __init__(
        self,
        scene: Scene,
        device: str = "cpu",
        progress: Progress | None = None,
        *,
        budget: int,
        steps: int,
        seed: int,
    ) -> None:
        """Decode every photo once, to find the corrupt ones before the work starts.

        Args:
            scene: the capture.
            device: where colours are kept.
            progress: called as `progress(done, total)` after each photo.
            budget: bytes for what is resident.
            steps: of the training, in which every photo is to be seen.
            seed: of the order in which photos come.

        Raises:
            SceneError: as `PixelPool`.
        """
        self._budget, self._steps, self._seed = budget, steps, seed
        super().__init__(scene, device, progress)

    def _read(self, progress: Progress | None) -> None:
        scene, train = self.scene, self.scene.train
        counts = []
        for colours, choice in decoded(scene, train):
            counts.append(len(colours) if choice is None else len(choice))
            if progress:
                progress(len(counts), len(train))
        _check_some_left(sum(counts))
        self._largest = max(_size(scene, index) for index in train)
        members = [train_index for train_index, count in enumerate(counts) if count]
        capacity = capacity_of(self._budget, self._largest * _bytes_of_pixel(scene), len(members))
        self.colours = torch.zeros(capacity * self._largest, 3, dtype=torch.uint8, device=self.device)
        self.alphas = None
        if scene.background == "alpha":
            self.alphas = torch.zeros(capacity * self._largest, dtype=torch.uint8, device=self.device)
        self.masked = None
        if _has_masks(scene):
            self.masked = torch.zeros(capacity * self._largest, dtype=torch.int64, device=self.device)
        self._counts = torch.zeros(capacity, dtype=torch.int64)
        self._train_index = torch.zeros(capacity, dtype=torch.int64)
        self.window = PhotoWindow(
            members, capacity, rate_of(len(members), capacity, self._steps), self._seed, self._load, self._put,
            1 if self.device == "cpu" else THREADS,
        )  # fmt: skip

    def _load(self, train_index: int) -> tuple[Tensor, Tensor | None, Tensor | None]:
        index = self.train[train_index]
        colours, choice = _decode_one(self.scene, index)
        alpha = _opacity(self.scene, index) if self.scene.background == "alpha" else None
        return torch.from_numpy(colours), choice, alpha

    def _put(self, cache_slot: int, train_index: int, photo: tuple[Tensor, Tensor | None, Tensor | None]) -> None:
        colours, choice, alpha = photo
        start = cache_slot * self._largest
        self.colours[start : start + len(colours)] = upload(colours, self.device)
        if self.alphas is not None and alpha is not None:
            self.alphas[start : start + len(alpha)] = upload(alpha, self.device)
        if self.masked is not None:
            allowed = torch.arange(len(colours)) if choice is None else choice
            self.masked[start : start + len(allowed)] = upload(allowed, self.device)
        self._counts[cache_slot] = len(colours) if choice is None else len(choice)
        self._train_index[cache_slot] = train_index

    def go_to(self, step: int) -> bool:
        moved = self.window.go_to(step)
        if moved:
            self.total, self.ends = int(self._counts.sum()), upload(self._counts.cumsum(0), self.device)
            self._resident = upload(self._train_index, self.device)
        return moved

    def release(self) -> None:
        super().release()
        self.window.close()
        self.masked = None

    def draw(self, count: int, generator: torch.Generator) -> RayBatch:
        """As `PixelPool.draw`, of the photos that are resident since the last `go_to`."""
        drawn = torch.randint(self.total, (count,), generator=generator, device=self.device)
        cache_slot = torch.searchsorted(self.ends, drawn, right=True)
        first = torch.where(cache_slot > 0, self.ends[(cache_slot - 1).clamp(min=0)], 0)
        inside, start = drawn - first, cache_slot * self._largest
        if self.masked is not None:
            inside = self.masked[start + inside]
        return self._rays(self._resident[cache_slot], inside, start + inside, generator)


def open_pixels(
    scene: Scene, device: str = "cpu", progress: Progress | None = None, *, budget: int, steps: int, seed: int
) -> PixelPool:
    """All pixels of the training photos where they fit into `budget` bytes, else a window over them.

    Raises:
        SceneError: as `PixelPool`.
    """
    if pixel_bytes(scene) <= budget:
        return PixelPool(scene, device, progress)
    return WindowedPixelPool(scene, device, progress, budget=budget, steps=steps, seed=seed)


def pixel_bytes(scene: Scene) -> int:
    """What `PixelPool` keeps in memory."""
    return sum(_size(scene, index) for index in scene.train) * _bytes_of_pixel(scene)


def _bytes_of_pixel(scene: Scene) -> int:
    return 3 + (scene.background == "alpha") + MASK_BYTES * _has_masks(scene)


def _has_masks(scene: Scene) -> bool:
    return any(scene.photos[index].mask_path is not None for index in scene.train)


def _size(scene: Scene, index: int) -> int:
    camera = scene.photos[index].camera
    return camera.width * camera.height


def _check_some_left(count: int) -> None:
    if count == 0:
        raise SceneError("The masks leave no pixel to learn from; check that white means 'use this pixel'.")


def _opacity(scene: Scene, index: int) -> Tensor:
    """8-bit opacity of a photo's pixels, uint8 [pixels]."""
    alpha = scene.alpha(index)
    if alpha is None:
        return torch.full((_size(scene, index),), 255, dtype=torch.uint8)
    return torch.from_numpy(np.rint(255 * alpha).astype(np.uint8).reshape(-1))


def camera_table(scene: Scene, device: str = "cpu") -> CameraTable:
    """The cameras of all photos of a scene, in the normalised frame."""
    return CameraTable.from_cameras([scene.normalised_camera(index) for index in range(len(scene))], device=device)


def allowed_pixels(scene: Scene, index: int) -> Tensor | None:
    """Flat indices of a photo's pixels that its mask leaves, or None for all."""
    mask = scene.mask(index)
    return None if mask is None else torch.from_numpy(np.flatnonzero(mask))


def _decode_one(scene: Scene, index: int) -> tuple[np.ndarray, Tensor | None]:
    """Colours uint8 [pixels, 3] and allowed flat indices of a photo."""
    return scene.pixels(index).reshape(-1, 3), allowed_pixels(scene, index)


def decoded(scene: Scene, photos: Sequence[int]) -> Iterator[tuple[np.ndarray, Tensor | None]]:
    """Colours uint8 [pixels, 3] and allowed flat indices of photos in order, decoded by threads a little ahead."""
    with ThreadPoolExecutor(THREADS) as pool:
        # Asked for all at once, the pool would hold all photos that wait to be taken.
        waiting = [pool.submit(_decode_one, scene, index) for index in photos[: 2 * THREADS]]
        coming = islice(photos, 2 * THREADS, None)
        while waiting:
            yield waiting.pop(0).result()
            waiting += [pool.submit(_decode_one, scene, index) for index in islice(coming, 1)]
