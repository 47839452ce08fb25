"""The 2D baseline: the encoder's pyramid of a photo alone, without any 3D, its scale chosen per view."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lerf.devices import sums_of_rows, wide
from lerf.geometry.camera_table import image_pixels
from lerf.model import Model
from lerf.pyramids.lookup import PyramidTable
from lerf.pyramids.store import build_pyramids
from lerf.queries.phrases import Phrases
from lerf.scenes.scene import Scene


def pyramid_map(model: Model, phrases: Phrases, photo: int) -> Float[Tensor, "height width"]:
    """`pyramid_maps` of a single phrase."""
    return pyramid_maps(model, phrases, photo)[0]


@torch.no_grad()
def pyramid_maps(
    model: Model, phrases: Phrases, photo: int, capture: Scene | None = None
) -> Float[Tensor, "phrases height width"]:
    """Relevancy at each pixel of one photo, for each phrase at the level of the pyramid that peaks highest.

    Args:
        model: gives the encoder, and the photo's size.
        phrases: what is looked for.
        photo: index of the photo.
        capture: where the photo is read, if not where the run found it.
    """
    scene = model.scene if capture is None else capture
    store = build_pyramids([lambda: scene.pixels(photo)], model.encoder, device=model.device)
    table = PyramidTable.from_store(store, device=model.device)
    width, height = model.cameras.sizes_on_host[photo]
    return table_maps(table, width, height, phrases).cpu()


@torch.no_grad()
def table_maps(table: PyramidTable, width: int, height: int, phrases: Phrases) -> Float[Tensor, "phrases height width"]:
    """Relevancy at each pixel of the first photo of a table, for each phrase at the level that peaks highest."""
    pixels = image_pixels(width, height, str(table.cells.device))
    best = torch.full((len(phrases.texts), len(pixels)), -torch.inf, device=pixels.device)
    for level in range(len(table.ratios)):
        margins = _level_margins(table, level, pixels, phrases)
        higher = margins.amax(-1) > best.amax(-1)
        best[higher] = margins[higher]
    # As in `relevancy`, which grows with the margin.
    return torch.sigmoid(phrases.temperature * best).view(-1, height, width)


def _level_margins(
    table: PyramidTable, level: int, pixels: Float[Tensor, "pixels 2"], phrases: Phrases
) -> Float[Tensor, "phrases pixels"]:
    """Margins over canonical phrases, in cosines, of the unit embedding interpolated between one level's cells.

    Dot products are linear in the embedding, so those of the cells are interpolated instead of the embeddings; its
    length follows from the dot products of the four cells with one another, the same for all pixels between them.
    """
    photo = torch.zeros(len(pixels), dtype=torch.int64, device=pixels.device)
    rows, weights = _four_corners(table, level, photo, pixels)
    vectors = phrases.vectors.to(pixels.device)
    cells = table.cells.float()
    products = sums_of_rows(cells @ vectors.T, rows, weights)
    # The first and the last corner say which four cells they are.
    _, first, quad = _unique(rows[:, 0] * len(cells) + rows[:, 3])
    corners = cells[rows[first]]
    gram = torch.einsum("qid,qjd->qij", corners, corners)[quad]
    length = torch.einsum("pi,pij,pj->p", weights, gram, weights).clamp_min(1e-12).sqrt()
    return phrases.odds((products / length[:, None]).T) / phrases.temperature


def _four_corners(
    table: PyramidTable, level: int, photo: Int[Tensor, " pixels"], pixels: Float[Tensor, "pixels 2"]
) -> tuple[Int[Tensor, "pixels 4"], Float[Tensor, "pixels 4"]]:
    """Cells of one level around pixels, and their weights: of two levels' corners, those that count at this ratio."""
    asked = torch.full((len(pixels),), float(table.ratios[level]), device=pixels.device)
    rows, weights = table.corners(photo, pixels, asked)
    upper = rows.shape[1] == 8 and level == len(table.ratios) - 1
    chosen = slice(4, 8) if upper else slice(0, 4)
    return rows[:, chosen], weights[:, chosen]


def _unique(keys: Int[Tensor, " n"]) -> tuple[Int[Tensor, " k"], Int[Tensor, " k"], Int[Tensor, " n"]]:
    """Distinct keys, the index of one of each, and which of them each is."""
    values, inverse = (found.to(keys.device) for found in torch.unique(wide(keys), return_inverse=True))
    index = torch.empty_like(values)
    index[inverse] = torch.arange(len(keys), device=keys.device)
    return values, index, inverse
