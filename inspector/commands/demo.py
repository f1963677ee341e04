"""`inspector demo`: runs everything on one machine, with nothing installed beforehand."""

from __future__ import annotations

import asyncio
import socket
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.console import Console

from inspector.commands.demo_mes import CAMERA, PRODUCTS, demo_mes, write_products
from inspector.commands.demo_summary import STYLES, Summary
from inspector.core.errors import CameraUnavailableError, ConfigurationError, FatalError
from inspector.core.paths import find
from inspector.core.recipes import DEFAULT_PRODUCT
from inspector.events.consumer import ReceivedEvent, read_events
from inspector.events.text import notice
from inspector.pipeline.loading import load_station
from inspector.service.service import Service, stop_on_signals
from inspector.settings.settings import Settings
from inspector.settings.types import Size
from inspector.sources.files.uri import FileUri
from inspector.sources.opening import Opening
from inspector.sources.registry import named_source
from inspector.sources.uri import SourceUri

CONFIG = Path("config/demo.toml")
LINES_PER_S = 6
_NOT_SHOWN = ("by", "sha256", "approved", "approve")
"""Width of a line about a command and its answer."""
MAX_CODES_SHOWN = 3

console = Console(highlight=False)


def demo_settings(source: str | None, port: int | None, state: Path) -> Settings:
    """The demo's settings, with another source and port if given.

    Raises:
        ConfigurationError: the source cannot be opened, or the port is taken.

    """
    overrides: dict[str, Any] = {"journal": {"directory": state}, "log": {"level": "error"}}
    overrides["http"] = {"port": port if port is not None else _free_or_any(8090)}
    overrides["products"] = {"directory": state / "products", "initial": PRODUCTS[0]}
    if source is not None:
        try:
            uri = _as_setting(source)
            size = Size(*uri.probe_size(Opening()))
        except (ValueError, CameraUnavailableError) as error:
            raise ConfigurationError(f"--source: {error}") from None
        # The whole picture, because its content is unknown.
        overrides["products"]["initial"] = DEFAULT_PRODUCT
        overrides["cameras"] = {CAMERA: {"source": uri, "size": str(size), "region": None}}
    return load_station(find(CONFIG), overrides)


def _as_setting(source: str) -> SourceUri:
    """A path is played in a loop; a URI as it says."""
    found = named_source(source, exists=Path(source).exists())
    if not isinstance(found, FileUri):
        return found
    is_path = not source.lower().startswith("file:") or Path(source).exists()
    return replace(found, loop=found.loop or is_path)


def _free_or_any(port: int) -> int:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return 0
        return port


async def run_demo(source: str | None, port: int | None, seconds: float) -> None:
    """Run until the time is up, the footage ends, or Ctrl-C; then print what happened.

    `seconds` of 0 runs until Ctrl-C.

    Raises:
        ConfigurationError: as `demo_settings`, or a part of it cannot be started.
        FatalError: units came, and not one was inspected.

    """
    started_s = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="inspector-demo-") as folder:
        settings = demo_settings(source, port, Path(folder))
        write_products(settings)
        service = Service(settings, report=lambda text: console.print(f"[dim]{text}[/dim]"))
        stop_on_signals(service)
        console.print("starting Triton, Redis and a line …")
        summary = Summary(settings)
        async with _serving(service) as serving:
            console.print(
                f"up after {time.monotonic() - started_s:.1f} s; look at it: "
                f"[bold]{service.http_url}[/bold] ({_until(seconds)})",
                soft_wrap=True,
            )
            console.print(
                f"its events: {_command()} events -c {find(CONFIG)} --redis-url"
                f" {service.redis_url} --group mes --follow",
                soft_wrap=True,
                markup=False,
            )
            await _show_events(service, settings, summary, serving, seconds)
        console.print(summary.table(service.views.health()[1]["captured"]))
        if cause := summary.failure():
            faults = "; ".join(f"{fault.kind}: {fault.cause}" for fault in service.faults.standing)
            raise FatalError(f"{cause}; {faults}" if faults else cause)


def _command() -> str:
    """How this command was called, for other commands to show."""
    called = Path(sys.argv[0])
    return str(called) if called.name == "inspector" else f"{sys.executable} -m inspector"


def _until(seconds: float) -> str:
    return f"ends after {seconds:.0f} s; --seconds 0: at Ctrl-C" if seconds else "Ctrl-C ends"


@asynccontextmanager
async def _serving(service: Service) -> AsyncIterator[asyncio.Task[None]]:
    """The service, from the moment it runs until it has drained."""
    serving = asyncio.create_task(service.run(), name="service")
    running = asyncio.create_task(service.running.wait())
    try:
        await asyncio.wait([serving, running], return_when=asyncio.FIRST_COMPLETED)
        if serving.done():
            serving.result()
        yield serving
    finally:
        running.cancel()
        service.request_stop()
        await asyncio.wait([serving])
    serving.result()


async def _show_events(
    service: Service,
    settings: Settings,
    summary: Summary,
    serving: asyncio.Task[None],
    seconds: float,
) -> None:
    """Read the station's stream as an MES would, and show it, until the time is up."""
    reading = asyncio.create_task(_read(service.redis_url, settings, summary), name="reader")
    answers = asyncio.create_task(_read_answers(service.redis_url, settings), name="answers")
    timer = asyncio.create_task(asyncio.sleep(seconds or float("inf")))
    try:
        await asyncio.wait([serving, timer, reading], return_when=asyncio.FIRST_COMPLETED)
        service.request_stop()
        # Redis ends with the service: what the drain publishes is read before that.
        await _wait_until_settled(service, summary)
    finally:
        for task in (timer, reading, answers):
            task.cancel()
        await asyncio.wait([timer, reading, answers])
    if not reading.cancelled() and (error := reading.exception()) is not None:
        raise error


async def _wait_until_settled(service: Service, summary: Summary, timeout_s: float = 6.0) -> None:
    give_up_s = time.monotonic() + timeout_s
    while time.monotonic() < give_up_s:
        health = service.views.health()[1]
        if health["settled"] >= health["handed_on"] and summary.total >= health["verdicts"]:
            return
        await asyncio.sleep(0.05)


async def _read(url: str, settings: Settings, summary: Summary) -> None:
    shown_until_s, skipped = 0.0, 0
    async with demo_mes(url, settings) as mes:
        async for item in read_events(url, station_id=settings.station.id, follow=True):
            if not isinstance(item, ReceivedEvent):
                console.print(notice(item), style="red", markup=False)
                continue
            summary.add(item)
            if mes is not None:
                await mes.note(item)
            now_s = time.monotonic()
            if now_s < shown_until_s:
                skipped += 1
                continue
            console.print(_line(item) + (f"  [dim](and {skipped} more)[/dim]" if skipped else ""))
            shown_until_s, skipped = now_s + 1 / LINES_PER_S, 0


async def _read_answers(url: str, settings: Settings) -> None:
    """Show the station's answer to each command."""
    station = settings.station.id
    async for item in read_events(url, station_id=station, stream="changes", follow=True):
        if isinstance(item, ReceivedEvent):
            console.print(answer_line(item), style="cyan", markup=False, soft_wrap=True)


def answer_line(change: ReceivedEvent) -> str:
    """What a command asked for, and from which unit on it applies."""
    body = change.body
    fields = (f"{k}={v}" for k, v in body["fields"].items() if k not in _NOT_SHOWN)
    asked = " ".join((body["command"], *fields))
    units = [f"{number} of {camera}" for camera, number in body["effective"].items()]
    holds = f", from unit {', '.join(units)} on" if units else ""
    problem = f": {body['problem']}" if body["problem"] else ""
    return f"{local_clock(change.time)}  {asked}: {change.result}{holds}{problem}"


def codes_line(defects: Sequence[Mapping[str, Any]]) -> str:
    """The most frequent codes, each with its number, and how many further codes there are."""
    counted = Counter(defect["code"] for defect in defects).most_common()
    shown = [f"{n}x {code}" if n > 1 else code for code, n in counted[:MAX_CODES_SHOWN]]
    more = len(counted) - len(shown)
    return ", ".join([*shown, f"{more} more"] if more else shown)


def local_clock(time: str) -> str:
    """The time of day on this machine's clock, as the page shows it, of a time in UTC."""
    return datetime.fromisoformat(time).astimezone().strftime("%H:%M:%S.%f")[:-3]


def _line(event: ReceivedEvent) -> str:
    style = STYLES[event.result]
    what = codes_line(event.body["defects"]) or event.body["reason"] or ""
    took_ms = event.body["timing_ms"]["trigger_to_verdict"]
    clock = local_clock(event.time)
    verdict = f"[{style}]{event.result:<13}[/{style}]"
    return f"{clock}  {event.unit_id:<14} {verdict} {took_ms:5.0f} ms  {what}"
