"""Small corrections of the training cameras' poses, learnt with the radiance."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from lerf.geometry.rays import RayBundle


class PoseRefinement(nn.Module):
    """A rotation and a translation for each training camera, in the normalised frame.

    A motion, turn or growth of all cameras together changes no picture, but would move the scene away from the held-out
    cameras and from the capture frame. This gauge is kept: of any corrections, the part that is a common similarity
    (three translations, three rotations, one scale, to first order) is taken out before use.
    """

    basis: Tensor

    def __init__(self, positions: Float[Tensor, "cameras 3"]) -> None:
        """`positions` are the training cameras' in the normalised frame; all corrections start at zero."""
        super().__init__()
        count = len(positions)
        self.vectors = nn.Parameter(torch.zeros(count, 6))
        self.register_buffer("centres", positions.clone())
        # Rows are cameras' (rotation, translation); a common rotation r also moves a camera at p by r x p.
        basis = torch.zeros(count, 6, 7)
        axes = torch.eye(3)
        for axis in range(3):
            basis[:, 3 + axis, axis] = 1.0
            basis[:, axis, 3 + axis] = 1.0
            basis[:, 3:, 3 + axis] = torch.linalg.cross(axes[axis].expand(count, 3), positions.cpu())
        basis[:, 3:, 6] = positions.cpu()
        orthonormal, _ = torch.linalg.qr(basis.reshape(count * 6, 7))
        self.register_buffer("basis", orthonormal.to(positions.device))

    def corrections(self) -> Float[Tensor, "cameras 6"]:
        """Rotation vectors (radians, about the camera's centre) and translations, without a common similarity."""
        flat = self.vectors.reshape(-1)
        return (flat - self.basis @ (self.basis.T @ flat)).view_as(self.vectors)

    def forward(self, rays: RayBundle, slots: Int[Tensor, " rays"]) -> RayBundle:
        """Corrected rays of training cameras; differentiable."""
        moves = self.corrections()
        turn = _rotations(moves[:, :3])[slots]
        directions = torch.einsum("rij,rj->ri", turn, rays.directions)
        return RayBundle(rays.origins + moves[slots, 3:], directions, rays.axis_cosine, rays.photo)

    @torch.no_grad()
    def corrected(self, poses: Float[Tensor, "cameras 3 4"]) -> Float[Tensor, "cameras 3 4"]:
        """Camera-to-world poses of the training cameras with their corrections applied."""
        moves = self.corrections()
        rotation = _rotations(moves[:, :3]) @ poses[:, :, :3]
        return torch.cat([rotation, poses[:, :, 3:] + moves[:, 3:, None]], dim=-1)


def _rotations(vectors: Float[Tensor, "count 3"]) -> Float[Tensor, "count 3 3"]:
    """Rotation matrices of rotation vectors (exponential map), differentiable at zero."""
    if vectors.device.type != "cpu":
        return _by_rodrigues(vectors)
    return torch.matrix_exp(_skew(vectors))


def _by_rodrigues(vectors: Float[Tensor, "count 3"]) -> Float[Tensor, "count 3 3"]:
    """The same by Rodrigues' formula: a GPU's matrix exponential makes the host wait."""
    squared = vectors.square().sum(-1)[:, None, None]
    small = squared < 1e-6
    angle = torch.where(small, 1.0, squared).sqrt()
    first = torch.where(small, 1.0 - squared / 6.0, torch.sin(angle) / angle)
    # 2 sin^2(angle / 2) is 1 - cos(angle) with all digits.
    second = torch.where(small, 0.5 - squared / 24.0, 2.0 * (torch.sin(0.5 * angle) / angle).square())
    skew = _skew(vectors)
    return torch.eye(3, device=vectors.device) + first * skew + second * (skew @ skew)


def _skew(vectors: Float[Tensor, "count 3"]) -> Float[Tensor, "count 3 3"]:
    """Matrices whose products are cross products with the vectors."""
    zero = torch.zeros_like(vectors[:, 0])
    x, y, z = vectors.unbind(-1)
    return torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=-1).view(-1, 3, 3)
