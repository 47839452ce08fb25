"""What every test shares: enforced shapes, one hypothesis profile, slow tests on request, a cache of its own.

The import hook must be installed before anything imports `lerf` or `lerf_scenes`, so this file imports neither at the
top.
"""

from __future__ import annotations

import inspect
import os
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

# As `lerf` does, but before torch: the tests import it first.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import hypothesis
import jaxtyping
import numba
import pytest
from torchvision_operators import declare_when_imported

declare_when_imported()

REPOSITORY = Path(__file__).resolve().parents[1]


def _compile_plain(decorator):
    """`numba.njit` for functions that the import hook has wrapped: numba compiles what is inside the wrapper."""

    def njit(*args, **options):
        if args and inspect.isfunction(args[0]):
            return decorator(inspect.unwrap(args[0]), *args[1:], **options)
        compile_it = decorator(*args, **options)
        return lambda function: compile_it(inspect.unwrap(function))

    return njit


if {"lerf", "lerf_scenes"} & sys.modules.keys():
    raise RuntimeError(
        "Something imported lerf or lerf_scenes before tests/conftest.py: its shapes would go unchecked."
    )
numba.njit = _compile_plain(numba.njit)
jaxtyping.install_import_hook(["lerf", "lerf_scenes"], "checked.checked")

hypothesis.settings.register_profile("lerf", deadline=None, print_blob=True)
hypothesis.settings.load_profile("lerf")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="also run the tests marked slow")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--slow"):
        return
    skip = pytest.mark.skip(reason="slow: run with --slow")
    for item in items:
        if "slow" in item.keywords:
            item.add_marker(skip)


@pytest.fixture(scope="session")
def fox() -> Path:
    """Folder of the fox capture, which lies beside a checkout and not inside it."""
    folder = REPOSITORY.parent / "shared" / "data" / "fox"
    if not (folder / "transforms.json").is_file():
        pytest.skip("the fox capture is not beside this checkout (../shared/data/fox)")
    return folder


@pytest.fixture(scope="session", autouse=True)
def cache_of_this_session(tmp_path_factory: pytest.TempPathFactory):
    """An empty `$LERF_CACHE`, so that no test reads or fills the user's."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("lerf-cache")
        patch.setenv("LERF_CACHE", str(folder))
        yield folder


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory):
    """A generated capture of known geometry: `folder`, and `scene`, which traces rays through it."""
    from drawn_scene import write_generated_scene

    folder = tmp_path_factory.mktemp("drawn") / "capture"
    return SimpleNamespace(folder=folder, scene=write_generated_scene(folder))


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """The preset lerf-cpu is a small one whose encoders know colour words (`tests/support`)."""
    from tiny import tiny_preset

    from lerf.run.settings import PRESETS

    monkeypatch.setitem(PRESETS, "lerf-cpu", tiny_preset())


@pytest.fixture(scope="session")
def drawn_run(drawn: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run trained on `drawn` to where it answers; do not write to it."""
    from tiny import tiny_preset

    import lerf
    from lerf.run.settings import PRESETS

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(PRESETS, "lerf-cpu", tiny_preset())
        folder = tmp_path_factory.mktemp("drawn-run") / "run"
        lerf.train(drawn.folder, folder, device="cpu")
    return folder


@pytest.fixture(scope="session")
def lifted_run(drawn: SimpleNamespace, drawn_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with the radiance of `drawn_run` whose language was lifted; do not write to it."""
    from tiny import tiny_preset

    import lerf
    from lerf.run.settings import PRESETS

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(PRESETS, "lerf-cpu", tiny_preset())
        folder = tmp_path_factory.mktemp("lifted-run") / "run"
        lerf.train(drawn.folder, folder, device="cpu", language="lift", radiance_run=drawn_run)
    return folder


@pytest.fixture(scope="session")
def baked_run(drawn_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of `drawn_run` with an index of its language; do not write to it."""
    import lerf
    from lerf.files import sha256_of
    from lerf.language.bake import bake, with_fidelity
    from lerf.language.cells import FILE, save_index

    run = Path(shutil.copytree(drawn_run, tmp_path_factory.mktemp("baked-run") / "run"))
    model = lerf.load(run, device="cpu")
    rays, latent = model.surface.rays, model.surface.latent
    index = bake(rays, latent, model.language, model.encoder, sha256_of(run / "language.safetensors"))
    save_index(with_fidelity(index, rays, latent, model.language), run / FILE)
    return run


@pytest.fixture(scope="session")
def analytic_capture(tmp_path_factory: pytest.TempPathFactory):
    """Photos of spheres above a floor, with the radiance that they were taken of (`tests/support/analytic.py`)."""
    from analytic import photograph

    return photograph(tmp_path_factory.mktemp("analytic") / "capture")


@pytest.fixture(scope="session")
def analytic_models(analytic_capture: SimpleNamespace):
    """By how language comes about, a model of `analytic_capture`; each is made when it is first asked for."""
    from functools import cache

    from analytic import language_of, model_of

    return cache(lambda kind: model_of(analytic_capture, language_of(analytic_capture, kind)))
