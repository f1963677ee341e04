"""Access to the page: no other site, and with a token set only those who have it."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs, urlsplit

from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

COOKIE = "inspector_session"
SESSION_S = 30 * 24 * 3600
"""A panel beside the line is logged in once a month."""
MAX_FORM_BYTES = 4096
WRONG_TOKEN_WAIT_S = 0.5
LOGINS_AT_ONCE = 8
OPEN_PATHS = frozenset({"/healthz", "/readyz"})
"""Answer everybody: load balancers and systemd ask without a token."""
_LOGIN_PATHS = frozenset({"/login", "/logout"})
_LOOPBACK_NAMES = frozenset({"127.0.0.1", "localhost", "::1"})
# Nothing inline, nothing from elsewhere, framed by nobody. Pictures of the live view come as
# blobs of bytes that this page received itself.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
SAFETY_HEADERS = (
    (b"content-security-policy", CONTENT_SECURITY_POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    # Not "no-referrer": with that, browsers say that our own form comes from "null".
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
)


class Sessions:
    """Cookies that prove a login without holding the token: valid for a time, signed with it.

    Nothing is stored, so a restart logs nobody out, and a new token logs everybody out.
    """

    def __init__(self, token: str, *, now_s: Callable[[], float] = time.time) -> None:
        self._key = hashlib.sha256(b"inspector session\0" + token.encode()).digest()
        self._now_s = now_s

    def issue(self) -> str:
        """A cookie's value for a client that has just proved to have the token."""
        until_s = str(int(self._now_s()) + SESSION_S)
        return f"{until_s}.{self._signature(until_s)}"

    def is_valid(self, value: str) -> bool:
        """Whether this was issued by us and has not expired."""
        until_s, _, signature = value.partition(".")
        if not (until_s.isascii() and until_s.isdecimal() and signature.isascii()):
            return False
        if not secrets.compare_digest(signature, self._signature(until_s)):
            return False
        return int(until_s) > self._now_s()

    def _signature(self, until_s: str) -> str:
        return hmac.new(self._key, until_s.encode(), hashlib.sha256).hexdigest()


class Guard:
    """Lets a request in, or answers it; adds the headers that keep a browser safe.

    Without a token the server is bound to this machine, and everybody on it has access; but the
    request must name this machine as its host, or a page of another site could have its own name
    resolved to it. A browser's requests that change something, and its WebSockets, must come from
    our own page. With a token: the token as `Authorization: Bearer`, or a session's cookie.
    """

    def __init__(self, app: ASGIApp, token: str | None) -> None:
        self._app = app
        self._expected = None if token is None else f"Bearer {token}".encode()
        self._sessions = None if token is None else Sessions(token)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 401 or 403 instead of the application where it must not be reached."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        refusal = self._refusal(scope, headers)
        if refusal is None:
            # A client that aborted its request gets no answer; this is not an error of ours.
            with suppress(ClientDisconnect):
                await self._app(scope, receive, _with_safety(send))
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008})
        else:
            await refusal(scope, receive, _with_safety(send))

    def _refusal(self, scope: Scope, headers: Mapping[bytes, bytes]) -> Response | None:
        path = scope["path"]
        if path in OPEN_PATHS:
            return None
        if self._expected is None and path != "/metrics" and not _is_for_loopback(headers):
            return _line(403, "this service answers to the name of its own machine; set http.token")
        if not _is_from_here(scope, headers):
            return _line(403, "a page of another site may not do that")
        if _needs_no_token(path) or self._may_enter(headers):
            return None
        if scope["type"] == "http" and b"text/html" in headers.get(b"accept", b""):
            return RedirectResponse("/login", 303)
        return PlainTextResponse("a token is needed\n", 401, headers={"WWW-Authenticate": "Bearer"})

    def _may_enter(self, headers: Mapping[bytes, bytes]) -> bool:
        if self._expected is None:
            return True
        given = headers.get(b"authorization", b"")
        if secrets.compare_digest(given, self._expected):
            return True
        value = _cookie(headers.get(b"cookie", b""))
        return self._sessions is not None and value is not None and self._sessions.is_valid(value)


def login_routes(token: str, page: Callable[[Request], Response]) -> list[Route]:
    """`/login`: the form, and what it sends; `/logout` forgets the session."""
    sessions = Sessions(token)
    trying = asyncio.Semaphore(LOGINS_AT_ONCE)

    async def login(request: Request) -> Response:
        if request.method != "POST":
            return page(request)
        if trying.locked():
            return _line(429, "too many are trying to log in")
        async with trying:
            given = await _form_field(request, "token")
            if not secrets.compare_digest(given.encode(), token.encode()):
                await asyncio.sleep(WRONG_TOKEN_WAIT_S)
                return RedirectResponse("/login?wrong", 303)
        entered = RedirectResponse("/", 303)
        _set_session(request, entered, sessions.issue(), SESSION_S)
        return entered

    async def logout(request: Request) -> Response:
        left = RedirectResponse("/login", 303)
        _set_session(request, left, "", 0)
        return left

    return [
        Route("/login", login, methods=["GET", "POST"]),
        Route("/logout", logout, methods=["POST"]),
    ]


def _set_session(request: Request, response: Response, value: str, max_age_s: int) -> None:
    response.set_cookie(
        COOKIE,
        value,
        max_age=max_age_s,
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )


async def _form_field(request: Request, name: str) -> str:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_FORM_BYTES:
            return ""
    fields = parse_qs(body.decode("utf-8", "replace"), keep_blank_values=True)
    return fields.get(name, [""])[0].strip()


def _cookie(header: bytes) -> str | None:
    try:
        found = SimpleCookie(header.decode("latin-1")).get(COOKIE)
    except CookieError:
        return None
    return None if found is None else found.value


def _needs_no_token(path: str) -> bool:
    return path in _LOGIN_PATHS or path.startswith("/static/")


def _is_for_loopback(headers: Mapping[bytes, bytes]) -> bool:
    host = headers.get(b"host", b"").decode("latin-1")
    return urlsplit(f"//{host}").hostname in _LOOPBACK_NAMES


def _is_from_here(scope: Scope, headers: Mapping[bytes, bytes]) -> bool:
    """Programs send no origin; a browser sends the page's, where it matters."""
    if scope["type"] == "http" and scope["method"] in ("GET", "HEAD"):
        return True
    origin = headers.get(b"origin")
    if origin is None:
        return True
    return urlsplit(origin.decode("latin-1")).netloc == headers.get(b"host", b"").decode("latin-1")


def _with_safety(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers: list[Any] = list(message.get("headers", ()))
            message = {**message, "headers": [*headers, *SAFETY_HEADERS]}
        await send(message)

    return sending


def _line(status: int, text: str) -> Response:
    return PlainTextResponse(text + "\n", status)
