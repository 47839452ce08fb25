import math

import pytest
import torch

from lerf.encoders.conse import SpaceSettings, load_axes
from lerf.encoders.taxonomy import CLASSES, load_taxonomy


def node(name: str) -> int:
    return next(index for index, names in enumerate(load_taxonomy().lemmas) if name in names)


def test_classes_are_in_the_order_of_ilsvrc():
    taxonomy = load_taxonomy()
    known = {0: "tench", 1: "goldfish", 277: "red fox", 279: "Arctic fox", 291: "lion", 404: "airliner", 872: "tripod",
             963: "pizza", 967: "espresso", 999: "toilet tissue"}  # fmt: skip
    assert {index: name for index, name in known.items() if name in taxonomy.lemmas[index]} == known
    assert len(taxonomy.lemmas) == 1860


def test_hypernyms_count_their_classes():
    taxonomy = load_taxonomy()
    below = taxonomy.above[:CLASSES].sum(dim=0)
    foxes = {taxonomy.lemmas[k][0] for k in range(CLASSES) if taxonomy.above[k, node("fox")]}
    assert foxes == {"red fox", "kit fox", "Arctic fox", "grey fox"}
    assert below[node("entity")] == CLASSES
    assert (below[:CLASSES] == 1).all()


def test_vectors_give_resnik_similarity():
    taxonomy = load_taxonomy()
    vectors = taxonomy.vectors()
    red, kit, rock = node("red fox"), node("kit fox"), node("airliner")
    closest_common = math.log(CLASSES / 4) / math.log(CLASSES)
    assert vectors[red] @ vectors[kit] == pytest.approx(closest_common, abs=0.02)
    assert vectors[red] @ vectors[rock] == pytest.approx(0.0, abs=0.15)
    torch.testing.assert_close(vectors[:CLASSES].norm(dim=1), torch.ones(CLASSES))
    torch.testing.assert_close(vectors.norm(dim=1) ** 2, taxonomy.information, atol=1e-5, rtol=0)


def test_stored_axes_keep_the_similarities():
    vectors = load_taxonomy().vectors(SpaceSettings().information_power)[:CLASSES]
    stored = load_axes()[0][:CLASSES]
    error = vectors @ vectors.T - stored @ stored.T
    assert error.fill_diagonal_(0.0).abs().max() < 0.5
    assert error.square().mean().sqrt() < 0.02
