"""`hf:ID_OR_PATH`: any CLIP, SigLIP or SigLIP 2 of the Hugging Face hub, by id or from a local folder."""

from __future__ import annotations

from pathlib import Path

from lerf.encoders.checkpoint import read_json
from lerf.encoders.clip import read_clip
from lerf.encoders.hub import find_files
from lerf.encoders.open_clip_layout import is_open_clip
from lerf.encoders.open_clip_siglip import is_siglip
from lerf.encoders.patch_attention import refuse_attention
from lerf.encoders.siglip import read_open_clip_siglip, read_siglip
from lerf.encoders.two_towers import TowerOptions, TwoTowers
from lerf.errors import EncoderError


def load(
    variant: str = "",
    weights: Path | None = None,
    offline: bool = False,
    device: str = "cpu",
    precision: str | None = None,
    templates: bool = False,
    attention: str | None = None,
) -> TwoTowers:
    """Registry entry `hf`; what follows the colon is an id, with an optional `@REVISION`, or a folder.

    Raises:
        EncoderError: nothing follows the colon, or the model is missing or of another architecture.
    """
    if not variant and weights is None:
        raise EncoderError("Name a model after hf:, for example hf:google/siglip2-base-patch16-224, or a folder.")
    name = f"hf:{variant}" if variant else "hf"
    files, options = (
        find_files(variant, weights, offline),
        TowerOptions(device, precision, templates, attention, offline),
    )
    if is_open_clip(files) and is_siglip(files.folder):
        refuse_attention(attention, name)
        return read_open_clip_siglip(name, files, options)
    if is_open_clip(files):
        return read_clip(name, files, options)
    kind = read_json(files.folder / "config.json").get("model_type")
    if kind == "clip":
        return read_clip(name, files, options)
    if kind in ("siglip", "siglip2"):
        refuse_attention(attention, name)
        return read_siglip(name, files, options)
    raise EncoderError(f"{files.folder} holds a model of type '{kind}', not clip, siglip or siglip2; choose another.")
