"""`openclip:MODEL/PRETRAINED_OR_PATH`: what only open_clip itself can build, through the extra `lerf[openclip]`.

open_clip needs torchvision, which is why it is an extra. Of its preprocessing only the numbers are taken, and its
weights are found and announced like all others: where its table names a repository of the hub, the file comes from
`hub.find_files`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lerf.encoders.hub import Files, find_files
from lerf.encoders.preprocessing import BICUBIC, BILINEAR, OPENAI_MEAN, OPENAI_STD, Preprocessing
from lerf.encoders.two_towers import TowerOptions, TwoTowers
from lerf.errors import EncoderError
from lerf.files import is_file, sha256_of

WEIGHTS = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")
"""Files of weights under open_clip's names; beside them may lie the same ones under those of transformers."""
FILTERS = {"bicubic": BICUBIC, "bilinear": BILINEAR}
PREPROCESSING = ("mean", "std", "interpolation", "resize_mode")
"""What open_clip's table of weights says of pictures."""


class OpenClipTowers(TwoTowers):
    """Both towers of a network of open_clip: `encode_image` and `encode_text`."""

    code_version = "open-clip-zoo-1"

    def _image_modules(self) -> list[torch.nn.Module]:
        return [self._network.visual]  # type: ignore[list-item]

    def _reads(self, phrase: str) -> bool:
        # Tokenizers of open_clip do not say which words they lack.
        return True

    def _embed_phrases(self, phrases: list[str]) -> Tensor:
        return self._network.encode_text(self._tokenizer(phrases).to(self._device))  # type: ignore[operator]

    def _embed_pictures(self, pictures: Tensor) -> Tensor:
        return self._network.encode_image(pictures.to(self._dtype))  # type: ignore[operator]


def require_open_clip() -> Any:
    """The package open_clip.

    Raises:
        EncoderError: it or something that it needs is not installed.
    """
    try:
        import open_clip
    except Exception as error:  # a torchvision of another torch fails in many ways
        raise EncoderError(
            f"openclip:MODEL/PRETRAINED needs the package open_clip ({type(error).__name__}: {error}); run: pip "
            "install 'lerf[openclip]'. The encoders openclip, openclip-l and hf:ID do without it."
        ) from error
    return open_clip


def read_zoo(
    variant: str,
    weights: Path | None,
    offline: bool,
    options: TowerOptions,
) -> OpenClipTowers:
    """A model of open_clip.

    Args:
        variant: `MODEL/PRETRAINED`, both as open_clip lists them, or `MODEL/PATH` with a file of weights.
        weights: file of weights to use in place of what the variant names.
        offline: forbid downloads.
        options: device, precision and templates.

    Raises:
        EncoderError: open_clip is missing, the model is unknown, or its weights are missing or do not fit.
    """
    open_clip = require_open_clip()
    model, _, pretrained = variant.partition("/")
    if model not in open_clip.list_models():
        raise EncoderError(f"open_clip knows no model '{model}'; its list_models() says which there are.")
    path, licence, trained = _weights(open_clip, model, pretrained, weights, offline)
    try:
        # Given a file open_clip no longer knows how its tag was trained: that has to be said as well.
        network = open_clip.create_model(
            model,
            pretrained=str(path),
            device="cpu",
            weights_only=True,
            force_quick_gelu=bool(trained.get("quick_gelu", False)),
            force_preprocess_cfg={key: trained[key] for key in PREPROCESSING if key in trained} or None,
        )
        about = open_clip.get_model_preprocess_cfg(network)
        size = about["size"]
        side = size[0] if isinstance(size, (tuple, list)) else int(size)
        preprocessing = Preprocessing(
            side,
            tuple(about.get("mean") or OPENAI_MEAN),
            tuple(about.get("std") or OPENAI_STD),
            FILTERS[about.get("interpolation") or "bicubic"],
            None if about.get("resize_mode") == "squash" else side,
        )
        network = network.float().eval().requires_grad_(False)
        with torch.inference_mode():
            width = int(network.encode_image(torch.zeros(1, 3, side, side)).shape[-1])
    except (RuntimeError, ValueError, KeyError, TypeError, OSError) as error:
        raise EncoderError(
            f"open_clip cannot build {model} with the weights {path} ({type(error).__name__}: "
            f"{(str(error).splitlines() or [''])[0]}); check that they belong together."
        ) from error
    return OpenClipTowers(
        f"openclip:{variant}", network, open_clip.get_tokenizer(model), preprocessing, width, sha256_of(path), licence,
        options,
    )  # fmt: skip


def _weights(
    open_clip: Any, model: str, pretrained: str, weights: Path | None, offline: bool
) -> tuple[Path, str, dict[str, Any]]:
    """The file of weights, what is said of their licence, and open_clip's entry of them."""
    known = open_clip.list_pretrained_tags_by_model(model)
    trained = open_clip.get_pretrained_cfg(model, pretrained) if pretrained in known else {}
    given = weights or (Path(pretrained).expanduser() if pretrained else None)
    if given is not None and is_file(given):
        return given, "not stated", trained
    if weights is not None:
        raise EncoderError(f"{weights} is not a file; give --weights a file of weights of open_clip's {model}.")
    if pretrained not in known:
        raise EncoderError(
            f"'{pretrained}' is neither a file nor a set of weights of {model}; known are {', '.join(known) or 'none'}."
        )
    repository = _repository(trained)
    if repository is None:
        raise EncoderError(
            f"The weights {pretrained} of {model} are on no hub; fetch the file that open_clip's table names and give "
            "it with --weights."
        )
    files: Files = find_files(repository, None, offline, WEIGHTS)
    if len(files.weights) != 1:
        raise EncoderError(f"{repository} holds weights in several files; give one file with --weights.")
    return files.weights[0], files.licence, trained


def repository_of(variant: str) -> str | None:
    """The model of the hub that holds the weights of `MODEL/PRETRAINED`; None for a file, or what is on no hub.

    Raises:
        EncoderError: open_clip is missing.
    """
    open_clip = require_open_clip()
    model, _, pretrained = variant.partition("/")
    if pretrained not in open_clip.list_pretrained_tags_by_model(model):
        return None
    return _repository(open_clip.get_pretrained_cfg(model, pretrained))


def _repository(trained: dict[str, Any]) -> str | None:
    repository = trained.get("hf_hub", "").rstrip("/")
    return repository if repository.count("/") == 1 else None
