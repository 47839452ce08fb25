"""Targets from masks where there are some, and from tiles elsewhere."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Float16, Int
from torch import Tensor

from lerf.masks.photo_masks import PhotoMasks
from lerf.pyramids.lookup import PyramidTable


@dataclass(frozen=True)
class MaskedTable(PyramidTable):
    """The table `tiles` with masks over it.

    A pixel's embedding at a tile height is that of its mask of this height, linear in the logarithm between the two
    masks around it, and that of the tile where it lies in no mask. `corners` and `nearest` stay those of the tiles.
    """

    tiles: PyramidTable
    ids: Int[Tensor, " entries"]
    """Rows of `embeddings`, or -1: levels of the photos after another."""
    mask_starts: Int[Tensor, " photos"]
    """First entry of each photo."""
    mask_shapes: Int[Tensor, "photos 3"]
    """Levels, rows and columns; no level for a photo without masks."""
    factors: Float[Tensor, "photos 2"]
    """Size of the masks over that of the photo, (x, y)."""
    embeddings: Float16[Tensor, "masks width"]
    mask_ratios: Float[Tensor, " masks"]
    """Sizes of the masks over their photos' height (`PhotoMasks.ratios`)."""

    def load(self, photo: int) -> None:
        """See `PyramidTable.load`."""
        self.tiles.load(photo)

    def interpolate(
        self,
        photo: Int[Tensor, " n"],
        pixels: Float[Tensor, "n 2"],
        tile_ratio: Float[Tensor, " n"],
        renormalise: bool = False,
    ) -> Float[Tensor, "n width"]:
        """See `PyramidTable.interpolate`."""
        result = self.tiles.interpolate(photo, pixels, tile_ratio, renormalise)
        masks = self._over(photo, pixels)
        some = (masks >= 0).any(-1)
        if bool(some.any()):
            mixed = self._mixed(masks[some], tile_ratio[some])
            result[some] = F.normalize(mixed, dim=-1) if renormalise else mixed
        return result

    def _over(self, photo: Tensor, pixels: Tensor) -> Int[Tensor, "n most_levels"]:
        """The masks over each pixel, as rows of `embeddings`; -1 for a level without."""
        shape = self.mask_shapes[photo]
        at = (pixels * self.factors[photo]).long()
        column, row = at[:, 0].clamp(min=0).minimum(shape[:, 2] - 1), at[:, 1].clamp(min=0).minimum(shape[:, 1] - 1)
        level = torch.arange(int(self.mask_shapes[:, 0].max()), device=photo.device)
        entry = (level * shape[:, 1, None] + row[:, None]) * shape[:, 2, None] + column[:, None]
        there = level < shape[:, :1]
        entry = torch.where(there, entry + self.mask_starts[photo, None], 0)
        return torch.where(there, self.ids[entry].long(), -1)

    def _mixed(self, masks: Int[Tensor, "n levels"], asked: Float[Tensor, " n"]) -> Float[Tensor, "n width"]:
        ratios = torch.where(masks >= 0, self.mask_ratios[masks.clamp(min=0)], torch.inf)
        ratios, order = ratios.sort(dim=-1)
        masks = masks.gather(-1, order)
        count = (masks >= 0).sum(-1)
        above = (ratios < asked[:, None]).sum(-1).minimum(count - 1)
        below = torch.where(ratios.gather(-1, above[:, None])[:, 0] >= asked, above - 1, above).clamp(min=0)
        low, high = (ratios.gather(-1, one[:, None])[:, 0] for one in (below, above))
        share = torch.where(high > low, (asked / low).log() / (high / low).log(), 0.0).clamp(0.0, 1.0)[:, None]
        first, second = (self.embeddings[masks.gather(-1, one[:, None])[:, 0]].float() for one in (below, above))
        return first * (1.0 - share) + second * share


def masked_table(
    tiles: PyramidTable,
    masks: list[PhotoMasks | None],
    sizes: list[tuple[int, int]],
    embeddings: list[Float16[Tensor, "_masks width"] | None],
    device: str,
) -> MaskedTable:
    """A table of photos' masks and their embeddings, in the order of the tiles' photos.

    Args:
        tiles: pyramids of the same photos.
        masks: of each photo; None for one without.
        sizes: width and height of each photo.
        embeddings: of each photo's masks.
        device: of the table.
    """
    ids, shapes, factors, rows, ratios, row = [], [], [], [], [], 0
    for own, size, features in zip(masks, sizes, embeddings, strict=True):
        if own is None or features is None:
            shapes.append((0, 1, 1))
            factors.append((1.0, 1.0))
            ids.append(torch.empty(0, dtype=torch.int32))
            continue
        here = torch.from_numpy(own.ids)
        # What has no embedding is no mask: an empty crop, or one that the encoder said nothing of.
        said = features.float().norm(dim=-1) > 0
        known = (here >= 0) & said[here.clamp(min=0).long()]
        ids.append(torch.where(known, here + row, -1).flatten().int())
        shapes.append(own.ids.shape)
        factors.append((own.ids.shape[2] / size[0], own.ids.shape[1] / size[1]))
        rows.append(features)
        ratios.append(torch.from_numpy(own.ratios))
        row += own.count
    lengths = torch.tensor([len(part) for part in ids])
    return MaskedTable(
        *(tiles.cells, tiles.ratios, tiles.starts, tiles.shapes, tiles.origins, tiles.steps),
        tiles,
        torch.cat(ids).to(device),
        (lengths.cumsum(0) - lengths).to(device),
        torch.tensor(shapes, device=device),
        torch.tensor(factors, device=device),
        torch.cat(rows).to(device),
        torch.cat(ratios).to(device),
    )
