"""Relevancy against its literal formula, and its laws."""

import pytest
import torch
from beartype import beartype
from beartype.roar import BeartypeCallHintViolation
from hypothesis import given, settings
from hypothesis import strategies as st
from jaxtyping import TypeCheckError, jaxtyped

from lerf.errors import QueryError
from lerf.queries.relevancy import relevancy


def literal(embeddings: torch.Tensor, queries: torch.Tensor, canonical: torch.Tensor, t: float) -> torch.Tensor:
    """The formula of the paper, one exponential at a time."""
    rows = []
    for query in queries.double():
        options = []
        for phrase in canonical.double():
            q = torch.exp(t * (embeddings.double() @ query))
            c = torch.exp(t * (embeddings.double() @ phrase))
            options.append(q / (q + c))
        rows.append(torch.stack(options).amin(dim=0))
    return torch.stack(rows)


def unit(*shape: int, seed: int) -> torch.Tensor:
    return torch.nn.functional.normalize(torch.randn(*shape, generator=torch.Generator().manual_seed(seed)), dim=-1)


@settings(deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 4), st.integers(1, 5), st.floats(0.1, 100))
def test_it_is_the_formula(seed: int, queries: int, canonical: int, temperature: float) -> None:
    embeddings, q, c = unit(3, 2, 8, seed=seed), unit(queries, 8, seed=seed + 1), unit(canonical, 8, seed=seed + 2)
    result = relevancy(embeddings, q, c, temperature)
    assert result.shape == (queries, 3, 2)
    torch.testing.assert_close(result.double(), literal(embeddings, q, c, temperature), atol=1e-4, rtol=1e-4)


@settings(deadline=None)
@given(st.integers(0, 10**6))
def test_more_canonical_phrases_never_raise_it(seed: int) -> None:
    embeddings, q, c = unit(20, 8, seed=seed), unit(2, 8, seed=seed + 1), unit(4, 8, seed=seed + 2)
    assert (relevancy(embeddings, q, c, 10.0) <= relevancy(embeddings, q, c[:2], 10.0) + 1e-6).all()


def test_a_query_that_is_canonical_ties_at_most() -> None:
    embeddings, c = unit(50, 8, seed=0), unit(4, 8, seed=1)
    result = relevancy(embeddings, c, c, 10.0)
    assert result.max() <= 0.5 + 1e-6
    assert torch.allclose(result.amax(dim=0), torch.tensor(0.5))


def test_it_does_not_overflow() -> None:
    embeddings = torch.eye(2)
    result = relevancy(embeddings, torch.eye(2), -torch.eye(2), 1e6)
    assert result.isfinite().all()
    assert torch.equal(result.diag(), torch.ones(2))


def test_one_embedding_and_none() -> None:
    assert relevancy(unit(8, seed=0), unit(3, 8, seed=1), unit(2, 8, seed=2), 1.0).shape == (3,)
    assert relevancy(torch.zeros(0, 8), unit(3, 8, seed=1), unit(2, 8, seed=2), 1.0).shape == (3, 0)


def test_settings_that_cannot_be_answered() -> None:
    with pytest.raises(QueryError, match="canonical"):
        relevancy(unit(2, 8, seed=0), unit(1, 8, seed=1), torch.zeros(0, 8), 10.0)
    for temperature in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(QueryError, match="temperature"):
            relevancy(unit(2, 8, seed=0), unit(1, 8, seed=1), unit(1, 8, seed=2), temperature)


def test_widths_that_differ_are_caught_by_the_annotations() -> None:
    checked = jaxtyped(typechecker=beartype)(relevancy)
    with pytest.raises((TypeCheckError, BeartypeCallHintViolation)):
        checked(unit(2, 8, seed=0), unit(1, 7, seed=1), unit(1, 8, seed=2), 10.0)
