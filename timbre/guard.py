"""Who may ask the server, and what a browser is told beside every answer.

A page of somebody else's must not use the server through its visitor's browser: neither by a name
that it has pointed at this machine (DNS rebinding) nor by posting to it.
"""

import re
from collections.abc import Awaitable, Callable, Collection, MutableMapping
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse

from timbre.refusal import RefusedError

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
LOOPBACK = ("localhost", "127.0.0.1", "::1")
HOST = re.compile(r"(\[[0-9a-f:.]+\]|[^\s:@/?#\\\[\]]+)(?::[0-9]{1,5})?")  # a name and a port
# Everything from this server; a clip that was chosen or recorded is a blob.
CONTENT = (
    "default-src 'self'; media-src 'self' blob:; object-src 'none'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": CONTENT,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cache-Control": "no-store",
}


def is_loopback(host: str) -> bool:
    """Tell whether only this machine reaches a server that listens at `host`."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def known_names(host: str, others: Collection[str]) -> frozenset[str] | None:
    """Return the names that a server at `host` may be called by; None: by any.

    A server for other machines cannot know all of its names.
    """
    if is_loopback(host):
        return frozenset(name.lower() for name in (*LOOPBACK, host, *others))
    return frozenset(name.lower() for name in others) or None


class Guard:
    """An application that is only reached by who may, and whose answers carry HEADERS."""

    def __init__(self, app: App, names: frozenset[str] | None) -> None:
        """Take the names that the server may be called by; None: by any."""
        self._app, self._names = app, names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        try:
            self._check(scope["method"], Headers(scope=scope))
        except RefusedError as refused:
            answer = JSONResponse(refused.body(), refused.status)
            await answer(scope, receive, send_guarded)
            return
        await self._app(scope, receive, send_guarded)

    def _check(self, method: str, headers: Headers) -> None:
        host = headers.get("host", "")
        if self._names is not None and hostname(host) not in self._names:
            raise RefusedError(
                403,
                "unknown_host",
                f"This server is not called {host}: open it as it told its address, or start it "
                "with --allow-host NAME.",
            )
        origin = headers.get("origin")
        if method not in SAFE_METHODS and origin is not None and not is_same(origin, host):
            told = f"Requests from pages of {origin} are refused."
            raise RefusedError(403, "foreign_origin", told)


def hostname(host: str) -> str:
    """Return the name in a Host header, without its port; "" for what is none."""
    found = HOST.fullmatch(host.lower())
    return found[1].strip("[]") if found else ""


def is_same(origin: str, host: str) -> bool:
    """Tell whether a page of `origin` comes from the server that is called `host` here."""
    try:
        return bool(host) and urlsplit(origin).netloc.lower() == host.lower()
    except ValueError:
        return False
