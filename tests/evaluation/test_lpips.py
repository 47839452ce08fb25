"""LPIPS against its formula worked out in numpy; the layouts of weights; what `lerf eval` makes of it."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import safetensors.torch
import torch

import lerf
from lerf.apps.main import main
from lerf.errors import ConfigError, EncoderError, RunError, SceneError
from lerf.evaluation.colour import evaluate_colour
from lerf.evaluation.lpips import load_lpips
from lerf.scenes.scene import Scene

SHAPES = {0: (64, 3, 11, 11), 3: (192, 64, 5, 5), 6: (384, 192, 3, 3), 8: (256, 384, 3, 3), 10: (256, 256, 3, 3)}


def random_network() -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """AlexNet's convolutions as torchvision names them, and channel weights as the lpips package does."""
    generator = torch.Generator().manual_seed(0)
    network, linear = {}, {}
    for number, (index, shape) in enumerate(SHAPES.items()):
        spread = (2 / np.prod(shape[1:])) ** 0.5
        network[f"features.{index}.weight"] = torch.randn(shape, generator=generator) * spread
        network[f"features.{index}.bias"] = torch.randn(shape[0], generator=generator) * 0.1
        linear[f"lin{number}.model.1.weight"] = torch.rand(1, shape[0], 1, 1, generator=generator)
    return network, linear


def whole_state() -> dict[str, torch.Tensor]:
    """What the lpips package's own `state_dict` holds, its second names for the channel weights included."""
    network, linear = random_network()
    state = {
        "scaling_layer.shift": torch.tensor([-0.030, -0.088, -0.188])[None, :, None, None],
        "scaling_layer.scale": torch.tensor([0.458, 0.448, 0.450])[None, :, None, None],
    }
    for number, index in enumerate(SHAPES):
        for kind in ("weight", "bias"):
            state[f"net.slice{number + 1}.{index}.{kind}"] = network[f"features.{index}.{kind}"]
        weights = linear[f"lin{number}.model.1.weight"]
        state |= {f"lin{number}.model.1.weight": weights, f"lins.{number}.model.1.weight": weights.clone()}
    return state


@pytest.fixture(scope="module")
def layouts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One network in every accepted layout."""
    folder = tmp_path_factory.mktemp("lpips")
    network, linear = random_network()
    pair = folder / "pair"
    pair.mkdir()
    torch.save({**network, "classifier.6.bias": torch.zeros(1000)}, pair / "alexnet-owt-7be5be79.pth")
    torch.save(linear, pair / "alex.pth")
    torch.save(whole_state(), folder / "whole.pth")
    safetensors.torch.save_file(whole_state(), folder / "whole.safetensors")
    safetensors.torch.save_file({**network, **linear}, folder / "joined.safetensors")
    return {
        "folder": pair, "whole pth": folder / "whole.pth", "whole safetensors": folder / "whole.safetensors",
        "joined safetensors": folder / "joined.safetensors",
    }  # fmt: skip


def pictures(height: int = 34, width: int = 41) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    first = torch.rand(height, width, 3, generator=generator)
    return first, (first + 0.3 * torch.rand(height, width, 3, generator=generator)).clamp(0, 1)


def convolve(x: np.ndarray, kernel: np.ndarray, bias: np.ndarray, stride: int, padding: int) -> np.ndarray:
    x = np.pad(x, ((0, 0), (padding, padding), (padding, padding)))
    size = kernel.shape[-1]
    rows, columns = (range(0, side - size + 1, stride) for side in x.shape[1:])
    return np.array([[np.tensordot(kernel, x[:, r : r + size, c : c + size], 3) + bias for c in columns]
                     for r in rows]).transpose(2, 0, 1)  # fmt: skip


def pool(x: np.ndarray) -> np.ndarray:
    rows, columns = (range(0, side - 2, 2) for side in x.shape[1:])
    return np.array([[x[:, r : r + 3, c : c + 3].max(axis=(1, 2)) for c in columns] for r in rows]).transpose(2, 0, 1)


def reference(first: torch.Tensor, second: torch.Tensor) -> float:
    """The formula, place by place and in double precision."""
    network, linear = ({name: value.double().numpy() for name, value in part.items()} for part in random_network())
    unit = []
    for picture in (first, second):
        x = picture.double().numpy().transpose(2, 0, 1) * 2 - 1
        x = (x - np.array([-0.030, -0.088, -0.188])[:, None, None]) / np.array([0.458, 0.448, 0.450])[:, None, None]
        taps = []
        for index, stride, padding in ((0, 4, 2), (3, 1, 2), (6, 1, 1), (8, 1, 1), (10, 1, 1)):
            x = pool(x) if index in (3, 6) else x
            x = convolve(x, network[f"features.{index}.weight"], network[f"features.{index}.bias"], stride, padding)
            x = np.maximum(x, 0)
            taps.append(x / (np.linalg.norm(x, axis=0) + 1e-10))
        unit.append(taps)
    total = 0.0
    for number, (x, y) in enumerate(zip(*unit, strict=True)):
        weights = linear[f"lin{number}.model.1.weight"].reshape(-1)
        places = [weights @ (x[:, r, c] - y[:, r, c]) ** 2 for r in range(x.shape[1]) for c in range(x.shape[2])]
        total += sum(places) / len(places)
    return total


def test_formula(layouts: dict[str, Path]) -> None:
    first, second = pictures()
    expected = reference(first, second)
    assert expected > 0.01
    assert load_lpips(layouts["folder"]).distance(first, second) == pytest.approx(expected, rel=1e-4)


def test_equal_pictures_and_symmetry(layouts: dict[str, Path]) -> None:
    lpips = load_lpips(layouts["folder"])
    first, second = pictures()
    assert lpips.distance(first, first) == 0
    assert lpips.distance(torch.zeros(31, 31, 3), torch.zeros(31, 31, 3)) == 0
    assert lpips.distance(first, second) == pytest.approx(lpips.distance(second, first), rel=1e-6)


def test_layouts_agree(layouts: dict[str, Path]) -> None:
    distances = [load_lpips(path).distance(*pictures()) for path in layouts.values()]
    assert distances == [distances[0]] * len(layouts)


def test_a_picture_too_small(layouts: dict[str, Path]) -> None:
    lpips = load_lpips(layouts["folder"])
    assert lpips.distance(*pictures(31, 31)) > 0
    with pytest.raises(ConfigError, match="at least 31x31 pixels, not 40x30"):
        lpips.distance(*pictures(30, 40))


def without(name: str) -> dict[str, torch.Tensor]:
    return {key: value for key, value in whole_state().items() if key != name}


UNFIT = {
    "no channel weights": (lambda: random_network()[0], "holds no lin0.model.1.weight"),
    "no convolutions": (lambda: random_network()[1], "holds no net.slice1.0.weight"),
    "one bias is missing": (lambda: without("net.slice4.8.bias"), "holds no net.slice4.8.bias"),
    "another network": (lambda: {**whole_state(), "net.slice1.0.weight": torch.zeros(64, 3, 3, 3)}, r"\(64, 3, 3, 3\)"),
    "whole numbers": (lambda: {**whole_state(), "net.slice1.0.bias": torch.zeros(64, dtype=torch.int64)}, "floats"),
    "not a number": (lambda: {**whole_state(), "net.slice1.0.bias": torch.full((64,), torch.nan)}, "not finite"),
    "another scaling": (lambda: {**whole_state(), "scaling_layer.shift": torch.zeros(1, 3, 1, 1)}, "scaling_layer"),
    "no arrays": (lambda: {**whole_state(), "net.slice1.0.bias": "zero"}, "type str"),
    "a list": (lambda: [torch.zeros(3)], "holds a list"),
}


@pytest.mark.parametrize("case", UNFIT)
def test_unfit_weights(tmp_path: Path, case: str) -> None:
    make, message = UNFIT[case]
    torch.save(make(), tmp_path / "weights.pth")
    with pytest.raises(EncoderError, match=message) as caught:
        load_lpips(tmp_path / "weights.pth")
    assert "give AlexNet's LPIPS weights" in str(caught.value)


@pytest.mark.parametrize("layout", ["whole pth", "whole safetensors"])
@pytest.mark.parametrize("damage", ["cut", "garbled", "empty"])
def test_damaged_weights(layouts: dict[str, Path], tmp_path: Path, layout: str, damage: str) -> None:
    good = layouts[layout].read_bytes()
    path = tmp_path / layouts[layout].name
    path.write_bytes({"cut": good[: len(good) // 2], "garbled": b"\x80\x02" + bytes(range(256)), "empty": b""}[damage])
    with pytest.raises(EncoderError, match="cannot be read as weights"):
        load_lpips(path)


def test_a_pickle_that_runs_code_is_refused(tmp_path: Path) -> None:
    torch.save({"weights": SimpleNamespace()}, tmp_path / "weights.pth")
    with pytest.raises(EncoderError, match="cannot be read as weights"):
        load_lpips(tmp_path / "weights.pth")


def test_missing_weights(layouts: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(EncoderError, match="no file or folder"):
        load_lpips(tmp_path / "nowhere.pth")
    with pytest.raises(EncoderError, match=r"holds 0 alexnet-\*\.pth and 0 alex\.pth"):
        load_lpips(tmp_path)
    for name in ("alex.pth", "alexnet-a.pth", "alexnet-b.pth"):
        (tmp_path / name).touch()
    with pytest.raises(EncoderError, match=r"holds 2 alexnet-\*\.pth and 1 alex\.pth"):
        load_lpips(tmp_path)


def test_eval_adds_lpips(drawn_run: Path, layouts: dict[str, Path], tiny: None, capsys: pytest.CaptureFixture) -> None:
    def report(*options: str) -> dict:
        capsys.readouterr()
        assert main(["eval", str(drawn_run), "--json", *options]) == 0
        return json.loads(capsys.readouterr().out)

    plain, scored = report(), report("--lpips-weights", str(layouts["folder"]))
    assert set(scored) == {*plain, "lpips"}
    assert scored["lpips"] == pytest.approx(np.mean([view.pop("lpips") for view in scored["views"]]))
    assert scored.pop("lpips") > 0
    assert scored == plain
    assert main(["eval", str(drawn_run), "--lpips-weights", str(layouts["folder"])]) == 0
    assert "LPIPS" in capsys.readouterr().out
    assert main(["eval", str(drawn_run), "--lpips-weights", str(drawn_run)]) == 2
    assert "give AlexNet's LPIPS weights" in capsys.readouterr().err


def masked_photos(monkeypatch: pytest.MonkeyPatch, *indices: int) -> None:
    def mask(scene: Scene, index: int) -> np.ndarray:
        camera = scene.photos[index].camera
        return np.full((camera.height, camera.width), index not in indices)

    monkeypatch.setattr(Scene, "mask", mask)


def test_a_photo_without_pixels_is_left_out(
    drawn_run: Path, tiny: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    model = lerf.load(drawn_run, device="cpu")
    whole = evaluate_colour(model)
    masked_photos(monkeypatch, model.scene.test[1])
    seen = []
    report = evaluate_colour(model, lambda done, total: seen.append((done, total)))
    json.dumps(report, allow_nan=False)
    assert report["views"] == [whole["views"][0], whole["views"][2]]
    assert report["psnr"] == pytest.approx((whole["views"][0]["psnr"] + whole["views"][2]["psnr"]) / 2)
    assert report["left_out"] == [
        {"photo": whole["views"][1]["photo"], "reason": "its mask leaves no pixel to compare"}
    ]
    assert seen == [(1, 3), (2, 3), (3, 3)]
    capsys.readouterr()
    assert main(["eval", str(drawn_run)]) == 0
    assert "is left out: its mask leaves no pixel" in capsys.readouterr().out
    masked_photos(monkeypatch, *model.scene.test)
    with pytest.raises(SceneError, match="No held-out photo can be scored"):
        evaluate_colour(model)


def test_scores_that_are_not_finite(drawn_run: Path, tiny: None, monkeypatch: pytest.MonkeyPatch) -> None:
    model = lerf.load(drawn_run, device="cpu")
    values = iter([float("inf"), 20.0, 22.0])
    monkeypatch.setattr("lerf.evaluation.colour.psnr", lambda prediction, target: next(values))
    report = evaluate_colour(model)
    json.dumps(report, allow_nan=False)
    assert report["psnr"] == 21
    assert "infinite" in report["left_out"][0]["reason"]
    monkeypatch.setattr("lerf.evaluation.colour.psnr", lambda prediction, target: float("nan"))
    with pytest.raises(RunError, match="not numbers; train it again"):
        evaluate_colour(model)
