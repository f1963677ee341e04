"""What a camera or a proxy leaves out between its pictures is noticed, over TCP too."""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np
import pytest

from inspector.core.errors import FrameUnreadableError
from inspector.core.records import CameraId
from inspector.sources.opening import Opening
from inspector.sources.registry import parse_source
from tests.kit.cables import LeakyCable
from tests.kit.rtsp_server import RtspServer, Serving

SIZE = (640, 360)
PICTURES = 60
LOST_AT = 20


def causes(codec: str, lose: Callable[[LeakyCable], None] | None, *, renumbers: bool) -> list[str]:
    """Why each picture of the camera could not be used; empty where it could."""
    if (missing := RtspServer.missing()) is not None:
        pytest.skip(missing)
    found = []
    image = np.empty((SIZE[1], SIZE[0], 3), np.uint8)
    with (
        RtspServer(Serving(pattern_size=SIZE, fps=20, codec=codec)) as server,
        LeakyCable(server.port, renumbers=renumbers) as cable,
    ):
        camera = parse_source(server.url().replace(str(server.port), str(cable.port))).make_source(
            Opening(
                camera_id=CameraId("top"),
                size=SIZE,
                read_timeout_s=2.0,
                connect_timeout_s=5.0,
                stop=threading.Event(),
                pace="recorded",
            )
        )
        camera.open()
        try:
            for number in range(PICTURES):
                if number == LOST_AT and lose is not None:
                    lose(cable)
                camera.grab()
                try:
                    camera.retrieve_into(image)
                except FrameUnreadableError as error:
                    found.append(str(error).split(": ", 1)[-1])
                else:
                    found.append("")
        finally:
            camera.close()
    return found


@pytest.mark.parametrize("codec", ["h264", "mjpeg"])
def test_a_camera_that_leaves_nothing_out_is_believed(codec: str) -> None:
    assert causes(codec, None, renumbers=False) == [""] * PICTURES


@pytest.mark.parametrize("renumbers", [False, True])
def test_after_a_lost_picture_nothing_is_believed_before_the_next_key_frame(
    *, renumbers: bool
) -> None:
    found = causes("h264", LeakyCable.lose_picture, renumbers=renumbers)
    unusable = [number for number, cause in enumerate(found) if cause]
    assert "a picture never arrived" in found
    assert unusable == list(range(unusable[0], unusable[-1] + 1)), "it is believed in between"
    assert LOST_AT <= unusable[0] <= unusable[-1] < PICTURES - 1, "it is not believed again"


def test_after_a_lost_packet_nothing_is_believed_before_the_next_key_frame() -> None:
    found = causes("h264", LeakyCable.lose_packet, renumbers=False)
    unusable = [number for number, cause in enumerate(found) if cause]
    assert "RTP packets never arrived" in found[unusable[0]]
    assert unusable == list(range(unusable[0], unusable[-1] + 1))
    assert unusable[-1] < PICTURES - 1


@pytest.mark.parametrize("lose", [LeakyCable.lose_picture, LeakyCable.lose_packet])
def test_a_lost_picture_of_a_camera_that_sends_stills_costs_itself(
    lose: Callable[[LeakyCable], None],
) -> None:
    found = causes("mjpeg", lose, renumbers=False)
    assert [cause for cause in found if cause] == ["a picture never arrived"]
