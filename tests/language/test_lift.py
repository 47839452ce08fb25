"""An index straight from pyramids: which views count, and what is found on a scene of known geometry."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import lerf
from lerf.errors import RunError
from lerf.language.bake import agreement
from lerf.language.lift import DEVIATIONS, Ground, lift, outliers, training_pyramids
from lerf.pyramids.lookup import PyramidTable, ResidentTable
from lerf.run.folder import RunFolder

COLOURS = {"red": 0, "blue": 1, "yellow": 2, "green": 3}


@pytest.fixture(scope="module")
def model(drawn_run):
    return lerf.load(drawn_run, device="cpu")


@pytest.fixture(scope="module")
def targets(model, drawn_run):
    table, factors = training_pyramids(model, RunFolder(drawn_run).read_config()["settings"])
    assert factors.tolist() == [[1.0, 1.0]] * len(model.scene.train)
    return table


@pytest.fixture(scope="module")
def index(model, targets):
    return lift(Ground.of(model), targets, "c" * 64)


def test_views_that_disagree_are_dropped() -> None:
    random = np.random.default_rng(0)
    cosines = random.uniform(0.5, 1.0, (200, 12)).astype(np.float32)
    cosines[random.uniform(size=cosines.shape) < 0.4] = np.nan
    dropped = outliers(torch.from_numpy(cosines)).numpy()
    for row, drop in zip(cosines, dropped, strict=True):
        seen = np.nonzero(~np.isnan(row))[0]
        expected: set[int] = set()
        if len(seen) > 2:
            expected |= set(seen[np.argsort(row[seen], kind="stable")][: int(0.2 * len(seen))].tolist())
            limit = row[seen].mean() - DEVIATIONS * row[seen].std() - 1e-5
            expected |= {view for view in seen.tolist() if row[view] < limit}
        assert set(np.nonzero(drop)[0].tolist()) == expected


def test_one_view_of_four_that_shows_something_else_goes() -> None:
    nan = float("nan")
    rows = torch.tensor([[0.9, 0.9, 0.1, 0.9], [0.9, 0.1, nan, nan], [nan, nan, nan, nan], [0.8, 0.8, 0.8, 0.8]])
    assert outliers(rows).tolist() == [[False, False, True, False], [False] * 4, [False] * 4, [False] * 4]


def test_colour_words_find_their_solids(model, drawn, index) -> None:
    inverse = model.scene.similarity.inverse()
    for found in index.find(model.phrases(list(COLOURS)), model.threshold):
        solid = drawn.scene.solids[COLOURS[found.text]]
        point = inverse.apply_points(index.positions[found.best].numpy()[None])[0]
        outside = np.abs(point - solid.centre) - np.array(solid.half)
        assert outside.max() < 0.1, found.text
        assert found.score > model.threshold
        assert found.regions
    absent = index.find(model.phrases("purple"), model.threshold)[0]
    assert absent.score < model.threshold
    assert absent.regions == ()


def test_lifted_and_trained_language_agree(model, index) -> None:
    assert index.facts.source == "lift"
    assert bool((index.low <= index.high).all())
    for result in agreement(model, index, list(COLOURS)):
        assert result.difference < 0.1
        assert result.distance < 0.5


def test_a_capture_with_other_photos_is_refused(model, drawn_run) -> None:
    settings = RunFolder(drawn_run).read_config()["settings"]
    other = replace(model.scene, photos=model.scene.photos[::-1])
    changed = type(model)(
        other, model.radiance, model.language, model.encoder, canonical=(), temperature=1, threshold=0
    )
    with pytest.raises(RunError, match="other training photos"):
        training_pyramids(changed, settings)


def test_photos_that_do_not_fit_into_memory_are_read_one_by_one(model, drawn_run, index) -> None:
    settings = replace(RunFolder(drawn_run).read_config()["settings"], memory=1e-9)
    table, _ = training_pyramids(model, settings)
    assert isinstance(table, ResidentTable)
    assert table.cache_slots == 1
    again = lift(Ground.of(model), table, "c" * 64)
    torch.testing.assert_close(again.compressed.codes, index.compressed.codes)


def test_pixels_may_be_finer_than_the_cameras(model, targets, index) -> None:
    finer = PyramidTable(
        targets.cells, targets.ratios, targets.starts, targets.shapes, 2 * targets.origins, 2 * targets.steps
    )
    factors = torch.full((len(model.scene.train), 2), 2.0)
    again = lift(Ground.of(model), finer, "c" * 64, pixel_factors=factors)
    torch.testing.assert_close(again.compressed.codes, index.compressed.codes)
