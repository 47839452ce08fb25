"""Text tower of `mini`: words, a small transformer over them, one unit vector."""

from __future__ import annotations

import re
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from lerf.encoders.known import normalised

PAD, UNKNOWN = 0, 1
LONGEST = 24
"""Words of a phrase that are read; the rest is cut off."""
MODEL_WIDTH, HEADS, LAYERS = 128, 4, 2
SPELLINGS = {"gray": "grey", "color": "colour", "colored": "coloured"}


def words_of(phrase: str) -> list[str]:
    """Lower-case words; what is no letter separates them."""
    return [SPELLINGS.get(word, word) for word in re.findall(r"[a-z]+", normalised(phrase).lower())]


class Vocabulary:
    """Words to indices. A plural is read as its singular where only that is known."""

    def __init__(self, words: Sequence[str]) -> None:
        """`words` without the two special entries, in the order of training."""
        self.words = tuple(words)
        self._index = {word: index + 2 for index, word in enumerate(self.words)}

    def __len__(self) -> int:
        return len(self.words) + 2

    def index(self, word: str) -> int:
        """Index of a word, or `UNKNOWN`."""
        for form in (word, *_singulars(word)):
            if form in self._index:
                return self._index[form]
        return UNKNOWN

    def unknown(self, phrase: str) -> list[str]:
        """Words of a phrase that training never saw."""
        return [word for word in words_of(phrase) if self.index(word) == UNKNOWN]

    def encode(self, phrases: Sequence[str]) -> Int[Tensor, "phrases words"]:
        """Indices, padded to the longest phrase; at least one word each."""
        rows = [[self.index(word) for word in words_of(phrase)[:LONGEST]] or [UNKNOWN] for phrase in phrases]
        longest = max(len(row) for row in rows)
        return torch.tensor([row + [PAD] * (longest - len(row)) for row in rows])


def _singulars(word: str) -> list[str]:
    forms = []
    if word.endswith("s"):
        forms.append(word[:-1])
    if word.endswith("es"):
        forms.append(word[:-2])
    if word.endswith("ies"):
        forms.append(word[:-3] + "y")
    if word.endswith("ves"):
        forms += [word[:-3] + "f", word[:-3] + "fe"]
    return forms


class TextTower(nn.Module):
    """See the module. Words unknown to the vocabulary share one embedding."""

    def __init__(self, words: int, width: int) -> None:
        super().__init__()
        self.words = nn.Embedding(words, MODEL_WIDTH, padding_idx=PAD)
        self.places = nn.Parameter(torch.zeros(LONGEST, MODEL_WIDTH))
        layer = nn.TransformerEncoderLayer(
            MODEL_WIDTH, HEADS, 2 * MODEL_WIDTH, dropout=0.0, batch_first=True, norm_first=True
        )
        self.layers = nn.TransformerEncoder(layer, LAYERS, enable_nested_tensor=False)
        self.head = nn.Linear(MODEL_WIDTH, width)

    def forward(self, tokens: Int[Tensor, "phrases words"]) -> Float[Tensor, "phrases width"]:
        """Unit embeddings."""
        padding: Bool[Tensor, "phrases words"] = tokens == PAD
        x = self.words(tokens) + self.places[: tokens.shape[1]]
        x = self.layers(x, src_key_padding_mask=padding)
        weights = (~padding).to(x.dtype)[..., None]
        return F.normalize(self.head((x * weights).sum(1) / weights.sum(1)), dim=-1)
