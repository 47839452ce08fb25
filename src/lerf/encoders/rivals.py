"""Names of things that a phrase can be mistaken for: what else a place may show, for whoever compares them there.

Every encoder gets the classes of ImageNet, as far as it can read their names. One that knows better which of them a
phrase means implements `KnowsRivals`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from lerf.encoders.known import KnowsPhrases, content_words
from lerf.encoders.protocols import ImageTextEncoder
from lerf.encoders.taxonomy import CLASSES, load_taxonomy

AKIN = 0.5
"""Share of the way from the mean cosine of all names with a phrase to 1 at which a name may mean the same."""
NAMES_AT_ONCE = 200


@dataclass(frozen=True)
class NamedThings:
    """Names and what they mean to one encoder."""

    names: tuple[str, ...]
    vectors: Float[Tensor, "names width"]
    """Unit embeddings."""


@runtime_checkable
class KnowsRivals(Protocol):
    """An encoder that has names of its own."""

    def named_things(self) -> NamedThings:
        """All that it can name."""
        ...

    def akin(self, phrases: Sequence[str]) -> Bool[Tensor, "phrases names"]:
        """Whether a thing of each name may be what a phrase means: the same, of its kind, or a kind that it is of."""
        ...


_KNOWN: dict[str, NamedThings] = {}
"""By fingerprint of the encoder: to embed a thousand names takes seconds."""


def named_things(encoder: ImageTextEncoder) -> NamedThings:
    """What phrases of an encoder are compared with."""
    if isinstance(encoder, KnowsRivals):
        return encoder.named_things()
    if encoder.fingerprint not in _KNOWN:
        names = tuple(dict.fromkeys(lemmas[0] for lemmas in load_taxonomy().lemmas[:CLASSES]))
        if isinstance(encoder, KnowsPhrases):
            told = encoder.known(names)
            names = tuple(name for name, share in zip(names, told, strict=True) if share is None or share >= 1.0)
        starts = range(0, len(names), NAMES_AT_ONCE)
        parts = [encoder.encode_text(names[start : start + NAMES_AT_ONCE]) for start in starts]
        _KNOWN[encoder.fingerprint] = NamedThings(names, torch.cat(parts) if parts else torch.empty(0, encoder.width))
    return _KNOWN[encoder.fingerprint]


def akin(
    encoder: ImageTextEncoder, phrases: Sequence[str], vectors: Float[Tensor, "phrases width"]
) -> Bool[Tensor, "phrases names"]:
    """Which of `named_things` each phrase, whose unit embedding is given, may mean; those it need not beat.

    Without an encoder that tells: names that share a word with the phrase, names of classes below or above one that
    does in WordNet, and names whose embedding is close to the phrase's (`AKIN`).
    """
    if isinstance(encoder, KnowsRivals):
        return encoder.akin(phrases)
    things = named_things(encoder)
    cosines = vectors @ things.vectors.to(vectors).T
    mean = cosines.mean(dim=1, keepdim=True)
    close = (cosines >= mean + AKIN * (1.0 - mean)).cpu()
    spoken = [set(content_words(phrase)) for phrase in phrases]
    return close | torch.stack([_sharing(words, things.names) for words in spoken])


def _sharing(words: set[str], names: Sequence[str]) -> Bool[Tensor, " names"]:
    """Names of classes that share a word with these, or are below or above a node that does."""
    taxonomy = load_taxonomy()
    nodes = torch.tensor([any(words & set(content_words(lemma)) for lemma in lemmas) for lemmas in taxonomy.lemmas])
    above = taxonomy.above
    classes = (above[:CLASSES, nodes].any(dim=1) | above[nodes, :CLASSES].any(dim=0)).tolist()
    kin = {taxonomy.lemmas[number][0] for number, related in enumerate(classes) if related}
    return torch.tensor([name in kin for name in names])
