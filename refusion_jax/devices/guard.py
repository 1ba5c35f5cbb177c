"""A program in a child process, whose end by the loss of a host is told in a sentence.

Where a host is lost, JAX's runtime ends the processes of the others by SIGABRT, with a
trace of C++ on standard error. No handler in the process itself can prevent that.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from types import FrameType

# Numbers of two files of the child: what Python writes on standard error goes to the
# first; the end of the second is the end of the parent.
STREAMS = "REFUSION_GUARDED_STREAMS"
LOST = (
    "another host has ended or cannot be reached; start all of them again by the same "
    "commands, which resume from the last checkpoint."
)
_TRACE = b"JAX distributed service detected fatal errors"


def run_guarded() -> None:
    """Runs this program again in a child process, waits for it, and exits as it did.

    In the child this returns at once. What libraries in C++ write on standard error is
    kept back and shown only if the child dies of something else than a lost host. The
    child does not outlive this process.
    """
    if STREAMS in os.environ:
        stream, life = map(int, os.environ.pop(STREAMS).split())
        sys.stderr = os.fdopen(stream, "w", buffering=1)
        threading.Thread(target=_die_with, args=(life,), daemon=True).start()
        return
    stream = os.dup(sys.stderr.fileno())
    life, _held = os.pipe()  # whose writing end closes when this process ends
    with tempfile.TemporaryFile() as noise:
        child = subprocess.Popen(
            [sys.executable, *sys.orig_argv[1:]],
            env={**os.environ, STREAMS: f"{stream} {life}"},
            stderr=noise,
            pass_fds=(stream, life),
        )

        def forward(number: int, frame: FrameType | None) -> None:
            child.send_signal(number)

        def leave_to_child(number: int, frame: FrameType | None) -> None:
            """Ctrl-C reaches both."""

        signal.signal(signal.SIGTERM, forward)
        signal.signal(signal.SIGINT, leave_to_child)
        code = child.wait()
        noise.seek(0)
        if code == -signal.SIGABRT and _TRACE in noise.read():
            print(LOST, file=sys.stderr)
            sys.exit(1)
        if code < 0:
            noise.seek(0)
            shutil.copyfileobj(noise, sys.stderr.buffer)
            sys.exit(128 - code)
    sys.exit(code)


def _die_with(life: int) -> None:
    """Waits until the parent has ended, and ends this process as `kill -9` would."""
    os.read(life, 1)
    os.kill(os.getpid(), signal.SIGKILL)
