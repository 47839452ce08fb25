"""Which implementation of an operation is taken, and when it is imported."""

import importlib.util
import subprocess
import sys

import torch

from lerf import kernels
from lerf.kernels import OPERATIONS, backend_of, implementation


def test_every_operation_has_a_definition():
    assert all("reference" in has for has in OPERATIONS.values())
    for operation, has in OPERATIONS.items():
        for backend in has:
            if backend == "triton" and importlib.util.find_spec("triton") is None:
                continue
            assert callable(implementation(operation, backend))
        assert callable(getattr(kernels, operation))


def test_the_tensor_decides():
    assert backend_of("hash_encode", torch.zeros(1)) == "cpu"
    assert backend_of("hash_encode", torch.zeros(1, dtype=torch.float64)) == "reference"
    assert backend_of("hash_encode", torch.zeros(1, device="meta")) == "reference"
    assert backend_of("unit_vectors", torch.zeros(1, dtype=torch.float64)) == "torch"


def test_a_forced_backend_is_taken_and_given_back():
    with kernels.use("reference"):
        assert backend_of("hash_encode", torch.zeros(1)) == "reference"
        with kernels.use("auto"):
            assert backend_of("hash_encode", torch.zeros(1)) == "cpu"
        assert backend_of("unit_vectors", torch.zeros(1)) == "reference"
    with kernels.use("cpu"):
        # It has no unit vectors of its own.
        assert backend_of("unit_vectors", torch.zeros(1)) == "reference"
    assert backend_of("hash_encode", torch.zeros(1)) == "cpu"


def test_an_unknown_backend_is_refused():
    # Apart from the checked types of the tests, as users meet it.
    code = "from lerf import kernels; kernels.use('fast').__enter__()"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (
        "ValueError: There is no backend 'fast'; choose among auto, reference, torch, cpu, triton, bf16."
        in ended.stderr
    )


def test_implementations_are_imported_on_the_first_call():
    code = (
        "import sys, torch; from lerf import kernels; assert 'numba' not in sys.modules; "
        "kernels.unit_vectors(torch.ones(2, 3)); assert 'numba' not in sys.modules; "
        "kernels.composite(torch.ones(1, 2), torch.ones(1, 2, 3)); assert 'numba' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_numba_is_not_loaded_for_what_is_over_sooner():
    code = (
        "import sys, torch; from lerf import kernels; few = torch.ones(2, 3), torch.ones(1, 3); "
        "kernels.few_products(*few); assert 'numba' not in sys.modules; "
        "assert kernels.backend_of('propagate', few[0]) == 'torch'; import numba; "
        "assert kernels.backend_of('propagate', few[0]) == kernels.backend_of('few_products', few[0]) == 'cpu'"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
