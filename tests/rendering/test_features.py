"""Features of a surface: which there are, of which points, and one basis of colours for the scene."""

import pytest
import torch
from sources import DENSE, KINDS, WIDTH, source_on, traced

from lerf.language.protocol import middle_scale
from lerf.rendering.features import feature_bases, feature_names, surface_features
from lerf.rendering.pca import apply_pca_basis


@pytest.mark.parametrize("kind", KINDS)
def test_features_are_what_the_language_says_at_the_middle_scale(kind, monkeypatch):
    rays = traced(50)
    language = source_on(rays, kind)
    latent = language.encode(rays)
    whole = language.embed(latent, middle_scale(language))
    assert whole.shape == (50, WIDTH)
    torch.testing.assert_close(surface_features(language, latent, "clip"), whole)
    monkeypatch.setattr(language, "rays_at_once", 8)
    torch.testing.assert_close(surface_features(language, latent, "clip"), whole, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(surface_features(language, latent, "clip", 10), whole[::5], atol=1e-6, rtol=1e-5)
    assert len(surface_features(language, latent, "clip", 1000)) == 50


@pytest.mark.parametrize("kind", ["deferred", "per-sample"])
def test_dense_features_are_those_of_the_language(kind):
    rays = traced(50)
    language = source_on(rays, kind)
    latent = language.encode(rays)
    dense = surface_features(language, latent, "dino")
    assert dense.shape == (50, DENSE)
    torch.testing.assert_close(dense, language.dense(latent))


def test_there_is_a_basis_for_each_kind_of_features():
    rays = traced(50)
    for kind, dense, names in (
        ("deferred", DENSE, ("clip", "dino")),
        ("deferred", 0, ("clip",)),
        ("cells", 0, ("clip",)),
    ):
        language = source_on(rays, kind, dense)
        assert feature_names(language) == names
        bases = feature_bases(language, language.encode(rays))
        assert tuple(bases) == names
        widths = {"clip": WIDTH, "dino": DENSE}
        assert all(basis.axes.shape == (widths[name], 3) for name, basis in bases.items())
        shown = apply_pca_basis(bases["clip"], language.embed(language.encode(rays), middle_scale(language))[None])
        assert shown.std(1).min() > 0.1
