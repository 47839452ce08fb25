"""One answer for a run, whoever asks: the command line, Python, an export and the page; and a baked run beside its
field."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh
from command_line import run_json
from tiny import tiny_preset

import lerf
from lerf.queries.result import Answer
from lerf.run.settings import PRESETS
from lerf.steps import finish
from lerf.viewer.scene_state import SceneState, open_scene_state

PHRASES = ("red", "blue", "yellow", "green", "purple")
RUNS = ("deferred", "per-sample", "lifted", "baked")
RELEVANCY, EXTENT, OVERLAP = 0.06, 0.15, 0.5
"""How far a baked run's answers may be from its field's, as docs/quality.md says: relevancy, each coordinate of an
extent in capture units (things are 0.4 to 0.6 across), and the share of two extents' union that both cover."""


@pytest.fixture(scope="session")
def per_sample_run(drawn, drawn_run, tmp_path_factory) -> Path:
    """As `drawn_run`, whose radiance it has, with a language that is rendered sample by sample."""
    folder = tmp_path_factory.mktemp("per-sample-run") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(PRESETS, "lerf-cpu", tiny_preset())
        lerf.train(drawn.folder, folder, device="cpu", radiance_run=drawn_run, estimator="per-sample")
    return folder


@pytest.fixture(params=RUNS)
def run(request: pytest.FixtureRequest) -> Path:
    names = {"deferred": "drawn_run", "per-sample": "per_sample_run", "lifted": "lifted_run", "baked": "baked_run"}
    folder: Path = request.getfixturevalue(names[request.param])
    return folder


def of_page(state: SceneState) -> list[dict]:
    """What a page is told, as the JSON of a query has it."""
    with torch.no_grad():
        for _ in state.prepare():
            pass
        assert not state.trouble
        assert state.model is not None
        threshold = state.model.defaults.threshold
        states = finish(state.ask(state.model.phrases(PHRASES), threshold, [None] * len(PHRASES)))
    return [own.answer.to_dict() for own in states]


def inside(points: np.ndarray, extents: list[dict], margin: float) -> np.ndarray:
    """Whether points lie in any of the extents, or nearly so."""
    boxes = [(np.array(one["min"]) - margin, np.array(one["max"]) + margin) for one in extents]
    return np.any([((points >= low) & (points <= high)).all(-1) for low, high in boxes], axis=0)


def test_everybody_gives_the_same_answer(run, tmp_path, capsys) -> None:
    told = run_json(capsys, "query", run, *PHRASES)["queries"]
    assert [answer["present"] for answer in told] == [True, True, True, True, False]
    asked = lerf.load(run, device="cpu").query(PHRASES).to_dict()["queries"]
    assert json.loads(json.dumps(asked)) == told
    assert json.loads(json.dumps(of_page(open_scene_state(run, device="cpu")))) == told

    exported = run_json(capsys, "export", run, tmp_path / "cut.ply", "--query", *PHRASES, "--crop", "--points", 20_000)[
        "phrases"
    ]
    of_files = [{key: value for key, value in one.items() if not key.startswith("property")} for one in exported]
    assert of_files == told
    points = np.asarray(trimesh.load(tmp_path / "cut.ply").vertices)
    extents = [one["extent"] for answer in told for one in answer["instances"]]
    # Extents leave out the outermost points.
    assert inside(points, extents, 0.1).mean() > 0.9


def test_a_question_does_not_depend_on_what_else_is_asked(run) -> None:
    together = lerf.load(run, device="cpu").query(PHRASES).queries
    alone = [lerf.load(run, device="cpu").query(text).queries[0] for text in PHRASES]
    for ours, theirs in zip(together, alone, strict=True):
        assert ours.present == theirs.present
        assert len(ours.instances) == len(theirs.instances)
        assert ours.relevancy == pytest.approx(theirs.relevancy, abs=1e-4)


def overlap(ours: Answer, theirs: Answer) -> float:
    """Of the extents of the best instances, what both cover as a share of what either does."""
    assert ours.geometry is not None
    assert theirs.geometry is not None
    a, b = np.array(ours.geometry.extent), np.array(theirs.geometry.extent)
    both = np.prod(np.clip(np.minimum(a[1], b[1]) - np.maximum(a[0], b[0]), 0, None))
    return float(both / (np.prod(a[1] - a[0]) + np.prod(b[1] - b[0]) - both))


def test_a_baked_run_answers_within_a_bound_of_its_field(baked_run) -> None:
    model = lerf.load(baked_run, device="cpu")
    of_cells, of_field = (model.query(PHRASES, index=use).queries for use in ("require", "ignore"))
    for ours, theirs in zip(of_cells, of_field, strict=True):
        assert ours.present == theirs.present
        assert len(ours.instances) == len(theirs.instances)
        assert ours.relevancy == pytest.approx(theirs.relevancy, abs=RELEVANCY)
        if ours.geometry is not None and theirs.geometry is not None:
            assert np.abs(np.subtract(ours.geometry.extent, theirs.geometry.extent)).max() < EXTENT
            assert overlap(ours, theirs) > OVERLAP
