"""Several phrases asked together: every place answers the phrase that leads there, and no other.

Phrases that are alike, an apple and a banana among fruit, pass the canonical phrases in each other's places. Against
each other the better one wins, so that they share a scene without sharing a place.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def where_leading(
    relevancy: Float[Tensor, "phrases ..."], deciding: Float[Tensor, "phrases ..."] | None = None
) -> Float[Tensor, "phrases ..."]:
    """Relevancy of each phrase where no other has more, and 0 elsewhere; of equals all keep theirs.

    Args:
        relevancy: of each phrase at its own scale, 0..1, [phrases, *places].
        deciding: what is compared in place of it, such as relevancy after a propagation, which a stray point does not
            decide alone.
    """
    compared = relevancy if deciding is None else deciding
    return torch.where(compared == compared.amax(0, keepdim=True), relevancy, 0.0)
