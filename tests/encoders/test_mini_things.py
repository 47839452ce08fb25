"""What tells things apart in photos: its vectors lie where they say, and its weights are those of its tower."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from lerf.encoders import mini_things
from lerf.encoders.mini_things import WIDTH, MiniThings
from lerf.encoders.protocols import DenseEncoder
from lerf.errors import EncoderError

SHIPPED = Path(mini_things.__file__).parent / "data" / "mini_things.safetensors"


@pytest.fixture(scope="module")
def things() -> MiniThings:
    return MiniThings()


def square_on_ground(height: int, width: int) -> torch.Tensor:
    """A smooth grey photo with a red square in the middle third."""
    shade = torch.linspace(0.55, 0.75, width).expand(3, height, width).clone()
    shade[:, height // 3 : 2 * height // 3, width // 3 : 2 * width // 3] = torch.tensor([0.8, 0.1, 0.1])[:, None, None]
    return shade


@pytest.mark.parametrize(("height", "width"), [(240, 320), (300, 200), (97, 131)])
def test_the_grid_covers_the_photo(things: MiniThings, height: int, width: int) -> None:
    grid = things.encode_photo(square_on_ground(height, width))
    rows, columns, channels = grid.features.shape
    assert (rows, channels) == (120, WIDTH)
    # The last cell ends with the photo, or less than a cell behind it.
    assert grid.y0 + (rows - 0.5) * grid.dy == pytest.approx(height)
    assert -0.01 <= grid.x0 + (columns - 0.5) * grid.dx - width < 2 * grid.dx
    assert grid.features.isfinite().all()


def test_places_on_one_thing_are_nearer_than_places_on_two(things: MiniThings) -> None:
    """Across the edge of the square vectors differ; as far apart on the square or on the ground they do not."""
    vectors = things.encode_photo(square_on_ground(240, 320)).features
    inside, outside = vectors[50:70, 64:96], vectors[50:70, 10:42]
    across = torch.exp(-(vectors[50:70, 50] - vectors[50:70, 57]).square().sum(-1))
    for even in (inside, outside):
        alike = torch.exp(-(even[:, 7:] - even[:, :-7]).square().sum(-1))
        assert float(alike.mean()) > 0.7 > 0.4 > float(across.mean())


def test_it_is_a_dense_encoder_whose_fingerprint_knows_its_weights(
    things: MiniThings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert isinstance(things, DenseEncoder)
    tensors = load_file(SHIPPED)
    tensors["out.bias"] += 1
    _instead(tmp_path, monkeypatch, tensors, _about())
    assert MiniThings().fingerprint != things.fingerprint


@pytest.mark.parametrize("fault", ["tower", "shape", "bytes", "missing"])
def test_weights_that_are_not_its_own_are_refused(fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tensors, about = load_file(SHIPPED), _about()
    if fault == "tower":
        about["tower"] = "0" * 64
    if fault == "shape":
        tensors["out.bias"] = tensors["out.bias"][:3].clone()
    path = _instead(tmp_path, monkeypatch, tensors, about)
    if fault == "bytes":
        path.write_bytes(path.read_bytes()[:1000])
    if fault == "missing":
        path.unlink()
    with pytest.raises(EncoderError, match="install lerf again"):
        MiniThings()


def _about() -> dict[str, str]:
    from safetensors import safe_open

    with safe_open(SHIPPED, "np") as file:
        return dict(file.metadata())


def _instead(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tensors: dict[str, torch.Tensor], about: dict[str, str]
) -> Path:
    """A copy of the package's weights in which these stand."""
    data = folder / "data"
    data.mkdir()
    shutil.copy(SHIPPED.with_name("mini.safetensors"), data)
    save_file(tensors, data / SHIPPED.name, metadata=about)
    monkeypatch.setattr(mini_things, "files", lambda package: folder)
    return data / SHIPPED.name
