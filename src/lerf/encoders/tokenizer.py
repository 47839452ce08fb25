"""Tokenizers of published models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lerf.encoders.checkpoint import require_transformers
from lerf.errors import EncoderError
from lerf.files import is_file

VOCABULARIES = ("tokenizer.json", "vocab.json", "spiece.model", "tokenizer.model")
"""Files of which a tokenizer has at least one."""


def read_tokenizer(folder: Path, kind: str = "AutoTokenizer") -> Any:
    """Tokenizer of a class of `transformers` from a model's folder.

    Raises:
        EncoderError: its files are missing, or a package that it needs is.
    """
    transformers = require_transformers()
    if not any(is_file(folder / name) for name in VOCABULARIES):
        # Without them transformers 5 makes a tokenizer that knows no word, and says nothing.
        raise EncoderError(
            f"{folder} holds no tokenizer (one of {', '.join(VOCABULARIES)}); fetch the whole folder of the model."
        )
    # Code that a folder brings along is never run, nor is anybody asked whether it may.
    safe = {"trust_remote_code": False} if kind == "AutoTokenizer" else {}
    try:
        tokenizer = getattr(transformers, kind).from_pretrained(folder, local_files_only=True, **safe)
    except ImportError as error:
        raise EncoderError(
            f"The tokenizer in {folder} needs another package ({str(error).strip().splitlines()[0]}); most need: pip "
            "install sentencepiece protobuf"
        ) from error
    except Exception as error:  # tokenizers raises plain exceptions for whatever is wrong
        said = (str(error).splitlines() or [""])[0]
        raise EncoderError(
            f"{folder} holds no readable tokenizer ({type(error).__name__}: {said}); fetch the whole folder of the "
            "model."
        ) from error
    if tokenizer.pad_token is None:
        raise EncoderError(f"The tokenizer in {folder} has no token to pad with; fetch the whole folder of the model.")
    return tokenizer
