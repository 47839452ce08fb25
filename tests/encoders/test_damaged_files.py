"""Files of encoders with any entry changed: an `EncoderError` before memory is taken, or an encoder that works."""

import json
from importlib.resources import files

import pytest
import torch
from checkpoints import SIDE, write_clip
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from lerf.encoders.mini import Mini, Weights
from lerf.encoders.registry import load_encoder
from lerf.errors import EncoderError, LerfError

pytest.importorskip("transformers")
OTHERS = (None, "text", [], {}, -1, 0, 2**40, 1e300, True)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clip") / "tiny"
    write_clip(folder)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def folder(whole, tmp_path):
    for name, data in whole.items():
        (tmp_path / name).write_bytes(data)
    return tmp_path


def embeds(folder):
    """Whether the encoder in a folder loads; then it must give finite numbers."""
    try:
        encoder = load_encoder(f"hf:{folder}", offline=True)
        embedded = [encoder.encode_text(["red mug"]), encoder.encode_tiles(torch.rand(1, 3, SIDE, SIDE))]
    except LerfError:
        return False
    assert all(tensor.isfinite().all() for tensor in embedded)
    return True


SIZES = [
    ("text_config", "num_hidden_layers"), ("text_config", "hidden_size"), ("text_config", "vocab_size"),
    ("vision_config", "intermediate_size"), ("vision_config", "image_size"), ("projection_dim",), ("model_type",),
]  # fmt: skip


@pytest.mark.parametrize("place", SIZES, ids=".".join)
def test_sizes_of_a_config(folder, whole, place):
    for value in OTHERS:
        config = json.loads(whole["config.json"])
        inner = config
        for name in place[:-1]:
            inner = inner[name]
        inner[place[-1]] = value
        (folder / "config.json").write_text(json.dumps(config))
        embeds(folder)
    inner[place[-1]] = 2**40
    (folder / "config.json").write_text(json.dumps(config))
    assert not embeds(folder)


def test_a_config_of_a_far_larger_network_is_refused_for_its_parameters(folder, whole):
    config = json.loads(whole["config.json"])
    config["text_config"] |= {"hidden_size": 8192, "intermediate_size": 32768, "num_hidden_layers": 100}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(EncoderError, match=r"these describe [0-9]{11} parameters"):
        load_encoder(f"hf:{folder}", offline=True)


@pytest.mark.parametrize("name", ["config.json", "preprocessor_config.json", "tokenizer.json", "model.safetensors"])
def test_files_that_are_cut_off_or_other_text(folder, whole, name):
    if name not in whole:
        pytest.skip(f"this version of transformers writes no {name}")
    assert embeds(folder)
    for data in (b"", b"[]", b"null", b"\xff\xfe", whole[name][: len(whole[name]) // 2], b"{" * 100_000):
        (folder / name).write_bytes(data)
        assert not embeds(folder)


def test_weights_that_are_not_finite_are_refused(folder):
    tensors = load_file(folder / "model.safetensors")
    tensors["visual_projection.weight"][0, 0] = float("nan")
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(EncoderError, match=r"visual_projection.* not finite"):
        load_encoder(f"hf:{folder}", offline=True)


def test_embeddings_that_are_not_finite_are_refused(folder):
    tensors = load_file(folder / "model.safetensors")
    for name in ("visual_projection.weight", "text_projection.weight"):
        tensors[name].fill_(3e38)
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    encoder = load_encoder(f"hf:{folder}", offline=True)
    with pytest.raises(EncoderError, match="numbers that are not finite: fetch its weights again"):
        encoder.encode_text(["red"])
    with pytest.raises(EncoderError, match="numbers that are not finite: fetch its weights again"):
        encoder.encode_tiles(torch.rand(1, 3, encoder.input_size, encoder.input_size))


def test_a_tokenizer_that_cannot_pad_is_refused(folder):
    place = folder / "tokenizer_config.json"
    settings = json.loads(place.read_text())
    settings["pad_token"] = None
    place.write_text(json.dumps(settings))
    (folder / "special_tokens_map.json").unlink(missing_ok=True)
    with pytest.raises(EncoderError, match="no token to pad with"):
        load_encoder(f"hf:{folder}", offline=True)


def test_a_snapshot_outside_the_cache_is_not_followed(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    for commit in ("../../..", "/etc", ""):
        reference = tmp_path / "models--a--b" / "refs" / "main"
        reference.parent.mkdir(parents=True, exist_ok=True)
        reference.write_text(commit)
        with pytest.raises(EncoderError, match="names no snapshot"):
            load_encoder("hf:a/b", offline=True)


def shipped():
    path = files("lerf.encoders").joinpath("data").joinpath("mini.safetensors")
    with safe_open(path, framework="pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, file.metadata()  # noqa: SIM118


@pytest.fixture(scope="module")
def mini_file():
    return shipped()


@pytest.mark.parametrize(
    "change",
    [
        {"width": "0"}, {"width": "-3"}, {"width": "99999"}, {"width": "9" * 30}, {"width": "wide"}, {"width": None},
        {"vocabulary": None}, {"vocabulary": "3"}, {"vocabulary": "[1, 2]"}, {"vocabulary": "{}"},
        {"vocabulary": json.dumps(["word"] * 1_000_000)}, {"vocabulary": "["},
    ],
    ids=lambda change: str(change)[:40],
)  # fmt: skip
def test_sizes_of_mini_are_those_of_its_tensors(mini_file, tmp_path, change):
    tensors, header = mini_file
    header = {name: text for name, text in {**header, **change}.items() if text is not None}
    save_file(tensors, tmp_path / "mini.safetensors", header)
    with pytest.raises(EncoderError, match="leave --weights out"):
        Mini(tmp_path / "mini.safetensors")


@pytest.mark.parametrize("name", ["text.words.weight", "image.head.2.weight", "map.mean", "map.deviation"])
@pytest.mark.parametrize("spoil", ["gone", "short", "NaN", "flat"])
def test_tensors_of_mini(mini_file, tmp_path, name, spoil):
    tensors, header = mini_file[0].copy(), mini_file[1]
    if spoil == "gone":
        del tensors[name]
    else:
        tensor = tensors[name].clone().float()
        if spoil == "NaN":
            tensor.view(-1)[0] = float("nan")
        tensors[name] = tensor[:-1].clone() if spoil == "short" else tensor[0].clone() if spoil == "flat" else tensor
    save_file(tensors, tmp_path / "mini.safetensors", header)
    with pytest.raises(EncoderError, match="leave --weights out"):
        Weights(tmp_path / "mini.safetensors", "cpu")
