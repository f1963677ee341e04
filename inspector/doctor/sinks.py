"""Asks each further sink where its streams end, as the service does at its start."""

from __future__ import annotations

import asyncio

from inspector.core.errors import ConfigurationError, SinkUnavailableError
from inspector.doctor.findings import Finding, Mark
from inspector.settings.settings import Settings
from inspector.sinks.kind import SinkKind, SinkPlace

TIMEOUT_S = 5.0


async def check_sinks(settings: Settings) -> list[Finding]:
    """A finding for each; writes nothing, never raises for what it finds."""
    station_id = settings.station.id
    return [
        await _sink(kind, SinkPlace(station_id=station_id, name=name))
        for name, kind in settings.sinks.items()
    ]


async def _sink(kind: SinkKind, place: SinkPlace) -> Finding:
    what = f"sink {place.name}"
    try:
        sink = kind.make_sink(place)
        try:
            async with asyncio.timeout(TIMEOUT_S):
                tips = await sink.tips()
        finally:
            await sink.close()
    except (ConfigurationError, SinkUnavailableError) as error:
        cause = str(error)
    except TimeoutError:
        cause = f"it did not answer within {TIMEOUT_S:g} s"
    except Exception as error:  # noqa: BLE001 - the code of another package raises what it likes
        cause = f"{type(error).__name__}: {error}"
    else:
        held = [
            stream.value for stream in kind.streams if stream in tips and tips[stream].last_id.ms
        ]
        has = f"has {', '.join(held)}" if held else "has nothing yet"
        return Finding(what=what, mark=Mark.OK, found=f"answers; {has}")
    return Finding(
        what=what,
        mark=Mark.FAIL,
        found=cause,
        advice=f"correct [sinks.{place.name}], or what it names; events wait in the journal",
    )
