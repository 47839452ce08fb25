"""`lerf encoders`: what there is, and fetching it ahead of work."""

import pytest
from checkpoints import into_hub_cache, write_clip
from command_line import refused, run_json
from hub_server import COMMIT, hub_server, refusing_address

from lerf.apps.main import main
from lerf.encoders import download
from lerf.encoders.published import PUBLISHED
from lerf.encoders.registry import dense_encoder_names, encoder_names, load_encoder
from lerf.errors import EncoderError


@pytest.fixture(autouse=True)
def hub(tmp_path, monkeypatch):
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(download, "PAUSE", 0.0)
    with hub_server() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.address)
        yield server


def test_every_encoder_is_listed_with_where_its_weights_are(capsys):
    listed = {one["name"]: one for one in run_json(capsys, "encoders", "ls")["encoders"]}
    assert set(listed) == {*encoder_names(), *dense_encoder_names()}
    assert listed["openclip"]["weights"] == "weights not on this machine"
    assert (listed["openclip"]["bytes"], listed["openclip"]["licence"]) == (602_000_000, "mit")
    assert listed["mini"]["weights"] == "ships with lerf"
    assert main(["encoders", "ls"]) == 0
    shown = capsys.readouterr().out
    assert "602 MB" in shown
    assert "1.7 GB" in shown


def test_fetched_by_name_and_by_id_and_then_at_hand(hub, tmp_path, capsys):
    pytest.importorskip("transformers")
    write_clip(tmp_path / "clip")
    for model in (PUBLISHED["openclip"].model, "someone/clip"):
        hub.add(model, tmp_path / "clip")
    result = run_json(capsys, "encoders", "fetch", "openclip", "someone/clip", "hf:someone/clip")
    assert [one["name"] for one in result["fetched"]] == ["openclip", "someone/clip", "hf:someone/clip"]
    assert all(one["folder"].endswith(COMMIT) and one["bytes"] > 100_000 for one in result["fetched"])
    hub.requests.clear()
    assert main(["encoders", "fetch", "openclip"]) == 0
    said = capsys.readouterr()
    assert "openclip: 0 MB in" in said.out
    assert [path for path, _ in hub.requests] == [f"/api/models/{PUBLISHED['openclip'].model}/revision/main"]
    assert load_encoder("openclip", offline=True).fingerprint == load_encoder("hf:someone/clip").fingerprint
    states = {one["name"]: one["weights"] for one in run_json(capsys, "encoders", "ls")["encoders"]}
    assert states["openclip"] == "weights in the hub's cache"


def test_what_another_program_left_out_is_fetched(hub, tmp_path, capsys, monkeypatch):
    """Who only wants a network has its weights and settings in the cache, and not the words."""
    pytest.importorskip("transformers")
    write_clip(tmp_path / "clip")
    hub.add(PUBLISHED["openclip"].model, tmp_path / "clip")
    for pattern in ("*token*", "vocab.json", "merges.txt"):
        for path in (tmp_path / "clip").glob(pattern):
            path.unlink()
    into_hub_cache(tmp_path / "clip", tmp_path / "hub", PUBLISHED["openclip"].model, commit=COMMIT)
    with pytest.raises(EncoderError, match="holds no tokenizer"):
        load_encoder("openclip", offline=True)
    assert main(["encoders", "fetch", "openclip"]) == 0
    assert load_encoder("openclip", offline=True).name == "openclip"
    monkeypatch.setenv("HF_ENDPOINT", refusing_address())
    assert main(["encoders", "fetch", "openclip"]) == 0, "what is there counts"
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert main(["encoders", "fetch", "openclip"]) == 0
    assert "may not be fetched (HF_HUB_OFFLINE is set)" in refused(capsys, "encoders", "fetch", "dino")


def test_fetched_for_another_machine(hub, tmp_path, capsys, monkeypatch):
    pytest.importorskip("transformers")
    write_clip(tmp_path / "clip")
    hub.add(PUBLISHED["openclip"].model, tmp_path / "clip")
    run_json(capsys, "encoders", "fetch", "openclip", "--output", tmp_path / "stick")
    monkeypatch.setenv("HF_ENDPOINT", refusing_address())
    with pytest.raises(EncoderError, match="not on this machine"):
        load_encoder("openclip")
    monkeypatch.setenv("HF_HUB_CACHE", str((tmp_path / "stick").rename(tmp_path / "there")))
    assert load_encoder("openclip", offline=True).name == "openclip"
    assert "--output is for 'lerf encoders fetch'" in refused(capsys, "encoders", "ls", "--output", "x")


def test_size_and_progress_are_shown(hub, tmp_path, capsys):
    pytest.importorskip("transformers")
    write_clip(tmp_path / "clip")
    hub.add(PUBLISHED["openclip"].model, tmp_path / "clip")
    assert main(["encoders", "fetch", "openclip"]) == 0
    said = capsys.readouterr()
    assert "Fetching laion/CLIP-ViT-B-16-laion2B-s34B-b88K (commit cccccccccccc), 0 MB, into" in said.err
    assert "fetching openclip, MB" in said.out


def test_what_cannot_be_fetched_says_so(hub, capsys, monkeypatch):
    assert "Say what to fetch" in refused(capsys, "encoders", "fetch")
    assert "give fetch instead of ls" in refused(capsys, "encoders", "ls", "openclip")
    assert "nothing on the hub for 'mini'" in refused(capsys, "encoders", "fetch", "mini")
    assert "nothing on the hub for 'nonsense'" in refused(capsys, "encoders", "fetch", "nonsense")
    assert "neither a folder nor an id of the hub" in refused(capsys, "encoders", "fetch", "a/b/c")
    assert "no such model or revision" in refused(capsys, "encoders", "fetch", "someone/nothing")
    monkeypatch.setenv("HF_ENDPOINT", refusing_address())
    said = refused(capsys, "encoders", "fetch", "dinov2")
    assert "connection refused): run `lerf encoders fetch dinov2` (88 MB). " in said
