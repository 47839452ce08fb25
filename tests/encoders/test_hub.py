"""Where a model's files come from; `test_download.py` has the network."""

import pytest
from checkpoints import into_hub_cache, write_settings

from lerf.encoders import hub
from lerf.encoders.hub import find_files
from lerf.encoders.missing import MissingWeightsError
from lerf.errors import EncoderError

NAME = "someone/a-model"


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    for variable in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    return tmp_path / "home" / "hub"


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "made"
    made.mkdir()
    (made / "model.safetensors").write_bytes(b"weights")
    write_settings(made / "config.json", {"model_type": "clip"})
    return made


def test_the_cache_is_read_without_the_hub(folder, cache):
    into_hub_cache(folder, cache, NAME)
    found = find_files(NAME, offline=True)
    assert found.folder == cache / "models--someone--a-model" / "snapshots" / ("0" * 39 + "1")
    assert [path.read_bytes() for path in found.weights] == [b"weights"]


def test_revisions_are_told_apart(folder, cache):
    commits = {"main": "a" * 40, "v1": "b" * 40}
    for revision, commit in commits.items():
        into_hub_cache(folder, cache, f"{NAME}-{revision}", revision, commit)
    assert find_files(f"{NAME}-v1@v1", offline=True).folder.name == commits["v1"]
    assert find_files(f"{NAME}-v1@{commits['v1']}", offline=True).folder.name == commits["v1"]
    with pytest.raises(EncoderError, match=r"lerf encoders fetch someone/a-model-v1`"):
        find_files(f"{NAME}-v1", offline=True)


@pytest.mark.parametrize("through", ["argument", "environment"])
def test_missing_offline_says_the_command(through, monkeypatch):
    if through == "environment":
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(MissingWeightsError) as caught:
        find_files(f"{NAME}@v2", offline=through == "argument")
    why = {"argument": "--offline", "environment": "HF_HUB_OFFLINE is set"}[through]
    assert str(caught.value) == (
        "The weights of someone/a-model@v2 are not on this machine and may not be fetched "
        f"({why}): run `lerf encoders fetch someone/a-model@v2`."
    )


def test_a_given_path_wins_over_a_folder_and_that_over_the_cache(folder, cache, tmp_path, monkeypatch):
    into_hub_cache(folder, cache, NAME)
    other = tmp_path / "someone" / "a-model"
    other.mkdir(parents=True)
    (other / "pytorch_model.bin").write_bytes(b"other")
    monkeypatch.chdir(tmp_path)
    assert find_files(NAME).weights[0].read_bytes() == b"other"
    assert find_files(NAME, weights=folder).weights == (folder / "model.safetensors",)
    assert find_files(NAME, weights=folder / "model.safetensors").folder == folder


def test_safetensors_come_first(folder):
    for name in ("pytorch_model.bin", "open_clip_pytorch_model.bin", "open_clip_model.safetensors"):
        (folder / name).write_bytes(b"")
    assert find_files(str(folder)).weights[0].name == "model.safetensors"
    (folder / "model.safetensors").unlink()
    assert find_files(str(folder)).weights[0].name == "open_clip_model.safetensors"


def test_weights_in_several_files(folder):
    (folder / "model.safetensors").unlink()
    shards = [f"model-0000{index}-of-00002.safetensors" for index in (1, 2)]
    write_settings(folder / "model.safetensors.index.json", {"weight_map": {"a": shards[1], "b": shards[0]}})
    (folder / shards[0]).write_bytes(b"")
    with pytest.raises(EncoderError, match="holds no weights"):
        find_files(str(folder))
    (folder / shards[1]).write_bytes(b"")
    assert [path.name for path in find_files(str(folder)).weights] == shards


def test_a_snapshot_without_weights_counts_as_missing(folder, cache):
    (folder / "model.safetensors").unlink()
    into_hub_cache(folder, cache, NAME)
    with pytest.raises(MissingWeightsError):
        find_files(NAME, offline=True)


@pytest.mark.parametrize("name", ["no-organisation", "../up/one", "a/b/c", "/nowhere/at-all", ""])
def test_a_senseless_name_is_refused(name):
    with pytest.raises(EncoderError, match="neither a folder nor an id"):
        find_files(name)


def test_the_licence_is_that_of_the_card(folder):
    assert find_files(str(folder)).licence == "not stated"
    (folder / "README.md").write_text("---\ntags: [x]\nlicense: apache-2.0\n---\ntext")
    assert find_files(str(folder)).licence == "apache-2.0"
    (folder / "README.md").write_text("no front matter\nlicense: none")
    assert find_files(str(folder)).licence == "not stated"


def test_the_cache_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "elsewhere"))
    assert hub.cache_folder() == tmp_path / "elsewhere"
    monkeypatch.delenv("HF_HUB_CACHE")
    monkeypatch.delenv("HF_HOME")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert hub.cache_folder() == tmp_path / "huggingface" / "hub"
