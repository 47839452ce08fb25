"""Queries of a baked run: what its index answers beside what its field does, and what is said of it."""

import shutil
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch

import lerf
from lerf.errors import LerfWarning, QueryError, RunError
from lerf.language.cells import FILE, load_index, save_index
from lerf.queries.maps import near_pixels, read_maps
from lerf.queries.refined import relevancy_of_surface
from lerf.queries.scales import relevancy_at
from lerf.radiance.hash_grid.radiance import HashGridRadiance
from lerf.steps import finish

COLOURS = ("red", "blue", "yellow", "green")


@pytest.fixture(scope="module")
def model(baked_run):
    return lerf.load(baked_run, device="cpu")


def test_the_index_answers_where_the_field_does(model) -> None:
    ours, theirs = (model.query([*COLOURS, "purple"], index=use) for use in ("auto", "ignore"))
    assert theirs.index is None
    assert ours.index.source == "field"
    assert ours.index.cells == len(model.surfaces.index("require")) < len(model.surface)
    assert ours == model.query([*COLOURS, "purple"], index="require")
    step = float(model.surfaces.open("require").language.scales[1] / model.surfaces.open("require").language.scales[0])
    for quick, slow in zip(ours.queries, theirs.queries, strict=True):
        assert quick.present == slow.present
        assert quick.relevancy == pytest.approx(slow.relevancy, abs=0.06)
        if not quick.present:
            assert quick.instances == ()
            continue
        assert len(quick.instances) == len(slow.instances)
        assert np.linalg.norm(np.subtract(quick.geometry.point, slow.geometry.point)) < 0.4
        for corner, other in zip(quick.geometry.extent, slow.geometry.extent, strict=True):
            assert np.abs(np.subtract(corner, other)).max() < 0.3
        assert step**-2.01 < quick.geometry.scale / slow.geometry.scale < step**2.01
        assert quick.geometry.view.startswith("images/")


def test_a_run_without_an_index_is_answered_by_its_language(drawn_run) -> None:
    plain = lerf.load(drawn_run, device="cpu")
    assert plain.surfaces.open("auto") is plain.surfaces.of_language
    assert plain.query("red").index is None
    with pytest.raises(RunError, match="no index"):
        plain.query("red", index="require")


def test_a_run_whose_language_is_an_index_has_no_other(lifted_run) -> None:
    model = lerf.load(lifted_run, device="cpu")
    for use in ("auto", "require", "ignore"):
        assert model.surfaces.index(use) is None
        assert model.query("red", index=use).queries[0].present
    with pytest.raises(QueryError, match="no index beside the run's language"):
        model.query("red", compare=True)


def test_the_view_shows_the_point(model, drawn) -> None:
    geometry = model.query("red").queries[0].geometry
    photo = next(photo for photo in model.scene.photos if photo.name == geometry.view)
    camera, (x, y) = photo.camera, geometry.pixel
    local = np.array([(x - camera.cx) / camera.fx, (camera.cy - y) / camera.fy, -1.0])
    direction = camera.camera_to_world[:, :3] @ (local / np.linalg.norm(local))
    owner = drawn.scene.trace(camera.camera_to_world[None, :, 3], direction[None]).owner[0]
    assert drawn.scene.solids[owner].name.startswith("red")


def test_both_surfaces_are_traced_once_for_all_queries_of_a_run(baked_run, tmp_path, monkeypatch) -> None:
    run = shutil.copytree(baked_run, tmp_path / "run")
    for name in ("surface.safetensors", "surface_cells.safetensors"):
        (run / name).unlink(missing_ok=True)
    traced = []
    trace = HashGridRadiance.trace
    monkeypatch.setattr(HashGridRadiance, "trace", lambda *given: traced.append(0) or trace(*given))
    first = [lerf.load(run, device="cpu").query(COLOURS, index=use) for use in ("auto", "ignore")]
    assert traced
    traced.clear()
    again = [lerf.load(run, device="cpu") for _ in range(2)]
    assert [model.query(COLOURS, index=use) for model, use in zip(again, ("auto", "ignore"), strict=True)] == first
    assert not traced
    assert again[0].surfaces._of_language is None


def test_a_given_scale_is_that_of_the_answer(model) -> None:
    scales, unit = model.surfaces.open("require").language.scales, model.photos.unit
    # None of the index's own.
    wanted = float(scales[4] ** 0.7 * scales[5] ** 0.3) / unit
    geometry = model.query("red", scale=wanted, threshold=0.0).queries[0].geometry
    assert geometry.scale == pytest.approx(wanted)


def test_it_says_how_far_it_is_from_the_field(model) -> None:
    result = model.query(COLOURS, compare=True)
    assert 0.9 < result.index.lowest_cosine <= result.index.cosine <= 1.0001
    assert set(result.index.differences) == set(COLOURS)
    assert all(0 <= value < 0.05 for value in result.index.differences.values())
    assert model.query("red").index.differences is None
    with pytest.raises(QueryError, match="no index beside"):
        model.query("red", index="ignore", compare=True)


def test_differences_are_means_over_the_cells(model) -> None:
    index, surface = model.surfaces.index("require"), model.surface
    phrases = model.phrases(["red"])
    (found,) = finish(model.answer(phrases))
    theirs = relevancy_at(model.language, surface.latent, phrases, found.scale)[0].numpy()
    cells = index.locate(surface.positions).numpy()
    inside = cells >= 0
    counts = np.bincount(cells[inside], minlength=len(index))
    sums = np.bincount(cells[inside], weights=theirs[inside], minlength=len(index))
    filled = counts > 0
    apart = np.abs(sums[filled] / counts[filled] - found.relevancy.numpy()[filled])
    told = model.surfaces.differences(index, phrases, [found])
    assert told == {"red": pytest.approx(apart.mean(), abs=1e-5)}


def test_an_index_of_another_surface_is_not_compared(model, baked_run) -> None:
    index = load_index(baked_run / FILE)
    elsewhere = replace(index, keys=index.keys + 12345)
    phrases = model.phrases(["red"])
    (found,) = finish(model.answer(phrases))
    with pytest.raises(RunError, match="another surface"):
        model.surfaces.differences(elsewhere, phrases, [found])


def test_an_index_of_another_state_is_not_used(baked_run, tmp_path) -> None:
    run = shutil.copytree(baked_run, tmp_path / "run")
    index = load_index(run / FILE)
    save_index(replace(index, provenance=replace(index.provenance, checkpoint="d" * 64)), run / FILE)
    model = lerf.load(run, device="cpu")
    with pytest.warns(LerfWarning, match="another state of the run"):
        assert model.query("red").index is None
    with pytest.raises(RunError, match="another state of the run"):
        model.query("red", index="require")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert model.query("red", index="ignore").index is None


def test_pictures_are_read_from_the_surface_that_answers(model) -> None:
    phrases = model.phrases(["red"])
    scale = model.scales(phrases)[0]
    cells = model.surfaces.open("require")
    assert scale in cells.language.scales.tolist()
    assert model.query("red").queries[0].geometry.scale == pytest.approx(scale / model.photos.unit)
    view = model.render(0, "red")
    refined = finish(relevancy_of_surface(cells, phrases, [scale])).refined
    near = finish(near_pixels(cells, model.cameras, 0, view.picture.depth * model.photos.unit))
    expected = read_maps(near, refined, tuple(view.picture.depth.shape[::-1]))[0]
    torch.testing.assert_close(view.relevancy["red"], expected, atol=1e-3, rtol=0)
    assert view.scales["red"] == pytest.approx(scale / model.photos.unit)
    raw = model.relevancy_maps(model.cameras, 0, phrases, [scale], raw=True)[0]
    assert float((raw - expected).abs().mean()) < 0.1
