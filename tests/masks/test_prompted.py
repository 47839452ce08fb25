"""Which of a network's masks are kept: against hand-made logits and a walk through all pairs."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lerf.masks.prompted import MaskRule, at_size, believed_masks, point_grid, stability, without_repeats


def disc(x: float, y: float, radius: float, sharp: float = 80.0, side: int = 40) -> torch.Tensor:
    """Logits of a disc, in shares of the picture's side; the less sharp the more they change with the threshold."""
    centres = (torch.arange(side) + 0.5) / side
    far = ((centres[None] - x) ** 2 + (centres[:, None] - y) ** 2).sqrt()
    return (radius - far) * side * sharp


THINGS = {(0.3, 0.3): 0.2, (0.75, 0.7): 0.1}


def asked(points: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Each point gets: the disc that it lies in, sure; a blurred one, unstable; one of little quality; the photo."""
    logits, scores = [], []
    for x, y in points.tolist():
        inside = [(c, r) for c, r in THINGS.items() if np.hypot(x - c[0], y - c[1]) < r]
        thing = disc(*inside[0][0], inside[0][1]) if inside else torch.full((40, 40), -9.0)
        logits.append(torch.stack([thing, disc(x, y, 0.1, 0.05), disc(x, y, 0.1), torch.full((40, 40), 9.0)]))
        scores.append(torch.tensor([0.9 if inside else 0.95, 0.99, 0.5, 0.99]))
    return torch.stack(logits), torch.stack(scores)


def test_each_thing_is_found_once() -> None:
    found = believed_masks(asked, MaskRule(points=12))
    wanted = torch.stack([disc(*place, radius) > 0 for place, radius in THINGS.items()])
    assert len(found) == 2
    for mask in wanted:
        assert any(torch.equal(own > 0, mask) for own in found)


def test_points_stand_in_the_middle_of_their_cells() -> None:
    assert point_grid(2).tolist() == [[0.25, 0.25], [0.75, 0.25], [0.25, 0.75], [0.75, 0.75]]


def test_stability_is_the_overlap_of_two_thresholds() -> None:
    logits = torch.tensor([[[-2.0, -0.5, 0.5, 2.0]], [[-2.0, -2.0, -2.0, -2.0]]])
    assert stability(logits, 1.0).tolist() == pytest.approx([1 / 3, 0.0])


@settings(max_examples=40)
@given(st.integers(0, 10**6), st.integers(0, 150), st.sampled_from([0.2, 0.5, 0.7]))
def test_repeats_go_as_in_a_walk_through_all_pairs(seed: int, count: int, overlap: float) -> None:
    random = np.random.default_rng(seed)
    left, size = random.integers(0, 12, count), random.integers(1, 6, count)
    masks = torch.zeros(count, 4, 16, dtype=torch.bool)
    for row in range(count):
        masks[row, :, left[row] : left[row] + size[row]] = True
    scores = torch.from_numpy(random.integers(0, 5, count)).float()
    kept: list[int] = []
    for number in sorted(range(count), key=lambda each: -scores[each]):
        own = masks[number]
        if all((own & masks[k]).sum() <= overlap * (own | masks[k]).sum() for k in kept):
            kept.append(number)
    assert without_repeats(masks, scores, overlap).tolist() == kept


def test_what_lies_beyond_the_photo_is_cut_off() -> None:
    """Of 10 x 10 logits the photo covers 10 x 7.5; the disc in its middle comes out in the photo's middle."""
    logits = disc(0.375, 0.5, 0.25, side=10)[None]
    (mask,) = at_size(logits, (10.0, 7.5), (80, 60))
    assert mask.shape == (80, 60)
    rows, columns = np.nonzero(mask)
    assert (rows.mean(), columns.mean()) == pytest.approx((39.5, 29.5), abs=0.5)
    assert mask.sum() == pytest.approx(np.pi * 20**2, rel=0.05)
    assert not list(at_size(torch.full((1, 10, 10), -1.0), (10.0, 7.5), (80, 60))), "an empty mask is none"
