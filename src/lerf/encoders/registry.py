"""Encoders by name. The registry is data: a name points to "module:object", imported only when asked for.

A name may carry a variant and options: `FAMILY[:VARIANT][+OPTION...]`, for example `openclip+templates+float32`. The
options are `OPTIONS`; an encoder that does not take one refuses it.

A user's package adds its own through the entry-point groups `lerf.encoders` and `lerf.dense_encoders`. The object is
called as `factory(weights=Path | None, offline=bool, device=str)` and returns an encoder (`encoders/protocols.py`).
"""

from __future__ import annotations

import importlib
import inspect
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from lerf.encoders.protocols import DenseEncoder, ImageTextEncoder
from lerf.errors import EncoderError

ENCODERS = {
    "conse": "lerf.encoders.conse:load",
    "conse-lite2": "lerf.encoders.conse:load_lite2",
    "hf": "lerf.encoders.hugging_face:load",
    "mini": "lerf.encoders.mini:load",
    "openclip": "lerf.encoders.clip:load_base",
    "openclip-l": "lerf.encoders.clip:load_large",
}
"""Image-text encoders that the package can load."""
DENSE_ENCODERS = {
    "conse-mid": "lerf.encoders.mid_level:load",
    "dino": "lerf.encoders.dino:load",
    "dinov2": "lerf.encoders.dino:load_v2",
    "mini-map": "lerf.encoders.mini:load_map",
}
"""Dense encoders that the package can load."""


ATTENTION_NAMES = ("naclip", "maskclip", "clearclip", "sclip", "proxyclip")
"""How patches may attend in dense features of CLIP (`patch_attention.py`, which imports torch)."""
OPTIONS: dict[str, tuple[str, Any]] = {
    "templates": ("templates", True),
    **{precision: ("precision", precision) for precision in ("float32", "bfloat16", "float16")},
    **{name: ("attention", name) for name in ATTENTION_NAMES},
}
"""Words after a plus in a name, and the argument of the encoder's factory that each sets."""


def encoder_names() -> list[str]:
    """Names that `load_encoder` knows, plug-ins included."""
    return sorted(_known("lerf.encoders", ENCODERS))


def dense_encoder_names() -> list[str]:
    """Names that `load_dense_encoder` knows, plug-ins included."""
    return sorted(_known("lerf.dense_encoders", DENSE_ENCODERS))


def load_encoder(
    name: str, weights: Path | None = None, offline: bool = False, device: str = "cpu"
) -> ImageTextEncoder:
    """Image-text encoder by name.

    Args:
        name: a name of the registry; what follows a colon ("hf:ID") is handed to the encoder as `variant`.
        weights: file or folder to read instead of the encoder's own place.
        offline: forbid downloads.
        device: torch device of the network.

    Raises:
        EncoderError: unknown name, plug-in that cannot be imported, missing or unfitting weights.
    """
    return _load("encoder", ImageTextEncoder, "lerf.encoders", ENCODERS, name, weights, offline, device)


def load_dense_encoder(
    name: str, weights: Path | None = None, offline: bool = False, device: str = "cpu"
) -> DenseEncoder:
    """Dense encoder by name; arguments and errors as in `load_encoder`."""
    return _load("dense encoder", DenseEncoder, "lerf.dense_encoders", DENSE_ENCODERS, name, weights, offline, device)


def _known(group: str, own: dict[str, str]) -> dict[str, str]:
    """Names to targets; a plug-in cannot take over a built-in name."""
    return {**{point.name: point.value for point in entry_points(group=group)}, **own}


def split_options(name: str) -> tuple[str, dict[str, Any]]:
    """The name without its options, and the arguments that they stand for; a plus elsewhere is part of the name."""
    options: dict[str, Any] = {}
    plain, plus, last = name.rpartition("+")
    while plus and last in OPTIONS:
        argument, value = OPTIONS[last]
        options.setdefault(argument, value)
        name = plain
        plain, plus, last = name.rpartition("+")
    return name, options


def _load(
    kind: str,
    protocol: Any,
    group: str,
    own: dict[str, str],
    name: str,
    weights: Path | None,
    offline: bool,
    device: str,
) -> Any:
    known = _known(group, own)
    plain, options = split_options(name)
    family, _, variant = plain.partition(":")
    if family not in known:
        raise EncoderError(f"There is no {kind} named '{name}'; known are {', '.join(sorted(known))}.")
    target = known[family]
    try:
        module, _, attribute = target.partition(":")
        factory: Any = importlib.import_module(module)
        for part in attribute.split("."):
            factory = getattr(factory, part)
    except Exception as error:
        raise EncoderError(
            f"The {kind} '{family}' cannot be loaded from {target} ({type(error).__name__}: {error}); "
            "repair or uninstall the package that provides it."
        ) from error
    settings = {"weights": weights, "offline": offline, "device": device, **options}
    if variant:
        settings["variant"] = variant
    try:
        inspect.signature(factory).bind(**settings)
    except TypeError as error:
        raise EncoderError(f"The {kind} '{name}' cannot be called with {', '.join(settings)} ({error}).") from error
    encoder = factory(**settings)
    if not isinstance(encoder, protocol):
        raise EncoderError(f"{target} does not return what a {kind} must offer (`{protocol.__name__}`).")
    return encoder
