"""Judges `inspector replay` by the truth: units, serials, verdicts and defects per board.

    python -m benchmarks.line_accuracy                  the line videos beside the checkout
    python -m benchmarks.line_accuracy VIDEO.mp4 …      others, their truth in VIDEO.json
    python -m benchmarks.line_accuracy --generated      other lines, painted for this
    python -m benchmarks.line_accuracy --generated lights_off,fast
    … --oracle      a perfect detector in the model's place: every figure must be 100 %
    … --require     exit 1 where a figure is below what is required (with --oracle: below 100 %)
    … --write DIR   keep generated videos, as MP4 with their JSON
    … --json, --verbose

The same stages as in `inspector replay`, with a presence trigger and DataMatrix serials.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console

from benchmarks.line.footage import Footage, encoded, of_scene, of_video
from benchmarks.line.report import table
from benchmarks.line.running import oracle_for, replay, seen_units, settings_for
from benchmarks.line.scenarios import MATRIX, Scenario
from benchmarks.line.scene import Scene
from benchmarks.line.scores import Score, score
from inspector.core.background import background
from inspector.core.paths import find
from inspector.embedded.triton.server import EmbeddedTriton
from inspector.ops.log import configure_logging
from inspector.settings.sections import LogSettings

SHARED = Path(__file__).parents[2] / "shared/data"
ARCHIVE = SHARED / "deeppcb.zip"
READY_TIMEOUT_S = 300.0
console = Console(stderr=True, highlight=False)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the comparison; the exit code."""
    options = _parser().parse_args(arguments)
    configure_logging(LogSettings(level="error"))
    with tempfile.TemporaryDirectory() as folder:
        shown = _footage(options, Path(options.write or folder))
        try:
            if options.oracle:
                scores = [asyncio.run(judge(one, None)) for one in shown]
            else:
                scores = asyncio.run(_with_real_model(shown, options.url))
        except (OSError, ValueError) as error:
            console.print(f"line_accuracy: {error}")
            return 2
    if not scores:
        console.print(f"line_accuracy: no video beside the checkout ({SHARED / 'line'})")
        return 2
    return _report(scores, options)


async def judge(footage: Footage, url: str | None) -> Score:
    """Replay and judge; with the oracle where no server is named."""
    if url is None:
        events = await replay(footage, settings_for(footage), oracle_for(footage))
    else:
        events = await replay(footage, settings_for(footage, url))
    return score(footage.truth.name, footage.truth.boards, seen_units(events))


async def _with_real_model(shown: Iterator[Footage], url: str | None) -> list[Score]:
    if url is not None:
        return [await judge(one, url) for one in shown]
    server = EmbeddedTriton(find(Path("model_repository")), report=console.print)
    async with background(server.run(), name="triton"):
        await server.wait_ready(READY_TIMEOUT_S)
        return [await judge(one, server.grpc_url) for one in shown]


def _footage(options: argparse.Namespace, folder: Path) -> Iterator[Footage]:
    """One after the other: a scene takes tens of MB."""
    if options.generated is None:
        videos = options.videos or sorted((SHARED / "line").glob("*.mp4"))
        yield from map(of_video, videos)
        return
    folder.mkdir(parents=True, exist_ok=True)
    for scenario in _chosen(options.generated):
        if scenario.skin is not None and not ARCHIVE.exists():
            console.print(f"{scenario.name}: left out, DeepPCB is not beside the checkout")
            continue
        scene = Scene(scenario, ARCHIVE)
        kept = scenario.encoded or options.write
        yield encoded(scene, folder) if kept else of_scene(scene)


def _chosen(names: str) -> list[Scenario]:
    known = {scenario.name: scenario for scenario in MATRIX}
    wanted = [name for name in names.split(",") if name]
    strange = [name for name in wanted if name not in known]
    if strange:
        raise ValueError(f"no scenario {', '.join(strange)}; there are: {', '.join(known)}")
    return [known[name] for name in wanted] or list(MATRIX)


def _report(scores: list[Score], options: argparse.Namespace) -> int:
    if options.json:
        json.dump([one.as_json() for one in scores], sys.stdout, indent=2)
        sys.stdout.write("\n")
    else:
        model = "perfect detector" if options.oracle else "real model"
        Console(width=200, highlight=False).print(table(f"line accuracy, {model}", scores))
        for one in scores:
            for trouble in one.trouble if options.verbose or options.oracle else ():
                console.print(f"{one.name}: {trouble}", markup=False)
    fails = [
        f"{one.name}: {what}"
        for one in scores
        for what in (
            ([] if one.is_perfect else ["not perfect"]) if options.oracle else one.shortfalls()
        )
    ]
    for line in fails:
        console.print(line, markup=False)
    return 1 if fails and options.require else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").splitlines()[0],
        epilog=f"scenarios: {', '.join(scenario.name for scenario in MATRIX)}",
    )
    parser.add_argument("videos", nargs="*", type=Path)
    parser.add_argument("--generated", nargs="?", const="", metavar="NAMES")
    parser.add_argument("--oracle", action="store_true")
    parser.add_argument("--url", help="a Triton server's HOST:PORT; without it, the embedded one")
    parser.add_argument("--write", metavar="DIR")
    parser.add_argument("--require", action="store_true")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--verbose", action="store_true")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
