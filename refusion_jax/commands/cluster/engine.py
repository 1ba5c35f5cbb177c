"""Ray Data as an engine: items in, results out, one worker per group of cores or GPU.

Ray moves the items, starts the workers, and repeats what a worker had when it died.
"""

import argparse
import logging
import os
import pickle
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from refusion_jax.commands.cluster.options import Cluster
from refusion_jax.extras import require

_TOKEN = Path.home() / ".ray" / "auth_token"
GROUP = 4  # cores of a worker where there are no GPUs
# What Ray's runtime writes when it ends this process.
TRACE = "GCS may have been killed"
# What to do where a cluster is lost: with --resume, and in commands without it.
RESUME = "the same command with --resume finishes the rest"
REPEAT = "repeat the command"
MOST_IN_BATCH = 8  # items, which a worker that dies has to do again

Work = Callable[[Sequence[str]], list[str]]


class EngineError(OSError):
    """Raised if a cluster cannot be reached, or is lost."""


@contextmanager
def running(cluster: Cluster) -> Iterator[None]:
    """Connects to a cluster, or starts Ray on this machine and stops it at the end.

    Args:
      cluster: which.

    Raises:
      EngineError: if it cannot be reached.
      ImportError: if Ray is not installed.
    """
    # Before the import. Ray would send statistics of its use to its makers.
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "error")
    if cluster.address is not None and _TOKEN.exists():
        # As `ray start` does; ray.init alone would not present the token.
        os.environ.setdefault("RAY_AUTH_MODE", "token")
    ray = require("ray", extra="cluster", why="to spread pictures over machines")
    require("ray.data", extra="cluster", why="to spread pictures over machines")
    _keep_stdout_clean()
    # Ray starts its processes by fork and exec at once, which JAX's threads survive.
    warnings.filterwarnings("ignore", r"os\.fork\(\)", RuntimeWarning)
    own: dict[str, Any] = {}
    if cluster.address is None:
        # One core more than the workers have: Ray's own tasks must not wait for them.
        # Here, because it brings JAX along, which the guard's process does not need.
        from refusion_jax.devices.cores import core_count

        cores = max(core_count(), cluster.workers or 1)
        own = {"num_cpus": cores + 1, "include_dashboard": False}
    try:
        ray.init(
            cluster.address or "local",
            logging_level=logging.ERROR,
            log_to_driver=False,
            **own,
        )
    except (ConnectionError, RuntimeError, ValueError) as error:
        where, cure = "on this machine", "use --engine=local"
        if cluster.address:
            where = f"at {cluster.address}"
            cure = "start one with ray start --head, or leave --address out"
        raise EngineError(
            f"expected a Ray cluster {where}, got none ({_reason(error)}); {cure}."
        ) from error
    try:
        yield
    finally:
        ray.shutdown()


def lost(arguments: argparse.Namespace) -> str:
    """Returns what to say when Ray's runtime ends this process.

    Args:
      arguments: of a command with `--engine=ray`.
    """
    cure = RESUME if hasattr(arguments, "resume") else REPEAT
    return f"the cluster's head is lost; start it again, and {cure}."


def spread(
    items: Sequence[str],
    make: type,
    arguments: tuple[Any, ...],
    workers: int | None = None,
    *,
    cure: str = REPEAT,
) -> Iterator[str]:
    """Lets workers process items, in any order.

    Args:
      items: JSON texts.
      make: a class, each worker's; its objects are called with some of the items and
        return as many JSON texts.
      arguments: of the class, the same for all workers.
      workers: how many; None: one per GPU, or per `GROUP` cores, of the cluster.
      cure: what to do if the cluster is lost, a clause for the error.

    Yields:
      What the workers returned.

    Raises:
      EngineError: if the cluster is lost.
    """
    import ray
    from ray.exceptions import RayError

    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)  # else it shows traces
    gpus, cores = (int(ray.cluster_resources().get(x, 0)) for x in ("GPU", "CPU"))
    count = workers or gpus or max(1, (cores - 1) // GROUP)
    count = max(1, min(count, len(items)))
    size = max(1, min(MOST_IN_BATCH, len(items) // count))
    needs: dict[str, Any] = {"num_cpus": max(1, (cores - 1) // count)}
    if gpus:
        needs = {"num_cpus": 1, "num_gpus": min(1, gpus / count)}
    data = ray.data.from_items(
        [{"item": item} for item in items],
        override_num_blocks=-(-len(items) // size),
    ).map_batches(
        _Worker,
        # As bytes, because arrays among them would start JAX before it is set up.
        fn_constructor_args=(
            make,
            pickle.dumps(arguments),
            int(needs["num_cpus"]),
        ),
        batch_size=size,
        compute=ray.data.ActorPoolStrategy(size=count),
        **needs,
    )
    try:
        for row in data.iter_rows():
            yield row["result"]
    except (RayError, ConnectionError) as error:
        raise EngineError(f"the cluster is lost ({_reason(error)}); {cure}.") from error


class _Worker:
    """An actor: prepares JAX for its share of a machine, and works on batches."""

    def __init__(self, make: type, arguments: bytes, cores: int) -> None:
        import jax

        jax.config.update("jax_num_cpu_devices", cores)
        self._work = make(*pickle.loads(arguments))

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        return {"result": self._work([str(item) for item in batch["item"]])}


def _keep_stdout_clean() -> None:
    """Stops Ray from printing among our lines that a worker has died.

    Ray has no setting for this. If it renames the function, the lines appear again.
    """
    import ray._private.worker as driver

    driver.print_to_stdstream = lambda *_, **__: None


def _reason(error: Exception) -> str:
    """Returns the last line of an error of Ray, which is the cause, without colours."""
    plain = re.sub(r"\x1b\[\d*m", "", str(error)).strip()
    return plain.split("\n")[-1].strip().rstrip(".") or type(error).__name__
