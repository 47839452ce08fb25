"""Which classes or hypernyms a phrase means, by the distance of sentence embeddings to their names."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from importlib.resources import files

import numpy as np
import torch
from jaxtyping import Float, Float16
from torch import Tensor

from lerf.encoders.known import content_words, normalised
from lerf.encoders.minilm import SentenceEncoder
from lerf.encoders.nearest_words import CLOSE_SPELLING
from lerf.encoders.taxonomy import load_taxonomy

GENERIC = (
    "object", "thing", "things", "stuff", "texture", "something", "anything", "item", "entity", "material", "matter",
    "pattern", "background", "part",
)  # fmt: skip
"""Words that mean nothing in particular; the names of WordNet's topmost nodes join them."""
TOP_INFORMATION = 0.08
"""Nodes with less information than this (more than about 575 classes below them) are topmost."""


CLOSE = 0.75
"""Cosine to a name from which a phrase means the same; words that only share letters stay below."""


@dataclass(frozen=True)
class Match:
    """What phrases mean."""

    weights: Float[Tensor, "phrases nodes"]
    """A distribution over classes and hypernyms."""
    certainty: Float[Tensor, " phrases"]
    """0..1: is the phrase near any name at all?"""
    generic: Float[Tensor, " phrases"]
    """0..1: is it nearer to a word that means nothing in particular?"""


class Names:
    """All names and their sentence embeddings, and the encoder for phrases."""

    def __init__(self) -> None:
        taxonomy = load_taxonomy()
        texts = [name for names in taxonomy.lemmas for name in names]
        owner = torch.tensor([node for node, names in enumerate(taxonomy.lemmas) for _ in names])
        self._sentences = SentenceEncoder()
        embeddings = load_names()
        top = (taxonomy.information[owner] < TOP_INFORMATION) | torch.tensor([name in GENERIC for name in texts])
        self._named, self._owner = embeddings[: len(texts)][~top], owner[~top]
        self._generic = torch.cat([embeddings[: len(texts)][top], embeddings[len(texts) :]])
        self._nodes = len(taxonomy.lemmas)
        self._texts = [text for text, above in zip(texts, top.tolist(), strict=True) if not above]
        words = {word for text in (*texts, *GENERIC) for word in content_words(text)}
        self._words = words | {f"{word}s" for word in words}

    def match(self, phrases: Sequence[str], softness: float, threshold: float) -> Match:
        """Meanings of phrases.

        Args:
            phrases: any texts.
            softness: temperature of the softmax over cosines to names; a node's cosine is that of its closest name.
            threshold: cosine to the closest name at which the certainty is a half.
        """
        embedded = self._sentences.encode([normalised(phrase) for phrase in phrases])
        cosines = embedded @ self._named.T
        nodes = torch.full((len(phrases), self._nodes), -1.0)
        nodes = nodes.scatter_reduce(1, self._owner.expand_as(cosines), cosines, "amax")
        best, generic = nodes.amax(dim=1), (embedded @ self._generic.T).amax(dim=1)
        return Match(
            torch.softmax(nodes / softness, dim=1),
            torch.sigmoid((torch.maximum(best, generic) - threshold) / 0.05),
            torch.sigmoid((generic - best) / 0.02),
        )

    def unread(self, phrase: str) -> list[str]:
        """Content words of a phrase whose meaning is not read but guessed from pieces of their spelling.

        A word is read that the sentence encoder has whole, or that a name holds; any word is where the whole phrase is
        close to a name.
        """
        phrase = normalised(phrase)
        embedded = self._sentences.encode([phrase])
        closest = float(torch.maximum((embedded @ self._named.T).max(), (embedded @ self._generic.T).max()))
        words = [] if closest >= CLOSE and not self._sentences.has_unknown(phrase) else content_words(phrase)
        return [word for word in words if word not in self._words and not self._sentences.has_whole(word)]

    def read_share(self, phrase: str) -> float:
        """Share of the content words of a phrase that are read; 0 without any."""
        words = content_words(phrase)
        return 1.0 - len(self.unread(phrase)) / len(words) if words else 0.0

    def nearest(self, phrase: str, count: int = 3) -> list[str]:
        """Names of nodes that a phrase is closest to, the closest first: those spelt almost alike, then in meaning."""
        phrase = normalised(phrase)
        alike = get_close_matches(phrase.casefold(), self._texts, count, CLOSE_SPELLING)
        cosines = (self._sentences.encode([phrase]) @ self._named.T)[0]
        found = [self._texts[index] for index in torch.topk(cosines, 4 * count).indices.tolist()]
        return list(dict.fromkeys([*alike, *found]))[:count]


def embed_names(sentences: SentenceEncoder) -> Float16[np.ndarray, "names 384"]:
    """What `data/conse_names.npy` was made by: embeddings of all names in WordNet order, then of the generic words."""
    texts = [name for names in load_taxonomy().lemmas for name in names]
    return sentences.encode([*texts, *GENERIC]).to(torch.float16).numpy()


@cache
def load_names() -> Float[Tensor, "names 384"]:
    """The stored embeddings; computing them would delay the first phrase by ten seconds."""
    data = files("lerf.encoders").joinpath("data").joinpath("conse_names.npy").read_bytes()
    return torch.from_numpy(np.load(io.BytesIO(data))).float()
