"""Hides the environment's web proxy from everything but downloads.

FFmpeg sends the TLS connection of an rtsps camera through `http_proxy`, wherever the camera is, and
has no option against it. So the variable is removed from this process before any thread runs, and
restored only in the environment of downloads. For gRPC an option of its channels does this.
"""

from __future__ import annotations

import os

_VARIABLE = "http_proxy"
_set_aside: dict[str, str] = {}


def keep_the_line_off_it() -> None:
    """Forget the proxy; before the first thread, because libraries read the environment at will."""
    if (proxy := os.environ.pop(_VARIABLE, None)) is not None:
        _set_aside[_VARIABLE] = proxy


def environment_for_downloads() -> dict[str, str]:
    """The environment of this process, with the proxy."""
    return {**os.environ, **_set_aside}
