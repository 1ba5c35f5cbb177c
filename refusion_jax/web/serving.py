"""Runs the application on a socket until Ctrl-C."""

import contextlib
import secrets
import socket
import threading
import webbrowser
from collections.abc import Callable

import uvicorn

from refusion_jax.web.app import make_app
from refusion_jax.web.guard import LOCAL_NAMES, is_loopback
from refusion_jax.web.limits import Limits
from refusion_jax.web.models import Models


def serve(
    models: Models,
    limits: Limits,
    *,
    host: str,
    port: int,
    opens: bool,
    tell: Callable[[str], None],
) -> None:
    """Serves the page until Ctrl-C.

    Args:
      models: the weights.
      limits: see `Limits`.
      host: an address of this machine; where others can connect, a token is needed.
      port: to listen on; 0 for any that is free.
      opens: whether to open the page in a browser.
      tell: prints the address.

    Raises:
      ValueError: if the host or the port cannot be used.
    """
    listener = _listen(host, port)
    port = listener.getsockname()[1]
    token = "" if is_loopback(host) else secrets.token_urlsafe(16)
    # A machine that listens on all its addresses is known to others by its name.
    shown = socket.gethostname().lower() if host in ("0.0.0.0", "::") else host
    app = make_app(models, limits, names=(*LOCAL_NAMES, host, shown), token=token)
    bracketed = f"[{shown}]" if ":" in shown else shown
    address = f"http://{bracketed}:{port}/" + (f"?token={token}" if token else "")
    tell(f"The page is at {address}")
    config = uvicorn.Config(
        app,
        log_config=None,  # Python's: warnings go to standard error
        log_level="warning",
        access_log=False,
        server_header=False,
        ws="none",
    )
    if opens:
        threading.Timer(0.5, webbrowser.open, [address]).start()
    try:
        # Stopped by Ctrl-C, uvicorn ends in order and then passes the signal on.
        with listener, contextlib.suppress(KeyboardInterrupt):
            uvicorn.Server(config).run(sockets=[listener])
    finally:
        app.state.jobs.close()  # also where the server fails before it has begun


def _listen(host: str, port: int) -> socket.socket:
    if not 0 <= port < 1 << 16:
        raise ValueError(f"expected a port of 0 to 65535, got {port}; choose another.")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        reason = error.strerror or str(error)
        raise ValueError(
            f"expected an address to listen on, got {host} port {port} ({reason}); "
            "choose another with --host or --port."
        ) from error
