"""Folders of encoders: settings, tokenizers, preprocessing, weights; and a file of weights of mini."""

from __future__ import annotations

import shutil
from importlib.resources import files
from pathlib import Path

from fuzzing.kinds.spoiling import data, document, lines, one_of, tensors
from fuzzing.oracle import Case, Kind, check_finite

FOLDERS = ("clip", "openclip", "openclip-siglip", "siglip", "vit")


def kinds() -> dict[str, Kind]:
    """By name."""
    folders = {f"encoder-{name}": Kind(f"encoders/{name}", _spoil, _load_folder) for name in FOLDERS}
    return {**folders, "encoder-mini": Kind("encoders/mini", one_of(["mini.safetensors"], tensors), _load_mini)}


def _spoil(case: Case) -> str:
    """One file of a folder, by what it holds."""
    how = {".json": document, ".safetensors": tensors, ".txt": lines, ".md": lines}
    path = case.random.choice(sorted(case.input.iterdir()))
    return one_of([path.name], how.get(path.suffix, data))(case)


def warm_up(folder: Path) -> None:
    """Import what transformers imports late."""
    for name in FOLDERS:
        _use(name == "vit", folder / "encoders" / name)


def _load_folder(case: Case) -> None:
    _use(case.kind == "encoder-vit", case.input)


def _use(dense: bool, folder: Path) -> None:
    import torch

    from lerf.encoders.registry import load_dense_encoder, load_encoder

    photo = torch.linspace(0, 1, 3 * 40 * 56).view(3, 40, 56)
    if dense:
        encoder = load_dense_encoder(f"dino:{folder}", offline=True)
        check_finite(encoder.encode_photo(photo).features, "features")
        return
    texts = load_encoder(f"hf:{folder}", offline=True)
    check_finite(texts.encode_text(["a red mug", "fox"]), "text embeddings")
    check_finite(texts.encode_tiles(photo[None, :, :32, :32]), "tile embeddings")


def _load_mini(case: Case) -> None:
    import torch

    from lerf.encoders.registry import load_encoder

    encoder = load_encoder("mini", case.input / "mini.safetensors", offline=True)
    check_finite(encoder.encode_text(["a red mug"]), "text embeddings")
    check_finite(encoder.encode_photo_at(torch.full((3, 48, 64), 0.5), 0.3).features, "embeddings")


def make(folder: Path) -> None:
    """Tiny random networks in the hub's layouts."""
    from checkpoints import write_clip, write_dense, write_open_clip, write_open_clip_siglip, write_siglip

    writers = dict(
        zip(FOLDERS, (write_clip, write_open_clip, write_open_clip_siglip, write_siglip, write_dense), strict=True)
    )
    for name, write in writers.items():
        (folder / "encoders" / name).mkdir(parents=True)
        write(folder / "encoders" / name)
    (folder / "encoders/mini").mkdir()
    shutil.copy(str(files("lerf.encoders").joinpath("data").joinpath("mini.safetensors")), folder / "encoders/mini")
