"""Keys of stages: what they depend on, and what is said to be different."""

import json
from dataclasses import dataclass, field, replace

import pytest
from scene_files import transforms, write_capture
from short_runs import settings_of

from lerf.run.folder import RunFolder
from lerf.run.report import Silent
from lerf.run.settings import ADDED
from lerf.scenes import load_scene
from lerf.stages.keys import StageKey, capture_fingerprint, settings_part
from lerf.stages.pipeline import plan_stages
from lerf.stages.prepare import open_context
from lerf.stages.train import training_stages


@dataclass(frozen=True)
class Settings:
    steps: int = 3
    sizes: tuple[int, ...] = (1, 2)
    added: float = field(default=0.5, metadata=ADDED)


def test_a_key_survives_being_saved():
    key = StageKey.of(settings_part(Settings()), {"first": StageKey.of({"a": 1}, {})})
    saved = json.loads(json.dumps(key.decided_by))
    assert key.differences(saved) == []
    assert StageKey(saved).digest == key.digest
    assert len(key.digest) == 24


def test_differences_are_named():
    before = StageKey.of({"seed": 1, "rates": {"first": 1, "last": 2}}, {"photos": StageKey.of({"a": 1}, {})})
    now = StageKey.of({"rates": {"first": 1, "last": 3}, "new": None}, {"photos": StageKey.of({"a": 2}, {})})
    told = ["photos", "new missing (now not given)", "rates.last 2 (now 3)", "seed 1 (now missing)"]
    assert now.differences(before.decided_by) == told


def test_an_added_setting_counts_once_it_is_used():
    assert settings_part(Settings()) == {"steps": 3, "sizes": (1, 2)}
    assert settings_part(Settings(added=1.0)) == {"steps": 3, "sizes": (1, 2), "added": 1.0}


def test_the_fingerprint_of_a_capture_knows_its_photos(tmp_path):
    scenes = [load_scene(write_capture(tmp_path / str(count), transforms(count))) for count in (4, 5)]
    again = load_scene(tmp_path / "4")
    assert capture_fingerprint(scenes[0]) == capture_fingerprint(again)
    larger = load_scene(write_capture(tmp_path / "6", transforms(4, width=14), width=14))
    split = replace(scenes[0], train=scenes[0].train[1:])
    others = [scenes[1], larger, split]
    assert capture_fingerprint(scenes[0]) not in [capture_fingerprint(scene) for scene in others]
    assert len({capture_fingerprint(scene) for scene in others}) == 3


CHANGES = {
    "seed": ({"seed": 4}, {"radiance", "language"}),
    "border": ({"features": "tiles", "border": "zero"}, {"language"}),
    "estimator": ({"estimator": "per-sample"}, {"language"}),
    "language": ({"language": "lift"}, {"language"}),
    "refine_poses": ({"refine_poses": True}, {"radiance", "language"}),
    "memory": ({"memory": 1.0}, {"radiance", "language"}),
    "downscale": ({"downscale": 2}, {"radiance", "language"}),
    "no regulariser": ({"dense": "none"}, {"language"}),
    "preset's name": ({}, set()),
}


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("case", CHANGES)
def test_keys_of_a_training_follow_its_settings(drawn, tmp_path, case):
    options, changed = CHANGES[case]
    plain, other = (keys_of(settings_of(drawn.folder, **o), tmp_path) for o in ({}, options))
    assert {name for name in ("radiance", "language") if plain[name].digest != other[name].digest} == changed
    assert keys_of(replace(settings_of(drawn.folder), preset="lerf"), tmp_path) == plain


def keys_of(settings, tmp_path):
    context = open_context(
        settings, RunFolder(tmp_path / "run"), offline=True, reporter=Silent(), save_seconds=1.0
    )  # fmt: skip
    plan_stages(training_stages(settings), context)
    return context.keys
