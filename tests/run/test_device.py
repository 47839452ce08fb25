"""The device that work is done on."""

import pytest
import torch

from lerf.errors import ConfigError
from lerf.run.device import choose_device, default_device


def test_the_default_is_cuda_where_there_is_one(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert default_device() == "cuda"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert default_device() == choose_device(None) == "cpu"


@pytest.mark.parametrize("device", ["meta", "cuda:x", "gpu", "cuda:999"])
def test_devices_that_are_not_here(device):
    with pytest.raises(ConfigError, match=f"Device '{device}' is not available here; use --device cpu"):
        choose_device(device)
