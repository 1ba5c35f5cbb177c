"""`refusion fuse`: fuses pictures, folders of pictures and videos."""

import argparse
import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

from refusion_jax.commands.cluster.buckets import Shadow, is_bucket, shadowed
from refusion_jax.commands.cluster.options import (
    Cluster,
    add_engine_options,
    check_bucket_options,
    chosen_cluster,
)
from refusion_jax.commands.messages import complain, say
from refusion_jax.commands.parsers import Commands, add_command
from refusion_jax.commands.set_up import add_cache_option, set_up_jax
from refusion_jax.commands.shell.pipes import spooled
from refusion_jax.commands.volumes import (
    add_volume_options,
    check_volumes,
    fuse_volumes,
    refuse_volume_options,
)
from refusion_jax.fusing.rules import Rules
from refusion_jax.weights.pretrained import (
    pretrained_file,
    pretrained_listing,
    pretrained_names,
)

if TYPE_CHECKING:
    from refusion_jax.commands.jobs import Job
    from refusion_jax.fusing.fuser import Fuser
    from refusion_jax.pictures.names import Range

EXAMPLES = """\
examples:
  refusion fuse infrared.png visible.png -o fused.png
  refusion fuse infrared.png visible.png -o fused.png --weights ReFusion_IVIF.pth
  refusion fuse infrared/ visible/ -o fused/ --weights runs/msrs --resume
  refusion fuse near.tif middle.tif far.tif -o sharp.tif
  refusion fuse thermal/ visible/ -o frames/ --weights runs/msrs --range=source \\
      --levels=28000:33000
  refusion fuse thermal.mp4 visible.mp4 -o fused.mp4 --weights runs/msrs

exit status: 0 all pictures written, 1 some failed, 2 wrong usage, 130 interrupted
"""


def add_parser(commands: Commands) -> None:
    """Adds the parser of this command.

    Args:
      commands: the parsers of all commands.
    """
    parser = add_command(
        commands,
        "fuse",
        run,
        summary="fuse pictures, folders of pictures or videos",
        description="Fuse two or more pictures of a scene; folders are paired by file "
        "name. Prints one line per picture.",
        examples=EXAMPLES,
    )
    _add_files(parser)
    _add_rules(parser)
    _add_batch_options(parser)
    add_engine_options(parser)
    add_volume_options(parser)
    add_cache_option(parser)


def _add_files(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments that name sources, output and weights."""
    parser.add_argument(
        "a",
        metavar="A",
        help="infrared, functional, near or under-exposed; alone: a folder or a file "
        "of several pages, fused as a stack; - reads standard input",
    )
    parser.add_argument(
        "more",
        metavar="B [C ...]",
        nargs="*",
        help="visible, MRI, far or over-exposed; more of a stack, in order",
    )
    parser.add_argument(
        "-o",
        "--output",
        required=True,
        metavar="OUT",
        help="picture or video to write, or folder to write <name>.png to (another "
        "format with --ext); a name with a slash at its end is a folder that is made",
    )
    weights = parser.add_mutually_exclusive_group()
    weights.add_argument(
        "--task",
        metavar="NAME",
        help=f"weights that come with the package: {pretrained_listing()}; without "
        "--task and --weights, the names and contents of the sources decide, and the "
        "command says which weights it takes and why",
    )
    weights.add_argument(
        "--weights",
        type=Path,
        metavar="FILE_OR_RUN",
        help=".safetensors file, the authors' .pth file, or a training run's folder",
    )


def _add_rules(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments that say how pictures are fused: one per rule, and maps."""
    for rule in dataclasses.fields(Rules):
        # Pictures and videos have different defaults for the range.
        is_range = rule.name == "output_range"
        parser.add_argument(
            "--range" if is_range else f"--{rule.name}",
            dest=rule.name,
            choices=rule.metadata["choices"] or None,
            default=None if is_range else rule.default,
            metavar=None if rule.metadata["choices"] else "RULE",
            help=rule.metadata["help"],
        )
    parser.add_argument(
        "--fast",
        action="store_true",
        help="run the fusion network alone, without the segmentation network that "
        "guides some methods; this changes the picture",
    )
    parser.add_argument(
        "--maps",
        action="store_true",
        help="also write maps of what the learned loss prefers at each pixel, to "
        "<name>.maps/ beside the output; requires two sources, and weights with "
        "the loss proposal module (P)",
    )


def _add_batch_options(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments that say how many pictures are processed, and which."""
    parser.add_argument(
        "--pair",
        default="name",
        metavar="RULE",
        help="which pictures of folders belong together: those of one name (name, the "
        "default; also names that differ by a constant part), by their order (order), "
        "or by a pattern for each folder, as in '{}_ir,{}_vi'",
    )
    parser.add_argument(
        "--recursive",
        action="store_true",
        help="also pair the pictures of subfolders, and write to subfolders",
    )
    parser.add_argument(
        "--ext",
        metavar="ENDING",
        help="format of pictures that are written to a folder, by the ending of their "
        "names, such as tif or jpg (default png)",
    )
    parser.add_argument(
        "--quality",
        type=int,
        metavar="N",
        help="quality of JPEGs, 1 to 100 (default 95)",
    )
    parser.add_argument(
        "--resume",
        action="store_true",
        help="keep outputs that exist and are complete, unless their metadata say "
        "that they were made with other weights or options, or of other sources",
    )
    parser.add_argument(
        "--no-overwrite",
        dest="overwrite",
        action="store_false",
        help="refuse to start if an output exists",
    )
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="print what would be fused into what, and write nothing",
    )
    parser.add_argument(
        "--json",
        action="store_true",
        help="print one JSON object per picture, with its weights and options",
    )
    parser.add_argument(
        "-q", "--quiet", action="store_true", help="print nothing but errors"
    )
    parser.add_argument(
        "--max-pixels",
        type=int,
        metavar="N",
        help="reject larger pictures before they fill memory (default 89478485)",
    )
    parser.add_argument(
        "--jobs",
        type=int,
        default=2,
        metavar="N",
        help="threads that read ahead and write behind (default 2)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Fuses the pictures or videos that the arguments name.

    Args:
      arguments: the arguments that `add_parser` describes.

    Returns:
      0 if all pictures are written, 1 if some failed.

    Raises:
      OSError, ValueError, ImportError: if nothing can be fused with these arguments.
    """
    # Here, because importing jax takes a second, and neither help nor a mistyped
    # argument should wait for it.
    from refusion_jax.commands.films import check_videos, fuse_films
    from refusion_jax.fusing.video import is_video
    from refusion_jax.pictures.codecs import limit_of_pixels
    from refusion_jax.pictures.levels import check_rule
    from refusion_jax.pictures.volumes import is_volume

    check_rule(arguments.levels)
    if arguments.jobs < 1:
        raise ValueError(
            f"expected --jobs of 1 or more, got {arguments.jobs}; raise it."
        )
    cluster, named = chosen_cluster(arguments), [arguments.a, *arguments.more]
    if buckets := [x for x in (*named, arguments.output) if is_bucket(x)]:
        if cluster is None:
            raise ValueError(
                f"expected --engine=ray with {buckets[0]}, got local; choose ray, or "
                "name files of this machine."
            )
        check_bucket_options(arguments)
        with shadowed(named, arguments.output) as shadow:
            arguments.output = shadow.output
            sources = [Path(source) for source in shadow.sources]
            return _fuse_pictures(arguments, sources, cluster, shadow)
    with spooled(named) as sources:
        if any(is_volume(source) for source in sources):
            check_volumes(arguments, sources)
            weights = _weights(arguments, sources, [])
            set_up_jax(arguments)
            return fuse_volumes(arguments, sources, weights)
        refuse_volume_options(arguments)
        if any(is_video(source) for source in sources):
            check_videos(arguments, sources)
            weights = _weights(arguments, sources, [])
            set_up_jax(arguments)
            fuser = _fuser(arguments, weights, arguments.output_range or "source")
            return fuse_films(arguments, sources, fuser)
        with limit_of_pixels(arguments.max_pixels):
            return _fuse_pictures(arguments, sources, cluster)


def _fuse_pictures(
    arguments: argparse.Namespace,
    sources: Sequence[Path],
    cluster: Cluster | None,
    shadow: Shadow | None = None,
) -> int:
    from refusion_jax.commands.batch import Stages, fuse_batch, fuse_here
    from refusion_jax.commands.jobs import (
        Output,
        check_quality,
        count_sources,
        plan,
        plan_jobs,
        refuse_existing,
    )
    from refusion_jax.fusing.provenance import provenance_of

    is_folder = arguments.output.endswith(("/", os.sep))
    output = Path(arguments.output)
    ending = None if arguments.ext is None else f".{arguments.ext.removeprefix('.')}"
    jobs = plan_jobs(
        sources,
        Output(output, is_folder, ending),
        pair=arguments.pair,
        is_recursive=arguments.recursive,
        place=Path.resolve if shadow is None else shadow.place,
        name=str if shadow is None else shadow.address,
    )
    check_quality(jobs, arguments.quality)
    if not arguments.overwrite:
        refuse_existing(jobs)
    if arguments.maps and (count := max(map(count_sources, jobs), default=2)) > 2:
        raise ValueError(
            f"expected two sources with --maps, got {count}; leave --maps out, "
            "because the loss proposal module weighs exactly two."
        )
    weights = _weights(arguments, sources, jobs)
    if arguments.dry_run:
        say("\n".join(plan(jobs, is_json=arguments.json)))
        return 0
    set_up_jax(arguments)
    fuser = _fuser(arguments, weights, arguments.output_range)
    record = provenance_of(weights, fuser.model, fuser.rules, is_fast=arguments.fast)
    if arguments.maps:
        fuser.require_maps()  # now, because it must fail before anything is written
    is_batch = len(sources) > 1 and sources[0].is_dir()
    if is_batch and len({source.resolve() for source in sources}) < len(sources):
        complain(f"one folder is named twice: {', '.join(map(str, sources))}.")
    if is_batch or is_folder:
        for job in jobs:
            job.output.parent.mkdir(parents=True, exist_ok=True)
    if arguments.quality is not None:
        record["options"]["quality"] = arguments.quality
    stages = Stages(
        fuser, record, arguments.resume, arguments.maps, is_batch, arguments.quality
    )
    if cluster is None:
        outcomes = fuse_here(jobs, stages, arguments.jobs)
    else:
        from refusion_jax.commands.cluster.fusing import fuse_by_ray

        outcomes = fuse_by_ray(
            jobs,
            stages,
            cluster,
            threads=arguments.jobs,
            is_cached=arguments.cache,
            max_pixels=arguments.max_pixels,
            address=(shadow or Shadow([], "", {}, {})).address,
        )
    return fuse_batch(
        stages, jobs, outcomes, is_json=arguments.json, is_quiet=arguments.quiet
    )


def _weights(
    arguments: argparse.Namespace, sources: Sequence[Path], jobs: "Sequence[Job]"
) -> Path:
    """Returns the weights that are named, or chooses shipped ones and says why."""
    if arguments.weights is not None:
        return Path(arguments.weights)
    from refusion_jax.fusing.choice import choose, doubt

    tell = (lambda _: None) if arguments.quiet else complain
    if arguments.task is not None:
        file = pretrained_file(arguments.task)
        first = jobs[0].sources if jobs else ()
        if len(sources) > 1 and (reason := doubt(arguments.task, sources, first)):
            tell(reason)
        return file

    if not pretrained_names():
        raise ValueError(
            "expected --weights, got none, and none come with this package; name a "
            "weight file or a training run's folder."
        )
    # The first, the middle and the last scene are looked at.
    looked_at = sorted({0, len(jobs) // 2, len(jobs) - 1}) if jobs else []
    samples = [jobs[place].sources for place in looked_at]
    samples = [sample for sample in samples if len(sample) > 1]
    if len(sources) == 1 and sources[0].is_dir():
        sources = jobs[0].sources
    choice = choose(sources, samples, levels=arguments.levels)
    if choice is None:
        raise ValueError(
            "expected sources whose names or contents show what they are, got none "
            f"that do; choose the weights with --task={pretrained_listing('|')}."
        )
    chosen = choice.weights
    tell(f"using the weights {chosen.name} ({chosen.title}), {choice.reason}.")
    return pretrained_file(chosen.name)


def _fuser(
    arguments: argparse.Namespace, weights: Path, output_range: str | None
) -> "Fuser":
    from refusion_jax.fusing.fuser import Fuser
    from refusion_jax.weights.store import load_model

    return Fuser(
        load_model(weights, is_fast=True) if arguments.fast else weights,
        output_range=cast("Range | None", output_range),
        align=arguments.align,
        motion=arguments.motion,
        border=arguments.border,
        levels=arguments.levels,
        precision=arguments.precision,
    )
