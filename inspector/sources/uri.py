"""Which camera a `source` setting means: pure, opens nothing, imports neither OpenCV nor PyAV."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from inspector.core.plain_text import plain
from inspector.core.url_text import STARS, hides_login, unparsed

Pace = Literal["recorded", "max"]

ACCEPTED = "rtsp://…, rtsps://…, v4l2:/dev/video0, file:PATH or sim:"

# Begins at a word's start and looks no further than a login can be long: without that, text of
# 100 kB took minutes, and every line of the log goes through here.
_USERINFO = re.compile(
    r"(?<![a-z])(?P<start>[a-z]+://)(?P<user>[^\s:/@]{0,256}):\S{0,2048}@", re.IGNORECASE
)
# Some cameras take the login in the path (`/user=a_password=b_channel=1.sdp`) or the query.
_PARAMETER = re.compile(
    r"(?P<name>pass(?:word|wd)?|pwd|token|secret)=.*?(?=&|_[a-z]+=|[\s#'\"]|$)", re.IGNORECASE
)
_NAMES_SCHEME = re.compile(r"(rtsps?|v4l2|file|sim|genicam):|[a-z][a-z0-9+.-]*://", re.IGNORECASE)
# What `file:` takes as it is: nothing that reads as a query, a login or an escape.
_PLAIN_PATH = re.compile(r"(?!//)[\w./:,+=-]+")
_RTSP_PORTS = {"rtsp": 554, "rtsps": 322}
_LARGEST_PORT = 65535
_FOURCC_LENGTH = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class RtspUri:
    """A network camera. The password is never part of `repr` or `str`."""

    scheme: Literal["rtsp", "rtsps"]
    host: str
    port: int
    target: str
    """Path and query, as sent to the camera."""
    user: str | None = None
    password: str | None = field(default=None, repr=False)

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


@dataclass(frozen=True, slots=True, kw_only=True)
class V4l2Uri:
    """A camera of this machine: USB, or a capture card."""

    device: Path
    fourcc: str | None = None
    """Pixel format asked of the camera, such as MJPG; None leaves it to the driver."""
    fps: float | None = None

    def __str__(self) -> str:
        return f"v4l2:{self.device}"


@dataclass(frozen=True, slots=True, kw_only=True)
class FileUri:
    """Footage: a video, or a folder of pictures."""

    path: Path
    loop: bool = False
    pace: Pace | None = None
    """None leaves it to the command."""
    fps: float | None = None
    """Pace of a folder, or another pace for a video; None means as recorded."""

    def uri(self) -> str:
        """The same as a `source` setting, whatever is in its name."""
        path = str(self.path)
        if not _PLAIN_PATH.fullmatch(path):
            path = "//" + quote(str(self.path.absolute()), errors="surrogateescape")
        options = {
            "loop": "1" if self.loop else None,
            "pace": self.pace,
            "fps": None if self.fps is None else f"{self.fps:.12g}",
        }
        query = urlencode({name: value for name, value in options.items() if value is not None})
        return f"file:{path}" + (f"?{query}" if query else "")

    def __str__(self) -> str:
        return f"file:{self.path}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedUri:
    """A simulated line; what its options mean is the simulation's business."""

    options: Mapping[str, str]

    def __str__(self) -> str:
        query = "&".join(f"{name}={value}" for name, value in self.options.items())
        return f"sim:?{query}" if query else "sim:"


SourceUri = RtspUri | V4l2Uri | FileUri | SimulatedUri


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceTraits:
    """What a source's kind says about its frames."""

    live: bool
    """It does not wait for us: frames nobody takes are lost."""
    simulated: bool
    replayed: bool


def parse_source(uri: str) -> SourceUri:
    """The camera that a `source` setting names.

    Raises:
        ValueError: one sentence: what was found, what is accepted. Holds no password.

    """
    scheme, colon, rest = uri.strip().partition(":")
    match scheme.lower() if colon else "":
        case "rtsp":
            return _rtsp("rtsp", rest, uri)
        case "rtsps":
            return _rtsp("rtsps", rest, uri)
        case "v4l2":
            return _v4l2(rest, uri)
        case "file":
            return _file(rest, uri)
        case "sim":
            return _simulated(rest, uri)
    msg = f"{_shown(uri)!r} is not a camera source; accepted are {ACCEPTED}"
    raise ValueError(msg)


def named_source(text: str, *, exists: bool) -> SourceUri:
    """What somebody means who names a source in a command; `exists` says whether a file is there.

    A file that is there is meant as it is called: `10:30.mp4`, `what?.mp4`, `sim:`.

    Raises:
        ValueError: as `parse_source`.

    """
    if exists:
        return FileUri(path=Path(text))
    return parse_source(text if _NAMES_SCHEME.match(text) else f"file:{text}")


def traits(uri: str) -> SourceTraits:
    """What the kind of `uri` says about its frames; raises ValueError as `parse_source` does."""
    source = parse_source(uri)
    waits = isinstance(source, FileUri) or (
        # A drawn line without a pace makes its frames as they are asked for.
        isinstance(source, SimulatedUri) and source.options.get("pace") == "max"
    )
    return SourceTraits(
        live=not waits,
        simulated=isinstance(source, SimulatedUri),
        replayed=isinstance(source, FileUri),
    )


def redact(text: str) -> str:
    """`text` with every password in it starred out; safe for malformed URLs too.

    From the user's colon up to the last @ of the word, because a password that was not
    percent-encoded may hold any character: rather a path hidden than a password shown.
    """
    starred = _USERINFO.sub(rf"\g<start>\g<user>:{STARS}@", text)
    return _PARAMETER.sub(rf"\g<name>={STARS}", starred)


def _rtsp(scheme: Literal["rtsp", "rtsps"], rest: str, uri: str) -> RtspUri:
    expected = f"{scheme}://[user[:password]@]host[:port]/path, the password percent-encoded"
    try:
        # Some camera manuals have spaces or brackets in examples: urlsplit raises on those too.
        parts = urlsplit(f"{scheme}:{rest}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    login_twice = "@" in re.split("[/?#]", rest.partition("@")[2])[0]
    if not rest.startswith("//") or not host or login_twice or hides_login(rest[2:]):
        raise _malformed(uri, expected)
    if port is None:
        if parts.netloc.endswith(":"):
            raise _malformed(uri, expected)
        port = _RTSP_PORTS[scheme]
    if not 0 < port <= _LARGEST_PORT or any(c.isspace() for c in rest):
        raise _malformed(uri, expected)
    return RtspUri(
        scheme=scheme,
        host=host,
        port=port,
        target=(parts.path or "/") + (f"?{parts.query}" if parts.query else ""),
        user=None if parts.username is None else unquote(parts.username),
        password=None if parts.password is None else unquote(parts.password),
    )


def _v4l2(rest: str, uri: str) -> V4l2Uri:
    device, _, query = rest.partition("?")
    if not device.startswith("/dev/"):
        raise _malformed(uri, "a device file, such as v4l2:/dev/video0")
    options = _options(query, uri, accepted=("fourcc", "fps"))
    fourcc = options.get("fourcc")
    if fourcc is not None and not (len(fourcc) == _FOURCC_LENGTH and fourcc.isascii()):
        raise _malformed(uri, "fourcc= with four letters, such as MJPG or YUYV")
    return V4l2Uri(device=Path(device), fourcc=fourcc, fps=_fps(options, uri))


def _file(rest: str, uri: str) -> FileUri:
    location, _, query = rest.partition("?")
    if location.startswith("//"):
        host, slash, path = location[2:].partition("/")
        if host not in {"", "localhost"} or not slash:
            raise _malformed(uri, "a path on this machine: file:line.mp4 or file:///footage/line")
        location = unquote(f"/{path}", errors="surrogateescape")
    if not location:
        raise _malformed(uri, "the path of a video or of a folder of pictures: file:line.mp4")
    options = _options(query, uri, accepted=("loop", "pace", "fps"))
    loop = options.get("loop", "0")
    if loop not in {"0", "1"}:
        raise _malformed(uri, "loop=0 or loop=1")
    return FileUri(
        path=Path(location), loop=loop == "1", pace=_pace(options, uri), fps=_fps(options, uri)
    )


def _simulated(rest: str, uri: str) -> SimulatedUri:
    before, _, query = rest.partition("?")
    if before:
        raise _malformed(uri, "nothing, or options after a question mark: sim:?seed=7")
    return SimulatedUri(options=_options(query, uri, accepted=None))


def _options(query: str, uri: str, *, accepted: tuple[str, ...] | None) -> dict[str, str]:
    """The query's options, each at most once; `accepted=None` takes any name."""
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query))
    except ValueError:
        raise _malformed(uri, "options as name=value, joined by &") from None
    options = dict(pairs)
    if len(options) != len(pairs):
        raise _malformed(uri, "each option once")
    unknown = [name for name in options if accepted is not None and name not in accepted]
    if accepted is not None and unknown:
        found = ", ".join(unknown)
        raise _malformed(uri, f"only the options {', '.join(accepted)}, but has {found}")
    return options


def _pace(options: Mapping[str, str], uri: str) -> Pace | None:
    match options.get("pace"):
        case None:
            return None
        case "recorded":
            return "recorded"
        case "max":
            return "max"
    raise _malformed(uri, "pace=recorded or pace=max")


def _fps(options: Mapping[str, str], uri: str) -> float | None:
    if "fps" not in options:
        return None
    try:
        fps = float(options["fps"])
    except ValueError:
        fps = 0.0
    if not 0 < fps <= 1000:  # noqa: PLR2004 (no camera is faster; catches a typing error)
        raise _malformed(uri, "fps= between 0 and 1000 frames per second")
    return fps


def _malformed(uri: str, expected: str) -> ValueError:
    return ValueError(f"{_shown(uri)!r} is not a camera source: expected {expected}")


def _shown(uri: str) -> str:
    """What may be seen of a source that was refused; a file has no login to hide."""
    is_file = uri.strip().lower().startswith("file:") and "@" not in uri
    return plain(redact(uri if is_file else unparsed(uri)))
