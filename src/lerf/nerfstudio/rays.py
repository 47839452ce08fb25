"""nerfstudio's rays as ours, and its frame as our normalised one.

nerfstudio's data parsers put cameras into a frame of their own, of very different sizes: into a cube of half-width 1,
or where the capture has them. The fields see the normalised frame that `lerf train` would choose from the same poses.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from jaxtyping import Float, Int
from nerfstudio.cameras.cameras import Cameras, CameraType
from nerfstudio.cameras.rays import RayBundle as TheirRays
from torch import Tensor, nn

from lerf.geometry.rays import RayBundle
from lerf.geometry.similarity import Similarity, normalising_similarity
from lerf.radiance.surface import square_raster

COSINE = "axis_cosine"
"""Entry of the metadata of rays: the cosine between a ray and the optical axis of its camera. `directions_norm`, which
nerfstudio has there, is its inverse for perspective cameras alone."""
LEAST_COSINE = 0.05
"""A fisheye also looks sideways, where depths along the axis mean nothing."""


class Frame(nn.Module):
    """The similarity from nerfstudio's frame to the normalised one; it is kept in checkpoints."""

    rotation: Tensor
    translation: Tensor
    scale: Tensor

    def __init__(self, poses: Float[Tensor, "cameras 3 4"]) -> None:
        """`poses` are those of the training cameras in nerfstudio's frame, camera to world.

        Raises:
            SceneError: all photos were taken from one point.
        """
        super().__init__()
        found = normalising_similarity(poses.detach().cpu().double().numpy())
        self.register_buffer("rotation", torch.from_numpy(found.rotation).float())
        self.register_buffer("translation", torch.from_numpy(found.translation).float())
        self.register_buffer("scale", torch.tensor(found.scale, dtype=torch.float32))

    def replace(self, similarity: Similarity) -> None:
        """Take another similarity."""
        self.rotation.copy_(torch.from_numpy(similarity.rotation))
        self.translation.copy_(torch.from_numpy(similarity.translation))
        self.scale.fill_(similarity.scale)

    def forward(self, rays: TheirRays, photo: Int[Tensor, " rays"] | None = None) -> RayBundle:
        """Rays [rays, ...] of nerfstudio in the normalised frame; those of no training photo where `photo` is None."""
        if photo is None:
            photo = torch.full((len(rays.origins),), -1, device=rays.origins.device)
        origins = self.scale * rays.origins @ self.rotation.T + self.translation
        directions = torch.nn.functional.normalize(rays.directions @ self.rotation.T, dim=-1)
        return RayBundle(origins, directions, rays.metadata[COSINE].reshape(-1), photo)


def note_cosines(rays: TheirRays, cameras: Cameras) -> TheirRays:
    """The rays, which know their cosines with the axes of the cameras that they come from; 1 for panoramas."""
    index = rays.camera_indices[..., 0].cpu()
    back = cameras.camera_to_worlds.cpu()[index, :3, 2].to(rays.directions)
    cosine = -(rays.directions * back).sum(-1, keepdim=True)
    kind = cameras.camera_type.cpu()[index].to(cosine.device)
    lenses = [CameraType.PERSPECTIVE.value, CameraType.FISHEYE.value, CameraType.FISHEYE624.value]
    has_axis = torch.isin(kind, torch.tensor(lenses, device=kind.device))
    rays.metadata[COSINE] = torch.where(has_axis, cosine.clamp(min=LEAST_COSINE), torch.ones_like(cosine))
    return rays


def raster_rays(cameras: Cameras, points: int) -> Iterator[TheirRays]:
    """About `points` rays in square rasters over all cameras, a camera at a time."""
    each = max(1.0, points / len(cameras))
    for number in range(len(cameras)):
        width, height = int(cameras.width[number]), int(cameras.height[number])
        pixels, _ = square_raster(width, height, each)
        index = torch.full((len(pixels), 1), number, dtype=torch.long)
        yield note_cosines(cameras.generate_rays(camera_indices=index, coords=pixels.flip(-1)), cameras)


def photo_heights(cameras: Cameras, photo: Int[Tensor, " rays"]) -> Float[Tensor, " rays"]:
    """Heights of the photos of rays over the depth: times a depth, what the photo covers there."""
    return cameras.height.cpu()[photo, 0].float() / cameras.fy.cpu()[photo, 0].float()
