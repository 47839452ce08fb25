"""Spherical harmonics: orthonormal by exact quadrature, and the addition theorem."""

import math

import numpy as np
import torch

from lerf.networks.directions import WIDTH, spherical_harmonics


def test_orthonormal_over_the_sphere():
    # Products of two have degree 6 at most: 8 Gauss points in z and 16 even angles integrate them exactly.
    heights, heavy = np.polynomial.legendre.leggauss(8)
    angles = np.arange(16) * (2 * np.pi / 16)
    z, angle = (a.ravel() for a in np.meshgrid(heights, angles, indexing="ij"))
    flat = np.sqrt(1 - z**2)
    weights = np.repeat(heavy * (2 * np.pi / 16), 16)
    values = spherical_harmonics(torch.tensor(np.stack([flat * np.cos(angle), flat * np.sin(angle), z], -1))).numpy()
    np.testing.assert_allclose((values * weights[:, None]).T @ values, np.eye(WIDTH), rtol=0, atol=1e-12)


def test_addition_theorem():
    generator = torch.Generator().manual_seed(0)
    directions = torch.nn.functional.normalize(torch.randn(50, 3, generator=generator, dtype=torch.float64), dim=-1)
    squares = spherical_harmonics(directions).square()
    for degree in range(4):
        total = squares[:, degree**2 : (degree + 1) ** 2].sum(-1)
        torch.testing.assert_close(total, torch.full_like(total, (2 * degree + 1) / (4 * math.pi)))
