"""Colours of embeddings: the directions of variance, the same in every view."""

import torch

from lerf.rendering.pca import apply_pca_basis, fit_pca_basis


def test_the_basis_finds_the_directions_of_variance() -> None:
    generator = torch.Generator().manual_seed(0)
    spread = torch.tensor([1.0, 9.0, 3.0, 0.1])
    features = torch.randn(4000, 4, generator=generator) * spread + 5
    basis = fit_pca_basis(features)
    assert basis.axes.abs().argmax(dim=0).tolist() == [1, 2, 0]
    assert (basis.axes.abs().amax(dim=0) > 0.99).all()
    assert (basis.axes.gather(0, basis.axes.abs().argmax(dim=0, keepdim=True)) > 0).all()
    picture = apply_pca_basis(basis, features.reshape(40, 100, 4))
    inside = ((picture > 0) & (picture < 1)).float().mean(dim=(0, 1))
    torch.testing.assert_close(inside, torch.full((3,), 0.98), atol=2e-3, rtol=0)


def test_equal_embeddings_have_equal_colours_in_every_view() -> None:
    basis = fit_pca_basis(torch.randn(100, 6, generator=torch.Generator().manual_seed(1)))
    embedding = torch.randn(6)
    alone = apply_pca_basis(basis, embedding.view(1, 1, 6))
    among = apply_pca_basis(basis, torch.cat([embedding.view(1, 1, 6), torch.randn(1, 3, 6) * 9], dim=1))
    torch.testing.assert_close(alone[0, 0], among[0, 0])


def test_a_basis_without_spread_or_width_is_grey_there() -> None:
    picture = apply_pca_basis(fit_pca_basis(torch.ones(10, 2)), torch.ones(3, 3, 2))
    assert torch.equal(picture, torch.full((3, 3, 3), 0.5))
