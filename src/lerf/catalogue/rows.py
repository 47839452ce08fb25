"""A run as rows of a catalogue: an embedding for every cell and scale that photos supervised, and the best photos."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from PIL import Image
from torch import Tensor

from lerf.catalogue.record import AnsweringScene
from lerf.errors import SceneError
from lerf.geometry.visibility import depth_at, unoccluded
from lerf.language.cells import CellIndex
from lerf.queries.best_view import view_scores
from lerf.scenes.scene import Scene

THUMBNAIL = 192
"""Longest side of a photo's small copy, pixels."""
QUALITY = 80
"""Of its JPEG."""
RANK = 64
"""Most numbers of an embedding that a catalogue keeps for finding scenes."""
SLACK = 1e-4
"""By which a scale may lie beyond the supervised ones, for rounding."""


@dataclass(frozen=True)
class CellRows:
    """One row for every cell and each of its supervised scales."""

    points: Float[np.ndarray, "rows 3"]
    """Of the cell, capture frame."""
    scales: Float[np.ndarray, " rows"]
    """Capture units."""
    vectors: Float[np.ndarray, "rows rank"]
    """Embeddings on the catalogue's basis."""
    weights: Float[np.ndarray, " rows"]
    """How much light stops in the cell."""
    photos: Int[np.ndarray, " rows"]
    """Photo that shows the cell best, as an index into the scene's; -1 where none does."""

    def __len__(self) -> int:
        return len(self.scales)


@torch.no_grad()
def cell_rows(scene: AnsweringScene, basis: Float[Tensor, "rank width"]) -> CellRows:
    """The rows of a run on a catalogue's basis."""
    index, unit = scene.language.index, scene.cameras.unit
    kept = supervised(index)
    level, cell = kept.nonzero(as_tuple=True)
    own = index.unit_codes.view(len(index.scales), len(index), -1)[level, cell]
    vectors = own @ (index.compressed.basis @ basis.to(own).T)
    similarity = scene.cameras.scene.similarity.inverse()
    points = similarity.apply_points(index.positions.cpu().double().numpy())
    photos = best_photos(scene, index.positions)
    cells = cell.cpu().numpy()
    return CellRows(
        points[cells].astype(np.float32),
        (index.scales[level] / unit).cpu().numpy().astype(np.float32),
        vectors.cpu().numpy().astype(np.float32),
        index.weights[cell].cpu().numpy().astype(np.float32),
        photos[cells].astype(np.int32),
    )


def supervised(index: CellIndex) -> Bool[Tensor, "scales cells"]:
    """The scales at which photos supervised each cell; of one with none of the index's, the closest.

    At other scales the code is that of the closest one that was: a row of its own would say nothing new.
    """
    scales = index.scales[:, None]
    kept = (scales >= index.low * (1 - SLACK)) & (scales <= index.high * (1 + SLACK))
    middle = (index.low * index.high).sqrt()
    closest = (scales.log() - middle.log()).abs().argmin(0)
    kept[closest, torch.arange(len(index), device=kept.device)] |= ~kept.any(0)
    return kept


def best_photos(scene: AnsweringScene, points: Float[Tensor, "points 3"]) -> Int[np.ndarray, " points"]:
    """The training photo that shows each point best (`queries.best_view`); -1 where none does."""
    table, depth_maps = scene.cameras.table, scene.surface.depth_maps
    best = torch.zeros(len(points), device=points.device)
    photos = torch.full((len(points),), -1, device=points.device)
    for photo in scene.cameras.scene.train:
        width, height = table.sizes[photo].tolist()
        pixels, depth = table.project(photo, points)
        visible = unoccluded(depth, depth_at(depth_maps[photo], (width, height), pixels))
        sizes = table.sizes[photo].float().expand(len(points), 2)
        scores = view_scores(pixels, depth, visible, sizes, table.focal[photo, 1].expand(len(points)))
        better = scores > best
        best, photos = torch.where(better, scores, best), torch.where(better, photo, photos)
    return photos.cpu().numpy()


def thumbnails(scene: Scene, photos: list[int]) -> dict[int, bytes]:
    """Small JPEG copies of photos; those whose file is not there any more are left out."""
    found = {}
    for photo in photos:
        try:
            image = Image.fromarray(scene.pixels(photo, THUMBNAIL))
        except SceneError:
            continue
        data = io.BytesIO()
        image.save(data, "JPEG", quality=QUALITY)
        found[photo] = data.getvalue()
    return found


@torch.no_grad()
def basis_of(scenes: list[AnsweringScene]) -> Float[Tensor, "rank width"]:
    """The orthonormal basis that keeps the most of the embeddings of some scenes; see `language.cells.compress`."""
    width = scenes[0].language.width
    moments = torch.zeros(width, width, dtype=torch.float64)
    for scene in scenes:
        index = scene.language.index
        codes, own = index.unit_codes.cpu().double(), index.compressed.basis.cpu().double()
        moments += own.T @ (codes.T @ codes / len(codes)) @ own
    vectors = torch.linalg.eigh(moments)[1]
    rank = min(RANK, width)
    return vectors.flip(1)[:, :rank].T.float().contiguous()


def kept_share(scene: AnsweringScene, basis: Float[Tensor, "rank width"]) -> float:
    """How much of the energy of a scene's embeddings a basis keeps, 0..1."""
    index = scene.language.index
    vectors = index.unit_codes @ (index.compressed.basis @ basis.to(index.unit_codes).T)
    return float(vectors.square().sum(-1).mean())
