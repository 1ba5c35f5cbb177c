"""Messages of the commands: results go to stdout, all else to stderr, one line each.

Printing never ends a command: what the terminal's encoding lacks is printed as an
escape, a reader that has gone away is ignored, and a full disk is told once.
"""

import os
import re
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from refusion_jax.evaluation.tables import Table

_ARGUMENT = re.compile(r"(?<![\w-])(align|levels|motion|border|precision)=")


def complain(problem: object) -> None:
    """Prints the first line of a problem on stderr.

    Args:
      problem: an error or a sentence; for an error without text its type is printed.
    """
    lines = str(problem).splitlines() or [type(problem).__name__]
    # The library speaks of arguments, the command of options.
    lines[0] = _ARGUMENT.sub(lambda found: f"--{found[1]}=", lines[0])
    _print(f"refusion: {lines[0]}\n", "stderr")


def say(text: str) -> None:
    """Prints a result on stdout.

    Args:
      text: one line or more, without the last line break.
    """
    _print(f"{text}\n", "stdout")


def is_terminal(name: str = "stderr") -> bool:
    """Returns whether somebody looks at a stream.

    Args:
      name: of the stream, "stdout" or "stderr".
    """
    stream = getattr(sys, name)
    return stream is not None and stream.isatty()


def table_format() -> "Callable[[Table], str]":
    """Returns the format of tables on standard output: drawn on a terminal.

    Elsewhere it is Markdown.
    """
    from refusion_jax.evaluation.table_formats import to_markdown, to_terminal

    return to_terminal if is_terminal("stdout") else to_markdown


def _print(text: str, name: str) -> None:
    stream = getattr(sys, name)
    if stream is None:  # as under pythonw
        return
    encoding = getattr(stream, "encoding", None) or "utf-8"
    if not _can_encode("\u2191\u2193", encoding):
        text = text.replace("\u2191", "^").replace("\u2193", "v")
    # What cannot be encoded would raise in the middle of the work.
    text = text.encode(encoding, "backslashreplace").decode(encoding)
    try:
        stream.write(text)
        stream.flush()
    except OSError as error:
        # Nobody reads any more, as after `| head`, or a disk is full. Python would
        # complain at its end of what is left to write.
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), stream.fileno())
        if name == "stdout" and not isinstance(error, BrokenPipeError):
            complain(
                "expected a standard output that can be written to, got "
                f"{error.strerror}; what would follow on it is lost."
            )


def _can_encode(text: str, encoding: str) -> bool:
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True


@contextmanager
def streams_or_nowhere() -> Iterator[None]:
    """Lets streams that are closed, as by `2>&-` or under pythonw, lead nowhere.

    Python has None in their place, to which others, such as progress bars, would write.
    """
    redirects = {"stdout": redirect_stdout, "stderr": redirect_stderr}
    with ExitStack() as stack:
        for name, redirect in redirects.items():
            if getattr(sys, name) is None:
                nowhere = stack.enter_context(open(os.devnull, "w"))
                stack.enter_context(redirect(nowhere))
        yield


@contextmanager
def notes_on_stderr(*, is_quiet: bool = False) -> Iterator[None]:
    """Prints warnings about pictures as lines on stderr while the context lasts.

    Of those that every picture of a series gives, the first is printed, and at the end
    how many there were.

    Args:
      is_quiet: whether to print none.
    """
    from refusion_jax.pictures.notes import (
        AgainWarning,
        PictureWarning,
        RangeWarning,
    )

    repeated: Counter[str] = Counter()
    kinds = {
        RangeWarning: "pictures use little of their scale",
        AgainWarning: "pictures are made again",
    }

    def show(message: Any, category: type[Warning], *others: Any, **more: Any) -> None:
        if not issubclass(category, PictureWarning):
            before(message, category, *others, **more)
            return
        if category in kinds:
            repeated[kinds[category]] += 1
            if repeated[kinds[category]] > 1:
                return
        complain(message)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore" if is_quiet else "default", PictureWarning)
        # Pillow's, of blocks that are left out, with a line of its code.
        warnings.filterwarnings("ignore", "Corrupt EXIF data", UserWarning)
        before, warnings.showwarning = warnings.showwarning, show
        try:
            yield
        finally:
            for what, count in repeated.items():
                if count > 1:
                    complain(f"{count} {what}; only the first is named.")
