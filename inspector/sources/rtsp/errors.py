"""What a camera's refusals and FFmpeg's failures mean to who set the camera up: two tables."""

from __future__ import annotations

import errno
import os

from av.error import (
    ExitError,
    FFmpegError,
    HTTPError,
    HTTPForbiddenError,
    HTTPNotFoundError,
    HTTPUnauthorizedError,
    InvalidDataError,
)

from inspector.sources.rtsp.probe import Answer
from inspector.sources.rtsp.uri import RtspUri
from inspector.sources.uri import redact

_FFMPEG: tuple[tuple[type[Exception], str], ...] = (
    (HTTPUnauthorizedError, "the camera refused user name or password (401)"),
    (HTTPForbiddenError, "the camera forbids this user the stream (403)"),
    (HTTPNotFoundError, "the camera has no stream of this path (404)"),
    (HTTPError, "the camera answered with an error"),
    (ConnectionRefusedError, "nothing listens on this port"),
    (ConnectionResetError, "the camera closed the connection"),
    (BrokenPipeError, "the camera closed the connection"),
    (EOFError, "the camera ended the stream"),
    (InvalidDataError, "what answered does not speak RTSP, or its stream is damaged"),
)
_UDP_ONLY = (
    "the camera does not send over TCP (461), and over UDP lost packets would be drawn as wrong "
    "pixels: allow RTP over RTSP (TCP, interleaved) in it"
)
# RFC 2326, 11, and what cameras mean by them.
_ANSWERS = {
    400: "the camera does not understand the request; is the path right?",
    403: "the camera forbids this user the stream",
    404: "the camera has no stream of this path",
    405: "the camera does not allow this for the path",
    406: "the camera cannot describe this stream",
    408: "the camera gave up waiting",
    415: "the camera sends this stream in another form",
    429: "the camera was asked too often",
    451: "the camera does not understand a parameter of the path",
    453: "the camera has no bandwidth left: too many viewers, or too high a rate?",
    454: "the camera does not know the session; was it restarted?",
    455: "the camera does not allow this now",
    459: "the camera wants its tracks together",
    461: _UDP_ONLY,
    500: "the camera has an internal error",
    501: "the camera cannot do this",
    503: "the camera is busy or still starting",
    505: "the camera speaks another version of RTSP",
    551: "the camera lacks something that was asked for",
}
_UNAUTHORIZED, _CLIENT_ERROR = 401, 400
_SHA_256, _MD5 = "Digest SHA-256", "Digest MD5"


def is_an_answer(error: Exception) -> bool:
    """Whether the camera answered, with a number that FFmpeg may not name."""
    return isinstance(error, InvalidDataError) or type(error).__name__.startswith("HTTP")


def explain(error: Exception, uri: RtspUri, *, timeout_s: float) -> str:
    """One sentence with what went wrong and nothing secret.

    Never `str(error)`: PyAV's texts hold the URL it was given, password included.
    """
    if isinstance(error, (TimeoutError, ExitError)):
        return f"{uri}: nothing came from the camera for {timeout_s:g} s"
    number = error.errno if isinstance(error, (FFmpegError, OSError)) else None
    if number == errno.EPROTONOSUPPORT:
        # FFmpeg's answer to 461 of the first track, and to nothing else.
        return f"{uri}: {_UDP_ONLY}"
    for kind, meaning in _FFMPEG:
        if isinstance(error, kind):
            return f"{uri}: {meaning}"
    if is_an_answer(error):
        return f"{uri}: the camera refused"
    reason = os.strerror(number) if number is not None and number > 0 else type(error).__name__
    hint = "is the host name right?"
    if uri.scheme == "rtsps":
        hint = "is its certificate signed by the authority in the settings, for this host name?"
    return redact(f"{uri}: connecting failed ({reason}); {hint}")


def explain_answer(answer: Answer, uri: RtspUri) -> str:
    """One sentence with what the camera answered, and its number."""
    if answer.status == _UNAUTHORIZED:
        return f"{uri}: {_explain_login(answer, uri)}"
    meaning = _ANSWERS.get(answer.status)
    if meaning is None:
        side = "sends us elsewhere" if answer.status < _CLIENT_ERROR else "refused"
        meaning = f"the camera {side}"
    said = f"{answer.status} {answer.reason}".strip()
    return redact(f"{uri}: {meaning} ({said})")


def _explain_login(answer: Answer, uri: RtspUri) -> str:
    """FFmpeg takes the last way of logging in that it knows by name, and knows only MD5's hash."""
    digests = [login for login in answer.logins if login.startswith("Digest")]
    ways = f"it offers {', '.join(answer.logins)}" if answer.logins else "it names no way to"
    if uri.user is None and uri.password is not None:
        return (
            f"the camera wants a login (401), and the source names no user: {uri.scheme}://USER@…"
        )
    if uri.user is None:
        return f"the camera wants a login (401), and the source has none: {uri.scheme}://USER@…"
    if digests and digests[-1] != _MD5:
        return (
            f"the camera wants a login with {digests[-1]} (401; {ways}), which FFmpeg cannot do: "
            "set the camera to Digest with MD5 only, or to Basic"
        )
    return "the camera refused user name or password (401)"
