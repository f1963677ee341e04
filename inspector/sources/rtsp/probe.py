"""What a network camera answers, with its number: asked once after FFmpeg failed.

FFmpeg keeps a camera's answer to itself: of all but four numbers it says "other error". This asks
again, up to the answer that is no success, and hangs up before any picture is sent.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import re
import secrets
import socket
import ssl
import time
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import urljoin

from inspector.core.plain_text import plain
from inspector.sources.rtsp.uri import RtspUri

_LONGEST_ANSWER_BYTES = 1 << 16
_LONGEST_REASON = 60
_OK, _UNAUTHORIZED, _REDIRECT = 200, 401, 300
_STATUS = re.compile(rb"RTSP/\d\.\d (\d{3}) ?([^\r\n]*)")
_PARAMETER = re.compile(r'(\w+)\s*=\s*(?:"([^"]*)"|([^,\s]*))')
_HASHES = {"MD5": hashlib.md5, "SHA-256": hashlib.sha256}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A camera's refusal."""

    status: int
    reason: str
    """The camera's own words: printable, and short."""
    logins: tuple[str, ...] = ()
    """How one may log in: `Basic`, `Digest MD5`, `Digest SHA-256`."""


def first_refusal(uri: RtspUri, *, timeout_s: float, log_in: bool) -> Answer | None:
    """The first answer that is no success; None where there is none, or nobody answers.

    Without `log_in` no login is sent: a camera may count a wrong one against us.
    """
    with contextlib.suppress(OSError, ValueError), _Conversation(uri, timeout_s) as camera:
        return camera.refusal(log_in=log_in)
    return None


def answer_of(uri: RtspUri, *, timeout_s: float) -> Answer | None:
    """What a camera first answers who asks for its stream without a login; None: nobody answers."""
    with contextlib.suppress(OSError, ValueError), _Conversation(uri, timeout_s) as camera:
        return camera.refusal(log_in=False) or Answer(status=_OK, reason="OK")
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reply:
    status: int
    reason: str
    headers: list[tuple[str, str]]
    body: str = field(default="", repr=False)

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key == name), None)


class _Conversation:
    """One connection; raises OSError when it breaks or time is up."""

    def __init__(self, uri: RtspUri, timeout_s: float) -> None:
        self._uri = uri
        self._deadline_s = time.monotonic() + timeout_s
        self._url = RtspUri(
            scheme=uri.scheme, host=uri.host, port=uri.port, target=uri.target
        ).url()
        self._sequence = 0
        self._challenges: list[str] = []
        self._socket: socket.socket | None = None

    def __enter__(self) -> Self:
        address = (self._uri.host, self._uri.port)
        plain_socket = socket.create_connection(address, timeout=self._left_s())
        self._socket = plain_socket
        if self._uri.scheme == "rtsps":
            # Only to learn a number: FFmpeg has verified, or not, before.
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            self._socket = context.wrap_socket(plain_socket, server_hostname=self._uri.host)
        return self

    def __exit__(self, *_: object) -> None:
        if self._socket is not None:
            self._socket.close()

    def refusal(self, *, log_in: bool) -> Answer | None:
        described = self._ask("DESCRIBE", self._url, "Accept: application/sdp")
        if described.status == _UNAUTHORIZED and log_in and self._uri.user is not None:
            self._challenges = _challenges(described)
            described = self._ask("DESCRIBE", self._url, "Accept: application/sdp")
        if described.status >= _REDIRECT:
            return _answer(described)
        base = described.header("content-base") or f"{self._url}/"
        track = urljoin(base, _video_control(described.body))
        set_up = self._ask("SETUP", track, "Transport: RTP/AVP/TCP;unicast;interleaved=0-1")
        session = (set_up.header("session") or "").partition(";")[0]
        if set_up.status >= _REDIRECT:
            return _answer(set_up)
        with contextlib.suppress(OSError):
            self._ask("TEARDOWN", self._url, f"Session: {session}")
        return None

    def _ask(self, method: str, url: str, *headers: str) -> _Reply:
        self._sequence += 1
        lines = [f"{method} {url} RTSP/1.0", f"CSeq: {self._sequence}", *headers]
        login = self._login(method, url)
        lines += [f"Authorization: {login}"] if login else []
        if any("\r" in line or "\n" in line for line in lines):
            raise ValueError("a line end in a request")
        self._connected().sendall("\r\n".join((*lines, "", "")).encode())
        return self._reply()

    def _reply(self) -> _Reply:
        received = b""
        while b"\r\n\r\n" not in received:
            received += self._receive(len(received))
        head, _, body = received.partition(b"\r\n\r\n")
        status = _STATUS.match(head)
        if status is None:
            raise ValueError("no RTSP")
        lines = head.decode("utf-8", "replace").split("\r\n")[1:]
        pairs = [line.partition(":") for line in lines]
        headers = [(name.strip().lower(), value.strip()) for name, _, value in pairs]
        length = next((value for name, value in headers if name == "content-length"), "0")
        wanted_bytes = int(length) if length.isdecimal() else 0
        while len(body) < min(wanted_bytes, _LONGEST_ANSWER_BYTES):
            body += self._receive(len(body))
        return _Reply(
            status=int(status[1]),
            reason=plain(status[2].decode("utf-8", "replace").strip())[:_LONGEST_REASON],
            headers=headers,
            body=body.decode("utf-8", "replace"),
        )

    def _receive(self, held_bytes: int) -> bytes:
        if held_bytes > _LONGEST_ANSWER_BYTES:
            raise ValueError("an answer without an end")
        self._connected().settimeout(self._left_s())
        received = self._connected().recv(4096)
        if not received:
            raise ConnectionResetError
        return received

    def _connected(self) -> socket.socket:
        if self._socket is None:
            raise ConnectionResetError
        return self._socket

    def _left_s(self) -> float:
        left_s = self._deadline_s - time.monotonic()
        if left_s <= 0:
            raise TimeoutError
        return left_s

    def _login(self, method: str, url: str) -> str | None:
        user, password = self._uri.user or "", self._uri.password or ""
        for challenge in self._challenges:
            scheme, _, rest = challenge.partition(" ")
            if scheme.lower() == "basic":
                return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
            if scheme.lower() == "digest" and _algorithm(rest) in _HASHES:
                return _digest(rest, method, url, user, password)
        return None


def _digest(challenge: str, method: str, url: str, user: str, password: str) -> str:
    """RFC 7616."""
    given = _parameters(challenge)
    algorithm = _algorithm(challenge)

    def hashed(*parts: str) -> str:
        return _HASHES[algorithm](":".join(parts).encode()).hexdigest()

    realm, nonce = given.get("realm", ""), given.get("nonce", "")
    secret, request = hashed(user, realm, password), hashed(method, url)
    fields = [f'username="{user}"', f'realm="{realm}"', f'nonce="{nonce}"', f'uri="{url}"']
    if "auth" in re.split(r"[,\s]+", given.get("qop", "")):
        ours = secrets.token_hex(8)
        response = hashed(secret, nonce, "00000001", ours, "auth", request)
        fields += ["qop=auth", "nc=00000001", f'cnonce="{ours}"']
    else:
        response = hashed(secret, nonce, request)
    fields.append(f'response="{response}"')
    if "algorithm" in given:
        fields.append(f"algorithm={algorithm}")
    if "opaque" in given:
        fields.append(f'opaque="{given["opaque"]}"')
    return "Digest " + ", ".join(fields)


def _parameters(challenge: str) -> dict[str, str]:
    return {
        m[1].lower(): m[2] if m[2] is not None else m[3] for m in _PARAMETER.finditer(challenge)
    }


def _algorithm(challenge: str) -> str:
    return _parameters(challenge).get("algorithm", "MD5").upper()


def _challenges(reply: _Reply) -> list[str]:
    return [value for name, value in reply.headers if name == "www-authenticate"]


def _answer(reply: _Reply) -> Answer:
    logins = []
    for challenge in _challenges(reply):
        scheme, _, rest = challenge.partition(" ")
        name = scheme.capitalize()
        logins.append(plain(f"{name} {_algorithm(rest)}" if name == "Digest" else name)[:40])
    return Answer(status=reply.status, reason=reply.reason, logins=tuple(logins))


def _video_control(description: str) -> str:
    """Where the video track is set up, by the session description (RFC 2326, C.1.1)."""
    _, _, video = description.partition("m=video")
    found = re.search(r"^a=control:(\S+)", video.partition("\nm=")[0], re.MULTILINE)
    return found[1] if found else ""
