"""A run as Gaussians that the browser draws itself: those of its splat, or of its surface, refined on the photos."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor

from lerf.errors import QueryError
from lerf.exports.splat_surface import filled, on_surface, trainer_of
from lerf.geometry.harmonics import CONSTANT
from lerf.kernels.reference_splats import rotations
from lerf.queries.near import Near
from lerf.radiance.splats.gaussians import Gaussians
from lerf.radiance.splats.radiance import SplatRadiance
from lerf.rendering.colour_maps import Legend
from lerf.rendering.outputs import Display, composite, parse, relevancy_colours
from lerf.viewer.drawing import AskedPhrases
from lerf.viewer.jobs import Urgency
from lerf.viewer.scene_state import SceneState

MOST = 1_000_000
"""Gaussians that a page is sent, 32 bytes each."""
THINNEST, WIDEST = 1e-3, 100.0
"""Standard deviations that are sent, normalised units: a page holds their squares as numbers of half precision."""
RAYS, REACH, STEPS = 60_000, 6.0, 200
"""Of Gaussians that are made of the surface."""
NAME = "/lerf/splat"


@dataclass(frozen=True)
class SplatNode:
    """Gaussians as the browser takes them, normalised frame."""

    means: Float32[np.ndarray, "n 3"]
    covariances: Float32[np.ndarray, "n 3 3"]
    colours: Float[Tensor, "n 3"]
    """0..1, from every side alike."""
    opacities: Float[Tensor, " n"]

    @staticmethod
    def of(gaussians: Gaussians) -> SplatNode:
        """At most `MOST`: those that cover most."""
        if len(gaussians) > MOST:
            cover = gaussians.opacities * gaussians.scales.sort(-1).values[:, 1:].prod(-1)
            gaussians = gaussians[cover.topk(MOST).indices.sort().values]
        axes = rotations(gaussians.quaternions) * gaussians.scales.clamp(THINNEST, WIDEST)[:, None]
        colours = (0.5 + CONSTANT * gaussians.harmonics[:, 0]).clamp(0, 1)
        return SplatNode(
            gaussians.means.cpu().numpy(), (axes @ axes.mT).cpu().numpy(), colours.cpu(), gaussians.opacities.cpu()
        )


class SplatNodes:
    """The Gaussians of a scene, made once for all pages. Only the scheduler's thread computes with it."""

    def __init__(self, scene: SceneState) -> None:
        self.scene = scene
        self.node: SplatNode | None = None
        self._near: Near | None = None

    def prepare(self, say: Callable[[str], None]) -> Generator[Urgency, None, SplatNode]:
        """The Gaussians; `say` hears how far their making is. Tracing the surface, some seconds, holds others up."""
        if self.node is None:
            radiance, model = self.scene.radiance, self.scene.model
            if isinstance(radiance, SplatRadiance):
                found = radiance.gaussians
            elif model is None:
                raise QueryError(self.scene.lacking)
            else:
                say("Please wait: making Gaussians of the surface…")
                yield Urgency.REFINING
                found = on_surface(model, max(RAYS, len(model.scene.train)), REACH, lambda *_: None)
                yield Urgency.REFINING
                found = filled(model, found, math.inf, lambda *_: None)
                trainer = trainer_of(model, found, STEPS)
                for step in range(STEPS):
                    trainer.step()
                    say(f"Please wait: fitting {len(found):,} Gaussians to the photos, {step + 1} of {STEPS}…")
                    yield Urgency.REFINING
                found = trainer.gaussians()
            self.node = SplatNode.of(found)
        return self.node

    def near(self) -> Generator[Urgency, None, Near]:
        """The points of the surface that answer next to each Gaussian."""
        assert self.node is not None
        if self._near is None:
            surface = self.scene.surface()
            while True:
                try:
                    next(surface)
                except StopIteration as end:
                    self._near = end.value.reader.near(torch.from_numpy(self.node.means).to(self.scene.device))
                    break
                yield Urgency.REFINING
        return self._near


class SplatShow:
    """The Gaussians of one page."""

    def __init__(self, client: Any, nodes: SplatNodes) -> None:
        self.client, self.nodes = client, nodes
        self._handle: Any = None

    def hide(self) -> None:
        """Show no Gaussians."""
        if self._handle is not None:
            self._handle.remove()
            self._handle = None

    def show(
        self, display: Display, asked: AskedPhrases | None, isolate: bool, say: Callable[[str], None]
    ) -> Generator[Urgency, None, Legend | None]:
        """Send the Gaussians in the colours of the display; moving then needs nothing from here.

        Args:
            display: output, range, and from which relevancy on it is shown (`above`).
            asked: the phrases.
            isolate: hide Gaussians whose relevancy to the output's phrase is not above that.
            say: hears of the work.
        """
        node = yield from self.nodes.prepare(say)
        colours, opacities, legend = node.colours, node.opacities, None
        kind, phrase = parse(display.output)
        if phrase is not None and asked is not None and phrase < len(asked.states):
            near, state = (yield from self.nodes.near()), asked.states[phrase]
            values = near.read((state.raw if kind == "raw_relevancy" else state.relevancy)[None])[0].cpu()
            shown, legend = relevancy_colours(values, display, state.highest)
            colours = composite(colours, shown, values, display) if kind == "composited" else shown
            if isolate:
                opacities = torch.where(values > display.above, opacities, 0.0)
        looks = colours.clamp(0, 1).numpy(), opacities[:, None].numpy()
        if self._handle is None:
            self._handle = self.client.scene.add_gaussian_splats(NAME, node.means, node.covariances, *looks)
        else:
            self._handle.set_gaussians(node.means, node.covariances, *looks)
        return legend
