"""A program in a child process, whose sudden end is told in a sentence.

Where another machine is lost, the runtimes of JAX and Ray end this process from C++,
with traces on standard error. No handler in the process itself can prevent that.
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

_guarded: list[str] = []  # the trace, in the child


def end_as_lost() -> None:
    """Ends a guarded program at once, as the runtime would; else it does nothing.

    The runtime may be about to do the same: so the sentence is printed once, by the
    guard, whoever comes first.
    """
    for trace in _guarded:
        sys.stdout.flush()
        sys.stderr.flush()
        os.write(2, trace.encode())
        os._exit(1)


def run_guarded(trace: str, sentence: str) -> None:
    """Runs this program again in a child process, waits for it, and exits as it did.

    In the child this returns at once. What libraries in C++ write on standard error is
    kept back and shown only if a signal ends the child. The child does not outlive this
    process.

    Args:
      trace: part of what the runtime writes when it ends the process.
      sentence: to print in that case.
    """
    if STREAMS in os.environ:
        stream, life = map(int, os.environ.pop(STREAMS).split())
        sys.stderr = os.fdopen(stream, "w", buffering=1)
        _guarded.append(trace)
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
        if code and trace.encode() in noise.read():
            print(sentence, file=sys.stderr)
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
