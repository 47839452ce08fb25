"""The device that a command works on."""

from __future__ import annotations

import re

import torch

from lerf.errors import ConfigError

DEVICES = re.compile(r"cpu|mps|cuda(:\d+)?")


def default_device() -> str:
    """`cuda` where there is one, else `cpu`."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def choose_device(device: str | None) -> str:
    """The device asked for, or the default one.

    Raises:
        ConfigError: when it is not there, or of a kind that nothing here runs on.
    """
    chosen = device or default_device()
    if not DEVICES.fullmatch(chosen) or (chosen == "mps" and not torch.backends.mps.is_available()):
        raise ConfigError(f"Device '{chosen}' is not available here; use --device cpu.")
    try:
        torch.empty(1, device=chosen)
    except (RuntimeError, AssertionError, NotImplementedError):
        raise ConfigError(f"Device '{chosen}' is not available here; use --device cpu.") from None
    return chosen
