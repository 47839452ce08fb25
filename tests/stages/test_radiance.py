"""The radiance of another run in place of a training."""

import json
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file
from short_runs import StopAt, settings_of

from lerf.errors import ConfigError, RunError
from lerf.run.make_settings import make_settings
from lerf.stages.train import train


def test_radiance_of_another_run(drawn, drawn_run, tiny, tmp_path):
    settings = make_settings(drawn.folder, steps=None, device="cpu", radiance_run=drawn_run, seed=5)
    run = train(replace(settings, language_training=replace(settings.language_training, steps=20)), tmp_path / "run")
    ours, theirs = (load_file(path / "radiance.safetensors") for path in (run.path, drawn_run))
    assert torch.equal(ours["field.grid.table"], theirs["field.grid.table"])
    assert "radiance" not in {
        json.loads(line)["stage"] for line in (run.path / "metrics.jsonl").read_text().splitlines()
    }


def test_radiance_that_does_not_fit_leaves_no_run(drawn, drawn_run, tiny, tmp_path):
    other = make_settings(drawn.folder, device="cpu", radiance_run=drawn_run)
    other = replace(other, radiance=replace(other.radiance, levels=5))
    with pytest.raises(ConfigError, match="has other sizes"):
        train(other, tmp_path / "run")
    unfinished = settings_of(drawn.folder)
    with pytest.raises(KeyboardInterrupt):
        train(unfinished, tmp_path / "half", reporter=StopAt("radiance"))
    with pytest.raises(RunError, match="is not finished"):
        train(settings_of(drawn.folder, radiance_run=tmp_path / "half"), tmp_path / "run")
    assert not (tmp_path / "run").exists()
