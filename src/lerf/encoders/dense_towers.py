"""Dense CLIP: embeddings of all places of a photo from a few passes over it, in place of thousands of tiles.

MaskCLIP (Zhou, Loy and Dai 2022, arXiv 2112.01071) leaves out the last attention of the image tower: what it would have
gathered, the values after their output projection, lies in the joint space for each patch by itself. As in F3RM (Shen
et al. 2023, arXiv 2308.07931), which found it best, the value path alone is used, without the block's residual and MLP.

Here a tile of the pyramid is what the class token would become if its last attention fell evenly on the patches inside
the tile: values are averaged over the tile, then normalised and projected like the class token. Photos are seen at two
or three sizes (`IMAGE_SCALES`), so that small tiles cover some patches and large ones are seen about as large as the
tower was trained to see pictures. Levels that want the same size share a pass.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from lerf.devices import resized
from lerf.encoders.protocols import FeatureGrid
from lerf.errors import ConfigError

IMAGE_SCALES = (1, 2, 3)
"""Heights of the photo as it is seen, in units of the tower's own input; a third has nine times the patches of one."""

Values = Callable[[Float[Tensor, "1 3 height width"]], Float[Tensor, "patches channels"]]
"""Normalised picture of whole patches to the values of each, row by row."""
Embed = Callable[[Float[Tensor, "cells channels"]], Float[Tensor, "cells width"]]
"""Values to the joint space, of any length."""


def image_scale(tile_ratio: float) -> int:
    """The smallest of `IMAGE_SCALES` at which a tile is as large as the tower's input, or the largest of them.

    Raises:
        ConfigError: the ratio is not in (0, 1].
    """
    if not 0.0 < tile_ratio <= 1.0:
        raise ConfigError(f"A tile ratio must lie in (0, 1], not {tile_ratio}.")
    return next((scale for scale in IMAGE_SCALES if scale * tile_ratio >= 1.0 - 1e-6), IMAGE_SCALES[-1])


def encode_levels(
    photo: Float[Tensor, "3 height width"],
    tile_ratios: Sequence[float],
    input_size: int,
    patch: int,
    normalise: Callable[[Tensor], Tensor],
    values: Values,
    embed: Embed,
) -> list[FeatureGrid]:
    """A grid of unit embeddings for each ratio, its cells about half a tile apart.

    Args:
        photo: RGB in 0..1, on the device of the tower.
        tile_ratios: heights of tiles over the photo's height.
        input_size: side in pixels of the pictures that the tower was trained on.
        patch: side of a patch in pixels.
        normalise: statistics of the tower, RGB in 0..1.
        values: pass through the tower.
        embed: from values to embeddings.
    """
    _, height, width = photo.shape
    maps: dict[int, Tensor] = {}
    grids = []
    for ratio in tile_ratios:
        scale = image_scale(ratio)
        rows = max(1, round(scale * input_size / patch))
        columns = max(1, round(rows * width / height))
        if scale not in maps:
            image = resized(photo[None], (rows * patch, columns * patch), "bicubic")
            found = values(normalise(image.clamp(0.0, 1.0)))
            maps[scale] = found.float().T.reshape(1, -1, rows, columns)
        tile = ratio * rows
        side, step = 2 * round((tile - 1) / 2) + 1, max(1, int(tile / 2))
        pooled = F.avg_pool2d(maps[scale], side, step, padding=side // 2, count_include_pad=False)[0]
        cells = F.normalize(embed(pooled.flatten(1).T).float(), dim=-1)
        dx, dy = width / columns, height / rows
        grid = cells.reshape(*pooled.shape[1:], -1)
        grids.append(FeatureGrid(grid, dx / 2, dy / 2, dx * step, dy * step))
    return grids


class _Captured(Exception):  # noqa: N818 - no error, the way out of a pass
    """Ends a pass whose rest is not needed."""


def input_of(block: nn.Module, run: Callable[[], object]) -> Tensor:
    """The first argument of a block during `run`, which goes no further."""
    found: list[Tensor] = []

    def keep(_: nn.Module, args: tuple, kwargs: dict) -> None:
        found.append(args[0] if args else next(iter(kwargs.values())))
        raise _Captured

    handle = block.register_forward_pre_hook(keep, with_kwargs=True)
    try:
        run()
    except _Captured:
        pass
    finally:
        handle.remove()
    return found[0]
