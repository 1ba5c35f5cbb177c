"""Fusing videos frame by frame, by PyAV (the extra `video`).

Frames are fused one by one, as pictures are: upright, as players show them, and of more
than 8 bits with all of them. They are paired by their number, so the videos must start
at the same moment and have the same frame rate. The result has 8 bits, the first
video's times and the shape of its pixels. Sound is left out.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from refusion_jax.extras import require
from refusion_jax.files.atomic import replacing
from refusion_jax.fusing.fuser import Fuser
from refusion_jax.pictures.levels import to_8_bit
from refusion_jax.pictures.notes import note
from refusion_jax.pictures.photographs import Photograph

# Endings of the videos that we write, with PyAV's name of the format.
FORMATS = {".mp4": "mp4", ".mkv": "matroska", ".mov": "mov"}
ENDINGS = frozenset({*FORMATS, ".avi", ".webm", ".m4v", ".mpg", ".mpeg"})
# Of x264: 0 is lossless, 51 the worst; 16 looks like the source.
QUALITY = {"crf": "16"}

# FFmpeg's numbers for colour matrices, and for the range 16..235.
RGB, UNTAGGED = 0, 2
LIMITED_RANGE = 1


class FusedVideo(NamedTuple):
    """Facts about a video that was written.

    Attributes:
      width, height: in pixels.
      frame_count: frames written, as many as the shortest source has.
      is_cut: whether any source has more frames than that.
    """

    width: int
    height: int
    frame_count: int
    is_cut: bool


def is_video(path: Path) -> bool:
    """Returns whether a file's ending is that of a video.

    Args:
      path: of any file.
    """
    return path.suffix.lower() in ENDINGS


def fuse_videos(fuser: Fuser, sources: Sequence[Path], output: Path) -> FusedVideo:
    """Fuses videos frame by frame; the file appears whole or not at all.

    Args:
      fuser: its output range should be "source" or "none", its levels "full" or
        LOW:HIGH: the others flicker. It should not register: each frame would be moved
        and cut by itself.
      sources: video files, two or more.
      output: ends in .mp4, .mkv or .mov.

    Returns:
      Facts about the video.

    Raises:
      FileNotFoundError: if a file is missing.
      ImportError: if PyAV is missing.
      OSError: if the output cannot be written.
      ValueError: if a video cannot be read, their sizes or frame rates differ, or
        fused frames are not of one size.
    """
    av = _import_av()
    check_video_output(output)
    with ExitStack() as stack:
        with _reading(sources):
            inputs = [stack.enter_context(av.open(str(path))) for path in sources]
        streams = [_stream(x, path) for x, path in zip(inputs, sources, strict=True)]
        _check_rates([_frame_rate(stream) for stream in streams], sources)
        try:
            with replacing(output) as temporary:
                container_format = FORMATS[output.suffix.lower()]
                with av.open(str(temporary), "w", format=container_format) as target:
                    return _fuse_frames(fuser, inputs, streams, target, sources)
        except av.FFmpegError as error:
            # Not the error itself, which names the temporary file.
            raise OSError(
                f"expected to write {output}, got {error.strerror}; make room, or name "
                "another place."
            ) from error


@contextmanager
def _reading(sources: Sequence[Path]) -> Iterator[None]:
    """Says which videos were read when PyAV failed."""
    import av

    try:
        yield
    except av.FFmpegError as error:
        raise ValueError(
            f"expected readable videos, got {', '.join(map(str, sources))} "
            f"({error}); replace or convert them."
        ) from error


def check_video_output(output: Path) -> None:
    """Raises unless `fuse_videos` can write a file of this ending.

    Args:
      output: path of the video to be written.

    Raises:
      ValueError: listing the endings.
    """
    if output.suffix.lower() not in FORMATS:
        raise ValueError(
            f"expected a video name ending in one of {', '.join(FORMATS)}, got "
            f"{output}; choose one of these."
        )


def _import_av() -> Any:
    return require("av", extra="video", why="to read and write videos")


def _stream(container: Any, path: Path) -> Any:
    if not container.streams.video:
        raise ValueError(
            f"expected a video, got no video stream in {path}; name another file."
        )
    stream = container.streams.video[0]
    stream.thread_type = "AUTO"  # decode in several threads
    return stream


def _frame_rate(stream: Any) -> Fraction | None:
    # Since PyAV 19 this is a rational type of its own, which prints 10 as 10/1.
    rate = stream.average_rate
    return rate and Fraction(rate.numerator, rate.denominator)


def _check_rates(rates: Sequence[Fraction | None], sources: Sequence[Path]) -> None:
    for rate, path in zip(rates, sources, strict=True):
        if rate != rates[0]:
            raise ValueError(
                f"expected videos of equal frame rate, got {rates[0]} in {sources[0]} "
                f"and {rate} in {path}; convert one of them first."
            )


def _fuse_frames(
    fuser: Fuser,
    inputs: Sequence[Any],
    streams: Sequence[Any],
    target: Any,
    sources: Sequence[Path],
) -> FusedVideo:
    import av

    decoded = [x.decode(s) for x, s in zip(inputs, streams, strict=True)]
    stream, frame_count, frames = None, 0, list[Any]()
    clocks = [_Clock() for _ in sources]
    most_apart = 0.0
    while True:
        with _reading(sources):
            frames = [next(video, None) for video in decoded]
            if None in frames:
                break
            photographs = [
                Photograph(_pixels(frame), name=str(path))
                for frame, path in zip(frames, sources, strict=True)
            ]
        fused = fuser.fuse_photograph(*photographs).pixels
        if fused.dtype == np.uint16:
            fused = to_8_bit(fused)
        if stream is None:
            stream = _add_stream(target, fused, streams, frames, sources)
        if fused.shape[:2] != (stream.height, stream.width):
            # PyAV would scale the frame without a word.
            raise ValueError(
                f"expected fused frames of {stream.width}x{stream.height} throughout, "
                f"got {fused.shape[1]}x{fused.shape[0]} as frame {frame_count + 1}; "
                "name videos of one size, and align them by another rule than "
                "register."
            )
        times = [clock.since_start(x) for clock, x in zip(clocks, frames, strict=True)]
        most_apart = max(most_apart, max(times) - min(times))
        kind = "gray" if fused.ndim == 2 else "rgb24"
        made = av.VideoFrame.from_ndarray(np.ascontiguousarray(fused), format=kind)
        if stream.codec_context.colorspace != UNTAGGED:
            matrix = stream.codec_context.colorspace
            made = made.reformat(format=stream.pix_fmt, dst_colorspace=matrix)
        made.pts, made.time_base = frames[0].pts, frames[0].time_base
        target.mux(stream.encode(made))
        frame_count += 1
    if stream is None:
        raise ValueError("expected videos with frames, got none; name other files.")
    target.mux(stream.encode(None))
    rate = _frame_rate(streams[0])
    if rate and most_apart > 0.5 / rate:
        note(
            f"frames are paired by number, but those of {sources[0]} and the others "
            f"are up to {most_apart:.3g} s apart; convert the videos to one constant "
            "rate."
        )
    is_cut = any(frame is not None for frame in frames)
    return FusedVideo(stream.width, stream.height, frame_count, is_cut)


@dataclass
class _Clock:
    """The times of one video's frames, counted from its first."""

    start: float | None = None
    last: float = 0.0

    def since_start(self, frame: Any) -> float:
        """Returns the seconds of a frame; of one without a time, those before it."""
        if frame.time is None:
            return self.last
        if self.start is None:
            self.start = float(frame.time)
        self.last = float(frame.time) - self.start
        return self.last


def _pixels(frame: Any) -> np.ndarray:
    """Returns a frame as players show it: uint8 or uint16, grey or RGB."""
    is_grey = frame.format.name.startswith("gray")
    is_deep = max(component.bits for component in frame.format.components) > 8
    if is_deep:
        kind = "gray16le" if is_grey else "rgb48le"
    else:
        kind = "gray" if is_grey else "rgb24"
    pixels = np.asarray(frame.to_ndarray(format=kind))
    return _upright(pixels, *_display_matrix(frame))


def _display_matrix(frame: Any) -> tuple[int, int, int, int]:
    """Returns a, b, c, d: a frame is shown at x' = a x + c y, y' = b x + d y."""
    for data in frame.side_data:  # which iterates over its values
        if data.type.name == "DISPLAYMATRIX":
            a, b, _, c, d = np.frombuffer(bytes(data)[:20], np.int32).tolist()
            return a, b, c, d
    return 1, 0, 0, 1


def _upright(pixels: np.ndarray, a: int, b: int, c: int, d: int) -> np.ndarray:
    """Turns and mirrors a frame by quarters, whichever is nearest."""
    if _swaps_sides(a, b):
        pixels = np.swapaxes(pixels, 0, 1)
        a, d = c, b
    pixels = pixels[:, ::-1] if a < 0 else pixels
    return np.ascontiguousarray(pixels[::-1] if d < 0 else pixels)


def _swaps_sides(a: int, b: int) -> bool:
    return abs(b) > abs(a)


def _pixel_aspect(stream: Any, frame: Any) -> Fraction:
    """Returns width over height of a pixel as it is shown."""
    ratio = stream.sample_aspect_ratio
    if not ratio:
        return Fraction(1)
    aspect = Fraction(ratio.numerator, ratio.denominator)
    return 1 / aspect if _swaps_sides(*_display_matrix(frame)[:2]) else aspect


def _add_stream(
    target: Any,
    fused: np.ndarray,
    like: Sequence[Any],
    frames: Sequence[Any],
    sources: Sequence[Path],
) -> Any:
    height, width = fused.shape[:2]
    first = like[0]
    stream = target.add_stream("libx264", rate=first.average_rate, options=QUALITY)
    stream.width, stream.height = width, height
    # Halved chroma needs even sides.
    is_even = height % 2 == 0 and width % 2 == 0
    stream.pix_fmt = "yuv420p" if is_even else "yuv444p"
    context = stream.codec_context
    context.time_base = first.time_base  # frames keep their times
    aspects = [_pixel_aspect(*each) for each in zip(like, frames, strict=True)]
    if aspects[0] != 1:
        context.sample_aspect_ratio = aspects[0]
    for aspect, path in zip(aspects, sources, strict=True):
        if aspect != aspects[0]:
            note(
                f"pixels are {aspects[0]} times as wide as high in {sources[0]}, but "
                f"{aspect} times in {path}, so the frames do not line up; scale one "
                "first."
            )
    # RGB is converted by the luminance-chroma matrix that a source declares; where none
    # does, players guess the matrix of the result as they guess that of the sources.
    tagged = [x for x in frames if x.colorspace not in (RGB, UNTAGGED)]
    if tagged:
        context.colorspace = tagged[0].colorspace
        context.color_primaries = tagged[0].color_primaries
        context.color_trc = tagged[0].color_trc
        context.color_range = LIMITED_RANGE
    return stream
