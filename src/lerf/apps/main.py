"""The command line: which commands there are, what goes wrong in all of them, and `main`."""

from __future__ import annotations

import contextlib
import importlib
import json
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, Any, Union

import tyro
from rich.console import Console

from lerf.apps import train
from lerf.apps.bake import Bake
from lerf.apps.batch import Batch
from lerf.apps.cache import Cache
from lerf.apps.catalogue import Catalogue, Search
from lerf.apps.checks import check_bounds
from lerf.apps.console import PlainConsole, printable_errors
from lerf.apps.demo import Demo
from lerf.apps.doctor import Doctor
from lerf.apps.encoders import Encoders
from lerf.apps.eval import Eval
from lerf.apps.export import Export
from lerf.apps.failures import failure_of, give_up_output
from lerf.apps.features import Features
from lerf.apps.import_run import Import
from lerf.apps.info import Info
from lerf.apps.make_scene import MakeScene
from lerf.apps.poses import Poses
from lerf.apps.query import Query
from lerf.apps.render_options import Render
from lerf.apps.repeats import added_up
from lerf.apps.train import Train
from lerf.apps.view import View
from lerf.errors import ConfigError, LerfError, LerfWarning

COMMANDS: dict[str, tuple[type, str]] = {
    "poses": (Poses, "lerf.apps.poses:poses"),
    "train": (Train, "lerf.apps.train:train"),
    "batch": (Batch, "lerf.apps.batch_work:batch"),
    "query": (Query, "lerf.apps.query:query"),
    "render": (Render, "lerf.apps.render:render"),
    "export": (Export, "lerf.apps.export_files:export"),
    "bake": (Bake, "lerf.apps.bake:bake"),
    "eval": (Eval, "lerf.apps.eval:evaluate"),
    "import": (Import, "lerf.apps.import_run:import_run"),
    "info": (Info, "lerf.apps.info:info"),
    "demo": (Demo, "lerf.apps.demo_report:demo"),
    "make-scene": (MakeScene, "lerf.apps.make_scene:make_scene"),
    "features": (Features, "lerf.apps.feature_pictures:features"),
    "encoders": (Encoders, "lerf.apps.encoder_weights:encoders"),
    "cache": (Cache, "lerf.apps.cache_folders:cache"),
    "catalogue": (Catalogue, "lerf.apps.catalogue_work:catalogue"),
    "search": (Search, "lerf.apps.catalogue_work:search"),
    "view": (View, "lerf.apps.view:view"),
    "doctor": (Doctor, "lerf.apps.diagnosis:doctor"),
}
"""Commands by name: options, and the function that takes them and a console and returns what --json prints."""
ABOUT = """Language Embedded Radiance Fields: posed photos in, answered questions out.
`lerf COMMAND --help` explains a command; `lerf --version` prints the version."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Exit codes: 0 done, 1 done but not enough of it (the result's "ok" is false), 2 bad input (one sentence on stderr),
    130 interrupted.
    """
    errors = PlainConsole(stderr=True)
    try:
        return 0 if _run(sys.argv[1:] if arguments is None else list(arguments), errors) else 1
    except KeyboardInterrupt:
        errors.print("Interrupted; give the same command again to continue.")
        return 130
    except BrokenPipeError:
        # The reader of a pipe went away; nothing is wrong.
        return 0
    except Exception as error:
        told = str(error) if isinstance(error, LerfError) else failure_of(error)
        if told is None:
            raise
        with contextlib.suppress(OSError):
            errors.print(f"Error: {told}", style="red")
        return 2
    finally:
        give_up_output()


def _run(arguments: list[str], errors: Console) -> bool:
    """Run one command and write all that it says; whether it did enough of what was asked for."""
    if arguments == ["--version"]:
        from importlib.metadata import version

        print(f"lerf {version('lerf')}")
        sys.stdout.flush()
        return True
    try:
        with printable_errors(arguments):
            command = parse(arguments)
    except SystemExit:  # help, or no command; what was printed must have been written too
        sys.stdout.flush()
        raise
    check_bounds(command)
    command.check()
    # Human output goes to stderr when JSON is asked for, so that stdout holds JSON alone.
    console = PlainConsole(stderr=command.json)
    with _warnings_shown(errors):
        result = _runner(command)(command, console)
    if command.json and result is not None:
        print(json.dumps(result, indent=2, allow_nan=False))
    sys.stdout.flush()
    return result is None or bool(result.get("ok", True))


def parse(arguments: Sequence[str]) -> Any:
    """The options of the command that the arguments name, as an instance of its class.

    Raises:
        SystemExit: help was asked for (0), or the arguments are no command (2); tyro has printed why.
        LerfError: options that cannot be.
    """
    name, *others = arguments or [""]
    if name in COMMANDS:
        arguments = [name, *added_up(others, COMMANDS[name][0])]
    kinds = []
    for name, (kind, _) in COMMANDS.items():
        started = kind is Train and list(arguments[:1]) == [name]
        default = train.defaults(arguments[1:]) if started else tyro.MISSING_NONPROP
        kinds.append(Annotated[kind, tyro.conf.subcommand(name, default=default)])
    command: Any = Union[tuple(kinds)]  # noqa: UP007
    try:
        return tyro.cli(
            command, prog="lerf", args=arguments, description=ABOUT, config=(tyro.conf.DisallowNone,),
        )  # fmt: skip
    except (ImportError, OSError) as problem:
        if not any(argument.startswith("--tyro-") for argument in arguments):
            raise
        # Only --tyro-print-completion and --tyro-write-completion import or write anything.
        raise ConfigError(
            f"The completion cannot be written ({problem}); give bash or zsh, and a file in a folder that is there."
        ) from None


def _runner(command: Any) -> Any:
    """The function that runs a command; its module may import torch, which help must not wait for."""
    target = next(target for kind, target in COMMANDS.values() if kind is type(command))
    module, _, function = target.partition(":")
    return getattr(importlib.import_module(module), function)


@contextmanager
def _warnings_shown(errors: Console) -> Iterator[None]:
    """Our own warnings on the terminal in one line; those of others as they are."""
    with warnings.catch_warnings():
        # Whatever Python is told to do with warnings, ours are a part of what a command says. A capture that is read
        # twice, for the estimate and for the work, has the same ones.
        warnings.simplefilter("always", LerfWarning)
        shown_otherwise = warnings.showwarning
        told: set[str] = set()

        def show(message: Any, category: type[Warning], *where: Any) -> None:
            if issubclass(category, LerfWarning):
                if str(message) not in told:
                    errors.print(f"Warning: {message}", style="yellow")
                told.add(str(message))
            else:
                shown_otherwise(message, category, *where)

        warnings.showwarning = show  # type: ignore[assignment]
        yield
