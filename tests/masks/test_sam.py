"""SAM and SAM 2 from tiny checkpoints in the hub's layout, and the masks that they make in a training."""

import json

import numpy as np
import pytest
import torch
from checkpoints import processor_in_pillow, write_dense, write_sam
from command_line import run_json
from PIL import Image

import lerf
from lerf.encoders.hub import find_files
from lerf.errors import ConfigError, EncoderError
from lerf.masks import sam
from lerf.masks.made import make_masks
from lerf.masks.mask_files import read_masks
from lerf.masks.photo_masks import MOST_LEVELS
from lerf.masks.prompted import MaskRule
from lerf.masks.sam import Segmenter, fingerprint_of

transformers = pytest.importorskip("transformers")
KINDS = ("sam", "sam2_video")
EVERYTHING = MaskRule(points=4, quality=-100.0, stability=0.0, overlap=0.999)
"""A random network believes in nothing."""


@pytest.fixture(autouse=True)
def believe(monkeypatch) -> None:
    monkeypatch.setattr(sam, "RULES", dict.fromkeys(sam.RULES, EVERYTHING))


def photo(rows: int = 45, columns: int = 60, seed: int = 0) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(0, 256, (5, 6, 3), dtype=np.uint8)
    return np.array(Image.fromarray(coarse).resize((columns, rows)))


@pytest.mark.parametrize("kind", KINDS)
def test_masks_are_those_of_the_network_itself(tmp_path, kind: str, monkeypatch) -> None:
    """One point, against the published model and processor: pixels that differ lie where logits are about zero."""
    write_sam(tmp_path, kind)
    monkeypatch.setattr(sam, "RULES", dict.fromkeys(sam.RULES, MaskRule(1, -100.0, 0.0, 1.0, 1.0)))
    pixels = photo()
    ours = Segmenter("sam:x", find_files(str(tmp_path))).masks(pixels)
    mean, std = (torch.tensor(values)[:, None, None] for values in ([0.4, 0.5, 0.6], [0.2, 0.25, 0.3]))
    if kind == "sam":
        network = transformers.SamModel.from_pretrained(tmp_path)
        processor = processor_in_pillow("Sam", tmp_path)
        processor.pad_size, processor.mask_size = {"height": 64, "width": 64}, {"longest_edge": 16}
        inputs = processor(Image.fromarray(pixels), return_tensors="pt")
        seen, shape = inputs["pixel_values"], inputs["reshaped_input_sizes"][0].tolist()
    else:
        settings = json.loads((tmp_path / "config.json").read_text())
        (tmp_path / "config.json").write_text(json.dumps({**settings, "model_type": "sam2"}))
        network = transformers.Sam2Model.from_pretrained(tmp_path)
        resized = np.array(Image.fromarray(pixels).resize((64, 64), Image.Resampling.BILINEAR))
        seen, shape = ((torch.from_numpy(resized).permute(2, 0, 1) / 255 - mean) / std)[None], [64, 64]
    middle = torch.tensor([[[[shape[1] / 2, shape[0] / 2]]]])
    with torch.inference_mode():
        out = network(pixel_values=seen, input_points=middle)
    logits = torch.nn.functional.interpolate(out.pred_masks[0], (64, 64), mode="bilinear")[..., : shape[0], : shape[1]]
    theirs = torch.nn.functional.interpolate(logits, pixels.shape[:2], mode="bilinear")[0] > 0
    order = out.iou_scores[0, 0].argsort(descending=True)
    wanted = [mask.numpy() for mask in theirs[order] if mask.any() and mask.float().mean() <= 0.95]
    assert len(ours) == len(wanted) > 0
    for own, their in zip(ours, wanted, strict=True):
        assert (own != their).mean() < 0.03


@pytest.mark.parametrize("kind", KINDS)
def test_a_large_photo_gets_smaller_masks(tmp_path, kind: str, monkeypatch) -> None:
    write_sam(tmp_path, kind)
    monkeypatch.setattr(sam, "LONGEST", 100)
    masks = Segmenter("sam:x", find_files(str(tmp_path))).masks(photo(210, 300))
    assert masks
    assert {mask.shape for mask in masks} == {(70, 100)}


def test_what_is_no_sam_is_refused(tmp_path) -> None:
    write_dense(tmp_path)
    with pytest.raises(EncoderError, match="holds a model of type 'vit', not one of sam, sam2, sam2_video"):
        fingerprint_of(find_files(str(tmp_path)))


def test_masks_that_are_not_finite_are_refused(tmp_path) -> None:
    write_sam(tmp_path)
    maker = Segmenter("sam:x", find_files(str(tmp_path)))
    next(maker._network.mask_decoder.parameters()).fill_(float("nan"))
    with pytest.raises(EncoderError, match="masks of sam:x are not finite"):
        maker.masks(photo())


class Photos:
    def __len__(self) -> int:
        return 3

    def pixels(self, index: int) -> np.ndarray:
        return photo(seed=index)


class Counting:
    """Finds the left half, and in the second photo nothing; stops at the third where it is told to."""

    name = "counting"

    def __init__(self, stop: bool = False) -> None:
        self.asked, self.stop = 0, stop

    def masks(self, pixels: np.ndarray) -> list[np.ndarray]:
        if self.stop and self.asked == 2:
            raise KeyboardInterrupt
        self.asked += 1
        left = np.zeros(pixels.shape[:2], bool)
        left[:, :30] = True
        return [] if np.array_equal(pixels, photo(seed=1)) else [left]


def test_each_photo_is_searched_once(tmp_path) -> None:
    first, second = Counting(stop=True), Counting()
    about = {"encoder": "counting", "fingerprint": "1"}
    with pytest.raises(KeyboardInterrupt):
        make_masks(Photos(), lambda: first, about, root=tmp_path)
    heard: list[tuple[int, int]] = []
    files = make_masks(Photos(), lambda: second, about, root=tmp_path, progress=lambda *done: heard.append(done))
    assert (first.asked, second.asked) == (2, 1)
    assert heard == [(1, 3), (2, 3), (3, 3)]
    assert files[1] is None
    masks = read_masks(files[2], (60, 45))
    assert masks.count == 1
    assert (masks.ids[0] == 0).sum() == 30 * 45
    make_masks(Photos(), lambda: pytest.fail("everything is there"), about, root=tmp_path)
    third = Counting()
    make_masks(Photos(), lambda: third, {**about, "fingerprint": "2"}, root=tmp_path)
    assert third.asked == 3, "another network makes other masks"


def test_of_too_many_over_one_place_the_least_sure_go(tmp_path) -> None:
    class Nested:
        name = "nested"

        def masks(self, pixels: np.ndarray) -> list[np.ndarray]:
            columns = np.arange(pixels.shape[1])[None].repeat(pixels.shape[0], 0)
            return [columns < 60 - 2 * number for number in range(MOST_LEVELS + 4)]

    (file, *_) = make_masks(Photos(), Nested, {"encoder": "nested"}, root=tmp_path)
    assert read_masks(file, (60, 45)).count == (MOST_LEVELS + 4) * 3 // 4


@pytest.mark.usefixtures("tiny")
def test_a_training_with_masks_of_a_network(drawn, drawn_run, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setenv("LERF_CACHE", str(tmp_path / "cache"))
    write_sam(tmp_path / "sam")
    name = f"sam:{tmp_path / 'sam'}"
    settings = {"device": "cpu", "language": "lift", "radiance_run": drawn_run, "masks": name}
    run = lerf.train(drawn.folder, tmp_path / "run", **settings)
    made = list((tmp_path / "cache/masks").glob("*/*/*.json"))
    assert len(made) == len(run.scene.train)
    assert json.loads((tmp_path / "run/config.json").read_text())["settings"]["masks"] == name
    listed = run_json(capsys, "cache", "ls")["entries"]
    assert [entry["photos"] for entry in listed if entry["encoder"] == name] == [len(made)]
    assert run_json(capsys, "cache", "prune", "--encoder", name)["removed"] == [str(made[0].parents[1])]


@pytest.mark.usefixtures("tiny")
def test_a_model_must_be_named_and_be_there(drawn, tmp_path) -> None:
    with pytest.raises(ConfigError, match="for example sam:facebook/sam-vit-base"):
        lerf.train(drawn.folder, tmp_path / "run", device="cpu", masks="sam:")
    with pytest.raises(EncoderError, match="run `lerf encoders fetch nobody/sam`, or leave --masks out"):
        lerf.train(drawn.folder, tmp_path / "run", device="cpu", masks="sam:nobody/sam", offline=True)
    assert not (tmp_path / "run").exists()
