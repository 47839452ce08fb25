"""Which photos features are made of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8

from lerf.scenes.scene import Scene


@dataclass(frozen=True)
class TrainingPhotos:
    """The training photos as a source of pixels: test photos never reach the pyramids."""

    scene: Scene

    def __len__(self) -> int:
        return len(self.scene.train)

    def pixels(self, index: int) -> UInt8[np.ndarray, "height width 3"]:
        return self.scene.pixels(self.scene.train[index])
