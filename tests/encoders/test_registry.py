import sys
import types
from importlib.metadata import EntryPoint

import pytest
import torch

from lerf.encoders import registry
from lerf.encoders.protocols import EncoderDefaults
from lerf.errors import EncoderError


class Mine:
    """A user's encoder, as short as it can be."""

    name, width, input_size, fingerprint = "mine", 3, 8, "0" * 64
    defaults = EncoderDefaults((0.5,), temperature=10.0, threshold=0.5)

    def __init__(self, weights=None, offline=False, device="cpu", variant=""):
        self.settings = (offline, variant)

    def encode_text(self, phrases):
        return torch.eye(3)[[len(phrase) % 3 for phrase in phrases]]

    def encode_tiles(self, tiles):
        return torch.nn.functional.normalize(tiles.mean(dim=(2, 3)), dim=-1)


@pytest.fixture
def plug_ins(monkeypatch):
    """Entry points to set per test, and a module `a_plug_in` that they can point to."""
    points: list[EntryPoint] = []
    monkeypatch.setattr(registry, "entry_points", lambda group: [point for point in points if point.group == group])
    module = types.ModuleType("a_plug_in")
    module.load = Mine
    module.no_variant = lambda weights=None, offline=False, device="cpu": Mine()
    module.nothing = lambda weights=None, offline=False, device="cpu": "no encoder"
    monkeypatch.setitem(sys.modules, "a_plug_in", module)
    return points


@pytest.mark.parametrize("load", [registry.load_encoder, registry.load_dense_encoder])
def test_unknown_name_lists_the_known_ones(load):
    with pytest.raises(EncoderError, match=r"no .*encoder named 'nope'; known are .*conse"):
        load("nope")


def test_plug_in_is_found_and_gets_its_settings(plug_ins):
    plug_ins.append(EntryPoint("mine", "a_plug_in:load", "lerf.encoders"))
    assert "mine" in registry.encoder_names()
    assert registry.load_encoder("mine", offline=True).settings == (True, "")
    assert registry.load_encoder("mine:big").settings == (False, "big")


def test_plug_in_cannot_replace_a_built_in_name(plug_ins):
    plug_ins.append(EntryPoint("conse", "a_plug_in:load", "lerf.encoders"))
    assert registry._known("lerf.encoders", registry.ENCODERS)["conse"] == registry.ENCODERS["conse"]


@pytest.mark.parametrize("target", ["no_such_module_here:load", "a_plug_in:no_such_attribute"])
def test_broken_plug_in_is_an_error(plug_ins, target):
    plug_ins.append(EntryPoint("mine", target, "lerf.dense_encoders"))
    with pytest.raises(EncoderError, match="'mine' cannot be loaded from"):
        registry.load_dense_encoder("mine")


def test_variant_for_an_encoder_without_variants(plug_ins):
    plug_ins.append(EntryPoint("mine", "a_plug_in:no_variant", "lerf.encoders"))
    with pytest.raises(EncoderError, match=r"cannot be called with .*variant"):
        registry.load_encoder("mine:big")


def test_plug_in_that_is_no_encoder(plug_ins):
    plug_ins.append(EntryPoint("mine", "a_plug_in:nothing", "lerf.encoders"))
    with pytest.raises(EncoderError, match="ImageTextEncoder"):
        registry.load_encoder("mine")
