"""Replays product runs through the same code as `inspector replay --commands`, and judges them."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.line.footage import Footage, encoded
from benchmarks.line.footage import of_video as footage_of
from benchmarks.line.product_scores import RunScore, commands_of, score_run
from benchmarks.line.running import seen_units, settings_for
from benchmarks.line.scenarios import Scenario
from benchmarks.line.scene import Scene
from inspector.commands.replay_script import read_script
from inspector.commands.replaying import Told, run_replay

PAINTED_AS = 1
"""Of what the painter paints; another number paints every run anew."""


def painted(scenario: Scenario, archive: Path | None, cache: Path) -> Path:
    """The video of a run, its truth beside it; painted once, and kept.

    Without DeepPCB its boards are drawn ones.
    """
    source = "scanned" if archive is not None and scenario.skin is not None else "drawn"
    key = f"{PAINTED_AS} {source} {scenario!r}"
    folder = cache / hashlib.sha256(key.encode()).hexdigest()[:12]
    video = folder / f"{scenario.name}.mp4"
    if not video.with_suffix(".json").exists():
        folder.mkdir(parents=True, exist_ok=True)
        encoded(Scene(scenario, archive), folder)
    return video


async def judged_run(
    video: Path, url: str, taught_models: Path | None = None
) -> tuple[RunScore, list[str]]:
    """What a replay with the commands of its truth makes of a run; with what was refused."""
    footage: Footage = footage_of(video)
    lines = io.StringIO()
    with TemporaryDirectory(prefix="line-accuracy-") as folder:
        commands = Path(folder) / "commands.jsonl"
        commands.write_text("\n".join(json.dumps(one) for one in commands_of(footage.truth)))
        settings = settings_for(footage, url)
        products = settings.products.model_copy(
            update={"directory": Path(folder) / "products", "models": taught_models}
        )
        settings = settings.model_copy(update={"products": products})
        tally = await run_replay(settings, Told(out=lines), read_script(commands))
    events = [json.loads(line) for line in lines.getvalue().splitlines()]
    return score_run(footage.truth, seen_units(events)), tally.refused
