"""How much a step starts on a GPU with the fused kernels, and that it waits for nothing."""

from dataclasses import replace

import pytest
import torch
from fake_gpu import SUPPORTED, fake_gpu
from tiny import tiny_preset

from gpu import Bench, language_trainer
from lerf.radiance.hash_grid.field import RadianceField
from lerf.run.settings import PRESETS
from lerf.scenes.load import read_scene
from lerf.training.pixels import PixelPool
from lerf.training.radiance import RadianceTrainer

pytestmark = [
    pytest.mark.skipif(not SUPPORTED, reason="this torch knows no devices of Python's own"),
    pytest.mark.usefixtures("interpreted"),
]
MOST = {"radiance": 300, "language": 400}


def spent(ledger, step, steps=2):
    """The most launches of a step, after the first, which makes what later ones reuse."""
    step()
    found = []
    for _ in range(steps):
        ledger.clear()
        step()
        assert not ledger.waits
        assert not ledger.uploads
        found.append(ledger.launched)
    return max(found)


def test_a_radiance_step(drawn):
    tiny, lerf_preset = tiny_preset(), PRESETS["lerf"]
    sizes = replace(tiny.radiance, shading=lerf_preset.radiance.shading, log2_entries=8, grid_side=8)
    # The density grid is read anew and the distortion loss has a part in every step.
    training = replace(tiny.radiance_training, rays=64, grid_cells=64, grid_every=1, distortion_ramp=(0, 1))
    with fake_gpu() as ledger:
        torch.manual_seed(0)
        scene = read_scene(drawn.folder)
        trainer = RadianceTrainer(RadianceField(sizes, len(scene.train)).to("cuda"), training, 0)
        pixels = PixelPool(scene, "cuda")
        assert spent(ledger, lambda: trainer.step(pixels.draw)) <= MOST["radiance"]
        used = set(ledger.operations)
    assert {"forward", "backward_table", "proposal_edges", "weights_forward", "weights_backward", "sparse_adam"} <= used


def test_a_language_step():
    bench = Bench("cuda", True, None)
    preset = bench.preset("lerf")
    assert preset.language.layers == PRESETS["lerf"].language.layers
    with fake_gpu() as ledger:
        _, step = language_trainer(bench, preset, 8)
        assert spent(ledger, step) <= MOST["language"]
        assert {"composite_forward", "composite_backward", "sparse_adam"} <= set(ledger.operations)
