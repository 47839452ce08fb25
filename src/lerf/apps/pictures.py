"""Pictures as PNG files, alone and side by side; a file is whole or absent.

Functions raise `StorageError` when they cannot write. Figures use matplotlib's Agg canvas directly, so that nothing
depends on a display or on pyplot's global state.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from jaxtyping import Float
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, get_font
from PIL import Image
from torch import Tensor

from lerf.errors import ConfigError
from lerf.files import write_atomically
from lerf.rendering.colour_maps import to_bytes
from lerf.text import printable

FONT_SIZE = 10
"""Of captions, in points."""
LETTER = 0.09
"""Width of a letter of that size in inches, on the large side."""


def write_png(path: Path, picture: Float[Tensor, "height width 3"]) -> None:
    """Write a picture as an 8-bit RGB PNG."""
    image = Image.fromarray(to_bytes(picture))
    write_atomically(path, lambda file: image.save(file, format="PNG"))


def write_row(
    path: Path, pictures: Sequence[Float[Tensor, "_ _ 3"]], captions: Sequence[str], height: float = 4.0
) -> None:
    """Write pictures side by side at one height (inches at 120 dots per inch), each under its caption.

    Raises:
        ConfigError: when there is no picture, or not one caption for each.
    """
    if not pictures or len(pictures) != len(captions):
        raise ConfigError(f"A row has {len(pictures)} pictures and {len(captions)} captions; give one for each.")
    ratios = [picture.shape[1] / picture.shape[0] for picture in pictures]
    figure = Figure(figsize=(height * sum(ratios) + 0.1, height + 0.4), dpi=120, layout="constrained")
    figure.get_layout_engine().set(w_pad=0.02, h_pad=0.02, wspace=0, hspace=0)  # type: ignore[union-attr, call-arg]
    axes = figure.subplots(1, len(pictures), squeeze=False, width_ratios=ratios)[0]
    for axis, picture, caption, ratio in zip(axes, pictures, captions, ratios, strict=True):
        axis.imshow(to_bytes(picture), interpolation="antialiased")
        # What a phrase has between dollars is no formula.
        lines = drawable(caption, max(8, int(height * ratio / LETTER)))
        axis.set_title(lines, fontsize=FONT_SIZE, parse_math=False)
        axis.set_axis_off()
    _write_figure(path, figure)


def drawable(text: str, letters: int) -> str:
    """Text as the figures' font can show it: other characters as escapes such as \\u5927, lines of so many letters."""
    font = get_font(findfont(FontProperties()))
    shown = (one if font.get_char_index(ord(one)) else ascii(one)[1:-1] for one in printable(text))
    return "\n".join(textwrap.wrap("".join(shown), letters, break_on_hyphens=False)) or " "


def _write_figure(path: Path, figure: Figure) -> None:
    canvas = FigureCanvasAgg(figure)

    def write(file: BinaryIO) -> None:
        canvas.print_png(file, metadata={"Software": None})

    write_atomically(path, write)
