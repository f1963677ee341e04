"""Reports to systemd: alive while verdicts keep up with frames; ready, or why not."""

from __future__ import annotations

import asyncio
import time
from typing import Never

import structlog

from inspector.core.faults import Progress
from inspector.flow.notices import MANY
from inspector.ops.last_resort import LastResort
from inspector.pipeline.build import Pipeline
from inspector.service.state import StationState
from inspector.service.systemd import Notifier
from inspector.settings.sections import HealthSettings

log = structlog.get_logger("service")

POLL_INTERVAL_S = 0.5
PER_INTERVAL = 3
"""How often at least within the time that systemd waits."""
_NOBODY_WAITS_S = 60.0
READY_AT_LATEST_S = 60.0
"""A part that stays unknown for longer does not hold up a start, such as a camera that waits for
its trigger."""


class StateNews:
    """READY=1 once every part has worked or failed, and STATUS= whenever it changes.

    Working parts are not required: systemd would end a service whose camera is off, or hold up
    everything that starts after it (decision 0013).
    """

    def __init__(self, views: StationState, notifier: Notifier, *, now_s: float) -> None:
        self._views = views
        self._notifier = notifier
        self._since_s = now_s
        self._told = ""

    def tell(self, now_s: float) -> None:
        """Report changes; call it often."""
        if self._views.stopping.is_set():
            return  # it is reported where it is set
        waited = now_s - self._since_s > READY_AT_LATEST_S
        words = self._views.in_words()
        if not self._notifier.is_ready_told and (self._views.is_all_known or waited):
            if self._notifier.send("READY=1", f"STATUS={words}"):
                self._told = words
        elif words != self._told and self._notifier.send(f"STATUS={words}"):
            self._told = words


async def feed_watchdog(
    pipeline: Pipeline, views: StationState, notifier: Notifier, health: HealthSettings
) -> Never:
    """Check progress and what works, and report it, until cancelled."""
    last_resort = LastResort(health.watchdog_s)
    try:
        await _feed(pipeline, views, notifier, health, last_resort)
    finally:
        last_resort.close()


async def _feed(
    pipeline: Pipeline,
    views: StationState,
    notifier: Notifier,
    health: HealthSettings,
    last_resort: LastResort,
) -> Never:
    news = StateNews(views, notifier, now_s=time.monotonic())
    progress = Progress(stalled_after_s=health.stalled_after_s, now_ns=time.monotonic_ns())
    while True:
        stalled = progress.is_stalled(
            captured=pipeline.handed_on,
            settled=pipeline.results.settled,
            now_ns=time.monotonic_ns(),
        )
        if stalled != views.stalled:
            views.stalled = stalled
            (log.error if stalled else log.info)("no progress" if stalled else "progress again")
        # A restart makes no room in a full journal, and would lose the units under way; but waiting
        # in memory is limited too.
        if not stalled or (views.journal_fault and len(pipeline.notices) < MANY):
            notifier.send("WATCHDOG=1")
            last_resort.feed()
        news.tell(time.monotonic())
        interval_s = notifier.watchdog_interval_s or _NOBODY_WAITS_S
        await asyncio.sleep(min(POLL_INTERVAL_S, interval_s / PER_INTERVAL))
