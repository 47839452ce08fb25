"""Laws of every language source, whatever it is made of."""

from dataclasses import replace

import pytest
import torch
from sources import DENSE, KINDS, WIDTH, source_on, traced, unit

from lerf.errors import QueryError
from lerf.geometry.traced_rays import TracedRays
from lerf.language.protocol import LanguageSource, Latent, candidate_scales, middle_scale

SCALES = (0.01, 0.3, 0.47, 5.0)
"""Under, in and above what was supervised anywhere; the third is none of an index's own."""
RAYS = traced(60)


@pytest.fixture(params=KINDS)
def source(request) -> LanguageSource:
    return source_on(RAYS, request.param)


def same(ours: Latent, theirs: Latent) -> bool:
    parts = [(ours.low, theirs.low), (ours.high, theirs.high)]
    parts += [(tensor, theirs.tensors[name]) for name, tensor in ours.tensors.items()]
    return ours.tensors.keys() == theirs.tensors.keys() and all(torch.equal(a, b) for a, b in parts)


def test_it_offers_what_the_protocol_says(source) -> None:
    assert isinstance(source, LanguageSource)
    assert source.width == WIDTH
    assert source.dense_width in (0, DENSE)
    assert (source.scales.diff() > 0).all()
    assert source.samples > 0
    assert source.rays_at_once > 0
    heaviest, samples = source.picture_samples
    assert 0 < heaviest <= (samples or source.samples)


@pytest.mark.parametrize("scale", SCALES)
def test_cosines_are_codes_with_projected_texts_and_embeddings_with_texts(source, scale) -> None:
    texts = unit(7, WIDTH, seed=3)
    for latent in (source.encode(RAYS), source.encode(TracedRays.at_points(RAYS.median_position))):
        cosines = source.cosines(latent, texts, scale)
        assert cosines.shape == (7, len(RAYS))
        codes = source.codes(latent, scale)
        torch.testing.assert_close(codes @ source.project(texts).T, cosines.T, atol=1e-4, rtol=0)
        torch.testing.assert_close(source.embed(latent, scale) @ texts.T, cosines.T, atol=1e-4, rtol=0)


@pytest.mark.parametrize("scale", SCALES)
def test_embeddings_have_unit_length_where_anything_was_supervised(source, scale) -> None:
    latent = source.encode(RAYS)
    lengths = source.embed(latent, scale).norm(dim=-1)
    assert latent.supported.any()
    assert not latent.supported.all()
    torch.testing.assert_close(lengths[latent.supported], torch.ones(int(latent.supported.sum())), atol=1e-4, rtol=0)


def test_what_is_supported_is_kept_with_what_was_read(source) -> None:
    latent = source.encode(RAYS)
    low, high = source.supported(RAYS)
    assert torch.equal(latent.low, low)
    assert torch.equal(latent.high, high)
    assert latent.supported[: len(RAYS) * 2 // 3].all()


@pytest.mark.parametrize("scale", SCALES)
def test_a_ray_answers_at_the_closest_scale_that_was_supervised_there(source, scale) -> None:
    latent, texts = source.encode(RAYS), unit(3, WIDTH, seed=4)
    cosines = source.cosines(latent, texts, scale)
    moved = 0
    for ray in torch.nonzero(latent.supported).flatten().tolist():
        closest = min(max(scale, float(latent.low[ray])), float(latent.high[ray]))
        moved += closest != scale
        own = source.cosines(latent[ray : ray + 1], texts, closest)
        torch.testing.assert_close(cosines[:, ray : ray + 1], own, atol=1e-4, rtol=0)
    assert moved or 0.2 < scale < 0.9


def test_scales_make_a_difference_within_what_was_supervised(source) -> None:
    latent = source.encode(RAYS)
    latent = latent[latent.supported]
    middle = latent.low[0] + 0.4 * (latent.high[0] - latent.low[0])
    texts = unit(3, WIDTH, seed=4)
    low, between = (source.cosines(latent[:1], texts, float(scale)) for scale in (latent.low[0], middle))
    assert (low - between).abs().max() > 1e-3


@pytest.mark.parametrize("part", [slice(10, 30), slice(0, None, 7), slice(0, 0)])
def test_reading_some_rays_is_some_of_what_all_rays_read(source, part) -> None:
    latent = source.encode(RAYS)
    some = source.encode(RAYS[part])
    assert len(some) == len(range(len(RAYS))[part])
    for name, tensor in some.tensors.items():
        torch.testing.assert_close(tensor, latent[part].tensors[name], atol=1e-6, rtol=1e-6)
    assert torch.equal(some.low, latent[part].low)
    assert source.cosines(some, unit(2, WIDTH), 0.3).shape == (2, len(some))


def test_nothing_has_gradients(source) -> None:
    latent, texts = source.encode(RAYS), unit(2, WIDTH)
    results = [source.cosines(latent, texts, 0.3), source.codes(latent, 0.3), source.embed(latent, 0.3)]
    results += [source.project(texts), *latent.tensors.values(), latent.low]
    results += [source.dense(latent)] if source.dense_width else []
    assert not any(result.requires_grad for result in results)


def test_dense_features_are_there_or_refused(source) -> None:
    latent = source.encode(RAYS)
    if source.dense_width:
        dense = source.dense(latent)
        assert dense.shape == (len(RAYS), source.dense_width)
        torch.testing.assert_close(source.dense(latent[5:9]), dense[5:9], atol=1e-5, rtol=0)
        assert source.dense(latent[:0]).shape == (0, source.dense_width)
    else:
        with pytest.raises(QueryError, match="dense"):
            source.dense(latent)


@pytest.mark.parametrize("kind", KINDS)
def test_without_a_dense_head_there_are_no_dense_features(kind) -> None:
    source = source_on(RAYS, kind, dense=0)
    assert source.dense_width == 0
    with pytest.raises(QueryError, match="no dense features"):
        source.dense(source.encode(RAYS))


def test_latents_are_taken_apart() -> None:
    latent = source_on(RAYS, "per-sample").encode(RAYS)
    chosen = torch.arange(20, 50)
    assert same(latent[20:50], latent[chosen])
    assert torch.equal(latent[chosen].low, latent.low[chosen])
    assert all(torch.equal(latent[chosen].tensors[name], tensor[chosen]) for name, tensor in latent.tensors.items())
    held = [*latent.tensors.values(), latent.low, latent.high]
    assert latent.bytes == sum(tensor.numel() * tensor.element_size() for tensor in held)
    assert latent[:30].bytes * 2 == latent.bytes


def test_the_nearest_scale_of_each_ray() -> None:
    low, high = torch.tensor([0.1, 0.4, torch.inf, 0.2]), torch.tensor([0.3, 0.5, -torch.inf, 0.2])
    latent = Latent({}, low, high)
    assert latent.supported.tolist() == [True, True, False, True]
    assert latent.nearest_scale(0.35).tolist() == pytest.approx([0.3, 0.4, 0.35, 0.2])
    assert latent.nearest_scale(0.05).tolist() == pytest.approx([0.1, 0.4, 0.05, 0.2])


def test_candidate_scales_are_even_in_their_logarithm() -> None:
    scales = candidate_scales((0.1, 1.6), 5)
    torch.testing.assert_close(scales, torch.tensor([0.1, 0.2, 0.4, 0.8, 1.6]))
    assert len(candidate_scales((0.1, 1.0))) == 30


def test_the_middle_scale_is_that_of_the_logarithms() -> None:
    source = source_on(RAYS, "cells")
    assert middle_scale(source) == pytest.approx(0.1**0.5)


def test_an_index_of_one_scale_is_asked_at_any() -> None:
    source = source_on(RAYS, "cells")
    index = source.index
    flat = replace(index.compressed, codes=index.compressed.codes[:1], norms=index.compressed.norms[:1])
    alone = type(source)(replace(index, scales=index.scales[:1], compressed=flat), 4)
    latent, texts = alone.encode(RAYS), unit(3, WIDTH)
    for scale in SCALES:
        torch.testing.assert_close(alone.cosines(latent, texts, scale), source.cosines(latent, texts, 0.1))
