"""Who may speak to the page: the rules that keep other sites and other hosts out.

- The Host header must name this machine, else a foreign site whose name was pointed at
  127.0.0.1 could read the pictures (DNS rebinding).
- A request that changes something must come from the page itself, by its Origin.
- Where other machines can connect, a token is needed: once in the address, then in a
  cookie.
- The page may load nothing from elsewhere, and nobody may frame it.
"""

import hmac
import ipaddress
from collections.abc import Sequence
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

COOKIE = "refusion_token"
LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' blob: data:; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_SAFE_METHODS = ("GET", "HEAD")


def is_loopback(host: str) -> bool:
    """Returns whether only this machine can connect to an address.

    Args:
      host: a name or an address.

    Examples:
      >>> is_loopback("127.0.0.1"), is_loopback("localhost"), is_loopback("0.0.0.0")
      (True, True, False)
    """
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Guard:
    """Refuses requests that the page did not make, and adds headers to every answer."""

    def __init__(
        self, app: ASGIApp, *, names: Sequence[str] = LOCAL_NAMES, token: str = ""
    ) -> None:
        """Wraps an application.

        Args:
          app: what answers the requests that pass.
          names: of this machine, that a Host header may have. With a token, addresses
            of IPv4 and IPv6 pass too: they cannot be pointed elsewhere.
          token: what a visitor has to know; empty if only this machine can connect.
        """
        # In small letters, as urlsplit returns the name of a Host header.
        self._names = {name.lower() for name in names}
        self._app, self._token = app, token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        answer = self._answer(scope)
        await (answer or self._app)(scope, receive, guarded)

    def _answer(self, scope: Scope) -> Response | None:
        """Returns an answer in place of the application's, or None."""
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if not self._knows(host):
            return _refusal(
                400,
                f"expected the address of this machine, got {host[:80]!r}; open the "
                "address that refusion serve printed.",
            )
        if scope["method"] not in _SAFE_METHODS and not _is_own(headers, host):
            return _refusal(
                403,
                "expected a request of this page, got one of another site; open the "
                "address that refusion serve printed.",
            )
        return self._token_answer(scope, headers) if self._token else None

    def _knows(self, host: str) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        if name in self._names:
            return True
        if not self._token:
            return False
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True

    def _token_answer(self, scope: Scope, headers: Headers) -> Response | None:
        queries = parse_qs(scope["query_string"].decode("latin-1"))
        bearer = headers.get("authorization", "").removeprefix("Bearer ")
        if self._matches(_cookie(headers)) or self._matches(bearer):
            return None
        if scope["path"] == "/" and self._matches(queries.get("token", [""])[0]):
            # The token leaves the address, and with it history and screenshots.
            answer = RedirectResponse("/", 303)
            answer.set_cookie(COOKIE, self._token, httponly=True, samesite="strict")
            return answer
        return _refusal(
            401,
            "expected the token of this server, got none or another; open the address "
            "that refusion serve printed, or send it as a bearer token.",
        )

    def _matches(self, token: str) -> bool:
        return hmac.compare_digest(token.encode(), self._token.encode())


def _is_own(headers: Headers, host: str) -> bool:
    """Returns whether the page itself, or no page at all, made a request."""
    origin = headers.get("origin")
    try:
        if origin is not None and urlsplit(origin).netloc != host:
            return False
    except ValueError:
        return False
    return headers.get("sec-fetch-site", "none") in ("same-origin", "none")


def _cookie(headers: Headers) -> str:
    # Not by SimpleCookie, which drops all of them where one is not to its taste.
    return cookie_parser(headers.get("cookie", "")).get(COOKIE, "")


def _refusal(status: int, sentence: str) -> Response:
    return JSONResponse({"error": sentence}, status)
