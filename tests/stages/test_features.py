"""Where features come from, and those that cannot be made."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scene_files import save
from short_runs import Listener, settings_of

from lerf.errors import ConfigError, EncoderError
from lerf.stages.train import train


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("originals", ["whole", "absent", "cut off"])
def test_features_without_the_originals(drawn, tmp_path, originals):
    capture = Path(shutil.copytree(drawn.folder, tmp_path / "capture"))
    for photo in sorted((capture / "images").iterdir()):
        save(capture / "images_2" / photo.name, np.asarray(Image.open(photo))[::2, ::2])
    if originals == "absent":
        shutil.rmtree(capture / "images")
    elif originals == "cut off":
        photo = capture / "images/0003.png"
        photo.write_bytes(photo.read_bytes()[:2000])
    heard = Listener()
    run = train(settings_of(capture, steps=2, downscale=2), tmp_path / "run", reporter=heard)
    assert run.load_stage("language")[1]["finished"]
    notes = [note for note in heard.notes if note.startswith("Features come from the reduced photos")]
    if originals == "whole":
        assert not notes
    else:
        assert len(notes) == 1
        assert ("is missing" if originals == "absent" else "0003.png is cut off") in notes[0]


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize(
    ("options", "kind", "words"),
    [
        ({"encoder": "tile-words", "features": "dense"}, EncoderError, "cannot make features 'dense'"),
        ({"border": "zero"}, ConfigError, "is for tiles"),
    ],
)
def test_features_that_cannot_be_made_leave_no_run(drawn, tmp_path, options, kind, words):
    with pytest.raises(kind, match=words):
        train(settings_of(drawn.folder, **options), tmp_path / "run")
    assert not (tmp_path / "run").exists()
