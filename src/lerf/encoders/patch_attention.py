"""What the last attention of CLIP's image tower gathers for each patch, where each patch is to answer for itself.

As it was trained, the last attention gathers for the class token, and patches hand each other's content around: a patch
says little of its own place. Without training anything, others attend in its stead. Of queries q, keys k and values v
of the last block, each head by itself, A(x) = softmax(x x' / sqrt(size of a head)):

| name | gathered | after |
|---|---|---|
| `maskclip` | v | Zhou, Loy and Dai 2022, arXiv 2112.01071 |
| `clearclip` | A(q) v | Lan et al. 2024, arXiv 2407.12442 |
| `naclip` | A(k) v, a bell over the distance of patches added | Hajimiri, Ben Ayed and Dolz 2025, arXiv 2404.08181 |
| `sclip` | (A(q) + A(k)) v, with the block's residual and MLP | Wang, Mei and Yuille 2024, arXiv 2312.01597 |
| `proxyclip` | softmax of the likeness of patches in DINO, v | Lan et al. 2024, arXiv 2408.04883 |

All but `sclip` leave residual and MLP of the block out. The class token is among what is attended to, and in `naclip`
no nearer to one patch than to another; `proxyclip` leaves it out. The authors of `proxyclip` take DINO's last features;
here it is the keys of the last block, which the dense encoder `dino` gives.
"""

from __future__ import annotations

import math
from typing import Any, Literal, get_args

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from lerf.devices import resized
from lerf.encoders.protocols import FeatureGrid
from lerf.errors import ConfigError, EncoderError

Attention = Literal["naclip", "maskclip", "clearclip", "sclip", "proxyclip"]
ATTENTIONS: tuple[Attention, ...] = get_args(Attention)
DEFAULT: Attention = "naclip"
"""`docs/encoders.md` says why."""
DEVIATION = 5.0
"""Of `naclip`'s bell, in patches; the authors' for all of their data."""
SHIFT, SHARPNESS = 1.2, 3.0
"""Of `proxyclip`: likenesses below so many times their mean count nothing, the others are multiplied; the authors'."""


def check_attention(name: str | None) -> Attention:
    """The attention of that name; the default without one.

    Raises:
        ConfigError: there is none.
    """
    if name is None:
        return DEFAULT
    if name not in ATTENTIONS:
        raise ConfigError(f"There is no attention '{name}'; known are {', '.join(ATTENTIONS)}.")
    return name


def refuse_attention(name: str | None, encoder: str) -> None:
    """Refuse a choice where an encoder has none.

    Raises:
        EncoderError: one was made.
    """
    if name is not None:
        raise EncoderError(f"'{encoder}' does not take +{name}: that is for dense features of a CLIP; leave it out.")


def patch_values(
    attention: Attention,
    block: Any,
    tokens: Float[Tensor, "tokens channels"],
    rows: int,
    columns: int,
    guide: FeatureGrid | None = None,
) -> Float[Tensor, "patches channels"]:
    """What enters the final norm for each patch.

    Args:
        attention: how patches attend.
        block: last block of the image tower, of `transformers`.
        tokens: its input, the class token first and then the patches row by row.
        rows: patches of a column.
        columns: patches of a row.
        guide: of `proxyclip`, the photo's map of DINO.
    """
    layer, normed = block.self_attn, block.layer_norm1(tokens)
    heads = int(layer.num_heads)

    def part(projection: Any) -> Tensor:
        return projection(normed).reshape(len(tokens), heads, -1).transpose(0, 1)

    v = part(layer.v_proj)
    if attention == "maskclip":
        gathered = v
    elif attention == "clearclip":
        gathered = _attend(part(layer.q_proj), v)
    elif attention == "sclip":
        gathered = _attend(part(layer.q_proj), v) + _attend(part(layer.k_proj), v)
    elif attention == "naclip":
        gathered = _attend(part(layer.k_proj), v, bell(rows, columns, tokens))
    else:
        assert guide is not None
        weights = likeness(guide, rows, columns).to(v.dtype)
        gathered = torch.cat([v[:, :1], weights @ v[:, 1:]], dim=1)
    values = layer.out_proj(gathered.transpose(0, 1).flatten(1))
    if attention == "sclip":
        values = tokens + values
        values = values + block.mlp(block.layer_norm2(values))
    return values[1:]


def bell(rows: int, columns: int, like: Tensor) -> Float[Tensor, "tokens tokens"]:
    """exp(-d^2 / (2 `DEVIATION`^2)) for patches at the distance d, 0 for the class token; the first is the token's."""
    along = [
        torch.exp(-((torch.arange(side)[:, None] - torch.arange(side)) ** 2) / (2 * DEVIATION**2))
        for side in (rows, columns)
    ]
    return F.pad(torch.kron(*along), (1, 0, 1, 0)).to(like)


def likeness(guide: FeatureGrid, rows: int, columns: int) -> Float[Tensor, "patches patches"]:
    """Weights of patches for each patch, from the cosines of their features in another network.

    Features are laid on the grid of patches, both of which cover the whole photo. Cosines below `SHIFT` times the mean
    of all get no weight, the others softmax(`SHARPNESS` (cosine - `SHIFT` mean)). A patch is always like itself.
    """
    plane = guide.features.permute(2, 0, 1)[None].float()
    laid = resized(plane, (rows, columns), "bilinear")
    unit = F.normalize(laid[0].flatten(1).T, dim=-1)
    cosines = unit @ unit.T
    scores = SHARPNESS * (cosines - SHIFT * cosines.mean())
    scores = scores.masked_fill(scores < 0, -math.inf)
    # Where all is alike even the patch itself is under the bar; it then answers for itself.
    scores.diagonal().clamp_(min=0.0)
    return torch.softmax(scores, dim=-1)


def _attend(
    x: Float[Tensor, "heads tokens size"], v: Float[Tensor, "heads tokens size"], added: Tensor | None = None
) -> Float[Tensor, "heads tokens size"]:
    return F.scaled_dot_product_attention(x[None], x[None], v[None], attn_mask=added)[0]
