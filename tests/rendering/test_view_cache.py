"""Views that are kept between phrases."""

from dataclasses import replace

import pytest
import torch

import lerf
import lerf.rendering.view_cache as module
from lerf.language.folded_head import Asked
from lerf.queries.phrases import peak, smallest_as_good
from lerf.queries.scales import candidate_scales
from lerf.rendering.view_cache import ViewMemory


@pytest.fixture
def model(drawn_run):
    return lerf.load(drawn_run, device="cpu")


def test_a_view_is_traced_once_for_all_phrases(model, monkeypatch) -> None:
    traced = []
    trace = module._trace
    monkeypatch.setattr(module, "_trace", lambda *given: traced.append(0) or trace(*given))
    first = model.render(0, query="red", scale=0.2)
    count = len(traced)
    again = model.render(0, query=["red", "blue"], scale=0.2)
    assert len(traced) == count > 0
    torch.testing.assert_close(again.relevancy["red"], first.relevancy["red"], atol=1e-5, rtol=0)
    model.render(model.scene.photos[1].camera, query="red", scale=0.2)
    assert len(traced) == 2 * count
    moved = model.render(model.scene.photos[0].camera, query="red", scale=0.2)
    torch.testing.assert_close(moved.relevancy["red"], first.relevancy["red"], atol=1e-4, rtol=0)


def test_the_oldest_views_go_and_large_ones_are_not_kept(model) -> None:
    parts = list(ViewMemory().parts(model.source, model.language, model.cameras, 0))
    size = sum(part.size for part in parts)
    pixels = int(model.cameras.sizes[0].prod())
    assert sum(len(part.matter) for part in parts) == pixels
    assert size == pixels * (4 * 3 + 1 + 4 * model.language.grid.layout.width)
    memory = ViewMemory(budget=2 * size)
    for photo in (0, 1, 0, 2):
        list(memory.parts(model.source, model.language, model.cameras, photo))
    kept = [photo for photo in range(3) if module._key(model.cameras, photo) in memory._kept]
    assert kept == [0, 2]
    none = ViewMemory(budget=size - 1)
    again = list(none.parts(model.source, model.language, model.cameras, 0))
    assert not none._kept
    assert all(torch.equal(a.positions, b.positions) for a, b in zip(again, parts, strict=True))


def test_the_scale_of_a_view_is_where_its_relevancy_peaks(model) -> None:
    phrases = model.phrases(["red", "yellow"])
    chosen = model.choose_view_scales(model.cameras, 3, phrases)
    assert chosen == model.choose_view_scales(model.cameras, 3, phrases)
    low, high = model.language.scale_range
    assert all(low * 0.999 <= scale <= high * 1.001 for scale in chosen)
    maps = model.relevancy_maps(model.cameras, 3, phrases, chosen)
    for row, own in enumerate(maps):
        best = float(own.flatten().topk(5).values.mean())
        for scale in (low, high):
            at_end = model.relevancy_maps(model.cameras, 3, phrases, [scale] * 2)[row]
            assert best > float(at_end.flatten().topk(5).values.mean()) - 0.1


@pytest.mark.parametrize("estimator", ["deferred", "per-sample"])
def test_a_sweep_chooses_by_the_relevancy_of_its_rays(model, monkeypatch, estimator) -> None:
    """Against each ray read at every scale anew."""
    monkeypatch.setattr(model.language, "config", replace(model.language.config, estimator=estimator))
    parts = list(ViewMemory().parts(model.source, model.language, model.cameras, 3))
    monkeypatch.setattr(module, "COARSE", sum(len(part.matter) for part in parts))
    phrases = model.phrases(["red", "yellow"])
    asked, scales = Asked(model.language, phrases), candidate_scales(model.language.scale_range)
    peaks = []
    for scale in scales:
        rows = []
        for part in parts:
            at, seen = model.language.bounds.nearest_supervised(part.positions, scale.expand(len(part.matter)))
            rows.append(asked.relevancy(part.features, part.stops, at) * (seen & part.matter))
        peaks.append(peak(torch.cat(rows, dim=-1)))
    expected = scales[smallest_as_good(torch.stack(peaks, dim=-1))].tolist()
    assert ViewMemory().sweep(model.source, model.language, model.cameras, 3).choose(phrases) == expected
