"""From the line back to the network: units reviewed in a browser, exported, trained on, evaluated.

python -m tests.drills.round_trip --units 50 --minutes 4

A simulated line is inspected with a high threshold, so that defects escape. A browser then does
what a person would who knows the truth: confirms, calls false, draws the box of what was missed, is
unsure now and then, and takes some of it back. The export has to say the same, to half a pixel, and
`make train` and `make evaluate` have to take it as it is.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, expect

from inspector.simulation.belt import SimulatedView
from inspector.simulation.defects import TrueDefect
from inspector.simulation.options import SimulationOptions, View
from tests.kit.inspector_command import inspector
from tests.kit.line import Line, wait_for
from tests.kit.page_kit import Visit, chromium
from tests.kit.redis_server import RedisServer
from tests.kit.triton_server import embedded_triton_in_background

ROOT = Path(__file__).parents[2]
SIZE = (800, 760)
SEED = 5
HALF_A_PIXEL = 0.5
SAME_IOU = 0.3
UNSURE_EVERY, TAKEN_BACK_EVERY = 17, 9
TYPED_EVERY = 2
"""Of the missed defects; the others stay as the pointer drew them."""
OPTIONS = SimulationOptions(view=View.STROBE, takt_s=1.0, seed=SEED, defect_rate=0.5)

Box = Sequence[float]
"""x, y, width, height."""


@dataclass
class Expected:
    """What a unit's label has to be, as the drill itself works it out."""

    boxes: list[tuple[str, Box]] = field(default_factory=list)
    is_in: bool = True


def main() -> int:
    parser = argparse.ArgumentParser(prog="make round-trip", description=__doc__)
    parser.add_argument("--units", type=int, default=50)
    parser.add_argument("--minutes", type=float, default=4.0, help="of training; 0: none")
    parser.add_argument("--out", type=Path, help="keep the data set here")
    arguments: Any = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="round-trip-"))
    out = arguments.out or folder / "set"
    redis = shutil.which("redis-server")
    if redis is None:
        _say("left out: no redis-server on this machine")
        return 1
    with (
        embedded_triton_in_background() as triton,
        RedisServer(redis, folder / "redis") as redis_server,
        Line(
            folder,
            cameras={"top": {"source": _source(), "size": "{}x{}".format(*SIZE)}},
            triton=triton.grpc_url,
            redis_url=redis_server.url,
            inspection={"threshold": 0.8, "deadline_ms": 10_000.0},
            batching={"max_age_ms": 8_000.0},
            evidence={"passed_share": 1.0, "timeout_ms": 5_000.0},
        ) as line,
    ):
        line.wait_ready()
        expected = reviewed(line, arguments.units)
        exported(line, out)
        line.stop()
    worst_px = compared(out, expected)
    _say(f"worst corner: {worst_px:.3f} px off")
    if worst_px > HALF_A_PIXEL:
        return 1
    return trained(out, folder, arguments.minutes) if arguments.minutes else 0


def _source() -> str:
    return f"sim:?view=strobe&takt_s={OPTIONS.takt_s}&seed={SEED}&defect_rate={OPTIONS.defect_rate}"


def reviewed(line: Line, count: int) -> dict[str, Expected]:
    """Review the first units of the line in a browser; by their names, what is to be exported."""

    def units() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(line.get("/api/units?limit=200")[1])["units"]
        inspected = [u for u in found if u["result"] in ("PASSED", "FAILED") and u["has_picture"]]
        return inspected[::-1][:count]

    wait_for(lambda: len(units()) >= count, within_s=10 * count, what=f"{count} units")
    view = SimulatedView(OPTIONS, SIZE)
    expected, said = {}, Counter[str]()
    started_s = time.monotonic()
    with chromium() as browser, Visit(browser, f"http://{line.address}") as visit:
        visit.open("#/units")
        for number, unit in enumerate(units()):
            (board,) = view.truth(int(unit["unit_id"].rpartition("-")[2]) - 1)
            person = Person(visit, unit, board.defects, said)
            expected[unit["unit_id"]] = person.looks(number)
    _say(f"{count} units in {time.monotonic() - started_s:.0f} s: {dict(said)}")
    return expected


@dataclass
class Person:
    """Somebody at the page who knows what is really on a unit."""

    visit: Visit
    unit: Mapping[str, Any]
    truth: Sequence[TrueDefect]
    said: Counter[str]

    def looks(self, number: int) -> Expected:
        """Say all of it; `number` decides how."""
        page = self.visit.open(f"#/units/{self.unit['id']}")
        page.locator(".unit-view canvas[data-drawn]").wait_for()
        if number == 0:
            page.get_by_label("Your name").fill("Drill")
        if number % UNSURE_EVERY == UNSURE_EVERY - 1:
            self.press(page, "Unsure: the unit")
            return Expected(is_in=False)
        if number % TAKEN_BACK_EVERY == TAKEN_BACK_EVERY - 1:
            self.press(page, "Unsure: the unit")
            page.keyboard.press("z")
            expect(page.locator(".whole .judge[aria-pressed=true]")).to_have_count(0)
            self.said["taken back"] += 1
        found = Expected(boxes=list(self.judged(page)))
        known = [box for code, box in found.boxes]
        for defect in self.truth:
            if not any(overlap(box, defect.bbox_px) > SAME_IOU for box in known):
                found.boxes.append((defect.code.value, self.marked(page, defect)))
        if self.unit["result"] == "PASSED" and not self.truth:
            self.press(page, "It is good: the unit")
        return found

    def judged(self, page: Page) -> Iterator[tuple[str, Box]]:
        """Each call confirmed, or called false; yields the true ones."""
        for index, call in enumerate(self.unit["defects"], start=1):
            is_true = any(
                defect.code == call["code"] and overlap(call["bbox_px"], defect.bbox_px) > SAME_IOU
                for defect in self.truth
            )
            self.press(page, f"{'Confirm' if is_true else 'False call'}: defect {index},")
            if is_true:
                yield call["code"], call["bbox_px"]

    def press(self, page: Page, name: str) -> None:
        button = page.get_by_role("button", name=name)
        button.click()
        expect(button).to_have_attribute("aria-pressed", "true")
        self.said[name.partition(":")[0]] += 1

    def marked(self, page: Page, defect: TrueDefect) -> Box:
        """A missed defect, drawn on the picture; the place that the page said it has."""
        before = page.locator(".missed .look").count()
        page.keyboard.press("m")
        canvas = page.locator("canvas.draws")
        canvas.scroll_into_view_if_needed()
        x, y, width, height = defect.bbox_px
        page.mouse.move(*on_screen(page, x, y))
        page.mouse.down()
        page.mouse.move(*on_screen(page, x + width, y + height), steps=3)
        page.mouse.up()
        if self.said["Missed"] % TYPED_EVERY:
            for label, value in zip(
                ("Left", "Top", "Width", "Height"), defect.bbox_px, strict=True
            ):
                page.get_by_label(label, exact=True).fill(str(value))
        drawn = [float(part) for part in (canvas.get_attribute("data-box") or "").split()]
        page.get_by_label("Code").select_option(defect.code.value)
        page.get_by_role("button", name="Mark as missed").click()
        expect(page.locator(".missed .look")).to_have_count(before + 1)
        self.said["Missed"] += 1
        return drawn


def on_screen(page: Page, x_px: float, y_px: float) -> tuple[float, float]:
    """Where a point of the picture is shown that a box is drawn on."""
    frame = page.locator("canvas.draws").bounding_box()
    assert frame is not None
    shrink = min(frame["width"] / SIZE[0], frame["height"] / SIZE[1])
    left = frame["x"] + (frame["width"] - SIZE[0] * shrink) / 2
    top = frame["y"] + (frame["height"] - SIZE[1] * shrink) / 2
    return left + x_px * shrink, top + y_px * shrink


def overlap(one: Box, other: Box) -> float:
    """Intersection over union."""
    (ax, ay, aw, ah), (bx, by, bw, bh) = one, other
    wide = max(0.0, min(ax + aw, bx + bw) - max(ax, bx))
    high = max(0.0, min(ay + ah, by + bh) - max(ay, by))
    return wide * high / max(1e-9, aw * ah + bw * bh - wide * high)


def exported(line: Line, out: Path) -> None:
    """Twice: the second one finds everything as it was."""
    for _ in range(2):
        done = inspector(
            "dataset", "export", "--since", "1d", "--out", out, "--config", line.config
        )
        _say(done.stdout + done.stderr)
        assert done.returncode == 0, done
    assert "added: 0; labelled anew: 0" in done.stdout, done.stdout


def compared(out: Path, expected: Mapping[str, Expected]) -> float:
    """By how many pixels the worst corner is off, as the trainer reads the set."""
    from training.data.opening import check_pictures, open_data_set  # noqa: PLC0415 - cv2 is slow

    data_set = open_data_set(out)
    check_pictures(data_set)
    manifest = json.loads((out / "manifest.json").read_text())
    names = {picture["sha256"][:20]: picture["unit_id"] for picture in manifest["pictures"]}
    boards = {names[board.picture.stem]: board for board in (*data_set.train, *data_set.test)}
    wanted = {unit for unit, one in expected.items() if one.is_in}
    assert boards.keys() == wanted, boards.keys() ^ wanted
    worst_px = 0.0
    for unit in wanted:
        board, labels = boards[unit], expected[unit].boxes
        found = sorted(
            zip((data_set.classes[n] for n in board.classes), board.boxes.tolist(), strict=True)
        )
        corners = sorted((code, [x, y, x + w, y + h]) for code, (x, y, w, h) in labels)
        assert [code for code, _ in found] == [code for code, _ in corners], (unit, found, corners)
        for (_, box), (_, corner) in zip(found, corners, strict=True):
            worst_px = max(worst_px, *(abs(a - b) for a, b in zip(box, corner, strict=True)))
    _say(f"{len(wanted)} boards, {sum(len(one.boxes) for one in expected.values())} boxes compared")
    return worst_px


def trained(out: Path, folder: Path, minutes: float) -> int:
    """`make train`, then `make evaluate`, with nothing done in between."""
    model = folder / "model.onnx"
    arguments = {
        "train": f"--minutes {minutes} --resume deploy/triton/float/pcb_detector/1/model.onnx "
        f"--processes 1 --out {folder / 'run'} --model {model}",
        "evaluate": f"--model {model}",
    }
    quiet = os.environ | {"OMP_NUM_THREADS": "1"}
    for target, said in arguments.items():
        command = ["nice", "-n", "19", "make", target, f"DATA={out}", f"ARGS={said}"]
        done = subprocess.run(command, cwd=ROOT, env=quiet, check=False)
        if done.returncode:
            _say(f"make {target} ended with {done.returncode}")
            return 1
    return 0


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main())
