"""Monitors the host: room on the disks, and until when certificates are valid."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

from inspector.ops.metrics import Metrics
from inspector.service.certificates import Peer, shown_until_s, trusted_until_s
from inspector.settings.settings import Settings

DISKS_EVERY_S = 15.0
CERTIFICATES_EVERY_S = 3600.0
JOIN_S = 1.0
_REDISS_PORT = 6379


class HostMonitor:
    """A thread that checks at intervals, so that a disk or a peer that hangs holds up nothing else.

    A figure that cannot be measured keeps its last value: there is a separate alert for its cause.
    """

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        """Check at once, then at intervals until closed."""
        self._metrics = metrics
        self._folders = folders_of(settings)
        self._peers = list(peers_of(settings))
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._work, name="host-monitor", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End; a thread that hangs on a dead disk ends with the process."""
        self._ended.set()
        self._thread.join(JOIN_S)

    def _work(self) -> None:
        certificates_due_s = 0.0
        while True:
            for name, folder in self._folders.items():
                with suppress(OSError):
                    self._metrics.disk_free.labels(name).set(free_bytes(folder))
            if time.monotonic() >= certificates_due_s:
                certificates_due_s = time.monotonic() + CERTIFICATES_EVERY_S
                for peer in self._peers:
                    self._ask(peer)
            if self._ended.wait(DISKS_EVERY_S):
                return

    def _ask(self, peer: Peer) -> None:
        expiry = self._metrics.certificate_expiry
        if peer.trusted is not None:
            with suppress(OSError):
                trusted_s = trusted_until_s(peer.trusted)
                if trusted_s is not None:
                    expiry.labels(peer.subject, "trusted").set(trusted_s)
        with suppress(OSError):
            expiry.labels(peer.subject, "shown").set(shown_until_s(peer))


def free_bytes(folder: Path) -> int:
    """Free space for us on the disk of a folder, which need not exist yet.

    Raises:
        OSError: the disk does not answer.

    """
    there = next(p for p in (folder, *folder.absolute().parents) if p.exists())
    found = os.statvfs(there)
    return found.f_bavail * found.f_frsize


def folders_of(settings: Settings) -> Mapping[str, Path]:
    """The folders in which the service writes."""
    journal = settings.journal.directory
    folders = {"journal": journal}
    if settings.evidence.enabled:
        folders["evidence"] = settings.evidence.directory or journal / "evidence"
    return folders


def peers_of(settings: Settings) -> Iterator[Peer]:
    """The peers whose certificates are checked."""
    redis, inference = settings.redis, settings.inference
    url = urlsplit(redis.url.get_secret_value())
    if url.scheme == "rediss" and url.hostname:
        port = url.port or _REDISS_PORT
        yield Peer(subject="redis", host=url.hostname, port=port, trusted=redis.tls_ca)
    if inference.tls:
        host, _, port_text = inference.url.rpartition(":")
        yield Peer(
            subject="triton",
            host=host.strip("[]"),
            port=int(port_text),
            trusted=inference.tls_ca,
            protocols=("h2",),
        )
    for camera_id, camera in settings.cameras.items():
        peer = camera.source.tls_peer()
        # Without tls_ca a camera's certificate is not checked: it may be of any date.
        if peer is not None and camera.tls_ca is not None:
            host, port = peer
            yield Peer(subject=camera_id, host=host, port=port, trusted=camera.tls_ca)
