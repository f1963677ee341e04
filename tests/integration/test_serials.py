"""Codes on real and drawn pictures, read beside an event loop."""

from __future__ import annotations

import asyncio
import itertools
import json
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
import zxingcpp

from inspector.core.geometry import outline_box_px
from inspector.core.records import Image, Outline
from inspector.ops.metrics import Metrics
from inspector.serials import serial_reader
from inspector.serials.agreement import AgreedSerial, Code, SerialQuality
from inspector.serials.codes import grey_picture, read_codes
from inspector.serials.serial_reader import MAX_WAITING, SerialReader
from inspector.settings.unit_sections import SerialFormat, SerialSettings
from inspector.simulation.belt import SimulatedView
from inspector.simulation.options import SimulationOptions, View

ALL_FORMATS: tuple[SerialFormat, ...] = ("DataMatrix", "QRCode", "Code128")
FORMATS = {
    "DataMatrix": zxingcpp.BarcodeFormat.DataMatrix,
    "QRCode": zxingcpp.BarcodeFormat.QRCode,
    "Code128": zxingcpp.BarcodeFormat.Code128,
}
VIDEOS = ("amber", "dark_slow", "green_harsh")
LONG_S = 60.0


def label(text: str, format_name: str = "DataMatrix") -> Image:
    """A code with a pixel per module, black on white."""
    barcode = zxingcpp.create_barcode(text, FORMATS[format_name])
    grey = np.array(zxingcpp.write_barcode_to_image(barcode, scale=1, add_quiet_zones=True))
    return np.asarray(cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR), np.uint8)


def inverted(picture: Image) -> Image:
    return np.asarray(255 - picture, np.uint8)


def scene(
    picture: Image, *, module_px: float, turn_deg: float = 0.0, at: tuple[int, int] = (640, 360)
) -> Image:
    """A label on a 720p frame, with some lens blur and sensor noise."""
    fine = cv2.resize(picture, None, fx=8, fy=8, interpolation=cv2.INTER_NEAREST)
    fine = cv2.GaussianBlur(fine, (0, 0), max(0.3, 3.6 / module_px))
    height, width = fine.shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), turn_deg, module_px / 8)
    matrix[:, 2] += np.array(at) - (width / 2, height / 2)
    frame = np.full((720, 1280, 3), 110, np.uint8)
    cv2.warpAffine(fine, matrix, (1280, 720), frame, borderMode=cv2.BORDER_TRANSPARENT)
    noise = np.random.default_rng(5).normal(0, 4, frame.shape)
    blurred = cv2.GaussianBlur(frame, (0, 0), 0.6)
    return np.clip(blurred + noise, 0, 255).astype(np.uint8)


def texts(frame: Image, outline: Outline | None = None, *, enlarged: bool = False) -> list[str]:
    found = read_codes(grey_picture(frame, outline), ALL_FORMATS, enlarged=enlarged)
    return sorted(code.text for code in found)


def outcomes(metrics: Metrics) -> dict[str, float]:
    labels = (quality.value for quality in SerialQuality)
    values = {
        name: metrics.registry.get_sample_value("inspector_serials_total", {"outcome": name})
        for name in labels
    }
    assert None not in values.values(), "a series is missing before its first count"
    return {name: value for name, value in values.items() if value}


async def serial_of(
    frames: Sequence[tuple[Image, Outline | None]], timeout_s: float = LONG_S, **settings: Any
) -> tuple[AgreedSerial, dict[str, float]]:
    metrics = Metrics([], [])
    reader = SerialReader(SerialSettings(**settings), metrics=metrics)
    unit = reader.unit()
    for frame, outline in frames:
        lent = frame.copy()
        unit.read(lent, outline)
        lent[:] = 0  # released, and used for the next frame
    serial = await unit.serial(timeout_s)
    await reader.close(wait_s=LONG_S)
    return serial, outcomes(metrics)


@pytest.mark.parametrize("turn_deg", [0, 3, -3, 10, -10, 90, 180])
@pytest.mark.parametrize("format_name", ALL_FORMATS)
def test_each_format_is_read_though_turned(format_name: str, turn_deg: float) -> None:
    frame = scene(label("PCB-1100001", format_name), module_px=3, turn_deg=turn_deg)
    assert texts(frame) == ["PCB-1100001"]


@pytest.mark.parametrize("format_name", ["DataMatrix", "QRCode"])
def test_light_on_dark_as_lasers_mark_it_is_read(format_name: str) -> None:
    assert texts(scene(inverted(label("PCB-1", format_name)), module_px=4)) == ["PCB-1"]


@pytest.mark.parametrize("format_name", ALL_FORMATS)
def test_small_modules_are_read_at_the_second_look(format_name: str) -> None:
    frame = scene(label("PCB-1100001", format_name), module_px=2, turn_deg=3)

    async def main() -> None:
        serial, _ = await serial_of([(frame, None)])
        assert (serial.text, serial.format) == ("PCB-1100001", format_name)

    asyncio.run(main(), debug=True)


def test_the_next_units_code_is_not_this_ones() -> None:
    this, other = label("PCB-1"), label("PCB-2")
    frame = scene(this, module_px=4, at=(300, 360))
    right = scene(other, module_px=4, at=(900, 360))
    frame[:, 640:] = right[:, 640:]
    outline = Outline(centre_x_px=320, centre_y_px=360, width_px=560, height_px=600, turn_deg=2)
    assert texts(frame) == ["PCB-1", "PCB-2"]
    assert texts(frame, outline) == ["PCB-1"]


def test_a_code_beside_a_turned_unit_is_not_its_own() -> None:
    frame = scene(label("PCB-1"), module_px=4, at=(640, 360))
    beside = scene(label("PCB-2"), module_px=4, at=(450, 110))
    frame[:200, :500] = beside[:200, :500]
    outline = Outline(centre_x_px=640, centre_y_px=360, width_px=300, height_px=500, turn_deg=20)
    left, top, *_ = outline_box_px(outline)
    assert left < 450
    assert top < 110
    assert texts(frame) == ["PCB-1", "PCB-2"]
    assert texts(frame, outline) == ["PCB-1"]
    assert texts(frame, outline, enlarged=True) == ["PCB-1"]


def test_a_code_at_the_very_edge_of_a_unit_is_read() -> None:
    frame = scene(label("PCB-1"), module_px=4, at=(300, 360))
    outline = Outline(centre_x_px=500, centre_y_px=360, width_px=456, height_px=600, turn_deg=0)
    assert texts(frame, outline) == ["PCB-1"]


@pytest.mark.parametrize(
    "text",
    ["[)>\x1e06\x1dP123\x1dT456\x1e\x04", "a\0b", "a\nb", "x" * 65, "y" * 2000, "   ", "a\u202eb"],
)
def test_what_cannot_be_a_serial_is_none(text: str) -> None:
    symbol = np.kron(label(text, "QRCode"), np.ones((4, 4, 1), np.uint8))
    assert len(zxingcpp.read_barcodes(symbol)) == 1, "the code itself can be read"
    assert texts(symbol) == []


@pytest.mark.parametrize(
    ("text", "quality", "said"),
    [
        ("[)>\x1e06\x1dP12345-67\x1dSABC123\x1e\x04", SerialQuality.GOOD, "ABC123"),
        ("P12345\x1dSABC123", SerialQuality.GOOD, "ABC123"),
        ("A" * 65, SerialQuality.REFUSED, "65 characters"),
        ("PCB-000129\tREV2", SerialQuality.REFUSED, r"'PCB-000129\tREV2', which holds TAB"),
    ],
)
def test_a_code_that_was_read_is_never_called_unreadable(
    text: str, quality: SerialQuality, said: str
) -> None:
    frame = np.kron(label(text), np.ones((6, 6, 1), np.uint8))

    async def main() -> None:
        serial, counted = await serial_of([(frame, None), (frame, None)])
        assert serial.quality is quality
        assert said in (serial.text or serial.detail)
        assert serial.detail.isprintable()
        assert counted == {quality.value: 1}

    asyncio.run(main(), debug=True)


def test_the_codes_of_the_case_are_read(shared: Path) -> None:
    folder = shared / "cases/cam/serial-refused-is-called-unreadable"
    if not folder.exists():
        pytest.skip("no such case beside the checkout")
    found = []
    for file in sorted(folder.glob("*.png")):
        refused: list[str] = []
        picture = grey_picture(np.asarray(cv2.imread(str(file)), np.uint8), None)
        codes = read_codes(picture, ALL_FORMATS, on_refused=refused.append)
        found.append(([code.text for code in codes], len(refused)))
    assert found == [(["ABC123"], 0), (["ABC123"], 0), ([], 1), ([], 1)]


@pytest.mark.parametrize("size", [(1, 1), (1, 1280), (720, 1), (2048, 2448)])
def test_pictures_of_any_size_without_a_code_have_none(size: tuple[int, int]) -> None:
    assert texts(np.full((*size, 3), 90, np.uint8)) == []


def test_an_outline_beyond_the_frame_shows_no_code() -> None:
    outline = Outline(centre_x_px=-900, centre_y_px=9000, width_px=50, height_px=40, turn_deg=9)
    assert texts(np.full((72, 128, 3), 90, np.uint8), outline) == []


def test_frames_that_disagree_claim_no_serial() -> None:
    frames = [(scene(label(text), module_px=4), None) for text in ("PCB-1", "PCB-2", "PCB-1")]

    async def main() -> None:
        serial, counted = await serial_of(frames)
        assert (serial.text, serial.quality) == (None, SerialQuality.CONFLICT)
        assert counted == {"conflict": 1}

    asyncio.run(main(), debug=True)


def test_a_frame_without_a_code_makes_a_serial_less_sure() -> None:
    frames: list[tuple[Image, Outline | None]] = [
        (scene(label("PCB-1"), module_px=4), None),
        (np.full((720, 1280, 3), 90, np.uint8), None),
    ]

    async def main() -> None:
        serial, counted = await serial_of(frames)
        assert (serial.text, serial.quality) == ("PCB-1", SerialQuality.PARTIAL)
        assert (serial.frames_read, serial.frames) == (1, 2)
        assert counted == {"partial": 1}

    asyncio.run(main(), debug=True)


def test_a_slow_reading_holds_up_neither_the_verdict_nor_the_loop() -> None:
    busy = np.random.default_rng(2).integers(0, 256, (6000, 6000, 3), np.uint8)

    async def main() -> None:
        reader = SerialReader(SerialSettings(timeout_ms=30), metrics=Metrics([], []))
        slow, behind = reader.unit(), reader.unit()
        slow.read(busy)
        for _ in range(3):
            behind.read(scene(label("PCB-1"), module_px=4))
        beats = asyncio.create_task(longest_gap_s(0.5))
        started_s = time.monotonic()
        assert (await slow.serial()).quality is SerialQuality.LATE
        assert time.monotonic() - started_s < 1  # the picture takes more than two
        assert (await behind.serial()).quality is SerialQuality.LATE
        assert await beats < 0.4
        # Nobody waits for the rest: it is passed over, and the next unit is read.
        later = reader.unit()
        later.read(scene(label("PCB-3"), module_px=4))
        assert (await later.serial(LONG_S)).text == "PCB-3"
        await reader.close(wait_s=LONG_S)

    asyncio.run(main(), debug=True)


async def longest_gap_s(for_s: float) -> float:
    end_s = time.monotonic() + for_s
    longest_s, last_s = 0.0, time.monotonic()
    while last_s < end_s:
        await asyncio.sleep(0.005)
        longest_s, last_s = max(longest_s, time.monotonic() - last_s), time.monotonic()
    return longest_s


def test_more_pictures_than_may_wait_are_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = np.full((40, 40, 3), 90, np.uint8)
    may_go_on = threading.Event()

    def slow_codes(*asked: Any, **options: Any) -> tuple[Code, ...]:
        may_go_on.wait(LONG_S)
        return read_codes(*asked, **options)

    monkeypatch.setattr(serial_reader, "read_codes", slow_codes)

    async def main() -> None:
        reader = SerialReader(SerialSettings(), metrics=Metrics([], []))
        unit = reader.unit()
        for _ in range(MAX_WAITING * 3):
            unit.read(frame)
        refused = sum(reading.done() for reading in unit._readings)
        may_go_on.set()
        serial = await unit.serial(LONG_S)
        await reader.close(wait_s=LONG_S)
        assert MAX_WAITING * 2 - 1 <= refused <= MAX_WAITING * 2
        assert serial.quality is SerialQuality.LATE

    asyncio.run(main(), debug=True)


def test_a_unit_without_frames_has_no_serial_at_once() -> None:
    async def main() -> None:
        serial, counted = await serial_of([])
        assert (serial.text, serial.quality) == (None, SerialQuality.NOT_LOOKED)
        assert counted == {"not_looked": 1}

    asyncio.run(main(), debug=True)


def test_every_simulated_board_has_its_serial() -> None:
    boards = 6
    options = SimulationOptions(view=View.STROBE, boards=boards, products=2)
    view = SimulatedView(options, (1280, 720))
    frame = np.empty((720, 1280, 3), np.uint8)
    for index in range(boards):
        view.render_into(index, frame)
        assert texts(frame) == [view.label(index)]


@pytest.mark.parametrize("video", VIDEOS)
def test_every_board_of_the_line_videos_has_its_serial(shared: Path, video: str) -> None:
    truth = json.loads((shared / "data" / "line" / f"{video}.json").read_text())
    readings = shown_boards(shared / "data" / "line" / f"{video}.mp4", truth)

    async def main() -> None:
        for board in truth["boards"]:
            serial, _ = await serial_of(readings[board["number"]], pattern=r"PCB-\d{7}")
            assert (serial.text, serial.quality) == (board["serial"], SerialQuality.GOOD)

    asyncio.run(main(), debug=True)


def shown_boards(
    video: Path, truth: dict[str, Any]
) -> dict[int, list[tuple[Image, Outline | None]]]:
    """Three frames of each board on its way from left to right, with its outline."""
    params, boards = truth["params"], truth["boards"]
    wanted: dict[int, list[tuple[dict[str, Any], int]]] = {}
    for board in boards:
        first, last = board["frame_fully_in"], board["frame_starts_leaving"] - 1
        for index in (first, (first + last) // 2, last):
            wanted.setdefault(index, []).append((board, index - first))
    readings: dict[int, list[tuple[Image, Outline | None]]] = {b["number"]: [] for b in boards}
    with av.open(str(video)) as container:
        for index, picture in zip(itertools.count(), container.decode(video=0), strict=False):
            for board, since in wanted.get(index, ()):
                outline = Outline(
                    centre_x_px=since * params["speed"] + params["board_width"] / 2,
                    centre_y_px=board["top_px"] + params["board_height"] / 2,
                    width_px=params["board_width"],
                    height_px=params["board_height"],
                    turn_deg=board["rotation_deg"],
                )
                frame = np.asarray(picture.to_ndarray(format="bgr24"), np.uint8)
                readings[board["number"]].append((frame, outline))
    return readings
