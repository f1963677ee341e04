"""One verdict per board, its serial, and every defect: with a perfect detector, all of them.

What falls short here is the unit logic's: the trigger, the outline, fusing, serials, verdicts. How
well the real model does is printed by `python -m benchmarks.line_accuracy`.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from benchmarks.line.footage import Footage, encoded, of_scene, of_video
from benchmarks.line.running import oracle_for, replay, seen_units, settings_for
from benchmarks.line.scenarios import STANDING, Scenario
from benchmarks.line.scene import Scene
from benchmarks.line.scores import Score, score

LINE = (Path(__file__).parents[2] / "../shared/data/line").resolve()
VIDEOS = ("amber", "dark_slow", "green_harsh")

pytestmark = pytest.mark.timeout(300)  # some seconds each, minutes on a machine that does more

needs_videos = pytest.mark.skipif(not LINE.is_dir(), reason="no line videos beside the checkout")


def judged(footage: Footage) -> Score:
    settings = settings_for(footage)
    events = asyncio.run(replay(footage, settings, oracle_for(footage)), debug=False)
    assert [event["unit"]["number"] for event in events] == list(range(1, len(events) + 1))
    return score(footage.truth.name, footage.truth.boards, seen_units(events))


def assert_perfect(found: Score) -> None:
    assert found.is_perfect, "\n".join(found.trouble) or found.as_json()
    assert not found.trouble


@needs_videos
@pytest.mark.parametrize("name", VIDEOS)
def test_with_a_perfect_detector_every_figure_of_a_line_video_is_100_percent(name: str):
    assert_perfect(judged(of_video(LINE / f"{name}.mp4")))


@pytest.mark.parametrize("scenario", STANDING, ids=lambda scenario: scenario.name)
def test_with_a_perfect_detector_every_figure_of_another_line_is_100_percent(
    scenario: Scenario, tmp_path: Path
):
    scene = Scene(scenario)
    found = judged(encoded(scene, tmp_path) if scenario.encoded else of_scene(scene))
    if found.excused:
        assert found.units_are_right
        assert found.is_perfect
    else:
        assert_perfect(found)
