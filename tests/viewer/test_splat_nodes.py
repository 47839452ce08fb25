"""Gaussians that a page is sent of a run that is no splat."""

import numpy as np
import torch

from lerf.viewer import splat_nodes
from lerf.viewer.scene_state import open_scene_state
from lerf.viewer.splat_nodes import SplatNodes


def test_a_run_without_a_splat_is_fitted_on_the_thread_that_has_no_gradients(drawn_run, monkeypatch):
    monkeypatch.setattr(splat_nodes, "RAYS", 2000)
    monkeypatch.setattr(splat_nodes, "STEPS", 3)
    nodes, said = SplatNodes(open_scene_state(drawn_run, device="cpu")), []
    with torch.no_grad():
        for _ in (work := nodes.prepare(said.append)):
            pass
        assert work.gi_frame is None
        for _ in nodes.near():
            pass
    assert nodes.node is not None
    assert len(nodes.node.means) > 500
    assert np.isfinite(nodes.node.covariances).all()
    assert (np.linalg.eigvalsh(nodes.node.covariances) > 0).all()
    assert any("3 of 3" in text for text in said)
    again = list(nodes.prepare(said.append))
    assert again == [], "made once"
