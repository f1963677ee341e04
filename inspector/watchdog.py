"""Tells systemd that the service is alive, as long as verdicts keep up with frames."""

from __future__ import annotations

import asyncio
import time
from typing import Never

import structlog

from inspector.app import Pipeline
from inspector.flow.notices import MANY
from inspector.ops.health import Progress
from inspector.ops.systemd import Notifier
from inspector.sections import HealthSettings
from inspector.station_views import StationViews

log = structlog.get_logger("service")

LOOK_EVERY_S = 0.5
PER_INTERVAL = 3
"""So often at least within the time that systemd waits."""
_NOBODY_WAITS_S = 60.0


async def feed_watchdog(
    pipeline: Pipeline, views: StationViews, notifier: Notifier, health: HealthSettings
) -> Never:
    """Look whether there is progress, and say so, until cancelled."""
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
        # A restart makes no room in a full journal, and would lose the units under way; but
        # what waits for it in memory has an end too.
        if not stalled or (views.journal_fault and len(pipeline.notices) < MANY):
            notifier.send("WATCHDOG=1")
        interval_s = notifier.watchdog_interval_s or _NOBODY_WAITS_S
        await asyncio.sleep(min(LOOK_EVERY_S, interval_s / PER_INTERVAL))
