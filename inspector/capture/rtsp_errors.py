"""What FFmpeg's failures mean to the engineer who set the camera up: one table."""

from __future__ import annotations

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

from inspector.source_uri import RtspUri, redact

_MEANINGS: tuple[tuple[type[Exception], str], ...] = (
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


def explain(error: Exception, uri: RtspUri, *, timeout_s: float) -> str:
    """One sentence with what went wrong and nothing secret.

    Never `str(error)`: PyAV's texts hold the URL it was given, password included.
    """
    if isinstance(error, (TimeoutError, ExitError)):
        return f"{uri}: nothing came from the camera for {timeout_s:g} s"
    for kind, meaning in _MEANINGS:
        if isinstance(error, kind):
            return f"{uri}: {meaning}"
    number = error.errno if isinstance(error, (FFmpegError, OSError)) else None
    reason = os.strerror(number) if number is not None and number > 0 else type(error).__name__
    hint = "is the host name right?"
    if uri.scheme == "rtsps":
        hint = "is its certificate signed by the authority in the settings, for this host name?"
    return redact(f"{uri}: connecting failed ({reason}); {hint}")
