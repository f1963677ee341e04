"""A network camera, as a `source` setting names it: pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar, Literal, Self
from urllib.parse import quote, unquote, urlsplit

from inspector.core.url_text import hides_login
from inspector.sources.uri import SourceText, SourceTraits, SourceUri, redact

if TYPE_CHECKING:
    from inspector.sources.opening import Opening
    from inspector.sources.rtsp.camera import RtspSource

_PORTS = {"rtsp": 554, "rtsps": 322}
_LARGEST_PORT = 65535


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class RtspUri(SourceUri):
    """A network camera. The password is never part of `repr` or `str`."""

    example: ClassVar[str] = "rtsp://…, rtsps://…"

    scheme: Literal["rtsp", "rtsps"]
    host: str
    port: int
    target: str
    """Path and query, as sent to the camera."""
    user: str | None = None
    password: str | None = field(default=None, repr=False)

    @classmethod
    def parse(cls, text: SourceText) -> Self:
        """`rtsp://[user[:password]@]host[:port]/path`."""
        scheme: Literal["rtsp", "rtsps"] = "rtsps" if text.scheme == "rtsps" else "rtsp"
        rest = text.rest
        malformed = text.malformed(
            f"{scheme}://[user[:password]@]host[:port]/path, the password percent-encoded"
        )
        try:
            # Some camera manuals have spaces or brackets in examples: urlsplit raises on those too.
            parts = urlsplit(f"{scheme}:{rest}")
            host, port = parts.hostname, parts.port
        except ValueError:  # not raised here: its text may hold the password
            host, port = None, None
        login_twice = "@" in re.split("[/?#]", rest.partition("@")[2])[0]
        if not rest.startswith("//") or not host or login_twice or hides_login(rest[2:]):
            raise malformed
        if port is None:
            if parts.netloc.endswith(":"):
                raise malformed
            port = _PORTS[scheme]
        if not 0 < port <= _LARGEST_PORT or any(c.isspace() for c in rest):
            raise malformed
        return cls(
            scheme=scheme,
            host=host,
            port=port,
            target=(parts.path or "/") + (f"?{parts.query}" if parts.query else ""),
            user=None if parts.username is None else unquote(parts.username),
            password=None if parts.password is None else unquote(parts.password),
        )

    @property
    def traits(self) -> SourceTraits:
        """It goes on whether we keep up or not."""
        return SourceTraits(realtime=True, simulated=False, replayed=False)

    def make_source(self, opening: Opening) -> RtspSource:
        """The camera, with the password of the settings where they have one."""
        from inspector.sources.rtsp.camera import RtspSource  # noqa: PLC0415 - FFmpeg

        password = self.password if opening.password is None else opening.password
        return RtspSource(
            replace(self, password=password),
            size=opening.size,
            connect_timeout_s=opening.connect_timeout_s,
            read_timeout_s=opening.read_timeout_s,
            stop=opening.stop,
            tls_ca=opening.tls_ca,
        )

    def probe_size(self, opening: Opening) -> tuple[int, int]:
        """Connect, and wait for the first picture."""
        from inspector.sources.opening import opened_size  # noqa: PLC0415 - NumPy

        return opened_size(self.make_source(replace(opening, size=None)))

    def secrets(self) -> tuple[str, ...]:
        """The password."""
        return (self.password,) if self.password else ()

    def tls_peer(self) -> tuple[str, int] | None:
        """The camera, where it is asked over TLS."""
        return (self.host, self.port) if self.scheme == "rtsps" else None

    def advice(self, key: str) -> str:
        """What keeps a network camera from answering."""
        return f"check the camera's power, cable, address and login ({key}.source, .password)"

    def url(self) -> str:
        """The URL to connect to, with the login, percent-encoded: never print it."""
        login = ""
        if self.user is not None:
            login = quote(self.user, safe="")
            login += "@" if self.password is None else f":{quote(self.password, safe='')}@"
        return f"{self.scheme}://{login}{self._host()}:{self.port}{self.target}"

    def __str__(self) -> str:
        login = "" if self.user is None else f"{quote(self.user, safe='')}@"
        return redact(f"{self.scheme}://{login}{self._host()}:{self.port}{self.target}")

    def _host(self) -> str:
        return f"[{self.host}]" if ":" in self.host else self.host
