"""Parts of the photos in memory: who is resident when, and that batches come from them alone."""

import time

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scene_files import picture, save, transforms, write_capture

from lerf.errors import SceneError
from lerf.pyramids.lookup import PyramidTable, ResidentTable
from lerf.pyramids.store import build_pyramids
from lerf.scenes import load_scene
from lerf.training.photo_window import LEAST, PhotoWindow, capacity_of, rate_of
from lerf.training.pixels import PixelPool, WindowedPixelPool, allowed_pixels, open_pixels, pixel_bytes
from lerf.training.ray_pool import ResidentRays, feature_bytes, open_tables


def window(members, capacity, rate, seed=0):
    """A window, and which photo is in each of its cache slots."""
    slots = {}
    made = PhotoWindow(members, capacity, rate, seed, lambda photo: f"photo {photo}", lambda *all_: put(slots, *all_))
    return made, slots


def put(slots, cache_slot, photo, loaded):
    assert loaded == f"photo {photo}"
    slots[cache_slot] = photo


@given(st.integers(1, 30), st.integers(1, 30), st.floats(0.1, 3.0), st.lists(st.integers(0, 200), max_size=4))
def test_who_is_resident_depends_on_the_step_alone(count, capacity, rate, steps):
    members = list(range(100, 100 + count))
    moved, moved_slots = window(members, capacity, rate)
    for step in [*steps, 57]:
        moved.go_to(step)
    jumped, jumped_slots = window(members, capacity, rate)
    jumped.go_to(57)
    assert moved.photos == jumped.photos
    assert moved_slots == jumped_slots == dict(enumerate(jumped.photos))
    assert len(set(jumped.photos)) == min(capacity, count)
    for one in (moved, jumped):
        one.close()


def test_every_photo_is_seen_and_few_move_at_a_step():
    count, capacity, steps = 50, 8, 60
    moving, _ = window(range(count), capacity, rate_of(count, capacity, steps))
    seen, before = set(), None
    for step in range(steps + 1):
        changed = moving.go_to(step)
        assert changed == (moving.photos != before)
        if before:
            assert sum(a != b for a, b in zip(moving.photos, before, strict=True)) <= 1
        before = list(moving.photos)
        seen |= set(moving.photos)
    assert seen == set(range(count))
    assert not moving.go_to(steps)
    moving.close()


def test_errors_of_reading_come_out():
    def load(photo):
        raise SceneError("gone")

    broken = PhotoWindow([1, 2], 1, 1.0, 0, load, lambda *_: None)
    with pytest.raises(SceneError, match="gone"):
        broken.go_to(0)
    broken.close()


def test_budget_decides_the_capacity():
    assert capacity_of(1000, 10, 500) == 100
    assert capacity_of(1000, 10, 50) == 50
    assert capacity_of(0, 10, 50) == LEAST
    assert rate_of(2000, 500, 30_000) == 0.5
    assert rate_of(2000, 500, 1000) == 1.5


@pytest.fixture(scope="module")
def capture(tmp_path_factory):
    """Twenty photos of two sizes, each of one colour that says which it is; one has a mask."""
    folder = tmp_path_factory.mktemp("many")
    document = transforms(20)
    for number, frame in enumerate(document["frames"]):
        if number % 2:
            frame |= {"w": 20, "h": 16, "fl_x": 12.0, "cx": 10.0, "cy": 8.0}
    document["frames"][3]["mask_path"] = "mask.png"
    write_capture(folder, document)
    for number in range(20):
        size = (16, 20) if number % 2 else (8, 12)
        save(folder / f"images/{number:04d}.png", np.full((*size, 3), 10 * number, np.uint8))
    mask = np.zeros((16, 20), np.uint8)
    mask[4:6, 7:9] = 255
    save(folder / "mask.png", mask)
    return load_scene(folder)


def test_small_captures_are_wholly_in_memory(capture):
    whole = open_pixels(capture, budget=pixel_bytes(capture), steps=10, seed=0)
    assert type(whole) is PixelPool
    part = open_pixels(capture, budget=pixel_bytes(capture) - 1, steps=10, seed=0)
    assert type(part) is WindowedPixelPool
    part.release()


def test_rays_carry_colours_of_resident_photos(capture):
    pool = WindowedPixelPool(capture, budget=1, steps=40, seed=2)
    seen = set()
    for step in range(0, 40, 4):
        before = set(pool.window.photos) if step else set()
        assert pool.go_to(step) == (set(pool.window.photos) != before)
        assert not pool.go_to(step)
        batch = pool.draw(300, torch.Generator().manual_seed(step))
        resident = set(pool.window.photos)
        assert set(batch.train_index.tolist()) <= resident
        assert len(resident) == LEAST
        seen |= resident
        for train_index, colour in zip(batch.train_index.tolist(), batch.colours, strict=True):
            number = int(capture.photos[capture.train[train_index]].name[-8:-4])
            assert torch.equal((colour * 255).round(), torch.full((3,), 10.0 * number))
            if number == 3:
                assert allowed_pixels(capture, capture.train[train_index]).numel() == 4
    assert seen == set(range(len(capture.train)))
    pool.release()


def test_masked_pixels_are_never_drawn_from_a_window(capture):
    pool = WindowedPixelPool(capture, budget=1, steps=40, seed=2)
    masked = next(i for i, index in enumerate(capture.train) if capture.photos[index].mask_path)
    found = 0
    for step in range(40):
        pool.go_to(step)
        batch = pool.draw(400, torch.Generator().manual_seed(step))
        mine = batch.train_index == masked
        points = batch.rays.origins[mine] + batch.rays.directions[mine]
        if mine.any():
            pixels = pool.cameras.project(capture.train[masked], points)[0]
            assert ((pixels - torch.tensor([8.0, 5.0])).abs() < 1).all()
            found += int(mine.sum())
    assert found
    pool.release()


def test_a_resumed_training_draws_what_it_would_have(capture):
    batches = []
    for steps in (range(30), [29]):
        pool = WindowedPixelPool(capture, budget=1, steps=40, seed=2)
        for step in steps:
            pool.go_to(step)
        batches.append(pool.draw(50, torch.Generator().manual_seed(1)))
        pool.release()
    assert torch.equal(batches[0].colours, batches[1].colours)
    assert torch.equal(batches[0].train_index, batches[1].train_index)


def test_corrupt_photos_are_found_before_the_work_starts(tmp_path):
    write_capture(tmp_path, transforms(20))
    for number in range(20):
        save(tmp_path / f"images/{number:04d}.png", picture(12, 8, number))
    (tmp_path / "images/0013.png").write_bytes((tmp_path / "images/0013.png").read_bytes()[:60])
    with pytest.raises(SceneError, match="0013"):
        WindowedPixelPool(load_scene(tmp_path), budget=1, steps=10, seed=0)


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    """A pyramid and a map of thirty photos of two sizes."""
    from colour_words import ColourMap, ColourWords

    generator = np.random.default_rng(0)
    photos = [generator.integers(0, 256, (24, 40 if n % 2 else 20, 3), dtype=np.uint8) for n in range(30)]
    root = tmp_path_factory.mktemp("stores")
    sources = [lambda photo=photo: photo for photo in photos]
    return [build_pyramids(sources, encoder, root=root) for encoder in (ColourWords(), ColourMap())]


def test_tables_are_whole_where_they_fit(stores):
    assert {type(table) for table in open_tables(stores, feature_bytes(stores))} == {PyramidTable}
    assert {type(table) for table in open_tables(stores, feature_bytes(stores) - 1)} == {ResidentTable}


def test_resident_tables_answer_as_whole_ones_do(stores):
    whole = open_tables(stores, 10**9)
    tables = open_tables(stores, 1)
    train_index = torch.arange(30).repeat_interleave(torch.arange(30) % 4)
    rays = ResidentRays(train_index, tables, tables[0].cache_slots, steps=60, seed=1)
    generator = torch.Generator().manual_seed(0)
    seen = set()
    for step in range(0, 60, 5):
        index = rays.draw(step, 200, generator)
        chosen = train_index[index]
        assert set(chosen.tolist()) <= set(rays.window.photos)
        seen |= set(chosen.tolist())
        pixels = torch.rand(200, 2, generator=generator) * torch.tensor([40.0, 24.0])
        ratio = torch.rand(200, generator=generator)
        torch.testing.assert_close(
            tables[0].interpolate(chosen, pixels, ratio), whole[0].interpolate(chosen, pixels, ratio)
        )
        assert torch.equal(tables[1].nearest(chosen, pixels), whole[1].nearest(chosen, pixels))
    assert seen == set(train_index.tolist()), "all photos that have rays"
    rays.window.close()


def test_reading_ahead_hides_the_disk():
    reads = []

    def load(photo):
        time.sleep(0.01)
        reads.append(photo)
        return photo

    slow = PhotoWindow(range(100), 10, 1.0, 0, load, lambda *_: None)
    slow.go_to(0)
    time.sleep(0.3)
    ahead = len(reads)
    assert 10 < ahead <= 10 + 9
    slow.close()
