"""Options of commands that Ray can spread over machines."""

import argparse
from typing import NamedTuple

from refusion_jax.commands.volumes import refuse_volume_options


class Cluster(NamedTuple):
    """Where Ray works.

    Attributes:
      address: of a cluster's head; None starts Ray on this machine.
      workers: processes with a network each; None: one per GPU, or per `GROUP` cores.
    """

    address: str | None
    workers: int | None


def add_engine_options(parser: argparse.ArgumentParser) -> None:
    """Adds `--engine`, `--address` and `--workers`.

    Args:
      parser: of a command that processes many pictures.
    """
    parser.add_argument(
        "--engine",
        choices=("local", "ray"),
        default="local",
        help="what processes the pictures of folders: this process (local, the "
        "default), or Ray, over processes and machines (extra cluster)",
    )
    parser.add_argument(
        "--address",
        metavar="ADDRESS",
        help="with --engine=ray: a running cluster, as ray.init takes it, such as auto "
        "or ray://head:10001; without it Ray starts on this machine",
    )
    parser.add_argument(
        "--workers",
        type=int,
        metavar="N",
        help="with --engine=ray: processes with a network each (default: one per GPU, "
        "or one per four cores)",
    )


def chosen_cluster(arguments: argparse.Namespace) -> Cluster | None:
    """Returns where Ray works, or None if this process does all.

    Args:
      arguments: of a parser with `add_engine_options`.

    Raises:
      ValueError: for options of Ray without it, or fewer workers than one.
    """
    address, workers = arguments.address, arguments.workers
    if arguments.engine == "local":
        for name, value in (("--address", address), ("--workers", workers)):
            if value is not None:
                raise ValueError(
                    f"expected --engine=ray with {name}, got local; choose ray, or "
                    f"leave {name} out."
                )
        return None
    if workers is not None and workers < 1:
        raise ValueError(f"expected --workers of 1 or more, got {workers}; raise it.")
    return Cluster(address, workers)


def check_bucket_options(arguments: argparse.Namespace) -> None:
    """Raises if an option does not go with pictures in buckets.

    Args:
      arguments: of `refusion fuse`.

    Raises:
      ValueError: naming the option.
    """
    refuse_volume_options(arguments)
    if arguments.maps:
        raise ValueError(
            "expected folders of this machine with --maps, got a bucket; leave --maps "
            "out."
        )
    if arguments.task is None and arguments.weights is None:
        raise ValueError(
            "expected --task or --weights with a bucket, whose pictures are not "
            "examined beforehand, got neither; name one."
        )
