"""Every file that lerf reads has a kind, and its tensors are spoilt where they are understood."""

import json
from random import Random

import torch
from safetensors.torch import load, save

from fuzzing.kinds import SUITE
from fuzzing.mutation.tensors import spoilt_safetensors


def test_all_kinds_are_there():
    assert set(SUITE.kinds) == {
        "transforms", "blender", "colmap-binary", "colmap-text", "photos", "photo-names", "masks", "labels", "boxes",
        "annotations", "label-pictures", "absent-phrases", "camera-path", "dataparser-transform", "run-config",
        "run-scene", "run-timings", "run-metrics", "checkpoints", "surface-store", "baked-index", "cell-surface",
        "lifted-index", "render-record", "pyramid-store", "encoder-clip", "encoder-openclip",
        "encoder-openclip-siglip", "encoder-siglip",
        "encoder-vit", "encoder-mini", "made-scene",
        "bundler", "visual-sfm", "alicevision", "openmvg", "opensfm", "metashape", "reality-capture", "kapture",
        "colmap-points",
        "cameras-json", "llff", "open3d-json", "open3d-log", "record3d", "polycam", "scanner-app", "split-files",
        "sparse-points", "splats",
    }  # fmt: skip


def test_tensors_are_spoilt():
    tensors = {"field.table": torch.rand(4, 3), "counts": torch.arange(5), "hit": torch.tensor([True, False])}
    data = save(tensors, {"format": "1", "facts": json.dumps({"step": 3, "finished": True})})
    results = [spoilt_safetensors(data, Random(seed)) for seed in range(300)]
    assert len({content for content, _ in results}) > 150
    loaded, broken = [], 0
    for content, _ in results:
        try:
            loaded.append(load(content))
        except Exception:
            broken += 1
    assert broken > 30
    assert any(not entry["field.table"].isfinite().all() for entry in loaded if "field.table" in entry)
    assert any("field.table" not in entry for entry in loaded)
    assert any(said.startswith("facts facts") for _, said in results)
