"""Runs one sink's delivery for as long as the service runs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress

import structlog

from inspector.core.errors import FatalError, SinkUnavailableError
from inspector.core.ports import Sink
from inspector.core.records import Stream
from inspector.journal.cursor import SinkCursor
from inspector.publish.delivery import Delivery
from inspector.publish.throttle import ThrottleLimits

POLL_INTERVAL_S = 2.0
"""How often an idle worker checks that the sink answers and still has its streams."""
FIRST_RETRY_S = 0.1
LAST_RETRY_S = 2.0
TRIM_EVERY_S = 300.0

log = structlog.get_logger(__name__)


class SinkTelemetry:
    """What a sink's worker reports about itself; the default ignores it. Event loop only."""

    def on_up(self, up: bool, cause: str) -> None:  # noqa: FBT001 - a state, set by a name
        """Whether the sink accepts events, and why not.

        Called on every change, also of the reason.
        """

    def on_rival(self, there: bool) -> None:  # noqa: FBT001 - a state, set by a name
        """Whether somebody else keeps writing to this station's streams."""

    def on_published(self, stream: Stream, events: int) -> None:
        """Further events of a stream are now known to be in the sink."""

    def on_lost(self, stream: Stream, events: int) -> None:
        """Events were deleted from a full journal before this sink took them; never the main."""

    def on_pending(self, events: int, oldest_s: float) -> None:
        """The state of the journal for the sink."""


class SinkWorker:
    """Delivers to one sink, through all its failures. Event loop only."""

    def __init__(
        self,
        cursor: SinkCursor,
        sink: Sink,
        *,
        telemetry: SinkTelemetry,
        retention_s: float,
        pace: ThrottleLimits,
    ) -> None:
        """`retention_s`: older entries are trimmed from it, unless the journal keeps them."""
        self.cursor = cursor
        self.delivery = Delivery(
            cursor, sink, on_published=self._tell_published, on_lost=telemetry.on_lost, pace=pace
        )
        self._telemetry = telemetry
        self._retention_s = retention_s
        self._appended = asyncio.Event()
        self._told: tuple[bool, str] | None = None
        self._told_rival = False
        self._trim_at_s = time.monotonic() + TRIM_EVERY_S
        self._has_failed = False

    def wake(self) -> None:
        """Report that there is something new in the journal."""
        self._appended.set()
        self._tell_pending()

    def trim_by(self, at_s: float) -> None:
        """Trim at that time of the monotonic clock, if not before."""
        self._trim_at_s = min(self._trim_at_s, at_s)

    async def run_until_cancelled(
        self, care_for: Callable[[], Awaitable[None]] | None = None
    ) -> None:
        """Deliver events as they come.

        Before each delivery `care_for` the sink, which may refuse as the sink does.

        Raises:
            FatalError: the journal is damaged.

        """
        delay_s = FIRST_RETRY_S
        while True:
            self._appended.clear()
            try:
                with self._own_failures():
                    # First: a sink that is nearly full takes nothing until old entries are trimmed.
                    await self._trim()
                    if care_for is not None:
                        await care_for()
                    await self.delivery.deliver_pending()
            except SinkUnavailableError as error:
                self._tell_up(up=False, cause=str(error))
                self._tell_pending()
                await asyncio.sleep(delay_s)
                delay_s = min(delay_s * 2, LAST_RETRY_S)
                continue
            delay_s = FIRST_RETRY_S
            self._has_failed = False
            self._tell_up(up=True, cause="")
            self._tell_rival()
            self._tell_pending()
            with suppress(TimeoutError):
                async with asyncio.timeout(POLL_INTERVAL_S):
                    await self._appended.wait()

    async def deliver_the_rest(self, within_s: float) -> None:
        """Deliver the rest as fast as possible; events not taken stay in the journal."""
        try:
            with self._own_failures():
                async with asyncio.timeout(within_s):
                    await self.delivery.deliver_pending(at_leisure=False)
        except (SinkUnavailableError, TimeoutError) as error:
            self._tell_up(up=False, cause=str(error) or "not done when the service had to stop")
        self._tell_pending()

    async def _trim(self) -> None:
        now_s = time.monotonic()
        if now_s >= self._trim_at_s:
            self._trim_at_s = now_s + TRIM_EVERY_S
            await self.delivery.trim(self._retention_s)

    @contextmanager
    def _own_failures(self) -> Iterator[None]:
        """A further sink that fails in an unforeseen way counts as away; the line goes on."""
        try:
            yield
        except (SinkUnavailableError, FatalError, TimeoutError):
            raise
        except Exception as error:
            if self.cursor.is_main:
                raise
            if not self._has_failed:  # once: the same every two seconds would fill the log
                log.exception("sink_failed", sink=self.cursor.sink)
            self._has_failed = True
            cause = f"it failed, see the log: {type(error).__name__}: {error}"
            raise SinkUnavailableError(cause) from error

    def _tell_up(self, *, up: bool, cause: str) -> None:
        # A server that closes the connection may have a reason that only the next attempt learns.
        # The part after the colon differs each time and would be a log line each time.
        state = (up, cause.partition(":")[0])
        if state != self._told:
            self._told = state
            self._telemetry.on_up(up, cause)

    def _tell_rival(self) -> None:
        there = self.delivery.has_rival
        if there != self._told_rival:
            self._told_rival = there
            self._telemetry.on_rival(there)

    def _tell_published(self, stream: Stream, events: int) -> None:
        # A long backlog must not look like a sink that is still away.
        self._tell_up(up=True, cause="")
        self._telemetry.on_published(stream, events)
        self._tell_pending()

    def _tell_pending(self) -> None:
        cursor = self.cursor
        self._telemetry.on_pending(cursor.pending_count, cursor.oldest_pending_age_s)
