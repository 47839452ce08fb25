"""The training photos' pixels in memory, and random rays through them."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor

from lerf.errors import SceneError
from lerf.rays.cameras import CameraTable
from lerf.scenes.scene import Scene
from lerf.training.radiance import RayBatch


class PixelPool:
    """8-bit colours of the training photos, one after another, and what it takes to shoot a ray through any of them."""

    def __init__(
        self,
        scene: Scene,
        device: str = "cpu",
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        """Decode the training photos in parallel.

        Raises:
            SceneError: when a photo is missing or corrupt, or no pixel is left by the masks.
        """
        self.train = scene.train
        self.device = device
        self.cameras = CameraTable.from_cameras(
            [scene.normalised_camera(index) for index in range(len(scene))], device=device
        )
        colours, self.choices = decode(scene, scene.train, progress)
        counts = [len(c) if choice is None else len(choice) for c, choice in zip(colours, self.choices, strict=True)]
        if sum(counts) == 0:
            raise SceneError("The masks leave no pixel to learn from; check that white means 'use this pixel'.")
        self.ends = torch.tensor(counts).cumsum(0).to(device)
        self.colours = torch.from_numpy(np.concatenate(colours)).to(device)
        sizes = [len(c) for c in colours]
        self.starts = torch.tensor([0, *np.cumsum(sizes)[:-1].tolist()]).to(device)
        self.widths = torch.tensor([scene.photos[index].camera.width for index in scene.train]).to(device)
        self.photos = torch.tensor(scene.train).to(device)
        # With masks, a drawn number is a place in the list of allowed pixels, otherwise the pixel itself.
        self.masked = None
        if any(choice is not None for choice in self.choices):
            filled = [torch.arange(len(c)) if k is None else k for c, k in zip(colours, self.choices, strict=True)]
            self.masked = torch.cat(filled).to(device)
        self.alphas = None
        if scene.background == "alpha":
            self.alphas = torch.cat([_opacity(scene, index) for index in scene.train]).to(device)

    def allowed(self, photo: int) -> Tensor | None:
        """Flat indices of a training photo's pixels that its mask leaves, or None for all."""
        return self.choices[self.train.index(photo)]

    def draw(self, count: int, generator: torch.Generator) -> RayBatch:
        """`count` rays through uniformly random pixels of all training photos, with their colours.

        Where photos carry transparency, each ray gets a random background: white alone, emptiness and white matter
        would look the same, and the field would build walls far behind the object.
        """
        drawn = torch.randint(int(self.ends[-1]), (count,), generator=generator).to(self.device)
        slot = torch.searchsorted(self.ends, drawn, right=True)
        first = torch.where(slot > 0, self.ends[(slot - 1).clamp(min=0)], 0)
        inside = self.masked[drawn] if self.masked is not None else drawn - first
        width = self.widths[slot]
        pixels = torch.stack([inside % width, inside // width], dim=-1).float() + 0.5
        colours = self.colours[self.starts[slot] + inside].float() / 255.0
        background = torch.ones(1, 3, device=self.device).expand(count, 3)
        if self.alphas is not None:
            background = torch.rand(count, 3, generator=generator).to(self.device)
            # The colours hold white behind what is transparent: exchange it.
            clear = 1.0 - self.alphas[self.starts[slot] + inside].float()[:, None] / 255.0
            colours = colours + clear * (background - 1.0)
        rays = self.cameras.rays(self.photos[slot], pixels)
        return RayBatch(rays, colours, background, slot)


def _opacity(scene: Scene, index: int) -> Tensor:
    """8-bit opacity of a photo's pixels, uint8 [pixels]."""
    alpha = scene.alpha(index)
    if alpha is None:
        camera = scene.photos[index].camera
        return torch.full((camera.width * camera.height,), 255, dtype=torch.uint8)
    return torch.from_numpy(np.rint(255 * alpha).astype(np.uint8).reshape(-1))


def decode(
    scene: Scene, photos: Sequence[int], progress: Callable[[int, int], None] | None = None
) -> tuple[list[np.ndarray], list[Tensor | None]]:
    """Colours uint8 [pixels, 3] and allowed flat indices of some photos, decoded by a few threads in order."""

    def one(index: int) -> tuple[np.ndarray, Tensor | None]:
        mask = scene.mask(index)
        choice = None if mask is None else torch.from_numpy(np.flatnonzero(mask))
        return scene.pixels(index).reshape(-1, 3), choice

    colours: list[np.ndarray] = []
    choices: list[Tensor | None] = []
    with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool:
        for colour, choice in pool.map(one, photos):
            colours.append(colour)
            choices.append(choice)
            if progress:
                progress(len(colours), len(photos))
    return colours, choices
