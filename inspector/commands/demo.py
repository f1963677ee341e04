"""`inspector demo`: the whole thing on one machine, with nothing installed beforehand."""

from __future__ import annotations

import asyncio
import socket
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from inspector.core.errors import CameraUnavailableError, ConfigurationError, FatalError
from inspector.core.paths import find
from inspector.events.consumer import ReceivedEvent, read_events
from inspector.events.text import notice
from inspector.service.service import Service, stop_on_signals
from inspector.settings.load import load_settings
from inspector.settings.settings import Settings
from inspector.settings.types import Size
from inspector.simulation.belt import SimulatedView
from inspector.simulation.board import number_of
from inspector.simulation.options import parse_options
from inspector.sources.files.uri import FileUri
from inspector.sources.opening import Opening
from inspector.sources.registry import named_source
from inspector.sources.simulated.uri import SimulatedUri
from inspector.sources.uri import SourceUri

CONFIG = Path("config/demo.toml")
CAMERA = "top"
LINES_PER_S = 6
MAX_CODES_SHOWN = 3
_STYLES = {"PASSED": "green", "FAILED": "red", "NOT_INSPECTED": "yellow", "ERROR": "magenta"}

console = Console(highlight=False)


def demo_settings(source: str | None, port: int | None, state: Path) -> Settings:
    """The demo's settings, with another source and port where given.

    Raises:
        ConfigurationError: the source cannot be opened, or the port is taken.

    """
    overrides: dict[str, Any] = {"journal": {"directory": state}, "log": {"level": "error"}}
    overrides["http"] = {"port": port if port is not None else _free_or_any(8090)}
    if source is not None:
        try:
            uri = _as_setting(source)
            size = Size(*uri.probe_size(Opening()))
        except (ValueError, CameraUnavailableError) as error:
            raise ConfigurationError(f"--source: {error}") from None
        # The whole picture, since we do not know what is in it.
        overrides["cameras"] = {CAMERA: {"source": uri, "size": str(size), "region": None}}
    return load_settings(find(CONFIG), overrides)


def _as_setting(source: str) -> SourceUri:
    """A path is shown over and over; a URI as it says."""
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
        summary.print(service)
        if cause := summary.failure():
            faults = "; ".join(f"{fault.kind}: {fault.cause}" for fault in service.faults.standing)
            raise FatalError(f"{cause}; {faults}" if faults else cause)


def _command() -> str:
    """How this command was called, to be called again."""
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
    timer = asyncio.create_task(asyncio.sleep(seconds or float("inf")))
    try:
        await asyncio.wait([serving, timer, reading], return_when=asyncio.FIRST_COMPLETED)
        service.request_stop()
        # Redis ends with the service: what the drain publishes is read before that.
        await _wait_until_settled(service, summary)
    finally:
        timer.cancel()
        reading.cancel()
        await asyncio.wait([timer, reading])
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
    async for item in read_events(url, station_id=settings.station.id, follow=True):
        if not isinstance(item, ReceivedEvent):
            console.print(notice(item), style="red", markup=False)
            continue
        summary.add(item)
        now_s = time.monotonic()
        if now_s < shown_until_s:
            skipped += 1
            continue
        console.print(_line(item) + (f"  [dim](and {skipped} more)[/dim]" if skipped else ""))
        shown_until_s, skipped = now_s + 1 / LINES_PER_S, 0


def _line(event: ReceivedEvent) -> str:
    style = _STYLES[event.result]
    codes = Counter(d["code"] for d in event.body["defects"]).most_common(MAX_CODES_SHOWN)
    what = ", ".join(f"{n}x {code}" if n > 1 else code for code, n in codes)
    what = what or event.body["reason"] or ""
    took_ms = event.body["timing_ms"]["trigger_to_verdict"]
    clock = event.time[11:23]
    verdict = f"[{style}]{event.result:<13}[/{style}]"
    return f"{clock}  {event.unit_id:<14} {verdict} {took_ms:5.0f} ms  {what}"


class Summary:
    """What a consumer of the stream saw, set beside what the simulated line knows."""

    def __init__(self, settings: Settings) -> None:
        self._results: Counter[str] = Counter()
        self._reasons: Counter[str] = Counter()
        self._details: Counter[str] = Counter()
        self._codes: Counter[str] = Counter()
        self._latency_ms: list[float] = []
        self._truth = _Truth.of(settings)

    @property
    def total(self) -> int:
        """Units so far."""
        return self._results.total()

    def add(self, event: ReceivedEvent) -> None:
        """Count one unit."""
        self._results[event.result] += 1
        self._codes.update(d["code"] for d in event.body["defects"])
        if event.body["reason"]:
            self._reasons[event.body["reason"]] += 1
            self._details[event.body["detail"]] += 1
        else:
            self._latency_ms.append(event.body["timing_ms"]["trigger_to_verdict"])
        if self._truth is not None:
            self._truth.compare(event)

    def failure(self) -> str:
        """Why not one of the units was inspected; nothing where one was, or none came."""
        if not self._reasons or self._reasons.total() < self.total:
            return ""
        [(reason, number)] = self._reasons.most_common(1)
        [(detail, _)] = self._details.most_common(1)
        told = f"none of {self.total} units was inspected: {reason} ({number})"
        return f"{told}, {detail}" if detail else told

    def print(self, service: Service) -> None:
        """The table at the end."""
        table = Table(title="summary", title_justify="left")
        table.add_column("what")
        table.add_column("number", justify="right")
        health = service.views.health()[1]
        table.add_row("frames captured", str(health["captured"]))
        table.add_row("units with a verdict", str(self.total))
        for result, style in _STYLES.items():
            if self._results[result]:
                table.add_row(f"  [{style}]{result}[/{style}]", str(self._results[result]))
        for reason, number in self._reasons.most_common():
            table.add_row(f"  not inspected: {reason}", str(number))
        for code, number in self._codes.most_common():
            table.add_row(f"defect: {code}", str(number))
        if len(self._latency_ms) > 1:
            cuts = statistics.quantiles(self._latency_ms, n=20)
            table.add_row("trigger to verdict, p50 / p95", f"{cuts[9]:.0f} / {cuts[18]:.0f} ms")
        if self._truth is not None:
            for what, figure in self._truth.rows():
                table.add_row(what, figure)
        console.print(table)


class _Truth:
    """Compares verdicts with what was drawn; boards are told apart by the serial on them."""

    def __init__(self, view: SimulatedView) -> None:
        self._view = view
        self._counts: Counter[str] = Counter()

    @classmethod
    def of(cls, settings: Settings) -> _Truth | None:
        camera = settings.cameras[CAMERA]
        source = camera.source
        if not isinstance(source, SimulatedUri):
            return None
        return cls(SimulatedView(parse_options(source.options), camera.size))

    def compare(self, event: ReceivedEvent) -> None:
        number = number_of(event.unit_id)
        if number is None or event.result not in ("PASSED", "FAILED"):
            return
        is_bad = bool(self._view.board(number).truth)
        self._counts["bad" if is_bad else "good"] += 1
        if is_bad == (event.result == "FAILED"):
            self._counts["bad right" if is_bad else "good right"] += 1

    def rows(self) -> list[tuple[str, str]]:
        return [
            (
                f"drawn {kind}, judged right",
                f"{self._counts[f'{kind} right']} of {self._counts[kind]}",
            )
            for kind in ("bad", "good")
        ]
