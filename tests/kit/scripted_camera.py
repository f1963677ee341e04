"""A camera that refuses on order: RTSP requests answered as a test says, over TCP on loopback."""

from __future__ import annotations

import contextlib
import hashlib
import re
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Self

SDP = "v=0\r\ns=x\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=control:track1\r\n"


@dataclass
class ScriptedCamera:
    """Answers each method with a status line; asks for a login first where one is set."""

    answers: dict[str, str] = field(default_factory=dict)
    """By method: `453 Not Enough Bandwidth`. What is not named succeeds."""
    challenges: tuple[str, ...] = ()
    """Values of WWW-Authenticate; with any, requests without a right login get 401."""
    user: str = "cam"
    password: str = "right"
    raw: bytes | None = None
    """Sent instead of any answer."""
    logins: list[str] = field(default_factory=list)
    """What clients sent to log in."""

    def __enter__(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(5)

    def url(self, login: str = "") -> str:
        return f"rtsp://{login}127.0.0.1:{self.port}/camera"

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            connection.settimeout(5)
            received = b""
            while data := connection.recv(4096):
                received += data
                while b"\r\n\r\n" in received:
                    head, received = received.split(b"\r\n\r\n", 1)
                    connection.sendall(self._answer(head.decode()))

    def _answer(self, head: str) -> bytes:
        if self.raw is not None:
            return self.raw
        method = head.split(" ", 1)[0]
        sequence = re.search(r"CSeq: (\d+)", head)
        login = re.search(r"Authorization: (.*)", head)
        status, lines, body = self.answers.get(method, "200 OK"), [], ""
        if login is not None:
            self.logins.append(login[1])
        if method != "OPTIONS" and self.challenges and not self._is_right(method, login):
            status = "401 Unauthorized"
            lines = [f"WWW-Authenticate: {challenge}" for challenge in self.challenges]
        elif method == "DESCRIBE" and status.startswith("200"):
            body = SDP
            lines = ["Content-Type: application/sdp", f"Content-Length: {len(body)}"]
        elif method == "SETUP" and status.startswith("200"):
            lines = ["Transport: RTP/AVP/TCP;unicast;interleaved=0-1", "Session: 1"]
        number = sequence[1] if sequence else "0"
        return "\r\n".join([f"RTSP/1.0 {status}", f"CSeq: {number}", *lines, "", body]).encode()

    def _is_right(self, method: str, login: re.Match[str] | None) -> bool:
        if login is None:
            return False
        if login[1].startswith("Basic"):
            return True  # only tests of Digest look closer
        given = {k: v.strip('"') for k, v in re.findall(r'(\w+)=("[^"]*"|[^,\s]*)', login[1])}
        make: Callable[[bytes], hashlib._Hash] = hashlib.md5
        if given.get("algorithm") == "SHA-256":
            make = hashlib.sha256

        def hashed(*parts: str) -> str:
            return make(":".join(parts).encode()).hexdigest()

        secret = hashed(self.user, given["realm"], self.password)
        request = hashed(method, given["uri"])
        middle = [given["nonce"]]
        if "qop" in given:
            middle += [given["nc"], given["cnonce"], given["qop"]]
        return bool(given["response"] == hashed(secret, *middle, request))
