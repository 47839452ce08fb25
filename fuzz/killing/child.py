"""What runs in the processes that are killed.

The process that they are forked from imports it ahead, so that a kill meets work and not imports.
"""

from __future__ import annotations

import contextlib
import os
from multiprocessing.connection import Connection

import lerf.apps.bake
import lerf.apps.export_files
import lerf.apps.feature_pictures
import lerf.apps.render
import lerf.kernels.cpu
import lerf.language.bake
import lerf.loading  # noqa: F401
from fuzzing.kinds import set_up
from lerf.apps.main import main
from lerf.stages.train import train


def run(arguments: list[str], cache: str, log: str, begun: Connection) -> None:
    """Say that work begins, and do it; what it prints goes to a file."""
    os.environ["LERF_CACHE"] = cache
    set_up()
    # Checkpoints as often as there can be, so that kills meet many of them.
    assert train.__kwdefaults__ is not None
    train.__kwdefaults__["save_seconds"] = 0.0
    with open(log, "w") as file, contextlib.redirect_stdout(file), contextlib.redirect_stderr(file):
        begun.send(None)
        code = main(arguments)
    os._exit(code)
