"""Weights of a published model read into a network of `transformers`, exactly: every tensor of the network is there."""

from __future__ import annotations

import hashlib
import json
import pickle
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from lerf.encoders.hub import Files
from lerf.errors import EncoderError
from lerf.files import sha256_of


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


def read_json(path: Path) -> dict[str, Any]:
    """Settings file of a model.

    Raises:
        EncoderError: missing or malformed.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise EncoderError(
            f"{path} cannot be read ({type(error).__name__}: {error}); fetch the whole folder of the model."
        ) from error
    if not isinstance(value, dict):
        raise EncoderError(f"{path} is not a settings file of a model; fetch the whole folder of the model.")
    return value


def read_config(folder: Path) -> Any:
    """Architecture of a model in the layout of `transformers` (`config.json`).

    Raises:
        EncoderError: missing, malformed, or of a type that the installed version does not know.
    """
    settings = read_json(folder / "config.json")
    try:
        return require_transformers().AutoConfig.for_model(**{"model_type": "", **settings})
    except (ValueError, TypeError, KeyError) as error:
        raise EncoderError(
            f"The architecture in {folder / 'config.json'} is not understood ({str(error).splitlines()[0]}); install a "
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
        except (
            OSError,
            SafetensorError,
            pickle.UnpicklingError,
            RuntimeError,
            EOFError,
            ValueError,
            TypeError,
        ) as error:
            raise EncoderError(
                f"{path} does not hold readable weights ({type(error).__name__}: {str(error).splitlines()[0]}); "
                "fetch it again."
            ) from error
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
    try:
        model, about = network.from_pretrained(
            None, config=config, state_dict=tensors, output_loading_info=True, **settings
        )
    except (RuntimeError, ValueError, OSError, KeyError) as error:
        raise EncoderError(
            f"The weights of {source} do not fit its settings ({str(error).splitlines()[0]}); fetch the folder again."
        ) from error
    wrong = sorted(map(str, [*about["missing_keys"], *about["mismatched_keys"]]))
    if wrong:
        raise EncoderError(
            f"The weights of {source} do not fit its settings: {len(wrong)} tensors are missing or of another shape, "
            f"for example {wrong[0]}; fetch the folder again."
        )
    return model.float().eval().requires_grad_(False)
