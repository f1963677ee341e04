"""Decides what may be shown of a URL that a person typed: it may contain a login. Pure."""

from __future__ import annotations

import ipaddress
import re

STARS = "***"
_AUTHORITY_ENDS = re.compile(r"[/?#]")
_SCHEME = re.compile(r"^[A-Za-z][\w+.-]*:?/{1,3}")


def unparsed(text: str) -> str:
    """The part of an unreadable URL that may be shown: its scheme.

    The end of a login is not known: a password may hold any character.
    """
    found = _SCHEME.match(text.strip())
    return text if found is None else f"{found[0]}{STARS}"


def hides_login(rest: str) -> bool:
    """Whether the text after `//` may hold a login that ends after the apparent host.

    `admin:12#34@camera` reads as the host `admin` with the port 12, because the password was not
    percent-encoded; so do `12/34` and `12?34`.
    """
    ends = _AUTHORITY_ENDS.search(rest)
    authority, behind = (rest[: ends.start()], rest[ends.start() :]) if ends else (rest, "")
    before, at, last = behind.rpartition("@")
    if not at:
        return False
    if "#" in before:
        return True
    if "@" in authority:
        # An @ in the path is the camera's own, unless what follows it reads as a host.
        return _is_host(_AUTHORITY_ENDS.split(last)[0])
    host, colon, _ = authority.rpartition(":")
    if not colon:
        return ":" in before
    return not _is_address(host)


def _is_host(text: str) -> bool:
    name, _, port = text.rpartition(":")
    host = name if port.isdecimal() and name else text
    return _is_address(host) or "." in host or host == "localhost"


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text.strip("[]"))
    except ValueError:
        return False
    return True
