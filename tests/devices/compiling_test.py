import threading

import jax

from refusion_jax.devices.compiling import long_compilations

HANDED = "/jax/core/compile/jaxpr_to_mlir_module_duration"
COMPILED = "/jax/core/compile/backend_compile_duration"


def waiting():
    """Timers that would still tell."""
    timers = [x for x in threading.enumerate() if isinstance(x, threading.Timer)]
    return [x for x in timers if not x.finished.is_set()]


def test_only_what_takes_long_is_told():
    """The events are those of JAX; `test_jax_reports_them` says so."""
    told = threading.Semaphore(0)
    with long_compilations(told.release, seconds=0.01):
        jax.monitoring.record_event_duration_secs(HANDED, 0.0)
        assert told.acquire(timeout=60)
    with long_compilations(told.release, seconds=3600):
        jax.monitoring.record_event_duration_secs(HANDED, 0.0)
        assert waiting()
        jax.monitoring.record_event_duration_secs(COMPILED, 0.0)
        assert not waiting()
    assert not told.acquire(blocking=False)
    jax.monitoring.record_event_duration_secs(HANDED, 0.0)  # nobody listens any more
    assert not waiting()


def test_jax_reports_them():
    events = []

    def listen(event, duration_secs, **facts):
        events.append(event)

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        jax.jit(lambda x: x * 3 + 1)(7.0).block_until_ready()
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)
    assert events.index(HANDED) < events.index(COMPILED)
