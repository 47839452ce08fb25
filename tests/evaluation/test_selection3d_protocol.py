"""3D selection: which Gaussians the presets select, and what is seen of them."""

from types import SimpleNamespace

import numpy as np
import torch

from lerf.evaluation.selection3d import ALPHA, alone, selections, stretched, within_scene
from lerf.exports.splat import NamedSplats
from lerf.geometry.camera import Camera
from lerf.geometry.camera_table import CameraTable
from lerf.radiance.splats.gaussians import Gaussians
from lerf.splats.splats import new_splats


def in_a_row(relevancy: list[float], named: bool = True) -> NamedSplats:
    """Gaussians along a line, the first three of an instance where there is one."""
    count = len(relevancy)
    positions = torch.zeros(count, 3)
    positions[:, 0] = torch.arange(count)
    instances = torch.full((1, count), -1)
    if named:
        instances[0, :3] = 0
    turns = np.tile([1.0, 0, 0, 0], (count, 1))
    splats = new_splats(positions.numpy(), np.zeros((count, 3)), turns, np.zeros(count), np.zeros((count, 1, 3)))
    return NamedSplats(splats, positions, torch.tensor([relevancy]), instances)


def test_what_the_presets_select() -> None:
    relevancy = [0.9, 0.88, 0.86, 0.5, 0.45, 0.4] + [0.1] * 20
    raw = torch.tensor([[0.6, 0.4, 0.6, 0.6, 0.2, 0.2] + [0.1] * 20])
    found = selections(in_a_row(relevancy), raw)
    assert found["opengaussian"][0].nonzero().flatten().tolist() == [0, 1, 2]
    # Stretched to 0..1, 0.9 and 0.86 are over 0.6, and raw relevancy over 0.5 leaves the second out.
    assert found["laga"][0].nonzero().flatten().tolist() == [0, 2]
    values = torch.tensor(relevancy)
    around = torch.stack([values[np.argsort(np.abs(np.arange(26) - i), kind="stable")[1:11]].mean() for i in range(26)])
    blended = stretched((0.5 * values + 0.5 * around)[None])
    assert torch.equal(found["vala"], (2 * blended - 1) > 0.6)
    assert set(found) == set(ALPHA)


def test_an_absent_phrase_selects_nothing() -> None:
    found = selections(in_a_row([0.9, 0.1] * 10, named=False), torch.full((1, 20), 0.9))
    assert not any(bool(rows.any()) for rows in found.values())


def test_alone_and_within_the_scene() -> None:
    """What stands behind another is seen alone, and not within the scene."""
    means = torch.tensor([[0.0, 0.0, -2.0], [0.0, 0.0, -4.0], [1.0, 0.0, -4.0]])
    turns = torch.tensor([[1.0, 0, 0, 0]]).expand(3, 4).contiguous()
    gaussians = Gaussians(means, turns, torch.full((3, 3), 0.2), torch.full((3,), 0.99), torch.zeros(3, 1, 3))
    camera = Camera(32, 24, 40.0, 40.0, 16.0, 12.0, np.eye(4)[:3])
    table = CameraTable.from_cameras([camera])
    members = torch.eye(3, dtype=torch.bool)
    free, hidden = alone(gaussians, members, table), within_scene(gaussians, members, table)
    middle = SimpleNamespace(row=12, column=16)
    for row, (by_itself, among) in enumerate(((True, True), (True, False), (False, False))):
        assert (float(free[row][middle.row, middle.column]) > 0.9) == by_itself
        assert (float(hidden[row][middle.row, middle.column]) > 0.5) == among
    assert float(free[2][12, 26]) > 0.9
    assert float(hidden[2][12, 26]) > 0.9
    nobody = alone(gaussians, torch.zeros(1, 3, dtype=torch.bool), table)[0]
    assert float(nobody.max()) == 0
