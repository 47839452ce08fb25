"""Splats that runs are written as: columns to the bit, cut-outs, colours of relevancy; and Gaussians on a surface."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from analytic import SPHERES, AnalyticCapture
from splat_scene import splat_of, write_capture

import lerf
from lerf.apps.main import main
from lerf.errors import ConfigError, QueryError
from lerf.evaluation.metrics import psnr
from lerf.exports.splat import ask, build_splats, cropped
from lerf.exports.splat_surface import filled, on_surface
from lerf.geometry.camera_table import CameraTable
from lerf.geometry.harmonics import CONSTANT
from lerf.radiance.splats.gaussians import Gaussians
from lerf.radiance.splats.radiance import SplatRadiance
from lerf.run.make_settings import make_settings
from lerf.splats.files import read_splats, write_splats
from lerf.splats.splats import Splats
from lerf.stages.train import train
from lerf.steps import finish


@pytest.fixture(scope="module")
def run(analytic_capture: AnalyticCapture, tmp_path_factory) -> Path:
    folder = write_capture(analytic_capture, tmp_path_factory.mktemp("splat-export") / "capture")
    write_splats(folder.parent / "scene.ply", splat_of(analytic_capture))
    chosen = make_settings(
        folder, radiance_run=str(folder.parent / "scene.ply"), encoder="colour-words", dense="colour-map", device="cpu"
    )
    return train(chosen, folder.parent / "run").path


def exported(capsys, run: Path, out: Path, *options: str, code: int = 0) -> tuple[dict, Splats | None]:
    capsys.readouterr()
    assert main(["export", str(run), str(out), "--what", "splat", "--device", "cpu", "--json", *options]) == code
    told = capsys.readouterr()
    return (json.loads(told.out), read_splats(out)) if code == 0 else ({"error": told.err}, None)


def test_a_splat_comes_back_to_the_bit(run, tmp_path, capsys) -> None:
    given = read_splats(run.parent / "scene.ply")
    facts, written = exported(capsys, run, tmp_path / "out.ply")
    assert facts["vertices"] == len(given)
    assert (tmp_path / "out.ply").read_bytes() == (run.parent / "scene.ply").read_bytes()
    facts, written = exported(capsys, run, tmp_path / "out.ply", "--query", "red", "blue")
    assert written.extra == (*given.extra, "relevancy_0", "relevancy_1", "instance_0", "instance_1")
    for name in given.names:
        assert written.table[name].tobytes() == given.table[name].tobytes()
    assert written.table.dtype["instance_0"] == np.dtype("<i4")
    for row in range(2):
        own = given.table["owner"] == row
        named = written.table[f"instance_{row}"] == 0
        # Near the floor, tiles of photos show more floor than sphere, and a query finds no sphere there.
        assert (named & own).sum() > 0.65 * own.sum()
        assert (named & own).sum() > 0.95 * named.sum()
        relevancy = written.table[f"relevancy_{row}"]
        assert relevancy[own].mean() > relevancy[~own].mean() + 0.4
    assert [phrase["text"] for phrase in facts["phrases"]] == ["red", "blue"]
    # Asked again, the columns are replaced.
    write_splats(tmp_path / "scene.ply", written)


def test_cutting_out_and_leaving_out(run, tmp_path, capsys, analytic_capture) -> None:
    given = read_splats(run.parent / "scene.ply")
    _, kept = exported(capsys, run, tmp_path / "kept.ply", "--query", "red", "--crop")
    _, left = exported(capsys, run, tmp_path / "left.ply", "--query", "red", "--without")
    assert len(kept) + len(left) == len(given)
    own = given.table["owner"] == 0
    assert (kept.table["owner"] == 0).mean() > 0.95
    assert (kept.table["owner"] == 0).sum() > 0.65 * own.sum()
    # Seen by a held-out camera, what was cut out covers the sphere, and what was left has a hole there.
    scene, photo = analytic_capture.scene, analytic_capture.scene.test[0]
    table = CameraTable.from_cameras([scene.normalised_camera(photo).scaled_to(192, 144)])
    mask = analytic_capture.radiance.hits(_rays(table))[1].view(144, 192) == 0
    alone, rest = (
        finish(SplatRadiance(Gaussians.of(part.moved(scene.similarity))).render(table, 0)) for part in (kept, left)
    )
    shown = alone.accumulation > 0.5
    assert float((shown & mask).sum() / (shown | mask).sum()) >= 0.6
    red = rest.colour[mask][:, 0] - rest.colour[mask][:, 1]
    assert float((red > 0.3).float().mean()) < 0.4


def _rays(table: CameraTable):
    from lerf.geometry.camera_table import image_pixels

    pixels = image_pixels(*table.sizes[0].tolist())
    return table.rays(torch.zeros(len(pixels), dtype=torch.int64), pixels)


def test_colours_of_relevancy(run, tmp_path, capsys) -> None:
    _, painted = exported(capsys, run, tmp_path / "a.ply", "--query", "red", "--recolour")
    relevancy, colours = painted.table["relevancy_0"], 0.5 + CONSTANT * painted.harmonics[:, 0]
    # turbo: dark blue is none, dark red most
    assert np.allclose(colours[relevancy < 0.3], colours[relevancy.argmin()], atol=1e-3)
    best = colours[relevancy > 0.98 * relevancy.max()].mean(0)
    assert best[0] > best[2] + 0.3


@pytest.mark.filterwarnings("ignore::lerf.errors.LerfWarning")
def test_other_formats(run, tmp_path, capsys) -> None:
    given = read_splats(run.parent / "scene.ply")
    for name in ("a.splat", "a.spz"):
        _, written = exported(capsys, run, tmp_path / name, "--query", "red")
        assert np.abs(written.means - given.means).max() < 1e-4


def test_what_is_refused(run, tmp_path, capsys) -> None:
    for options, said in (
        (["--points", "100"], "leave --points, --reach and --refine-steps out"),
        (["--query", "purple", "--crop"], "nothing to cut out"),
        (["--query", "red", "--crop", "--without"], "give one of them"),
    ):
        told, _ = exported(capsys, run, tmp_path / "a.ply", *options, code=2)
        assert said in " ".join(told["error"].split())
    told, _ = exported(capsys, run, tmp_path / "a.sog", code=2)
    assert "must end in .ply, .splat, .spz" in told["error"]
    assert not list(tmp_path.iterdir())


def test_a_cloud_of_a_splat_run(run, tmp_path, capsys) -> None:
    arguments = ["export", str(run), str(tmp_path / "a.ply"), "--points", "6000", "--query", "red", "--json"]
    assert main(arguments) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["what"] == "cloud"
    assert facts["vertices"] > 2000


def test_gaussians_on_the_surface_of_another_radiance(analytic_models, analytic_capture) -> None:
    """As of a hash grid, here of the exact spheres: pictures of the splat are pictures of the radiance."""
    model = analytic_models("lift")
    gaussians = build_splats(model, points=60_000, refine=0)
    phrases = model.phrases([sphere.name for sphere in SPHERES])
    gaussians = ask(model, gaussians, finish(model.answer(phrases)))
    means = gaussians.splats.means
    outside = np.min([np.abs(sphere.outside(means)) for sphere in SPHERES], axis=0)
    assert (np.minimum(outside, np.abs(means[:, 2] + 2)) < 0.02).mean() > 0.99
    for row, sphere in enumerate(SPHERES):
        on_it = np.abs(sphere.outside(means)) < 0.02
        named = gaussians.instances[row].numpy() >= 0
        assert (named & on_it).sum() / (named | on_it).sum() > 0.6
        # Flat along the sphere: the shortest axis is the normal.
        normals = gaussians.splats.columns(("nx", "ny", "nz"))[on_it]
        assert np.median((normals * ((means[on_it] - sphere.centre) / sphere.radius)).sum(1)) > 0.95
    scene, photo = analytic_capture.scene, analytic_capture.scene.test[0]
    table = CameraTable.from_cameras([scene.normalised_camera(photo).scaled_to(192, 144)])
    radiance = SplatRadiance(Gaussians.of(gaussians.splats.moved(scene.similarity)))
    drawn, true = finish(radiance.render(table, 0)), finish(analytic_capture.radiance.render(table, 0))
    assert float((drawn.colour - true.colour).abs().amax(-1).quantile(0.8)) < 0.05
    kept = cropped(gaussians, keep=True)
    assert 0 < len(kept) < len(gaussians)
    with pytest.raises(QueryError, match="none would be left"):
        cropped(kept, keep=False)


def test_refined_on_the_photos(analytic_models, analytic_capture) -> None:
    """Coarse Gaussians on a surface come nearer to held-out photos by gradient steps, and do not leave the surface."""
    model, told = analytic_models("lift"), []
    scene, photo = analytic_capture.scene, analytic_capture.scene.test[0]
    table = CameraTable.from_cameras([scene.normalised_camera(photo)])
    truth = torch.from_numpy(scene.pixels(photo)).float() / 255
    quality, means = [], []
    for steps in (0, 60):
        gaussians = build_splats(model, 6000, refine=steps, progress=lambda *done: told.append(done))
        radiance = SplatRadiance(Gaussians.of(gaussians.splats.moved(scene.similarity)))
        quality.append(psnr(finish(radiance.render(table, 0)).colour, truth))
        means.append(gaussians.splats.means)
        assert gaussians.splats.degree == (1 if steps else 0)
    assert quality[1] > quality[0] + 0.7
    assert ("refinement", 60, 60) in told
    outside = np.min([np.abs(sphere.outside(means[1])) for sphere in SPHERES], axis=0)
    assert (np.minimum(outside, np.abs(means[1][:, 2] + 2)) < 0.15).mean() > 0.95


def test_holes_are_filled(analytic_models) -> None:
    """Where a splat has been cut open, coarse Gaussians on the surface close it again."""
    model = analytic_models("lift")
    whole = on_surface(model, 20_000, 6.0, lambda *_: None)
    assert len(filled(model, whole, math.inf, lambda *_: None)) < 1.1 * len(whole)
    open_ = whole[whole.means[:, 0] > 0]
    closed = filled(model, open_, math.inf, lambda *_: None)
    table = CameraTable.from_cameras([model.scene.normalised_camera(model.scene.test[0])])
    light = [1 - finish(SplatRadiance(part).render(table, 0)).accumulation.mean() for part in (whole, open_, closed)]
    assert light[1] > light[0] + 0.05
    assert light[2] < light[0] + 0.03
    assert len(filled(model, open_, 1e-3, lambda *_: None)) == len(open_)


def test_points_are_for_surfaces(run) -> None:
    with pytest.raises(ConfigError, match="leave --points"):
        build_splats(lerf.load(run, device="cpu"), points=10)
