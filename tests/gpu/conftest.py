"""Triton's kernels are compiled from their own source, not from what the import hook of the tests makes of them."""

from __future__ import annotations

import importlib.util
import inspect
import os

import pytest
from fake_gpu import register

if importlib.util.find_spec("triton") is not None:
    import triton

    _jit = triton.jit
    triton.jit = lambda function: _jit(inspect.unwrap(function))

# While tests are collected, so that no other test has made a backward pass.
register()

REQUIRED = os.environ.get("LERF_TEST_TRITON") == "required"


@pytest.fixture(scope="session")
def interpreted() -> None:
    """Skips where Triton is not there to interpret its kernels; `make test-gpu` installs it and requires it."""
    there = importlib.util.find_spec("triton") is not None and os.environ.get("TRITON_INTERPRET") == "1"
    if not there and REQUIRED:
        pytest.fail("Triton is not installed, or TRITON_INTERPRET is not 1.")
    if not there:
        pytest.skip("no Triton that interprets: run make test-gpu")
