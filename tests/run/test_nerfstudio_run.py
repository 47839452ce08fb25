"""Runs of nerfstudio are read without nerfstudio, and nothing in them is run."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from nerfacto_files import PHOTOS, write_checkpoint, write_run

from lerf.errors import RunError
from lerf.run.nerfstudio_run import is_nerfstudio_run, read_checkpoint, read_nerfstudio_run


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("nerfstudio") / "run")


def test_settings_are_plain_values(folder):
    run = read_nerfstudio_run(folder)
    assert run.model_class == "nerfstudio.models.nerfacto.NerfactoModel"
    assert run.model["num_proposal_samples_per_ray"] == [24, 16]
    assert run.data == Path("/captures/desk")
    assert run.config["logging"]["local_writer"]["stats_to_track"][0]["<arguments>"] == ["Train Iter (time)"]
    assert run.config["optimizers"]["fields"]["optimizer"]["lr"] == 0.01
    assert read_nerfstudio_run(folder / "config.yml") == run
    assert is_nerfstudio_run(folder)
    assert not is_nerfstudio_run(folder / "nerfstudio_models")


def test_the_newest_checkpoint_is_read(folder, tmp_path):
    run = read_nerfstudio_run(write_run(tmp_path / "run"))
    models = run.folder / "nerfstudio_models"
    write_checkpoint(models / "step-000000100.ckpt", {"field.aabb": torch.ones(2, 3)}, step=100)
    (models / "notes.txt").write_text("none of its business")
    checkpoint = read_checkpoint(run)
    assert checkpoint.step == 100
    assert set(checkpoint.tensors) == {"field.aabb"}
    first = read_checkpoint(read_nerfstudio_run(folder))
    assert first.step == 59
    assert first.tensors["field.embedding_appearance.embedding.weight"].shape[0] == PHOTOS


def test_what_was_allowed_before_stays_allowed(folder):
    run = read_nerfstudio_run(folder)
    with torch.serialization.safe_globals([np.dtype]):
        before = torch.serialization.get_safe_globals()
        read_checkpoint(run)
        after = torch.serialization.get_safe_globals()
        assert len(after) == len(before)
        assert np.dtype in after


class Touch:
    """Writes a file when it is unpickled by an unpickler that runs what it reads."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return (Path.write_text, (self.path, "was run"))


def test_nothing_is_run_by_a_checkpoint(tmp_path):
    run = read_nerfstudio_run(write_run(tmp_path / "run"))
    trap, mark = run.folder / "nerfstudio_models" / "step-000000100.ckpt", tmp_path / "mark"
    torch.save({"step": 100, "pipeline": {"_model.x": Touch(mark)}}, trap)
    with pytest.raises(RunError, match="cannot be read"):
        read_checkpoint(run)
    assert not mark.exists()
    trap.write_bytes(pickle.dumps(Touch(mark)))
    with pytest.raises(RunError, match="cannot be read"):
        read_checkpoint(run)
    assert not mark.exists()


@pytest.mark.parametrize("tag", ["python/object/apply:os.mkdir", "python/object/new:os.mkdir"])
def test_nothing_is_run_by_settings(tag, tmp_path):
    mark = tmp_path / "mark"
    (tmp_path / "config.yml").write_text(f"pipeline: !!{tag}\n- {mark}\n")
    config = read_nerfstudio_run(tmp_path).config
    assert config["pipeline"] == {"<class>": "os.mkdir", "<arguments>": [str(mark)]}
    assert not mark.exists()


@pytest.mark.parametrize("text", ["", "a: [", "- 1", "\x00", "a: &x [*x]", "? {a: b}\n: 1", "!unknown/tag {}"])
def test_settings_that_are_none(text, tmp_path):
    (tmp_path / "config.yml").write_text(text)
    with pytest.raises(RunError, match=r"config\.yml"):
        _ = read_nerfstudio_run(tmp_path).model


def test_a_run_without_checkpoints(tmp_path):
    run = read_nerfstudio_run(write_run(tmp_path / "run"))
    file = run.folder / "nerfstudio_models" / "step-000000059.ckpt"
    whole = file.read_bytes()
    for spoilt in (b"", whole[: len(whole) // 2], b"PK" + whole[2:100]):
        file.write_bytes(spoilt)
        with pytest.raises(RunError, match="cannot be read"):
            read_checkpoint(run)
    torch.save({"pipeline": {}}, file)
    with pytest.raises(RunError, match="no checkpoint of nerfstudio"):
        read_checkpoint(run)
    file.unlink()
    with pytest.raises(RunError, match="has no checkpoint"):
        read_checkpoint(run)
    with pytest.raises(RunError, match="cannot be read"):
        read_nerfstudio_run(tmp_path / "nowhere")
