"""Videos in `refusion fuse`."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from refusion_jax.commands.jobs import check_exist
from refusion_jax.commands.messages import complain, say
from refusion_jax.commands.volumes import refuse_batch_options
from refusion_jax.files.atomic import check_folder_of
from refusion_jax.fusing.video import check_video_output, fuse_videos, is_video
from refusion_jax.pictures.names import LEVELS

if TYPE_CHECKING:
    from refusion_jax.fusing.fuser import Fuser

FLICKERING = frozenset(LEVELS) - {"full"}  # rules of levels that follow each picture


def check_videos(arguments: argparse.Namespace, sources: Sequence[Path]) -> None:
    """Raises unless videos can be fused with these arguments.

    Args:
      arguments: of the command.
      sources: files, a video among them.

    Raises:
      FileNotFoundError, ValueError: in one sentence.
    """
    for source in sources:
        if not is_video(source):
            raise ValueError(
                f"expected videos only, got {source} among them; name sources of one "
                "kind."
            )
    output_range = arguments.output_range or "source"
    if output_range == "stretch":
        raise ValueError(
            "expected --range=source or --range=none for videos, got stretch, which "
            "would make them flicker; choose one of the two."
        )
    if arguments.levels in FLICKERING:
        raise ValueError(
            f"expected --levels=full or LOW:HIGH for videos, got {arguments.levels}, "
            "which follows each frame and would make them flicker; choose one of the "
            "two."
        )
    if arguments.align == "register":
        raise ValueError(
            "expected --align=none, crop, resize or resize-largest for videos, got "
            "register, which would bring and cut each frame differently; choose "
            "another."
        )
    refuse_batch_options(arguments, "videos")
    check_exist(sources)
    output = Path(arguments.output)
    if len(sources) < 2:
        raise ValueError(
            f"expected two or more videos, got {sources[0]} only; name the other too."
        )
    check_video_output(output)
    check_folder_of(output)
    if output.resolve() in {source.resolve() for source in sources}:
        raise ValueError(
            f"expected an output other than the sources, got {output}; name "
            "another file."
        )


def fuse_films(
    arguments: argparse.Namespace, sources: Sequence[Path], fuser: "Fuser"
) -> int:
    """Fuses videos and says what was written.

    Args:
      arguments: of the command.
      sources: videos that `check_videos` has passed.
      fuser: fuses frames.

    Returns:
      The exit status: 0 if the video is written, 1 if it failed.
    """
    output = Path(arguments.output)
    try:
        made = fuse_videos(fuser, sources, output)
    except (OSError, ValueError, RuntimeError, MemoryError) as error:
        complain(error)
        return 1
    if arguments.quiet:
        return 0
    say(f"{output} {made.width}x{made.height}, {made.frame_count} frames")
    if made.is_cut:
        complain(
            f"the videos differ in length; only the first {made.frame_count} are fused."
        )
    return 0
