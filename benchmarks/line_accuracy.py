"""Judges `inspector replay` by the truth: units, serials, verdicts and defects per board.

    python -m benchmarks.line_accuracy                  the line videos and product runs beside the
                                                        checkout, and product runs painted for it
    python -m benchmarks.line_accuracy --runs           the product runs beside the checkout only
    python -m benchmarks.line_accuracy --painted        those painted for it, or some: amber_grey,…
    … --seeds-from 100 the same painted runs with boards and lines that nobody has seen: other seeds
    python -m benchmarks.line_accuracy VIDEO.mp4 …      others, their truth in VIDEO.json
    python -m benchmarks.line_accuracy --generated      other lines, painted for this
    python -m benchmarks.line_accuracy --generated lights_off,fast
    … --oracle      a perfect detector in the model's place: every figure must be 100 %
    … --require     exit 1 where a figure is below what is required (with --oracle: below 100 %)
    … --write DIR   keep generated videos, as MP4 with their JSON
    … --json, --verbose

The same stages as in `inspector replay`, with a presence trigger and DataMatrix serials. Product
runs are replayed once each, with commands made of nothing but which product comes and which boards
are to be learned from; painted ones are kept in `.cache/product_runs`.
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
from benchmarks.line.product_replay import judged_run, painted
from benchmarks.line.product_runs import PRODUCT_RUNS, others
from benchmarks.line.product_scores import RunScore, runs_together
from benchmarks.line.report import run_table, table
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
CACHE = Path(__file__).parents[1] / ".cache" / "product_runs"
READY_TIMEOUT_S = 300.0
console = Console(stderr=True, highlight=False)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the comparison; the exit code."""
    options = _parser().parse_args(arguments)
    configure_logging(LogSettings(level="error"))
    scores: list[Score]
    runs: dict[str, list[RunScore]]
    with tempfile.TemporaryDirectory() as folder:
        try:
            if options.oracle:
                shown = _footage(options, Path(options.write or folder))
                scores, runs = [asyncio.run(judge(one, None)) for one in shown], {}
            else:
                scores, runs = asyncio.run(_with_real_model(options, Path(options.write or folder)))
        except (OSError, ValueError) as error:
            console.print(f"line_accuracy: {error}")
            return 2
    if not scores and not any(runs.values()):
        console.print(f"line_accuracy: no video beside the checkout ({SHARED})")
        return 2
    return _report(scores, runs, options)


async def judge(footage: Footage, url: str | None) -> Score:
    """Replay and judge; with the oracle where no server is named."""
    if url is None:
        events = await replay(footage, settings_for(footage), oracle_for(footage))
    else:
        events = await replay(footage, settings_for(footage, url))
    return score(footage.truth.name, footage.truth.boards, seen_units(events))


async def _with_real_model(
    options: argparse.Namespace, folder: Path
) -> tuple[list[Score], dict[str, list[RunScore]]]:
    if options.url is not None:
        return await _judged(options, folder, options.url)
    # All that replays ask for is loaded when they do, and so are the models that they teach.
    server = EmbeddedTriton(
        find(Path("model_repository")), report=console.print, models=[], taught=CACHE / "models"
    )
    async with background(server.run(), name="triton"):
        await server.wait_ready(READY_TIMEOUT_S)
        return await _judged(options, folder, server.grpc_url)


async def _judged(
    options: argparse.Namespace, folder: Path, url: str
) -> tuple[list[Score], dict[str, list[RunScore]]]:
    only_runs = options.runs or options.painted is not None
    shown = () if only_runs else _footage(options, folder)
    scores = [await judge(one, url) for one in shown]
    is_all = not only_runs and options.generated is None and not options.videos
    runs: dict[str, list[RunScore]] = {}
    if options.runs or is_all:
        videos = sorted((SHARED / "runs").glob("*.mp4"))
        runs["product runs"] = [await _judged_run(video, url) for video in videos]
    if options.painted is not None or is_all:
        archive = ARCHIVE if ARCHIVE.exists() else None
        runs["painted product runs"] = [
            await _judged_run(painted(scenario, archive, CACHE), url)
            for scenario in others(_chosen(options.painted or "", PRODUCT_RUNS), options.seeds_from)
        ]
    return scores, runs


async def _judged_run(video: Path, url: str) -> RunScore:
    found, refused = await judged_run(video, url, CACHE / "models")
    for problem in refused:
        console.print(f"{found.name}: {problem}", markup=False)
    console.print(f"{found.name}: {', '.join(found.shortfalls()) or 'as required'}", markup=False)
    return found


def _footage(options: argparse.Namespace, folder: Path) -> Iterator[Footage]:
    """One after the other: a scene takes tens of MB."""
    if options.generated is None:
        videos = options.videos or sorted((SHARED / "line").glob("*.mp4"))
        yield from map(of_video, videos)
        return
    folder.mkdir(parents=True, exist_ok=True)
    for scenario in _chosen(options.generated, MATRIX):
        if scenario.skin is not None and not ARCHIVE.exists():
            console.print(f"{scenario.name}: left out, DeepPCB is not beside the checkout")
            continue
        scene = Scene(scenario, ARCHIVE)
        kept = scenario.encoded or options.write
        yield encoded(scene, folder) if kept else of_scene(scene)


def _chosen(names: str, among: Sequence[Scenario]) -> list[Scenario]:
    known = {scenario.name: scenario for scenario in among}
    wanted = [name for name in names.split(",") if name]
    strange = [name for name in wanted if name not in known]
    if strange:
        raise ValueError(f"no scenario {', '.join(strange)}; there are: {', '.join(known)}")
    return [known[name] for name in wanted] or list(among)


def _report(
    scores: list[Score], runs: dict[str, list[RunScore]], options: argparse.Namespace
) -> int:
    every_run = [one for of_kind in runs.values() for one in of_kind]
    if options.json:
        written = [one.as_json() for one in scores] + [one.as_json() for one in every_run]
        json.dump(written, sys.stdout, indent=2)
        sys.stdout.write("\n")
    else:
        _print_tables(scores, runs, options)
    fails = [f"{one.name}: {what}" for one in scores for what in _fails(one, options)]
    fails += [f"{one.name}: {what}" for one in every_run for what in one.shortfalls_alone()]
    for kind, of_kind in runs.items():
        fails += [f"{kind}: {what}" for what in runs_together(kind, of_kind).shortfalls()]
    for line in fails:
        console.print(line, markup=False)
    return 1 if fails and options.require else 0


def _print_tables(
    scores: list[Score], runs: dict[str, list[RunScore]], options: argparse.Namespace
) -> None:
    screen = Console(width=200, highlight=False)
    says_all = options.verbose or options.oracle
    if scores:
        model = "perfect detector" if options.oracle else "real model"
        screen.print(table(f"line accuracy, {model}", scores))
    for kind, of_kind in runs.items():
        if of_kind:
            screen.print(run_table(kind, of_kind))
    troubles = [(one.name, one.trouble) for one in scores]
    troubles += [(one.name, one.trouble) for of_kind in runs.values() for one in of_kind]
    for name, of_one in troubles:
        for trouble in of_one if says_all else ():
            console.print(f"{name}: {trouble}", markup=False)


def _fails(one: Score, options: argparse.Namespace) -> list[str]:
    if options.oracle:
        return [] if one.is_perfect else ["not perfect"]
    return one.shortfalls()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").splitlines()[0],
        epilog=f"scenarios: {', '.join(scenario.name for scenario in MATRIX)}",
    )
    parser.add_argument("videos", nargs="*", type=Path)
    parser.add_argument("--generated", nargs="?", const="", metavar="NAMES")
    parser.add_argument("--runs", action="store_true")
    parser.add_argument("--painted", nargs="?", const="", metavar="NAMES")
    parser.add_argument("--seeds-from", type=int, default=0, metavar="N")
    parser.add_argument("--oracle", action="store_true")
    parser.add_argument("--url", help="a Triton server's HOST:PORT; without it, the embedded one")
    parser.add_argument("--write", metavar="DIR")
    parser.add_argument("--require", action="store_true")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--verbose", action="store_true")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
