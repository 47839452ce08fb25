"""The language head with the phrases folded into its last layer: cosines without embeddings.

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
from lerf.language.field import LanguageField, LightStops
from lerf.language.lifted import Language, deferred_field
from lerf.queries.phrases import Phrases
from lerf.queries.relevancy import relevancy, relevancy_of_cosines


class FoldedHead:
    """The head of a field for given texts."""

    @torch.no_grad()
    def __init__(self, field: LanguageField, texts: Float[Tensor, "texts width"] | None = None) -> None:
        """`texts` are those of `cosines`; `cosines_of` is given its own."""
        *hidden, last = field.head.layers
        self.field = field
        # W and b side by side.
        self.joined = joined = torch.cat([last.weight, last.bias[:, None]], dim=1)
        triangle = torch.linalg.qr(joined.double(), mode="r").R.float()
        projected = joined[:0] if texts is None else self.projected(texts)
        # One matrix for both: its first rows give the length, the others the dot products.
        self.rows = len(triangle)
        self.weights = [layer.weight for layer in hidden] + [torch.cat([triangle[:, :-1], projected[:, :-1]])]
        self.biases = [layer.bias for layer in hidden] + [torch.cat([triangle[:, -1], projected[:, -1]])]

    @torch.no_grad()
    def projected(self, texts: Float[Tensor, "texts width"]) -> Float[Tensor, "texts projected"]:
        """Texts as the last hidden layer, and the 1 that its bias takes, meet them."""
        return texts.to(self.joined) @ self.joined

    @torch.no_grad()
    def before_scale(self, features: Float[Tensor, "points features"]) -> Float[Tensor, "points first"]:
        """What the first layer makes of features, before it is told a scale: one serves all scales."""
        if len(self.weights) == 1:
            return features
        return kernels.dense_layers(features, [self.weights[0][:, :-1].contiguous()], self.biases[:1])

    @torch.no_grad()
    def before_texts(
        self, first: Float[Tensor, "points first"], scale: Float[Tensor, " points"]
    ) -> tuple[Float[Tensor, "points hidden"], Float[Tensor, "points 1"]]:
        """What any text is held against, for `cosines_of`: the last hidden layer and 1, both over the length of the
        embedding; from what `before_scale` gave."""
        if len(self.weights) == 1:
            hidden = self.field.head_input(first, scale)
        else:
            hidden = torch.addr(first, self.field.bounded_scale(scale), self.weights[0][:, -1]).relu_()
        if len(self.weights) > 2:
            hidden = kernels.dense_layers(hidden, self.weights[1:-1], self.biases[1:-1]).relu_()
        ends = self.weights[-1][: self.rows], self.biases[-1][: self.rows]
        length = torch.linalg.vector_norm(kernels.dense_layers(hidden, [ends[0]], [ends[1]]), dim=-1, keepdim=True)
        length = length.clamp(min=1e-12)
        return hidden / length, 1.0 / length

    @torch.no_grad()
    def cosines_of(
        self,
        hidden: Float[Tensor, "*points hidden"],
        one: Float[Tensor, "*points 1"],
        projected: Float[Tensor, "texts projected"],
    ) -> Float[Tensor, "*points texts"]:
        """Cosines with texts of unit length, as `projected`, from what `before_texts` gave."""
        return hidden @ projected[:, :-1].T + one * projected[:, -1]

    @torch.no_grad()
    def cosines(
        self, features: Float[Tensor, "points features"], scale: Float[Tensor, " points"]
    ) -> Float[Tensor, "points texts"]:
        """Cosines of the embeddings at physical scales, normalised units, with the texts of unit length."""
        both = kernels.dense_layers(self.field.head_input(features, scale), self.weights, self.biases)
        length = torch.linalg.vector_norm(both[:, : self.rows], dim=-1, keepdim=True)
        return both[:, self.rows :] / length.clamp(min=1e-12)


class Asked:
    """Phrases ready to be asked of a language at many places: folded into its head where it has one a place."""

    def __init__(self, language: Language, phrases: Phrases) -> None:
        self.language, self.phrases = language, phrases
        self.head: FoldedHead | None = None
        field = deferred_field(language)
        if field is not None:
            self.head = FoldedHead(field, torch.cat([phrases.queries, phrases.canonical]))

    @torch.no_grad()
    def relevancy(
        self,
        features: Float[Tensor, "points features"] | None,
        stops: LightStops | None,
        scale: Float[Tensor, " points"],
    ) -> Float[Tensor, "phrases points"]:
        """Relevancy at physical scales, normalised units, from composited features for the deferred estimator, from
        where light stops for the others."""
        phrases = self.phrases
        if self.head is not None:
            assert features is not None
            cosines = self.head.cosines(features, scale)
            return relevancy_of_cosines(cosines, len(phrases.queries), phrases.temperature)
        assert stops is not None
        embedding = self.language.render_at_scale(stops, scale)
        return relevancy(embedding, phrases.queries, phrases.canonical, phrases.temperature)
