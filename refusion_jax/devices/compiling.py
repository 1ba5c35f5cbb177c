"""Says what JAX is doing while a compilation takes long."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import jax

SECONDS = 2.0
# What JAX reports when it hands a program to the compiler, and when it has it back.
_HANDED = "/jax/core/compile/jaxpr_to_mlir_module_duration"
_COMPILED = "/jax/core/compile/backend_compile_duration"


@contextmanager
def long_compilations(
    tell: Callable[[], None], *, seconds: float = SECONDS
) -> Iterator[None]:
    """Tells of each compilation that takes longer than a moment, while it lasts.

    Args:
      tell: is called from another thread.
      seconds: length of the moment.
    """
    timers: list[threading.Timer] = []

    def listen(event: str, duration_secs: float, **facts: str | int) -> None:
        if event in (_HANDED, _COMPILED):
            while timers:
                timers.pop().cancel()
        if event == _HANDED:
            timer = threading.Timer(seconds, tell)
            timer.daemon = True
            timers.append(timer)
            timer.start()

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        yield
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)
        while timers:
            timers.pop().cancel()
