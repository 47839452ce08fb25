"""Compositions: the seed decides, nothing overlaps or floats, everything is counted and labelled."""

import dataclasses
from functools import cache

import numpy as np
import pytest
from scipy.spatial import ConvexHull

from lerf.errors import ConfigError
from lerf_scenes.arrange import compose, drawn_setting
from lerf_scenes.composition import SETTINGS, light_axes
from lerf_scenes.kind import COLOURS
from lerf_scenes.kinds import all_kinds

KINDS = all_kinds()
SCENES = [(seed, setting) for setting in SETTINGS for seed in (11, 12)]
scenes = pytest.mark.parametrize(("seed", "setting"), SCENES)


@cache
def composed(seed, setting):
    return compose(seed, setting)


def points_of(placed):
    return placed.in_scene(np.concatenate([surface.mesh.vertices for surface in placed.surfaces]))


def outline_of(placed):
    """Convex outline on the ground."""
    flat = points_of(placed)[:, :2]
    return flat[ConvexHull(flat).vertices]


def distance(first, second):
    """Between convex outlines along the best of the normals of their edges; negative where they overlap."""
    best = -np.inf
    for outline in (first, second):
        edges = np.roll(outline, -1, 0) - outline
        normals = np.stack([edges[:, 1], -edges[:, 0]]) / np.linalg.norm(edges, axis=1)
        a, b = first @ normals, second @ normals
        best = max(best, (a.min(0) - b.max(0)).max(), (b.min(0) - a.max(0)).max())
    return best


def same(first, second):
    """Equality down to the arrays of two records."""
    if dataclasses.is_dataclass(first):
        return type(first) is type(second) and all(
            same(getattr(first, field.name), getattr(second, field.name)) for field in dataclasses.fields(first)
        )
    if isinstance(first, tuple):
        return len(first) == len(second) and all(map(same, first, second))
    return np.array_equal(first, second)


def test_the_seed_decides():
    assert same(composed(11, "table"), compose(11, "table"))
    assert not same(composed(11, "table").objects, composed(12, "table").objects)
    assert [drawn_setting(seed) for seed in range(40)] == [drawn_setting(seed) for seed in range(40)]
    assert {drawn_setting(seed) for seed in range(40)} == set(SETTINGS)


@scenes
def test_objects_keep_apart(seed, setting):
    objects = composed(seed, setting).objects
    outlines = [outline_of(placed) for placed in objects]
    for k, first in enumerate(objects):
        for m in range(k):
            if first.position[2] == objects[m].position[2]:
                assert distance(outlines[k], outlines[m]) > 0, (first.kind, objects[m].kind)


@scenes
def test_objects_stand_on_their_support(seed, setting):
    composition = composed(seed, setting)
    (support,) = [thing for thing in composition.things if thing.kind == setting]
    body = next(surface.mesh for surface in support.surfaces if surface.name == "body")
    tops = np.unique(body.vertices[:, 2].round(9))
    corners = body.vertices[ConvexHull(body.vertices[:, :2]).vertices][:, :2]
    edges = np.roll(corners, -1, 0) - corners
    normals = np.stack([edges[:, 1], -edges[:, 0]])
    for placed in composition.objects:
        points = points_of(placed)
        np.testing.assert_allclose(points[:, 2].min(), placed.position[2], atol=1e-9)
        assert np.abs(tops - placed.position[2]).min() < 1e-6, "there is no board at this height"
        if setting != "shelf":
            assert placed.position[2] == 0
        # Inside of every edge of the top.
        assert ((points[:, :2] @ normals) <= (corners * normals.T).sum(1) + 1e-9).all()


@pytest.mark.parametrize("seed", [11, 12])
def test_objects_fit_under_the_next_board(seed):
    composition = composed(seed, "shelf")
    boards = sorted({placed.position[2] for placed in composition.objects})
    for placed in composition.objects:
        above = [height for height in boards if height > placed.position[2]]
        if above:
            assert points_of(placed)[:, 2].max() < above[0]


@scenes
def test_things_are_counted_and_labelled(seed, setting):
    composition = composed(seed, setting)
    assert 1 <= len(composition.objects) <= 18
    assert [thing.identifier for thing in composition.things] == list(range(1, len(composition.things) + 1))
    kinds = [thing.kind for thing in composition.things if thing.furniture]
    assert {setting, "floor", "wall"} <= set(kinds) <= {*SETTINGS, "floor", "wall", "picture"}
    owner = {}
    for thing in composition.things:
        for surface in thing.surfaces:
            assert 1 <= surface.label <= 255
            assert owner.setdefault(surface.label, (thing.identifier, surface.name)) == (
                thing.identifier,
                surface.name,
            )
    assert len(set(owner.values())) == len(owner), "parts of one name share a label"


@scenes
def test_objects_look_as_their_kind_may(seed, setting):
    for placed in composed(seed, setting).objects:
        kind = KINDS[placed.kind]
        assert placed.colour in kind.colours
        assert placed.material in (kind.materials or ("natural",))
        assert placed.pattern in (("plain", "striped", "dotted") if kind.patterns else ("plain",))
        assert (placed.second in COLOURS) == (placed.pattern != "plain")
        assert kind.size[0] <= placed.extent <= kind.size[1]
        own = np.concatenate([surface.mesh.vertices for surface in placed.surfaces])
        np.testing.assert_allclose(np.ptp(own, axis=0).max(), placed.extent)


@scenes
def test_descriptions(seed, setting):
    for placed in composed(seed, setting).things:
        thing = placed.described()
        names = ("identifier", "kind", "colour", "material", "pattern", "second", "furniture")
        assert [getattr(thing, name) for name in names] == [getattr(placed, name) for name in names]
        points = points_of(placed)
        np.testing.assert_allclose([thing.minimum, thing.maximum], [points.min(0), points.max(0)])
        assert len({part.label for part in thing.parts}) == len({part.name for part in thing.parts})
        for part in thing.parts:
            own = [surface.mesh.vertices for surface in placed.surfaces if surface.label == part.label]
            points = placed.in_scene(np.concatenate(own))
            np.testing.assert_allclose([part.minimum, part.maximum], [points.min(0), points.max(0)])


@pytest.mark.parametrize("count", [1, 3])
def test_the_count_asked_for(count):
    assert len(compose(0, "table", objects=(count, count)).objects) == count


@pytest.mark.parametrize("objects", [(0, 4), (5, 4), (20, 25), (-1, -1)])
def test_senseless_counts(objects):
    with pytest.raises(ConfigError, match="1 to 24 objects"):
        compose(0, "table", objects=objects)


@pytest.mark.parametrize("setting", SETTINGS)
def test_lights_shine_on_the_scene(setting):
    composition = composed(11, setting)
    assert composition.lights
    assert min(composition.ambient) > 0
    assert composition.exposure > 0
    for light in composition.lights:
        across, up = light_axes(light)
        facing = np.subtract(light.target, light.centre)
        np.testing.assert_allclose(np.stack([across, up]) @ np.stack([across, up, facing]).T, [[1, 0, 0], [0, 1, 0]],
                                   atol=1e-9)  # fmt: skip
        assert light.centre[2] > max(points_of(placed)[:, 2].max() for placed in composition.objects) or facing[1] > 0
        assert min(light.radiance) > 0
