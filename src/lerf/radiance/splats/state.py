"""A splat as tensors and facts of a checkpoint: its table to the bit, so that a run needs the file no more."""

from __future__ import annotations

import re
from typing import Annotated, Any

import msgspec
import numpy as np
import torch
from torch import Tensor

from lerf.documents import converted
from lerf.errors import RunError, SplatError
from lerf.splats.splats import Splats, check_splats

SPLAT = "splat"
"""Entry of the facts of a radiance that is a splat."""
TABLE = "table"
_KIND = re.compile(r"[|<](f[48]|[iu][124])")

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


class _About(msgspec.Struct):
    columns: Annotated[list[tuple[Name, str]], msgspec.Meta(min_length=1, max_length=10_000)]
    comments: list[str] = []


def splats_state(splats: Splats) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Splats as named tensors and plain JSON values."""
    rows = np.array(splats.table)  # off the disk
    bytes_of = torch.from_numpy(rows.view(np.uint8).reshape(len(rows), rows.dtype.itemsize))
    columns = [[name, rows.dtype[name].str] for name in splats.names]
    return {TABLE: bytes_of}, {"columns": columns, "comments": list(splats.comments)}


def splats_from_state(tensors: dict[str, Tensor], about: Any, where: str, remedy: str) -> Splats:
    """Inverse of `splats_state`.

    Raises:
        RunError: the tensors are those of no splat; `where` says what holds them, `remedy` what to do.
    """
    told = converted(about, _About, where, error=RunError, remedy=remedy)
    names = [name for name, _ in told.columns]
    table = tensors.get(TABLE)
    fits = len(set(names)) == len(names) and all(_KIND.fullmatch(kind) for _, kind in told.columns)
    kind = np.dtype([(name, kind) for name, kind in told.columns]) if fits else None
    if kind is None or table is None or table.dtype != torch.uint8 or table.shape[1:] != (kind.itemsize,):
        raise RunError(f"{where} is damaged (it does not hold the splat that it says); {remedy}.")
    splats = Splats(table.contiguous().numpy().view(kind)[:, 0], tuple(told.comments))
    try:
        return check_splats(splats, where, remedy)
    except SplatError as problem:
        raise RunError(str(problem)) from None
