"""Reads until when certificates are valid: those we trust, and those that servers show."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

CONNECT_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """A peer that shows a certificate, and the authorities that it is checked against."""

    subject: str
    """For people: redis, triton, or a camera's id."""
    host: str
    port: int
    trusted: Path | None
    """PEM; None for the system's."""
    protocols: Sequence[str] = ()
    """ALPN."""


def trusted_until_s(pem: Path) -> float | None:
    """Unix time at which the first of a PEM file's authorities expires; None if it has none.

    Raises:
        OSError: it cannot be read, or holds no certificate (ssl.SSLError).

    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cafile=pem)
    ends = [ssl.cert_time_to_seconds(str(c["notAfter"])) for c in context.get_ca_certs()]
    return float(min(ends)) if ends else None


def shown_until_s(peer: Peer) -> float:
    """Unix time at which the certificate that the peer shows expires; connects for it.

    Raises:
        OSError: it is away, or we do not trust its certificate (ssl.SSLError).

    """
    context = ssl.create_default_context(cafile=peer.trusted)
    # Whether it is the right host is checked at use; here only the date matters.
    context.check_hostname = False
    if peer.protocols:
        context.set_alpn_protocols(list(peer.protocols))
    address = (peer.host, peer.port)
    with (
        socket.create_connection(address, timeout=CONNECT_TIMEOUT_S) as plain,
        context.wrap_socket(plain, server_hostname=peer.host) as wrapped,
    ):
        shown = wrapped.getpeercert() or {}
    return float(ssl.cert_time_to_seconds(str(shown["notAfter"])))
