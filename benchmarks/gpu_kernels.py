"""Whether the kernels of a device give what their definitions give."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from lerf import kernels
from lerf.kernels.layout import GridLayout
from lerf.kernels.types import AdamStep, FlatSplats, ProposalSettings
from lerf.queries.near import point_grid

LEARNT = {"hash_encode", "encode_composite", "render_weights", "composite", "draw_splats"}
"""Operations with gradients."""


def differences(device: torch.device) -> dict[str, float]:
    """By operation the largest difference between the device's kernel and the definition, forward and backward, over
    the largest number there."""
    generator = torch.Generator(device).manual_seed(0)

    def random(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator, device=device)

    layout = GridLayout.geometric(8, 8, 256, 8, 14)
    points, table = random(4000, 3), random(layout.entries, 8) - 0.5
    along, weights = random(200, 12, 3), torch.softmax(random(200, 12), -1)
    values, lengths = random(200, 12, 7), random(200, 12)
    grid, directions = 5 * random(32, 32, 32), torch.nn.functional.normalize(random(200, 3) - 0.5, dim=-1)
    settings = ProposalSettings(24, 96, 0.05, 100.0, 0.7, 0.05, 0.5)
    origins, jitter, edges = random(200, 3) - 0.5, random(200), random(200, 13).sort(-1).values
    numbers = AdamStep(1e-2, 0.9, 0.99, 1e-15, 10.0, 100.0)
    touched = torch.where(random(len(table), 1) > 0.5, random(len(table), 8) - 0.5, 0.0)

    # Wide enough that none ends, by its least opacity, inside the picture, where rounding would decide.
    flat = (60 * random(300, 2), 0.01 + 0.01 * random(300, 3), 0.05 + 0.2 * random(300), random(300, 3))
    places = random(500, 2)
    cells = point_grid(random(2000, 3), torch.arange(2000, dtype=torch.int32, device=device), 0.1)

    def adam(given: Tensor) -> Tensor:
        moved = given.detach().clone()
        kernels.sparse_adam(moved, touched.clone(), torch.zeros_like(moved), torch.zeros_like(moved), numbers)
        return moved

    cases: dict[str, tuple[Callable[..., Tensor], tuple[Tensor, ...]]] = {
        "hash_encode": (lambda p, t: kernels.hash_encode(p, t, layout), (points, table)),
        "encode_composite": (lambda t: kernels.encode_composite(along, weights, t, layout), (table,)),
        "render_weights": (lambda d: kernels.render_weights(d, lengths), (3 * random(200, 12),)),
        "composite": (kernels.composite, (weights, values)),
        "proposal_edges": (lambda o: kernels.proposal_edges(o, directions, grid, jitter, settings), (origins,)),
        "refined_edges": (lambda w: kernels.refined_edges(edges, w, 20, 0.02), (weights,)),
        "interval_points": (lambda o: kernels.interval_points(o, directions, edges), (origins,)),
        "direction_harmonics": (kernels.direction_harmonics, (directions,)),
        "heaviest": (lambda w: kernels.heaviest(w, 5)[0], (weights,)),
        "sparse_adam": (adam, (table,)),
        "nearest_points": (lambda q: kernels.nearest_points(q, cells, 0.1, 4)[1], (random(500, 3),)),
        "draw_splats": (_drawn, flat),
        "trace_splats": (lambda *each: kernels.trace_splats(FlatSplats(*each), 60 * places, 8).weights, flat),
        "gather_splats": (lambda *each: kernels.gather_splats(FlatSplats(*each), 60, 40), flat),
    }
    found = {}
    for name, (work, inputs) in cases.items():
        both = [_outcome(work, inputs, backend, name in LEARNT) for backend in ("reference", "auto")]
        found[name] = max(
            float((ours - theirs).abs().max() / theirs.abs().max().clamp(min=1.0))
            for theirs, ours in zip(*both, strict=True)
        )
    return found


def _drawn(*parts: Tensor) -> Tensor:
    """Colour and transmittance of a picture, [height, width, 4]."""
    picture = kernels.draw_splats(FlatSplats(*parts), 60, 40)
    return torch.cat([picture.colour, picture.transmittance[..., None]], -1)


def _outcome(work: Callable[..., Tensor], inputs: tuple[Tensor, ...], backend: str, learnt: bool) -> list[Tensor]:
    """The result and, where it is learnt from, the gradients of the inputs."""
    given = [each.detach().clone().requires_grad_(learnt) for each in inputs]
    with kernels.use(backend):  # type: ignore[arg-type]
        out = work(*given)
        if out.requires_grad:
            out.backward(torch.cos(torch.arange(out.numel(), device=out.device)).view_as(out))
    return [out.detach(), *(each.grad for each in given if each.grad is not None)]
