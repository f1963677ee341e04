"""`inspector bench`: what this machine can handle with its model and settings."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import orjson
from rich.console import Console
from rich.table import Table

from inspector.bench import measures
from inspector.bench.line import LineRun
from inspector.bench.load import TAKT_S, Server, server_of
from inspector.flow.tensor_pool import TensorPool
from inspector.inference.triton import TritonModel
from inspector.pipeline.terms import model_terms
from inspector.service.servers import start_triton
from inspector.settings.settings import Settings

errors = Console(stderr=True, highlight=False, markup=False)
_RUNS = 12
"""The measurements that take `seconds` each."""
_FEWEST_S = 120
"""The rest: belts whose number is found by trying, ten seconds and more each."""
_IN_WORDS = {
    "frames/s": "{} frames/s",
    "client CPU ms/frame": "{} ms of this process' CPU per frame",
    "age p50 ms": "half judged within {} ms",
    "age p95 ms": "95 % within {} ms",
    "unaccounted": "{} without a verdict",
    "cameras": "{} cameras",
    "p50 ms": "half within {} ms",
    "p95 ms": "95 % within {} ms",
    "p99 ms": "99 % within {} ms",
}


@dataclass(slots=True)
class Report:
    """Everything that was measured, as printed."""

    model: str
    transport: str
    summary: str = ""
    """What the figures mean for a line, in a sentence or two."""
    rows: list[dict[str, Any]] = field(default_factory=list)

    def add(self, what: str, **figures: float | str) -> None:
        """One line of it."""
        self.rows.append({"what": what, **figures})
        errors.print(f"{what}: " + ", ".join(_figures(figures)))


async def run_bench(settings: Settings, *, seconds: float, as_json: bool) -> None:
    """Measure and print; about twenty times `seconds`.

    Raises:
        ConfigurationError: the model does not fit the settings, or there is no redis-server.
        FatalError: it could not go on.
        InferenceUnavailableError: Triton is away.

    """
    async with AsyncExitStack() as stack:
        url = await start_triton(settings, stack, report=errors.print)
        await _require_model(settings, url)
        server = server_of(settings, url)
        errors.print(
            f"measuring for {_FEWEST_S + _RUNS * seconds:.0f} s or more (Ctrl-C ends it); pictures "
            "are made here, no camera is used"
        )
        report = Report(model=server.model, transport=f"{server.transport}, {server.tensors}")
        # Its folder says which disk; beside it, because nothing else may use the journal of a line.
        disk = settings.journal.directory.parent
        await _measure(server, seconds, report, disk if disk.is_dir() else None)
    if as_json:
        sys.stdout.buffer.write(orjson.dumps(asdict(report), option=orjson.OPT_INDENT_2) + b"\n")
    else:
        console = Console(highlight=False)
        console.print(report.summary)
        console.print(table_of(report))


async def _require_model(settings: Settings, url: str) -> None:
    """Fail now if the model is missing: measurements would wait for it for ever."""
    tensors = TensorPool(tensors=1, max_regions=1, shared=False)
    terms = model_terms(settings)
    inline = replace(terms, server=terms.server.model_copy(update={"tensors": "inline"}))
    model = TritonModel(url, inline, tensors)
    try:
        await model.connect()
    finally:
        await model.close()
        tensors.close()


async def _measure(server: Server, seconds: float, report: Report, disk: Path | None) -> None:
    most = await measures.capacity(server, seconds)
    report.add("at full speed", **_speed(most))
    rate_hz, published = await measures.added_latency(
        server, seconds, most_per_s=most.frames_per_s, folder=disk
    )
    report.add(
        f"from a picture to its event in Redis, without the model's {published.triton_ms:.1f} ms, "
        f"at {rate_hz:.0f} frames/s",
        **{f"p{p} ms": published.added_ms(p) for p in (50, 95, 99)},
    )
    async for factor, run in measures.overload(server, seconds, capacity_per_s=most.frames_per_s):
        report.add(
            f"{factor} times what the model can take",
            **_speed(run),
            **_ages(run),
            unaccounted=_lost(run),
        )
    total = min(measures.OPEN_LOOP_HZ, most.frames_per_s / 2)
    async for cameras, run in measures.growth(server, seconds, total_per_s=total):
        report.add(
            f"{total:.0f} frames/s from {cameras} cameras together", **_speed(run), **_ages(run)
        )
    held = await measures.density(server, max(seconds, 4 * TAKT_S), on_step=_show_step)
    report.add(f"cameras with a board every {TAKT_S} s, each seen in time", cameras=held)
    report.summary = summary_of(held, most.frames_per_s, server.inspection.deadline_ms)


def summary_of(cameras: int, pictures_per_s: float, deadline_ms: float) -> str:
    """What the figures mean for a line."""
    model = f"Its model takes {pictures_per_s:.0f} pictures per second."
    if not cameras:
        return (
            f"This machine is too slow for one camera with a board every {TAKT_S} s and verdicts "
            f"within {deadline_ms:.0f} ms. {model}"
        )
    run = "1 camera" if cameras == 1 else f"{cameras} cameras"
    return (
        f"This machine can run {run} of 1280x720 with a board every {TAKT_S} s, three pictures of "
        f"each, and every verdict within {deadline_ms:.0f} ms. {model} Decoding a network camera's "
        "stream comes on top."
    )


def _show_step(step: measures.DensityStep) -> None:
    told = "all in time" if step.held else f"not all in time ({step.why_not})"
    cameras = "1 camera" if step.cameras == 1 else f"{step.cameras} cameras"
    errors.print(
        f"{cameras} with a board every {TAKT_S} s: {step.units} boards, {told}, 95 % within "
        f"{step.age_p95_ms:.0f} ms"
    )


def _speed(run: LineRun) -> dict[str, float]:
    return {"frames/s": run.frames_per_s, "client CPU ms/frame": run.cpu_ms_per_frame}


def _ages(run: LineRun) -> dict[str, float]:
    return {f"age p{p} ms": run.age_ms(p) for p in (50, 95)}


def _lost(run: LineRun) -> int:
    return run.frames_captured - run.frames_settled


def shown(value: float | str) -> str:
    """A figure to three digits."""
    return value if isinstance(value, str) else f"{value:.3g}" if value < 1000 else f"{value:.0f}"  # noqa: PLR2004


def table_of(report: Report) -> Table:
    """For people."""
    table = Table(title=f"{report.model}, {report.transport}")
    table.add_column("what")
    table.add_column("measured")
    for row in report.rows:
        figures = {name: value for name, value in row.items() if name != "what"}
        table.add_row(row["what"], "\n".join(_figures(figures)))
    return table


def _figures(figures: Mapping[str, float | str]) -> Iterator[str]:
    return (_IN_WORDS.get(name, f"{name} {{}}").format(shown(v)) for name, v in figures.items())
