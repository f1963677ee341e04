"""Reads the settings again on request or when their file changed, and applies them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path

import structlog

from inspector.core.errors import ConfigurationError
from inspector.pipeline.loading import load_station
from inspector.service.systemd import Notifier
from inspector.settings.changes import Changes, compare
from inspector.settings.settings import Settings

POLL_INTERVAL_S = 1.0
"""A file that is the same twice in a row is no longer being written."""
US_PER_NS = 1000

log = structlog.get_logger("service")

Stamp = tuple[int, int, int]


class Reloader:
    """Keeps the running settings and their file together, one change at a time. Event loop only.

    A file with any mistake is refused as a whole. Keys that cannot change while the service runs
    keep their old values, and the log names them. `check` gets the changes and the file's settings,
    and raises ConfigurationError if a running part objects. `apply` is called with settings that
    differ from those in force only in reloadable keys.
    """

    def __init__(
        self,
        file: Path,
        settings: Settings,
        *,
        check: Callable[[Changes, Settings], Awaitable[None]],
        apply: Callable[[Settings], Awaitable[None]],
        on_outcome: Callable[[str, bool], None],
        notifier: Notifier,
    ) -> None:
        """`on_outcome` gets `applied` or `refused`, and whether anything waits for a restart."""
        self._file = file
        self._settings = settings
        self._check = check
        self._apply = apply
        self._on_outcome = on_outcome
        self._notifier = notifier
        self._asked = asyncio.Event()
        self._read = self._new = self._stamp()
        self.needs_restart: tuple[str, ...] = ()
        """Dotted keys whose new values wait for the next start."""
        self.note = ""
        """A note about the settings for people; empty normally."""

    def request(self) -> None:
        """Read the file again, changed or not."""
        self._asked.set()

    async def run_until_cancelled(self) -> None:
        """Serve requests, and check the file every second if the settings say so."""
        wait_s = POLL_INTERVAL_S if self._settings.reload.watch else None
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._asked.wait()
            if self._asked.is_set() or await self._has_changed():
                self._asked.clear()
                try:
                    await self._reload()
                except Exception:
                    # A fault of ours must not cost the next request, nor the line a frame.
                    log.exception("settings could not be read again")
                    if self._notifier.is_ready_told:
                        self._notifier.send("READY=1")

    async def _has_changed(self) -> bool:
        before, self._new = self._new, await asyncio.to_thread(self._stamp)
        return self._new is not None and self._new == before and self._new != self._read

    def _stamp(self) -> Stamp | None:
        """A value that differs after the file was written or replaced; None: it is gone."""
        try:
            found = self._file.stat()
        except OSError:
            return None
        return found.st_ino, found.st_size, found.st_mtime_ns

    async def _reload(self) -> None:
        started_us = time.monotonic_ns() // US_PER_NS
        is_told = self._notifier.is_ready_told
        if is_told:
            self._notifier.send("RELOADING=1", f"MONOTONIC_USEC={started_us}")
        self._read = await asyncio.to_thread(self._stamp)
        try:
            # Not on the event loop: the file may lie on a disk that does not answer.
            wanted = await asyncio.to_thread(load_station, self._file)
            changes = compare(self._settings, wanted)
            await self._check(changes, wanted)
        except ConfigurationError as error:
            self._on_outcome("refused", bool(self.needs_restart))
            _tell_refusal(error.problems)
            self.note = f"; new settings refused: {error.problems[0]}"
        else:
            self.note = await self._change(changes)
        if is_told:
            self._notifier.send("READY=1")

    async def _change(self, changes: Changes) -> str:
        """Apply the keys that can be reloaded; returns an addition for the status."""
        if changes.applied:
            await self._apply(changes.settings)
        self._settings = changes.settings
        self.needs_restart = changes.needs_restart
        self._on_outcome("applied", bool(changes.needs_restart))
        applied, waiting = list(changes.applied), list(changes.needs_restart)
        if not waiting:
            log.info("settings read again", applied=applied)
            return ""
        log.warning("settings read again; some need a restart", applied=applied, restart=waiting)
        return f"; a restart is needed for {', '.join(waiting)}"


def _tell_refusal(problems: Sequence[str]) -> None:
    log.error("settings refused, the old ones stay in force", problems=list(problems))
