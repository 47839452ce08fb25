import math

import pytest
import torch

from lerf.encoders.conse import SpaceSettings, class_vectors, load_axes, node_vectors
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
    wanted = class_vectors(SpaceSettings())
    stored = load_axes()[0]
    error = (wanted @ wanted.T - stored @ stored.T).fill_diagonal_(0.0)
    assert error.abs().max() < 0.3
    assert error.square().mean().sqrt() < 0.06


def test_every_class_has_something_of_its_own():
    """Also of siblings that have no other kin: principal axes made the orange and the lemon one."""
    stored = load_axes()[0]
    torch.testing.assert_close(stored.norm(dim=1), torch.ones(CLASSES), atol=1e-3, rtol=0)
    between = (stored @ stored.T).fill_diagonal_(0.0)
    assert between.max() < 0.7
    orange, lemon, banana, airliner = (node(name) for name in ("orange", "lemon", "banana", "airliner"))
    assert 0.25 < stored[orange] @ stored[lemon] < 0.6, "kin all the same"
    assert abs(float(stored[banana] @ stored[airliner])) < 0.2


def test_hypernyms_reach_the_classes_below_them_and_no_others():
    nodes = node_vectors(load_axes()[0])
    taxonomy = load_taxonomy()
    products = nodes.vectors @ nodes.vectors[:CLASSES].T
    for name in ("animal", "vehicle", "edible fruit", "fox", "bird"):
        row = node(name)
        below = taxonomy.above[:CLASSES, row]
        assert nodes.reach[row] == pytest.approx(float(products[row, below].mean()), abs=1e-4)
        assert products[row, below].mean() > 3 * products[row, ~below].abs().mean()
        assert products[row, below].quantile(0.1) > products[row, ~below].quantile(0.9)
