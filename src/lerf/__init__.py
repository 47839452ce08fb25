"""Language Embedded Radiance Fields: posed photos in, answered questions out.

import lerf

lerf.train("capture", "runs/room")
model = lerf.load("runs/room")
model.query("the red mug").queries[0].geometry
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

# torch and numba each keep a pool of OpenMP threads. By default a pool spins while it waits and starves the other,
# which slows a training step several times. The policy is read once, when the OpenMP library loads: so it is set
# before either is imported.
WAITS_ACTIVELY = "torch" in sys.modules and os.environ.get("OMP_WAIT_POLICY", "").upper() != "PASSIVE"
"""Whether torch was there first, so that its threads spin whatever is set now."""
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

if TYPE_CHECKING:
    from lerf.api import train
    from lerf.catalogue.search import search
    from lerf.loading import load
    from lerf.model import Model
    from lerf.scenes.load import load_scene

__all__ = ["Model", "load", "load_scene", "search", "train"]
_PLACES = {
    "Model": "lerf.model",
    "load": "lerf.loading",
    "load_scene": "lerf.scenes.load",
    "search": "lerf.catalogue.search",
    "train": "lerf.api",
}


def __getattr__(name: str) -> Any:
    # Imported on use: `lerf --help` and tools that read metadata need neither torch nor numba.
    if name not in _PLACES:
        raise AttributeError(f"module 'lerf' has no attribute '{name}'")
    from importlib import import_module

    return getattr(import_module(_PLACES[name]), name)
