"""`refusion train`: trains on two folders of pictures."""

import argparse
import shlex
from pathlib import Path

from refusion_jax.commands.learning.fields import add_settings, given_settings
from refusion_jax.commands.learning.working import working
from refusion_jax.commands.messages import say
from refusion_jax.commands.parsers import Commands, add_command
from refusion_jax.commands.set_up import add_cache_option, use_cache
from refusion_jax.weights.pretrained import pretrained_listing

EXAMPLES = """\
examples:
  refusion train infrared/ visible/ -o runs/mine --task=ivif
  refusion train infrared/ visible/ -o runs/tuned --task=ivif --init=ivif
  refusion train infrared/ visible/ -o runs/paper --preset=paper
  refusion train -o runs/again --config=runs/mine --seed=1
  refusion train --dataset=msrs --data-dir=data -o runs/msrs --log=tensorboard

The same command resumes an interrupted run.

exit status: 0 done, 1 failed, 2 wrong usage, 130 interrupted
"""
FOLDERS = ("source_a", "source_b")


def add_parser(commands: Commands) -> None:
    """Adds the parser of this command.

    Args:
      commands: the parsers of all commands.
    """
    add_command(
        commands,
        "train",
        run,
        summary="train on your own pictures",
        description="Train on two folders of pictures that are paired by file name, or "
        "on a prepared data set. Two folders and -o are enough: say with --task what "
        "the sources are, and the settings suit them.",
        examples=EXAMPLES,
        fill=_add_arguments,
    ).set_defaults(is_training=True)


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    from refusion_jax.training.loggers.choice import LOGGERS

    # argparse's own would name all settings.
    parser.usage = "refusion train [A B] -o RUN [--task NAME] [options]"
    parser.add_argument(
        "source_a",
        metavar="A",
        nargs="?",
        help="folder of infrared, functional, near or under-exposed pictures; several, "
        "separated by commas, are sets of equal weight",
    )
    parser.add_argument(
        "source_b",
        metavar="B",
        nargs="?",
        help="folder of visible, MRI, far or over-exposed pictures; as many as in A",
    )
    parser.add_argument(
        "-o",
        "--output",
        "--workdir",
        dest="workdir",
        type=Path,
        required=True,
        metavar="RUN",
        help="folder of the run: settings, scalars, pictures, checkpoints, weights",
    )
    parser.add_argument(
        "--task",
        metavar="NAME",
        help=f"what the sources are: {pretrained_listing()}; takes the settings that "
        "the card of these weights names",
    )
    parser.add_argument(
        "--preset",
        metavar="NAME",
        help="settings to start from, overridden by other options: default, paper, "
        "authors, fine_tune, ... "
        "(default: default, or fine_tune with --init)",
    )
    parser.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="instead of a preset, the settings of a run: its folder or config.json",
    )
    parser.add_argument(
        "--log",
        default="",
        metavar="NAMES",
        help="also send scalars and pictures to loggers, separated by commas: "
        f"{', '.join(LOGGERS)}",
    )
    parser.add_argument(
        "--tensorboard", action="store_true", help="short for --log=tensorboard"
    )
    parser.add_argument(
        "--quiet", action="store_true", help="show no progress bar and no notes"
    )
    parser.add_argument(
        "--coordinator",
        metavar="NAME:PORT",
        help="train on several hosts as one: the first host and a free port of it, the "
        "same on all; auto asks the cluster (SLURM, Kubernetes, Cloud TPU)",
    )
    parser.add_argument(
        "--hosts", type=int, metavar="N", help="number of hosts; auto asks the cluster"
    )
    parser.add_argument(
        "--host", type=int, metavar="I", help="which of them this is, from 0"
    )
    add_cache_option(parser)
    add_settings(parser, without=FOLDERS)


def run(arguments: argparse.Namespace) -> int:
    """Trains, and says what was learned and how to fuse with it.

    Args:
      arguments: the arguments that `add_parser` describes.

    Returns:
      0 when the run is complete, 1 if it failed, 128 plus the number of the signal
      that stopped it.

    Raises:
      OSError, ValueError, ImportError: if nothing can be trained with these arguments.
    """
    from refusion_jax.devices.hosts import is_first, join
    from refusion_jax.runs.run import start
    from refusion_jax.runs.settings import chosen_config
    from refusion_jax.training.loggers.choice import logger_names

    place = arguments.coordinator, arguments.hosts, arguments.host
    with working() as codes:
        join(*place)
    if codes:
        return codes[0]
    use_cache(is_wanted=arguments.cache)  # a run that resumes need not compile again
    loggers = logger_names(arguments.log)
    if arguments.tensorboard:
        loggers = (*loggers, "tensorboard")
    config = chosen_config(
        given_settings(arguments),
        preset_name=arguments.preset,
        config_file=arguments.config,
        task=arguments.task,
    )
    data = config.data
    if not data.dataset and not (data.source_a and data.source_b):
        raise ValueError(
            "expected two folders of pictures or --dataset, got "
            f"{'one folder' if data.source_a or data.source_b else 'neither'}; name "
            "them: refusion train A B -o RUN."
        )
    with working(is_quiet=arguments.quiet) as codes:
        trained = start(
            config,
            arguments.workdir,
            loggers=loggers,
            progress=not arguments.quiet,
        )
        if is_first():
            for sentence in trained.learned():
                say(f"learned: {sentence}")
            say(f"weights: {trained.folder / 'weights.safetensors'}")
            sides = data.source_a, data.source_b
            if not all(Path(side).exists() for side in sides):  # lists of folders
                sides = "A", "B"
            line = ["refusion", "fuse", *sides, "-o", "fused/"]
            say(f"fuse: {shlex.join([*line, '--weights', str(trained.folder)])}")
    return codes[0] if codes else 0
