"""Checkpoints and metrics of a run folder."""

import json

import pytest
import torch
from torch import nn

from lerf.errors import RunError, StorageError
from lerf.run import folder
from lerf.run.folder import RunFolder


@pytest.fixture
def run(tmp_path):
    run = RunFolder(tmp_path)
    run.save_stage("radiance", {"field.weight": torch.arange(6.0).view(2, 3)}, {"step": 5, "finished": False})
    return run


def test_a_checkpoint_is_read_as_it_was_written(run):
    tensors, facts = run.load_stage("radiance")
    assert torch.equal(tensors["field.weight"], torch.arange(6.0).view(2, 3))
    assert facts == run.read_facts("radiance") == {"step": 5, "finished": False}
    assert run.has_stage("radiance")
    assert not run.has_stage("language")
    assert run.read_facts("language") is None
    with pytest.raises(RunError, match="has no language checkpoint"):
        run.load_stage("language")


def test_a_checkpoint_that_is_cut_off(run):
    path = run.path / "radiance.safetensors"
    path.write_bytes(path.read_bytes()[:-4])
    for read in (run.load_stage, run.read_facts):
        with pytest.raises(RunError, match=r"radiance\.safetensors is damaged"):
            read("radiance")


def test_a_checkpoint_of_a_newer_version(run, monkeypatch):
    monkeypatch.setattr(folder, "FORMAT", 2)
    run.save_stage("radiance", {}, {})
    monkeypatch.undo()
    for read in (run.load_stage, run.read_facts):
        with pytest.raises(RunError, match="written by a newer lerf"):
            read("radiance")


def test_a_field_of_another_shape_is_refused(run):
    tensors, _ = run.load_stage("radiance")
    field = run.restore_field("radiance", lambda: nn.Linear(3, 2, bias=False), tensors)
    assert torch.equal(field.weight, tensors["field.weight"])
    for other in (lambda: nn.Linear(2, 2, bias=False), lambda: nn.Linear(3, 2), lambda: field.double()):
        with pytest.raises(RunError, match=r"does not fit config\.json"):
            run.restore_field("radiance", other, tensors)


def test_metrics_after_a_checkpoint_are_forgotten(run):
    for stage, step in (("radiance", 20), ("language", 20), ("radiance", 40)):
        run.append_metrics({"stage": stage, "step": step})
    with (run.path / "metrics.jsonl").open("a") as file:
        file.write('{"stage": "lang')
    run.trim_metrics("radiance", 20)
    lines = [json.loads(line) for line in (run.path / "metrics.jsonl").read_text().splitlines()]
    assert [(line["stage"], line["step"]) for line in lines] == [("radiance", 20), ("language", 20)]


def test_metrics_on_a_full_disk(tmp_path, monkeypatch):
    monkeypatch.setattr("builtins.open", _full)
    with pytest.raises(StorageError, match=r"No space left on device\. Free space"):
        RunFolder(tmp_path).append_metrics({"stage": "radiance", "step": 1})


def _full(*arguments, **options):
    raise OSError(28, "No space left on device")
