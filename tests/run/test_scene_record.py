"""scene.json: what it may say, and that anything else is refused with a sentence."""

import contextlib
import copy
import json
import math

import numpy as np
import pytest
from mutations import mutated

from lerf.errors import LerfError, RunError
from lerf.run.folder import RunFolder
from lerf.run.scene_record import checked_scene
from lerf.scenes.load import load_scene
from lerf.scenes.record import scene_to_plain


def checked(plain):
    return checked_scene(plain, "scene.json", error=RunError, remedy="train again")


@pytest.fixture(scope="module")
def plain(drawn):
    return json.loads(json.dumps(scene_to_plain(load_scene(drawn.folder))))


def test_it_is_read_without_loss(plain):
    assert json.loads(json.dumps(scene_to_plain(checked(plain)))) == plain


def set_in(path, value):
    def change(document):
        *most, last = path
        for step in most:
            document = document[step]
        document[last] = value

    return change


CAMERA = ("photos", 2, "camera")
SPOILT = {
    "no photos": (set_in(("photos",), []), "length >= 1"),
    "train beyond": (set_in(("train", 0), 99), "its split names a photo twice, or one that it does not have"),
    "train negative": (set_in(("train", 0), -1), ">= 0"),
    "train twice": (lambda d: d["train"].append(d["train"][0]), "names a photo twice"),
    "both": (lambda d: d["test"].append(d["train"][0]), "names a photo twice"),
    "no training": (set_in(("train",), []), "length >= 1"),
    "one name": (lambda d: d["photos"][1].update(name=d["photos"][0]["name"]), "two of its photos have one name"),
    "huge": (set_in((*CAMERA, "width"), 10**9), "width"),
    "no width": (set_in((*CAMERA, "width"), 0), "width"),
    "no focal": (set_in((*CAMERA, "fx"), 0), "fx"),
    "tiny focal": (set_in((*CAMERA, "fx"), 1e-200), "fx"),
    "far centre": (set_in((*CAMERA, "cx"), 1e40), "cx"),
    "text": (set_in((*CAMERA, "fy"), "wide"), "fy"),
    "word for fisheye": (set_in((*CAMERA, "fisheye"), "no"), "fisheye"),
    "sheared": (set_in((*CAMERA, "camera_to_world", 0, 0), 0.5), "not a rotation"),
    "mirrored": (lambda d: _mirror(d["photos"][2]["camera"]), "not a rotation"),
    "far away": (set_in((*CAMERA, "camera_to_world", 0, 3), 1e12), "stands too far away"),
    "further away": (set_in((*CAMERA, "camera_to_world", 0, 3), 1e200), "camera_to_world"),
    "pose of two rows": (lambda d: d["photos"][2]["camera"]["camera_to_world"].pop(), "camera_to_world"),
    "huge distortion": (set_in((*CAMERA, "distortion", 4), 1e11), "distortion"),
    "short distortion": (set_in((*CAMERA, "distortion"), [0.1]), "distortion"),
    "unknown entry": (set_in((*CAMERA, "shutter"), 1), "shutter"),
    "no scale": (set_in(("similarity", "scale"), 0), "scale"),
    "negative scale": (set_in(("similarity", "scale"), -1.0), "scale"),
    "no rotation": (set_in(("similarity", "rotation", 0), [0, 0, 0]), "rotation"),
    "orientation": (set_in(("photos", 0, "orientation"), 9), "orientation"),
    "background": (set_in(("background",), "blue"), "background"),
    "metadata": (set_in(("metadata",), [1]), "metadata"),
    "no root": (lambda d: d.pop("root"), "it has no root"),
}  # fmt: skip


def _mirror(camera):
    camera["camera_to_world"] = (np.array(camera["camera_to_world"]) * [-1, 1, 1, 1]).tolist()


@pytest.mark.parametrize("case", SPOILT)
def test_what_cannot_be_is_refused(plain, case):
    change, words = SPOILT[case]
    spoilt = copy.deepcopy(plain)
    change(spoilt)
    with pytest.raises(RunError, match=words) as caught:
        checked(spoilt)
    assert str(caught.value).endswith("train again.")


def opened(folder):
    with contextlib.suppress(LerfError):
        return RunFolder(folder).read_scene()


def test_any_other_content_is_refused_or_makes_finite_rays(plain, tmp_path):
    for _, spoilt in mutated(plain, 160, seed=3):
        (tmp_path / "scene.json").write_text(json.dumps(spoilt))
        scene = opened(tmp_path)
        for index in range(0 if scene is None else len(scene)):
            camera = scene.normalised_camera(index)
            assert np.isfinite(camera.camera_to_world).all()
            assert math.isfinite(camera.fx)
            assert scene.photos[index].camera.width > 0
