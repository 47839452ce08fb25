"""The classes of ImageNet inside WordNet, and a vector for every class and every hypernym.

Vectors follow Resnik's similarity (Resnik 1995, arXiv cmp-lg/9511007): two classes are as alike as their closest common
hypernym is informative, where a node n above |n| of the 1000 classes has information -log(|n| / 1000). A class is the
sum of orthogonal steps from the root down to it, each of squared length equal to the information gained by the step; a
hypernym is the part of the way down to it. Dot products are then Resnik similarities (exactly so in a tree; WordNet is
nearly one), scaled to 1 for a class with itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import torch
from jaxtyping import Bool, Float
from torch import Tensor

CLASSES = 1000


@dataclass(frozen=True)
class Taxonomy:
    """Nodes: the 1000 classes in the order of ILSVRC2012, then their hypernyms."""

    lemmas: tuple[tuple[str, ...], ...]
    """Names of each node."""
    above: Bool[Tensor, "nodes nodes"]
    """above[n, m]: m is n or a hypernym of n."""

    @property
    def information(self) -> Float[Tensor, " nodes"]:
        """-log of the fraction of classes at or below each node, over log 1000: 0 at the root, 1 at a class."""
        counts = self.above[:CLASSES].sum(dim=0)
        return -torch.log(counts / CLASSES) / torch.log(torch.tensor(float(CLASSES)))

    def vectors(self, exponent: float = 1.0) -> Float[Tensor, "nodes nodes"]:
        """One vector a node, in the space whose axes are the nodes.

        Args:
            exponent: information is raised to this power; above 1 it draws kin apart.
        """
        information = self.information**exponent
        # A node's own step: what it tells beyond its most informative parent.
        strictly = self.above & ~torch.eye(len(self.above), dtype=torch.bool)
        parents = torch.where(strictly, information, torch.zeros(())).amax(dim=1)
        step = (information - parents).clamp_min(0.0).sqrt()
        vectors = self.above * step
        # Several parents make a way down too long; scale it to the information of its end.
        length = vectors.norm(dim=1).clamp_min(1e-12)
        return vectors * (information.sqrt() / length)[:, None]


@cache
def load_taxonomy() -> Taxonomy:
    """Read the extract of WordNet that comes with the package."""
    text = files("lerf.encoders").joinpath("data").joinpath("imagenet_wordnet.tsv").read_text(encoding="utf-8")
    rows = [line.split("\t") for line in text.splitlines() if not line.startswith("#")]
    index = {row[0]: number for number, row in enumerate(rows)}
    above = torch.eye(len(rows), dtype=torch.bool)
    parents = [[index[name] for name in row[2].split()] for row in rows]
    done: set[int] = set()

    def climb(node: int) -> None:
        if node not in done:
            for parent in parents[node]:
                climb(parent)
                above[node] |= above[parent]
            done.add(node)

    for node in range(len(rows)):
        climb(node)
    return Taxonomy(tuple(tuple(row[1].split(", ")) for row in rows), above)
