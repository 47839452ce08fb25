"""nerfstudio's data manager with what the photos' pyramids say at the pixels that it draws."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, Type  # noqa: UP035 - as nerfstudio annotates its configurations

import numpy as np
import torch
from jaxtyping import UInt8
from nerfstudio.cameras.rays import RayBundle as TheirRays
from nerfstudio.data.datamanagers.base_datamanager import (
    VanillaDataManager,
    VanillaDataManagerConfig,
    variable_res_collate,
)
from nerfstudio.data.datasets.base_dataset import InputDataset
from nerfstudio.data.pixel_samplers import PixelSampler

from lerf.encoders.protocols import DenseEncoder, ImageTextEncoder
from lerf.nerfstudio.rays import note_cosines, photo_heights
from lerf.nerfstudio.told import say
from lerf.pyramids.lookup import PyramidTable
from lerf.pyramids.plan import PyramidOptions
from lerf.pyramids.store import build_pyramids

TILES = "tile_height"
"""Entry of the metadata of training rays: height of the tile whose embedding a ray learns, over its depth."""
HEIGHTS = "photo_height"
"""Another one: the height of its photo over the depth."""
CLIP, DINO = "lerf_clip", "lerf_dino"
"""Entries of a batch: embeddings of those tiles, and dense features."""


@dataclass
class LerfDataManagerConfig(VanillaDataManagerConfig):
    """What language is learnt from."""

    _target: Type = field(default_factory=lambda: LerfDataManager)  # noqa: UP006
    encoder: str = "openclip"
    """Image-text encoder, as of `lerf train`: openclip, openclip-l, conse, mini, ..."""
    dense: str = "dino"
    """Dense regulariser, or none."""
    features: Literal["auto", "tiles", "dense"] = "auto"
    """Pyramid tile by tile, or by passes over the whole photo; auto leaves it to the encoder."""


@dataclass(frozen=True)
class TrainingImages:
    """The training photos as a source of pixels; transparency is composited onto white."""

    dataset: InputDataset

    def __len__(self) -> int:
        return len(self.dataset)

    def pixels(self, index: int) -> UInt8[np.ndarray, "height width 3"]:
        image = self.dataset.get_numpy_image(index)
        if image.shape[2] == 3:
            return np.ascontiguousarray(image)
        alpha = image[..., 3:].astype(np.float32) / 255
        return np.rint(image[..., :3] * alpha + 255 * (1 - alpha)).astype(np.uint8)

    def are_cut_out(self) -> bool:
        """Whether the first photo is transparent somewhere."""
        image = self.dataset.get_numpy_image(0)
        return image.shape[2] == 4 and bool((image[..., 3] < 255).any())


class LerfDataManager(VanillaDataManager):
    """Every ray knows the cosine with its camera's axis; those of training also a tile and what it shows."""

    config: LerfDataManagerConfig
    clip: PyramidTable | None = None
    dino: PyramidTable | None = None

    def _get_pixel_sampler(self, dataset: InputDataset, num_rays_per_batch: int) -> PixelSampler:
        """See `VanillaDataManager._get_pixel_sampler`; nerfstudio 1.1.5 cannot draw by rejection where masks have
        several sizes, so that pixels are then drawn from a list of those that take part."""
        if self.config.collate_fn is variable_res_collate:
            self.config.pixel_sampler.rejection_sample_mask = False
        return super()._get_pixel_sampler(dataset, num_rays_per_batch)

    def read_pyramids(self, encoder: ImageTextEncoder, dense: DenseEncoder | None, device: str) -> None:
        """Embed the training photos, or find them in the cache; without this no language is trained.

        Raises:
            LerfError: an encoder does not offer what is asked for, or the cache cannot be written.
        """
        images, mode = TrainingImages(self.train_dataset), self.config.features
        options = PyramidOptions(None if mode == "auto" else mode)
        self.clip = self._table(images, encoder, options, device)
        self.dino = None if dense is None else self._table(images, dense, PyramidOptions(), device)

    def _table(self, images: TrainingImages, encoder: Any, options: PyramidOptions, device: str) -> PyramidTable:
        def told(done: int, total: int) -> None:
            if done in (1, total) or done % 50 == 0:
                say(f"features ({encoder.name}) of {done} of {total} photos")

        # The table stays in the machine's memory: a GPU's is for the fields.
        return PyramidTable.from_store(build_pyramids(images, encoder, options, progress=told, device=device))

    def next_train(self, step: int) -> tuple[TheirRays, dict[str, Any]]:
        """See `VanillaDataManager.next_train`."""
        rays, batch = super().next_train(step)
        note_cosines(rays, self.train_dataset.cameras)
        if self.clip is not None:
            photo, row, column = batch["indices"].cpu().unbind(-1)
            pixels = torch.stack([column, row], dim=-1).float() + 0.5
            low, high = float(self.clip.ratios[0]), float(self.clip.ratios[-1])
            ratio = low + (high - low) * torch.rand(len(photo))
            device = rays.origins.device
            heights = photo_heights(self.train_dataset.cameras, photo)
            rays.metadata[HEIGHTS] = heights[:, None].to(device)
            rays.metadata[TILES] = (heights * ratio)[:, None].to(device)
            batch[CLIP] = self.clip.interpolate(photo, pixels, ratio).to(device)
            if self.dino is not None:
                batch[DINO] = self.dino.nearest(photo, pixels).to(device)
        return rays, batch

    def next_eval(self, step: int) -> tuple[TheirRays, dict[str, Any]]:
        """See `VanillaDataManager.next_eval`."""
        rays, batch = super().next_eval(step)
        return note_cosines(rays, self.eval_dataset.cameras), batch

    def ends_of_tiles(self) -> tuple[float, float]:
        """Smallest and largest height of a tile over its photo's."""
        if self.clip is None:
            raise RuntimeError("The pyramids have not been read.")
        return float(self.clip.ratios[0]), float(self.clip.ratios[-1])
