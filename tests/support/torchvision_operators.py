"""Lets torchvision be imported beside a torch whose library of operators it was not built for.

torchvision's Python declares shapes of operators that its compiled library defines. Where that library cannot be
loaded, as beside torch for the CPU, the declarations fail, and with them the import of everything that only wants
pictures resized: transformers and open_clip. Here the operators are declared, without anything that computes them.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import re
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from pathlib import Path
from types import ModuleType

_DECLARED: list[object] = []
"""Keeps the declarations alive."""
ELSEWHERE = ("qnms", "qroi_align")
"""Operators that are named in other files than the one that is read."""


class _BeforeTorchvision(MetaPathFinder):
    """Declares its operators when torchvision is about to be imported, and not before: that imports torch."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name != "torchvision":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.submodule_search_locations:
            _declare(Path(spec.submodule_search_locations[0]))
        return spec


def _declare(folder: Path) -> None:
    import torch

    for library in folder.glob("_C*.so"):
        try:
            torch.ops.load_library(library)
        except OSError:
            continue
        return
    names = re.findall(
        r'register_(?:fake|meta)\(\s*"(?:torchvision::)?(\w+)"', (folder / "_meta_registrations.py").read_text()
    )
    library = torch.library.Library("torchvision", "DEF")
    for name in {*names, *ELSEWHERE}:
        library.define(f"{name}(Tensor input) -> Tensor")
    _DECLARED.append(library)


def declare_when_imported() -> None:
    """Call before anything may import torchvision."""
    if "torchvision" not in sys.modules:
        sys.meta_path.insert(0, _BeforeTorchvision())
