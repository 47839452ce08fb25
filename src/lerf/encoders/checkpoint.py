"""Weights of a published model read into a network of `transformers`, exactly: every tensor of the network is there."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from lerf.documents import read_document
from lerf.encoders.hub import Files
from lerf.errors import EncoderError
from lerf.files import sha256_of

LARGEST_SETTINGS = 16_000_000
"""Bytes of a file of settings."""
MOST_LAYERS, LARGEST_SIZE = 1000, 10_000_000
"""Of a network; what asks for more is no network that anybody has published."""
SPARE = 1.05
"""By how much the parameters that settings describe may be more than those of the file: some are made, not stored."""


def require_transformers() -> Any:
    """The package `transformers`, told not to draw bars for reading files that are already here.

    Raises:
        EncoderError: it is not installed.
    """
    try:
        import transformers
        from transformers.utils import logging
    except ImportError as error:
        raise EncoderError("This encoder needs the package transformers; run: pip install 'lerf[clip]'") from error
    logging.disable_progress_bar()
    return transformers


def class_named(name: str) -> Any:
    """A class of `transformers`.

    Raises:
        EncoderError: it cannot be imported.
    """
    try:
        return getattr(require_transformers(), name)
    except (ImportError, AttributeError, RuntimeError) as error:
        raise cannot_import(name) from error


def cannot_import(name: str) -> EncoderError:
    """What to say of a class of `transformers` that cannot be imported though the package is there."""
    fits = torch.__version__.partition("+")[0]
    return EncoderError(
        f"The installed transformers cannot load {name}. Where torchvision is installed and not made for torch {fits}, "
        "that is why: run pip uninstall torchvision, or install the one that fits; else install transformers anew."
    )


def read_json(path: Path) -> dict[str, Any]:
    """Settings file of a model.

    Raises:
        EncoderError: missing or malformed.
    """
    remedy = "fetch the whole folder of the model"
    return read_document(path, dict, error=EncoderError, remedy=remedy, largest=LARGEST_SETTINGS)


def read_config(folder: Path) -> Any:
    """Architecture of a model in the layout of `transformers` (`config.json`).

    Raises:
        EncoderError: missing, malformed, or of a type that the installed version does not know.
    """
    settings = read_json(folder / "config.json")
    try:
        return require_transformers().AutoConfig.for_model(**{"model_type": "", **settings})
    except Exception as error:  # transformers raises what it likes, its own and those of its validators
        raise EncoderError(
            f"The architecture in {folder / 'config.json'} is not understood ({first_line(error)}); install a "
            "newer version of transformers or choose another checkpoint."
        ) from error


def read_tensors(files: Files) -> dict[str, Tensor]:
    """All tensors by name. Files that are not safetensors are unpickled without running code in them.

    Raises:
        EncoderError: a file is damaged or holds more than tensors.
    """
    tensors: dict[str, Tensor] = {}
    for path in files.weights:
        try:
            if path.suffix == ".safetensors":
                tensors.update(load_file(path))
            else:
                tensors.update(torch.load(path, map_location="cpu", weights_only=True))
        except Exception as error:  # What a damaged pickle raises depends on where the damage is.
            raise EncoderError(
                f"{path} does not hold readable weights ({type(error).__name__}: {first_line(error)}); fetch it again."
            ) from error
    for name, tensor in tensors.items():
        if not isinstance(tensor, Tensor):
            raise EncoderError(f"{files.folder} does not hold readable weights ('{name}' is none); fetch them again.")
        if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
            raise EncoderError(f"'{name}' in the weights of {files.folder} is not finite; fetch them again.")
    return tensors


def digest_of(files: Files) -> str:
    """SHA-256 of the file of weights; of the digests in the order of names where there are several."""
    digests = [sha256_of(path) for path in files.weights]
    return digests[0] if len(digests) == 1 else hashlib.sha256(" ".join(digests).encode()).hexdigest()


def build(network: Any, config: Any, tensors: dict[str, Tensor], source: Path, **settings: Any) -> nn.Module:
    """Network of a class of `transformers` with these weights, in single precision, for inference.

    `from_pretrained` is used although the tensors are already read because it knows older names of them.

    Raises:
        EncoderError: a tensor is missing or has another shape.
    """
    _check_sizes(network, config, tensors, source, settings)
    try:
        model, about = network.from_pretrained(
            None, config=config, state_dict=tensors, output_loading_info=True, **settings
        )
    except Exception as error:  # transformers raises what it likes
        raise EncoderError(
            f"The weights of {source} do not fit its settings ({first_line(error)}); fetch the folder again."
        ) from error
    wrong = sorted(map(str, [*about["missing_keys"], *about["mismatched_keys"]]))
    if wrong:
        raise EncoderError(
            f"The weights of {source} do not fit its settings: {len(wrong)} tensors are missing or of another shape, "
            f"for example {wrong[0]}; fetch the folder again."
        )
    return model.float().eval().requires_grad_(False)


def _check_sizes(network: Any, config: Any, tensors: dict[str, Tensor], source: Path, settings: dict[str, Any]) -> None:
    """Refuse settings that describe a larger network than the weights are of, before memory is taken for it.

    Raises:
        EncoderError: when they do.
    """
    for name, size in _sizes(config.to_dict()):
        if abs(size) > (MOST_LAYERS if "layers" in name else LARGEST_SIZE):
            raise EncoderError(f"The settings of {source} say {name} {size}, too much; fetch the folder again.")
    try:
        with torch.device("meta"):
            wanted = sum(parameter.numel() for parameter in network(config, **settings).parameters())
    except Exception as error:  # transformers raises what it likes
        raise EncoderError(
            f"The settings of {source} describe no network ({first_line(error)}); fetch the folder again."
        ) from error
    found = sum(tensor.numel() for tensor in tensors.values())
    if wanted > SPARE * found + LARGEST_SIZE:
        raise EncoderError(
            f"The weights of {source} do not fit its settings: these describe {wanted} parameters, and the file holds "
            f"{found}; fetch the folder again."
        )


def _sizes(settings: dict[str, Any]) -> Iterator[tuple[str, int]]:
    """All whole numbers of settings, nested ones too, by name."""
    for name, value in settings.items():
        if isinstance(value, dict):
            yield from _sizes({str(key): part for key, part in value.items()})
        elif isinstance(value, int):
            yield name, value


def first_line(error: Exception) -> str:
    """What an error says, in one line; its class where it says nothing."""
    return (str(error).splitlines() or [""])[0] or type(error).__name__
