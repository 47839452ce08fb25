"""Language Embedded Radiance Fields: posed photos in, answered questions out."""

import os

# torch and numba each keep a pool of OpenMP threads. By default a pool spins while it waits and starves the other, which
# slows a training step several times. The policy is read once, when the OpenMP library loads: so before any import of it.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
