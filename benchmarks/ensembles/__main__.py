"""Measures the variants of the ensemble side by side, and compares what they find.

    scripts/bootstrap-training.sh evaluate        once: what makes the graphs
    .venv/bin/python -m benchmarks.ensembles [--network FILE] [--int8 FILE] [--out TABLE.md]

One embedded Triton serves all variants; they are measured in turn, round by round, so that what
else the machine does hits all of them alike. Ratios of one run mean something; absolute figures
belong to the machine.
"""

from __future__ import annotations

import argparse
import asyncio
import platform
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.ensembles.comparing import Comparison, compare
from benchmarks.ensembles.load import Client, Figures, connected
from benchmarks.ensembles.making import Maker
from benchmarks.ensembles.pictures import Pictures, pictures
from benchmarks.ensembles.variants import (
    DESIGN,
    PRESENT,
    ROOT,
    Shape,
    Variant,
    write_repository,
)
from inspector.core.background import background
from inspector.embedded.triton.server import EmbeddedTriton
from inspector.ops.log import configure_logging
from inspector.settings.sections import LogSettings

MAKER = ROOT / ".venv-training/bin/python"
FLOAT = ROOT / "deploy/triton/float/pcb_detector/1/model.onnx"
DEEP_PCB = ROOT.parent / "shared/data/deeppcb.zip"
READY_TIMEOUT_S = 900.0
Results = dict[Variant, tuple[Figures, Comparison]]


async def measure(
    repository: Path, variants: Sequence[Variant], shown: Pictures, *, rounds: int, per_load: int
) -> Results:
    """Serve the repository and measure every variant, `rounds` times in turn."""
    server = EmbeddedTriton(repository, report=_say, one_graph=False)
    async with background(server.run(), name="triton"):
        await server.wait_ready(READY_TIMEOUT_S)
        pid = server.process_id
        assert pid is not None  # noqa: S101 - it is ready
        async with connected(server.grpc_url, pid, shown) as client:
            expected = await client.replies(PRESENT.model)
            found = {one: compare(expected, await client.replies(one.model)) for one in variants}
            figures = {one: Figures() for one in variants}
            for number in range(rounds + 1):
                _say(f"round {number} of {rounds}" if number else "warming up")
                await _round(client, figures, per_load, number)
                if number == 0:
                    figures = {one: Figures() for one in variants}
    return {one: (figures[one], found[one]) for one in variants}


async def _round(
    client: Client, figures: dict[Variant, Figures], per_load: int, number: int
) -> None:
    order = list(figures)
    turned = order[number % len(order) :] + order[: number % len(order)]
    for one in turned:
        network = one.model if one.shape is Shape.FOLDED else one.network
        await client.round(one.model, network, per_load, figures[one])


COLUMNS = (
    "shape",
    "weights",
    "threads x instances",
    "queue",
    "alone: best / p50 / p95 ms",
    "8 in flight: pictures/s (spread)",
    "x present",
    "requests of 4 / 8: pictures/s",
    "pictures per run",
    "server CPU ms/picture",
    "finds, against the present one",
)


def table(results: Results) -> str:
    """Markdown: a row per variant; medians over rounds, with the spread where it matters."""
    base = statistics.median(results[PRESENT][0].single_per_s)
    rows = [COLUMNS, ("---",) * len(COLUMNS)]
    rows += [_cells(one, *measured, base) for one, measured in results.items()]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in rows)


def _cells(
    one: Variant, figures: Figures, comparison: Comparison, base_per_s: float
) -> tuple[str, ...]:
    middle = statistics.median
    alone_ms, single_per_s = figures.latency_ms, figures.single_per_s
    slowest_ms = statistics.quantiles(alone_ms, n=20)[-1]
    return (
        one.shape.value,
        one.weights.value,
        f"{one.threads} x {one.instances}",
        "none" if one.delay_us is None else f"{one.delay_us} µs",
        f"{min(alone_ms):.1f} / {middle(alone_ms):.1f} / {slowest_ms:.1f}",
        f"{middle(single_per_s):.1f} ({min(single_per_s):.0f}..{max(single_per_s):.0f})",
        f"{middle(single_per_s) / base_per_s:.2f}",
        f"{middle(figures.fours_per_s):.1f} / {middle(figures.eights_per_s):.1f}",
        f"{middle(figures.joined):.1f}",
        f"{middle(figures.server_cpu_ms):.1f}",
        str(comparison),
    )


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


def main() -> None:
    """Parse the arguments, measure, write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--network", type=Path, default=FLOAT)
    parser.add_argument("--int8", type=Path, help="its INT8 twin; made here unless given")
    parser.add_argument("--deeppcb", type=Path, default=DEEP_PCB, help="the data set's zip file")
    parser.add_argument("--maker", type=Path, default=MAKER, help="a Python with onnx")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--pictures", type=int, default=32, help="per load, variant and round")
    parser.add_argument("--only", type=int, nargs="*", help="further rows of the design, from 1")
    parser.add_argument("--out", type=Path, help="where the table goes; standard output otherwise")
    chosen = parser.parse_args()
    configure_logging(LogSettings(level="warning"))
    variants = [DESIGN[index] for index in (0, *(chosen.only or range(1, len(DESIGN))))]
    shown = pictures(16, 16, chosen.deeppcb)
    with tempfile.TemporaryDirectory() as folder:
        maker = Maker(chosen.maker, Path(folder))
        networks = maker.networks(chosen.network, chosen.int8, chosen.deeppcb)
        repository = Path(folder) / "models"
        repository.mkdir()
        write_repository(repository, variants, networks, maker.folded(networks))
        measuring = measure(
            repository, variants, shown, rounds=chosen.rounds, per_load=chosen.pictures
        )
        results = asyncio.run(measuring)
    written = f"{platform.machine()}, Python {platform.python_version()}\n\n{table(results)}"
    if chosen.out is None:
        sys.stdout.write(written)
    else:
        chosen.out.write_text(written)


if __name__ == "__main__":
    main()
