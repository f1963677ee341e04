"""Checks the readers of the station's streams: has one lost events, or will it soon."""

from __future__ import annotations

from inspector.doctor.findings import Finding, Mark
from inspector.publish.readers import Reader, ReaderMonitor, Readers, ReaderTelemetry
from inspector.settings.settings import Settings

SHOWN = 3
SECONDS_PER_DAY = 86_400
TOO_FAR = 0.5
"""As a share of `redis.retention_days`; from there on the alert ReaderBehind is raised."""


class _Heard(ReaderTelemetry):
    def __init__(self) -> None:
        self.readers: Readers | None = None
        self.refused: str | None = None

    def on_readers(self, readers: Readers) -> None:
        self.readers = readers

    def on_refused(self, cause: str | None) -> None:
        self.refused = cause


async def check_readers(settings: Settings) -> Finding:
    """Ask how far each consumer group has read; never raises for what it finds."""
    heard = _Heard()
    monitor = ReaderMonitor(
        settings.redis.address(),
        station_id=settings.station.id,
        password=settings.redis.secret(),
        telemetry=heard,
    )
    await monitor.check()
    await monitor.close()
    if heard.readers is None:
        refused = heard.refused
        return Finding(
            what="redis readers",
            mark=Mark.WARN,
            found=f"could not be asked: {refused or 'Redis gave no answer, or an odd one'}",
            advice="allow this user +xinfo|groups and +xpending: without, nobody sees a reader"
            " that stands still"
            if refused
            else "look at Redis: XINFO GROUPS, XPENDING",
        )
    return judge_readers(heard.readers, retention_s=settings.redis.retention_days * SECONDS_PER_DAY)


def judge_readers(readers: Readers, *, retention_s: float) -> Finding:
    """Findings about them, the furthest behind first."""
    worst = sorted(readers.watched, key=lambda r: (r.lost, r.oldest_s), reverse=True)
    if not worst:
        return Finding(what="redis readers", mark=Mark.OK, found="no consumer group yet")
    shown = "; ".join(_words(reader) for reader in worst[:SHOWN])
    if len(worst) > SHOWN:
        shown += f"; {len(worst) - SHOWN} more"
    too_far = [r for r in worst if r.lost or r.oldest_s > TOO_FAR * retention_s]
    if not too_far:
        return Finding(what="redis readers", mark=Mark.OK, found=shown)
    names = ", ".join(dict.fromkeys(reader.group for reader in too_far[:SHOWN]))
    return Finding(
        what="redis readers",
        mark=Mark.WARN,
        found=shown,
        advice=f"start what reads as {names}, before redis.retention_days are over; a group that"
        " nobody needs: XGROUP DESTROY",
    )


def _words(reader: Reader) -> str:
    lost = f", {reader.lost} lost" if reader.lost else ""
    name = f"{reader.group} ({reader.stream})"
    if not (reader.undelivered or reader.pending):
        return f"{name}: has everything{' that is left' if lost else ''}{lost}"
    return (
        f"{name}: {reader.undelivered} not delivered, {reader.pending} not acknowledged,"
        f" the oldest {_span(reader.oldest_s)} old{lost}"
    )


def _span(seconds: float) -> str:
    for unit, length_s in (("days", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= length_s:
            return f"{seconds / length_s:.1f} {unit}"
    return f"{seconds:.0f} s"
