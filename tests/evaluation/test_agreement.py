"""How often a run says of its training photos what their pyramids say: high for what was learnt, chance for what was
mixed up, and told by evaluation."""

import json
import shutil
from dataclasses import replace

import pytest
import torch
from colour_words import HUES, ColourWords

from lerf.encoders.rivals import NamedThings
from lerf.errors import LerfWarning, RunError
from lerf.evaluation import agreement
from lerf.evaluation.agreement import Agreement, measure_agreement, warn_of_little
from lerf.run.folder import RunFolder
from lerf.scenes.load import load_scene


@pytest.fixture(autouse=True)
def colours(monkeypatch):
    """The names that the encoder of the scene knows."""
    words = tuple(HUES)
    things = NamedThings(words, ColourWords().encode_text(words))
    monkeypatch.setattr(agreement, "named_things", lambda encoder: things)


def measured(capture, model, targets=None):
    train = list(capture.scene.train)
    return measure_agreement(
        model, train, capture.pyramids[0] if targets is None else targets, torch.ones(len(train), 2)
    )


@pytest.mark.parametrize("kind", ["lift", "deferred"])
def test_language_that_learnt_its_photos_agrees_with_them(analytic_capture, analytic_models, kind):
    found = measured(analytic_capture, analytic_models(kind))
    assert set(found.names) >= {"red", "blue", "yellow"}
    assert "purple" not in found.names, "what the scene does not show is not asked"
    assert found.share > 0.85
    assert f"{found.share:.0%} of training pixels" in found.sentence


def test_pyramids_of_other_photos_disagree(analytic_capture, analytic_models):
    """The same cells in another order: what the run says of a place is not what stands there."""
    own = analytic_capture.pyramids[0]
    mixed = replace(own, cells=own.cells[torch.randperm(len(own.cells), generator=torch.Generator().manual_seed(0))])
    assert measured(analytic_capture, analytic_models("lift"), mixed).share < 0.65


def test_a_scene_that_shows_nothing_by_name_is_not_measured(analytic_capture, analytic_models, monkeypatch):
    unseen = NamedThings(("purple",), ColourWords().encode_text(["purple"]))
    monkeypatch.setattr(agreement, "named_things", lambda encoder: unseen)
    assert measured(analytic_capture, analytic_models("lift")) is None


def test_evaluation_warns_of_little_agreement_and_only_of_that(tmp_path, recwarn):
    warn_of_little(tmp_path)
    (tmp_path / agreement.FILE).write_text(json.dumps(Agreement(0.9, 0.95, ["mug"]).to_dict()))
    warn_of_little(tmp_path)
    assert not recwarn.list
    (tmp_path / agreement.FILE).write_text(json.dumps(Agreement(0.2, 0.9, ["mug"]).to_dict()))
    with pytest.warns(LerfWarning, match=r"worse than its own pyramids.*55%.*20%.*mug"):
        warn_of_little(tmp_path)
    (tmp_path / agreement.FILE).write_text('{"found": 3}')
    with pytest.raises(RunError, match="delete it"):
        warn_of_little(tmp_path)


def test_of_the_same_language_it_is_measured_once(drawn, drawn_run, tmp_path, monkeypatch):
    """Also where a training was killed before it was measured, and where another language has taken the place."""
    run = shutil.copytree(drawn_run, tmp_path / "run", ignore=shutil.ignore_patterns(agreement.FILE))
    results = iter([Agreement(0.5, 0.9, ["red"]), None, Agreement(0.6, 0.9, ["red"])])
    monkeypatch.setattr(agreement, "_measured", lambda *arguments: next(results))
    settings, scene = RunFolder(run).read_config()["settings"], load_scene(drawn.folder)
    for _ in range(2):
        assert agreement.check_agreement(run, settings, scene).found == 0.5
    (run / agreement.FILE).unlink()
    for _ in range(2):
        assert agreement.check_agreement(run, settings, scene) is None, "nothing to ask is kept as well"
    path = run / "language.safetensors"
    path.write_bytes(path.read_bytes() + b" ")
    assert agreement.check_agreement(run, settings, scene).found == 0.6
    assert agreement.check_agreement(run, replace(settings, masks="masks"), scene).found == 0.6
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(StopIteration):
        agreement.check_agreement(run, settings, scene)
    assert not (run / agreement.FILE).exists(), "what is known of another language is forgotten"
