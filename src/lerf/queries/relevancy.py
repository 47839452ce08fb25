"""Relevancy of embeddings to phrases."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from lerf.errors import QueryError

LARGEST_TEMPERATURE = 1e6
"""Cosines in single precision differ by more than one over it, and nothing overflows."""


def relevancy(
    embeddings: Float[Tensor, "*points width"],
    queries: Float[Tensor, "queries width"],
    canonical: Float[Tensor, "canonical width"],
    temperature: float,
) -> Float[Tensor, " queries *points"]:
    """How much better each query describes each embedding than any canonical phrase does, in 0..1; 0.5 is a tie.

    min over canonical i of exp(t q) / (exp(t q) + exp(t c_i)), q and c_i the dot products of the embedding with the
    query and with canonical phrase i (Kerr et al. 2023, section 3.4; t = 10 in their code). Computed as
    sigmoid(t (q - max_i c_i)), the same number without overflow. Every vector should have unit length; none is
    normalised here.

    Raises:
        QueryError: without canonical phrases, or when the temperature is not a positive number.
    """
    if len(canonical) == 0:
        raise QueryError("Relevancy needs at least one canonical phrase to compare with; give one.")
    if not 0 < temperature <= LARGEST_TEMPERATURE:
        raise QueryError(
            f"The temperature is {temperature}; give a positive number of at most {LARGEST_TEMPERATURE:g}, for example "
            "10."
        )
    cosines = torch.cat([queries, canonical]) @ embeddings.reshape(-1, embeddings.shape[-1]).T
    scores = relevancy_of_cosines(cosines, len(queries), temperature)
    return scores.view(len(queries), *embeddings.shape[:-1])


def relevancy_of_cosines(
    cosines: Float[Tensor, "texts points"], queries: int, temperature: float
) -> Float[Tensor, "queries points"]:
    """`relevancy` from cosines with the queries and, after them, the canonical phrases; no setting is checked."""
    return torch.sigmoid(odds_of_cosines(cosines, queries, temperature))


def odds_of_cosines(
    cosines: Float[Tensor, "texts points"], queries: int, temperature: float
) -> Float[Tensor, "queries points"]:
    """Logarithmic odds of `relevancy_of_cosines`: the margin over the best canonical phrase times the temperature."""
    return temperature * (cosines[:queries] - cosines[queries:].amax(dim=0))
