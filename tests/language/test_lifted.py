"""Runs whose language is an index lifted from the pyramids: training, queries, pictures, evaluation."""

import json
import shutil

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from lerf.language.lifted import REACH, CellLookup, IndexLanguage

import lerf
from lerf.apps.main import main
from lerf.errors import QueryError, RunError
from lerf.evaluation.metrics import pixel_auc
from lerf.geometry.contraction import contract
from lerf.language.cells import Facts, Index, cell_keys, compress
from lerf.language.field import LanguageConfig, LightStops
from lerf.run.folder import RunFolder

COLOURS = {"red": 0, "blue": 1, "yellow": 2, "green": 3}
SIZE = 0.05


@pytest.fixture(scope="module")
def lifted_run(drawn, drawn_run, tmp_path_factory):
    from tiny import tiny_preset

    from lerf.run.settings import PRESETS

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(PRESETS, "lerf-cpu", tiny_preset())
        folder = tmp_path_factory.mktemp("lifted") / "run"
        lerf.train(drawn.folder, folder, device="cpu", language="lift", radiance_run=drawn_run)
    return folder


@pytest.fixture(scope="module")
def model(lifted_run):
    return lerf.load(lifted_run, device="cpu")


def small_index(positions: torch.Tensor, embeddings: torch.Tensor) -> Index:
    keys, order = cell_keys(positions, SIZE).sort()
    count = len(keys)
    return Index(
        keys, positions[order], torch.ones(count), torch.full((count,), 0.2), torch.full((count,), 0.8),
        torch.logspace(-1, 0, len(embeddings)), compress(embeddings[:, order], energy=1.0),
        Facts("lift", "colour-words", "f", "c" * 64, SIZE),
    )  # fmt: skip


def test_a_point_finds_the_closest_cell_within_reach() -> None:
    random = torch.Generator().manual_seed(0)
    positions = torch.rand(40, 3, generator=random) * 0.8
    positions = torch.stack(
        list({int(k): p for k, p in zip(cell_keys(positions, SIZE), positions, strict=True)}.values())
    )
    count = len(positions)
    index = small_index(positions, F.normalize(torch.randn(1, count, 4, generator=random), dim=-1))
    lookup = CellLookup(index)
    assert lookup.find(index.positions).tolist() == list(range(count))
    points = torch.rand(500, 3, generator=random)
    own = torch.floor(contract(points) / SIZE)
    cells = torch.floor(contract(index.positions) / SIZE)
    steps = (own[:, None] - cells[None]).abs().amax(-1)
    found = lookup.find(points)
    assert torch.equal(found >= 0, steps.amin(-1) <= REACH)
    near = found >= 0
    assert bool(near.any())
    assert not bool(near.all())
    assert torch.equal(steps[near].gather(1, found[near, None])[:, 0], steps[near].amin(-1))


def test_rendering_is_the_weighted_mean_at_the_interpolated_scale() -> None:
    random = torch.Generator().manual_seed(1)
    positions = torch.tensor([[0.025, 0.025, 0.025], [0.525, 0.025, 0.025]])
    embeddings = F.normalize(torch.randn(3, 2, 6, generator=random), dim=-1)
    index = small_index(positions, embeddings)
    language = IndexLanguage(index, LanguageConfig())
    order = cell_keys(positions, SIZE).argsort()
    sorted_embeddings = embeddings[:, order]
    places = torch.stack([index.positions[0], index.positions[1], torch.tensor([0.0, 0.9, 0.9])])[None]
    weights = torch.tensor([[0.5, 0.3, 0.2]])
    stops = LightStops(places, weights, torch.ones(1, 3), torch.ones(1), places[:, 0])
    # A quarter of the way from the first scale to the second, in the logarithm; the third sample is near no cell.
    scale = index.scales[0] ** 0.75 * index.scales[1] ** 0.25
    mixed = 0.75 * sorted_embeddings[0] + 0.25 * sorted_embeddings[1]
    expected = F.normalize(0.5 * mixed[0] + 0.3 * mixed[1], dim=0)
    torch.testing.assert_close(language.render_at_scale(stops, scale[None])[0], expected, atol=2e-3, rtol=0)
    for outside, row in ((0.01, 0), (5.0, 2)):
        at_end = F.normalize(0.5 * sorted_embeddings[row, 0] + 0.3 * sorted_embeddings[row, 1], dim=0)
        rendered = language.render_at_scale(stops, torch.tensor([outside]))[0]
        torch.testing.assert_close(rendered, at_end, atol=2e-3, rtol=0)
    scales, seen = language.bounds.nearest_supervised(places[0], torch.tensor([0.1, 0.5, 0.5]))
    assert seen.tolist() == [True, True, False]
    assert scales.tolist() == pytest.approx([0.2, 0.5, 0.5])


def test_no_step_of_language_was_made(lifted_run) -> None:
    run = RunFolder(lifted_run)
    tensors, facts = run.load_stage("language")
    assert (facts["step"], facts["finished"], facts["index"]["source"]) == (0, True, "lift")
    assert not any(name.startswith("field.") for name in tensors)
    assert not (lifted_run / "metrics.jsonl").is_file()
    settings = run.read_config()["settings"]
    assert (settings.language_source, settings.dense) == ("lift", "none")


@pytest.mark.parametrize("use", ["auto", "require"])
def test_colours_are_found(model, drawn, use) -> None:
    result = model.query([*COLOURS, "purple"], index=use)
    assert (result.index is None) == (use == "auto")
    assert use == "auto" or result.index.source == "lift"
    *present, absent = result.queries
    for answer in present:
        solid = drawn.scene.solids[COLOURS[answer.text]]
        outside = np.abs(np.subtract(answer.geometry.point, solid.centre)) - np.array(solid.half)
        assert outside.max() < 0.12, answer.text
    assert not absent.present


def test_maps_of_held_out_views_show_them(model, drawn) -> None:
    camera = model.scene.photos[model.scene.test[1]].camera
    x, y = np.meshgrid(np.arange(camera.width) + 0.5, np.arange(camera.height) + 0.5)
    local = np.stack([(x - camera.cx) / camera.fx, (camera.cy - y) / camera.fy, -np.ones_like(x)], -1).reshape(-1, 3)
    directions = (local / np.linalg.norm(local, axis=-1, keepdims=True)) @ camera.camera_to_world[:, :3].T
    owner = drawn.scene.trace(np.broadcast_to(camera.camera_to_world[:, 3], directions.shape), directions).owner
    view = model.render(model.scene.test[1], query=list(COLOURS))
    for word, solid in COLOURS.items():
        truth = (owner == solid).reshape(x.shape)
        if truth.sum() > 30:
            assert pixel_auc(view.relevancy[word], torch.from_numpy(truth)) > 0.9, word
    point = model.query("red").queries[0].geometry
    assert float(model.relevancy_at(np.array([point.point]), "red", point.scale)[0]) > 0.7
    embedding, dense = model.render_features(0)
    assert dense is None
    assert embedding.isfinite().all()


def test_it_is_evaluated_and_described(lifted_run, capsys) -> None:
    for command in (["eval", str(lifted_run)], ["info", str(lifted_run)], ["query", str(lifted_run), "red"]):
        capsys.readouterr()
        assert main([*command, "--json"]) == 0
        facts = json.loads(capsys.readouterr().out)
        if command[0] == "eval":
            assert facts["psnr"] > 15
        if command[0] == "info":
            assert facts["stages"]["language"] == "lifted from the pyramids, no steps"
        if command[0] == "query":
            assert facts.get("index") is None


def test_what_needs_a_field_says_so(model, lifted_run, capsys) -> None:
    with pytest.raises(QueryError, match="lifted from the photos"):
        model.query("red", index="require", compare=True)
    assert main(["bake", str(lifted_run)]) == 2
    assert "lifted from the photos" in capsys.readouterr().err


@pytest.mark.usefixtures("tiny")
def test_training_again_changes_nothing_and_completes_what_is_missing(drawn, drawn_run, lifted_run, tmp_path) -> None:
    run = shutil.copytree(lifted_run, tmp_path / "run")
    before, facts = RunFolder(run).load_stage("language")
    (run / "language.safetensors").unlink()
    lerf.train(drawn.folder, run, device="cpu", language="lift", radiance_run=drawn_run)
    after, same = RunFolder(run).load_stage("language")
    assert same == facts
    for name, tensor in before.items():
        torch.testing.assert_close(after[name], tensor, atol=1e-3, rtol=1e-3, msg=name)
    with pytest.raises(RunError, match="other settings"):
        lerf.train(drawn.folder, run, device="cpu", radiance_run=drawn_run)


def test_a_language_of_another_radiance_is_refused(lifted_run, tmp_path) -> None:
    run = shutil.copytree(lifted_run, tmp_path / "run")
    folder = RunFolder(run)
    tensors, facts = folder.load_stage("radiance")
    folder.save_stage("radiance", {name: value + 1 for name, value in tensors.items()}, facts)
    with pytest.raises(RunError, match="another radiance"):
        lerf.load(run, device="cpu")
    _, facts = folder.load_stage("language")
    folder.save_stage("language", {}, facts)
    with pytest.raises(RunError, match="damaged"):
        lerf.load(run, device="cpu")
