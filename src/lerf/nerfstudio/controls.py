"""What a user may change in nerfstudio's viewer: phrases, and how their relevancy is found and shown."""

from __future__ import annotations

import os
from collections.abc import Sequence

from nerfstudio.viewer.viewer_elements import ViewerCheckbox, ViewerNumber, ViewerSlider, ViewerText
from torch import nn

from lerf.encoders.protocols import ImageTextEncoder
from lerf.errors import LerfError
from lerf.nerfstudio.told import say
from lerf.queries.phrases import Phrases, embed_phrases

POSITIVES = "LERF_POSITIVES"
"""Environment variable with phrases, for commands that have no option for them, such as ns-render."""
BETWEEN = ";"


class Controls(nn.Module):
    """Has no parameters; nerfstudio looks for controls in modules."""

    def __init__(self, prompt: str | None, canonical: Sequence[str]) -> None:
        """
        Args:
            prompt: phrases at the start, of the run's configuration.
            canonical: phrases that they must beat, at the start.
        """
        super().__init__()
        asked = os.environ.get(POSITIVES) or prompt or ""
        self.positives = ViewerText("LERF Positives", asked, hint="Phrases to look for, with ; between them")
        self.canonical = ViewerText("LERF Canonical", BETWEEN.join(canonical), hint="Phrases that they must beat")
        self.scale = ViewerNumber("LERF Scale", 0.0, hint="Height of a tile in nerfstudio's units; 0: the best one")
        self.stretched = ViewerCheckbox("LERF Normalise", False, hint="Stretch relevancy from the tie to the highest")
        self.threshold = ViewerSlider("LERF Threshold", 0.5, 0.0, 1.0, 0.01, hint="Relevancy that composites show")
        self._embedded: tuple[tuple[str, ...], tuple[str, ...], Phrases | None] = ((), (), None)

    def phrases(self, encoder: ImageTextEncoder, temperature: float, device: str) -> Phrases | None:
        """What is asked, embedded; None where nothing is, or where it cannot be, which the terminal is told."""
        texts, canonical = words(self.positives.value), words(self.canonical.value)
        if self._embedded[:2] != (texts, canonical):
            found = None
            try:
                if texts and not canonical:
                    say("LERF Canonical is empty; give phrases that the others must beat.")
                elif texts:
                    found = embed_phrases(encoder, texts, canonical, temperature, device)
            except LerfError as error:
                say(str(error))
            self._embedded = texts, canonical, found
        return self._embedded[2]


def words(text: str) -> tuple[str, ...]:
    """The phrases in a text, blank ones left out."""
    return tuple(phrase for part in text.split(BETWEEN) if (phrase := " ".join(part.split())))
