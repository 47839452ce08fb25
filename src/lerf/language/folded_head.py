"""The language head with texts folded into its last layer: cosines without embeddings.

An embedding is e = W h + b over its length, h being the last hidden layer, and a query wants its dot products with a
few texts t. Those are (W^T t) . h + b . t over |W h + b|, and the length needs no more than the triangle R of a QR
decomposition of [W b]: |W h + b| = |R [h 1]|. So the layer from `hidden` to `width` numbers becomes one from `hidden`
to `hidden`, and the embeddings, the largest tensors of a query, are never written. Exact up to rounding.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from lerf import kernels
from lerf.devices import in_doubles
from lerf.language.field import LanguageField


class FoldedHead:
    """The head of a field, which must not change any more. Scales are in normalised units."""

    @torch.no_grad()
    def __init__(self, field: LanguageField) -> None:
        *hidden, last = field.head.layers
        self.field = field
        # W and b side by side.
        self._joined = torch.cat([last.weight, last.bias[:, None]], dim=1)
        self._triangle = torch.linalg.qr(in_doubles(self._joined), mode="r").R.float().to(self._joined.device)
        self._weights = [layer.weight for layer in hidden]
        self._biases = [layer.bias for layer in hidden]

    @torch.no_grad()
    def project(self, texts: Float[Tensor, "texts width"]) -> Float[Tensor, "texts code"]:
        """Texts as the last hidden layer, and the 1 that its bias takes, meet them."""
        return texts.to(self._joined) @ self._joined

    @torch.no_grad()
    def codes(
        self, features: Float[Tensor, "points features"], scale: Float[Tensor, " points"]
    ) -> Float[Tensor, "points code"]:
        """What any text is held against: the last hidden layer and 1, over the length of the embedding."""
        hidden = self.field.head_input(features, scale)
        if self._weights:
            hidden = kernels.dense_layers(hidden, self._weights, self._biases).relu_()
        triangle = self._triangle
        ends = kernels.dense_layers(hidden, [triangle[:, :-1].contiguous()], [triangle[:, -1].contiguous()])
        length = torch.linalg.vector_norm(ends, dim=-1, keepdim=True).clamp(min=1e-12)
        return torch.cat([hidden, torch.ones_like(length)], dim=-1).div_(length)

    @torch.no_grad()
    def cosines(
        self,
        features: Float[Tensor, "points features"],
        scale: Float[Tensor, " points"],
        texts: Float[Tensor, "texts width"],
    ) -> Float[Tensor, "points texts"]:
        """Cosines of the embeddings with texts of unit length, in one pass: `codes @ project(texts).T`."""
        # One matrix for both: its first rows give the length, the others the dot products.
        last = torch.cat([self._triangle, self.project(texts)])
        weights, biases = [*self._weights, last[:, :-1].contiguous()], [*self._biases, last[:, -1].contiguous()]
        both = kernels.dense_layers(self.field.head_input(features, scale), weights, biases)
        rows = len(self._triangle)
        length = torch.linalg.vector_norm(both[:, :rows], dim=-1, keepdim=True)
        return both[:, rows:] / length.clamp(min=1e-12)
