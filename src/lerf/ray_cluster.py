"""Ray, the one engine that spreads work over machines: found, connected to, and let go again (extra `lerf[ray]`)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from lerf.errors import ConfigError

LOOPBACK = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"
"""By this variable Ray decides, when it is imported, whether a cluster that it starts is open to other machines."""


def require_ray(address: str | None) -> Any:
    """The package ray, to be used with a cluster at an address; without one, with a cluster on this machine.

    Raises:
        ConfigError: it is not installed.
    """
    if not address:
        # Whoever reaches the ports of a cluster can run code in it: one of this machine alone is not to be reached.
        os.environ.setdefault(LOOPBACK, "0")
    try:
        import ray
    except ImportError:
        raise ConfigError("--ray needs the package ray; run: pip install 'lerf[ray]'") from None
    return ray


@contextmanager
def ray_cluster(address: str, workers: int | None = None) -> Iterator[Any]:
    """The package ray, connected to a cluster; a connection that was there before stays.

    Args:
        address: of a running cluster (`auto` for that of this machine); empty starts one on this machine.
        workers: processor cores of one that is started; by default all.

    Raises:
        ConfigError: Ray is not installed, or the cluster cannot be reached.
    """
    ray = require_ray(address)
    if ray.is_initialized():
        yield ray
        return
    # Ray would send statistics about its use to its makers.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    here = {"address": "local", "include_dashboard": False, "_node_ip_address": "127.0.0.1", "num_cpus": workers}
    try:
        ray.init(**({"address": address} if address else here), log_to_driver=False, logging_level="error")
    except Exception as error:  # a node that is slow to start raises a bare Exception
        reason = (str(error).splitlines() or [""])[0]
        raise ConfigError(
            f"The Ray cluster {address or 'of this machine'} cannot be used ({type(error).__name__}: {reason}); check "
            "the address, or try again when the machine is less busy."
        ) from error
    try:
        yield ray
    finally:
        if ray.is_initialized():
            ray.shutdown()
