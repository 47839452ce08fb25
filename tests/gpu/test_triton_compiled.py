"""Triton's kernels, as the preset `lerf` starts them, compile for GPUs that are not here, and need no stack."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "support" / "compile_kernels.py"
KERNELS = {
    "backward_points", "backward_table", "composite_backward", "composite_forward", "direction_harmonics",
    "forward", "gather_splats", "heaviest", "interval_points", "nearest_points", "proposal_edges", "refined_edges",
    "sparse_adam", "splats_back", "trace_splats", "weights_backward", "weights_forward",
}  # fmt: skip


@pytest.mark.usefixtures("interpreted")
def test_kernels_compile_without_a_stack(tmp_path):
    environment = {**os.environ, "TRITON_CACHE_DIR": str(tmp_path), "TRITON_DEFAULT_FP_FUSION": "1"}
    # Interpreted they would not be compiled.
    del environment["TRITON_INTERPRET"]
    done = subprocess.run(
        [sys.executable, SCRIPT, "80", "90"], env=environment, capture_output=True, text=True, check=True, timeout=280
    )
    found = [json.loads(line) for line in done.stdout.splitlines()]
    for capability in (80, 90):
        assert {each["kernel"] for each in found if each["capability"] == capability} == KERNELS
    assert [each for each in found if each["stack"] or each["spilt"]] == []
    assert max(each["registers"] for each in found) <= 128
    # Gradients of several features go out together where the GPU can.
    added = {each["constants"]["FEATURES"]: each["atomics"] for each in found
             if each["kernel"] == "backward_table" and each["capability"] == 90}  # fmt: skip
    assert all("v2" in kind or "v4" in kind for kinds in added.values() for kind in kinds)
