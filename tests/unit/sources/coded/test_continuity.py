"""Pictures that never came are owed, and nothing is believed that was drawn from them."""

from __future__ import annotations

import zlib
from fractions import Fraction
from functools import cache
from typing import Any

import av
import cv2
import numpy as np
import pytest
from av.error import FFmpegError
from hypothesis import given, settings
from hypothesis import strategies as st

from inspector.sources.coded.continuity import NEVER_CAME, Continuity, Moment, Outcome, Owed
from inspector.sources.coded.packets import packet_of
from inspector.sources.coded.picture_order import Coded

PICTURES, SIZE, RATE = 40, (192, 128), 10
S = 1_000_000_000
X264, X265 = "libx264", "libx265"
QUIET = ":log-level=none:pools=1:frame-threads=1"

STREAMS: dict[str, tuple[str, dict[str, str]]] = {
    "zero latency": (X264, {"tune": "zerolatency", "preset": "ultrafast", "g": "10"}),
    "pyramid of B pictures": (X264, {"x264-params": "bframes=5:b-pyramid=normal:ref=5:keyint=16"}),
    "weighted, long list of references": (X264, {"x264-params": "weightp=2:ref=8:keyint=40"}),
    "open groups": (
        X264,
        {"x264-params": "open-gop=1:bframes=3:keyint=12:min-keyint=12:scenecut=0"},
    ),
    "refresh in parts": (X264, {"x264-params": "intra-refresh=1:keyint=12:bframes=0"}),
    "refresh in parts, B pictures": (X264, {"x264-params": "intra-refresh=1:keyint=12:bframes=2"}),
    "four slices": (X264, {"x264-params": "slices=4:keyint=15:bframes=0"}),
    "small slices": (X264, {"x264-params": "slice-max-size=300:keyint=15"}),
    "interlaced": (X264, {"x264-params": "tff=1:keyint=15"}),
    "baseline": (X264, {"profile": "baseline", "g": "12"}),
    "every picture a key": (X264, {"g": "1"}),
    "one key": (X264, {"x264-params": "keyint=infinite:bframes=0:scenecut=0"}),
    "delimiters and a constant rate": (
        X264,
        {"x264-params": "nal-hrd=cbr:vbv-maxrate=300:vbv-bufsize=300:aud=1:keyint=20", "b": "300k"},
    ),
    "H.265 zero latency": (X265, {"tune": "zerolatency", "x265-params": "keyint=10" + QUIET}),
    "H.265 open groups": (
        X265,
        {"x265-params": "open-gop=1:keyint=12:min-keyint=12:bframes=4:b-pyramid=1" + QUIET},
    ),
    "H.265 closed groups": (X265, {"x265-params": "open-gop=0:keyint=16:bframes=4:ref=5" + QUIET}),
    "H.265 leading pictures": (
        X265,
        {"x265-params": "radl=2:keyint=12:bframes=4:open-gop=0:scenecut=0" + QUIET},
    ),
    "H.265 temporal layers": (
        X265,
        {"x265-params": "temporal-layers=3:keyint=24:bframes=7:b-adapt=0" + QUIET},
    ),
    "H.265 slices": (X265, {"x265-params": "slices=3:keyint=12:weightp=1" + QUIET}),
    "MPEG-4": ("mpeg4", {"g": "12"}),
    "MPEG-4 B pictures": ("mpeg4", {"g": "12", "bf": "2"}),
    "MJPEG": ("mjpeg", {}),
}


@cache
def _pictures() -> list[np.ndarray]:
    noise = np.random.default_rng(0).integers(0, 255, (SIZE[1], 600, 3), np.uint8)
    smooth = cv2.GaussianBlur(noise, (0, 0), 4)
    scene = cv2.normalize(smooth, smooth.copy(), 0, 255, cv2.NORM_MINMAX)
    moving = [np.ascontiguousarray(scene[:, 4 * n : 4 * n + SIZE[0]]) for n in range(PICTURES)]
    return [255 - p if 22 <= n < 27 else p for n, p in enumerate(moving)]  # and it is cut twice


@cache
def _packets(name: str) -> tuple[str, bytes | None, list[tuple[bytes, bool, int]]]:
    encoder_name, options = STREAMS[name]
    encoder: Any = av.CodecContext.create(encoder_name, "w")
    encoder.width, encoder.height = SIZE
    encoder.pix_fmt = "yuvj420p" if encoder_name == "mjpeg" else "yuv420p"
    encoder.framerate, encoder.time_base = Fraction(RATE), Fraction(1, RATE)
    encoder.options = options
    packets = []
    for number, picture in enumerate(_pictures()):
        frame = av.VideoFrame.from_ndarray(picture, format="bgr24")
        frame = frame.reformat(format=encoder.pix_fmt)
        frame.pts = number
        packets += encoder.encode(frame)
    packets += encoder.encode(None)
    codec = {X264: "h264", X265: "hevc"}.get(encoder_name, encoder_name)
    found = [(bytes(p), p.is_keyframe, p.pts or 0) for p in packets]
    return codec, encoder.extradata, found


class Seen:
    """What came of a stream of which some packets were left out."""

    def __init__(self, name: str, *, without: frozenset[int] = frozenset(), timed: bool = True):
        codec, extradata, packets = _packets(name)
        decoder: Any = av.CodecContext.create(codec, "r")
        decoder.extradata = extradata
        decoder.copy_opaque = True
        continuity: Continuity[av.VideoFrame] = Continuity(
            codec, extradata, captured_ns=lambda pts_ns, _: pts_ns or 0
        )
        outcomes: list[Outcome[av.VideoFrame]] = []
        for index, (payload, is_key, pts) in enumerate(packets):
            if index in without:
                continue
            packet = packet_of(payload)
            packet.pts, packet.time_base = pts, Fraction(1, RATE)
            pts_ns = pts * S // RATE if timed else None
            packet.opaque = continuity.sent(payload, is_key=is_key, pts_ns=pts_ns, arrival_ns=0)
            try:
                frames = decoder.decode(packet)
            except FFmpegError:
                outcomes += continuity.refused(pts_ns=pts_ns, arrival_ns=0)
            else:
                outcomes += continuity.decoded(frames, stamp_ns=self._stamp(timed), arrival_ns=0)
        rest = decoder.decode(None)
        outcomes += continuity.decoded(rest, stamp_ns=self._stamp(timed), arrival_ns=0)
        outcomes += continuity.ended()
        self.total = len(outcomes)
        self.believed: dict[int, int] = {
            outcome.frame.pts or 0: zlib.crc32(outcome.frame.to_ndarray().tobytes())
            for outcome in outcomes
            if outcome.frame is not None
        }
        self.causes = [outcome.cause for outcome in outcomes if outcome.frame is None]

    @staticmethod
    def _stamp(timed):
        return lambda frame: frame.pts * S // RATE if timed else None


@pytest.mark.parametrize("timed", [True, False])
@pytest.mark.parametrize("name", STREAMS)
def test_every_picture_of_a_stream_that_came_whole_is_believed(name: str, *, timed: bool) -> None:
    seen = Seen(name, timed=timed)
    assert seen.causes == []
    assert sorted(seen.believed) == list(range(PICTURES))


LEFT_OUT = (1, 5, 6, 7, 12, 13, 19, 20, 21, 26)
TIMES_NEEDED = frozenset({"MPEG-4", "MPEG-4 B pictures", "MJPEG", "every picture a key"})
"""These do not number their pictures."""


@pytest.mark.parametrize(
    ("name", "timed"),
    [(n, timed) for n in STREAMS for timed in (True, False) if timed or n not in TIMES_NEEDED],
)
def test_nothing_is_believed_that_shows_what_was_not_sent(name: str, *, timed: bool) -> None:
    whole = Seen(name).believed
    for left_out in LEFT_OUT:
        if name in TIMES_NEEDED and left_out < 5:  # its rate is not known yet
            continue
        seen = Seen(name, without=frozenset({left_out}), timed=timed)
        wrong = [pts for pts, shown in seen.believed.items() if shown != whole[pts]]
        assert wrong == [], f"without packet {left_out}"


@pytest.mark.parametrize("name", STREAMS)
def test_a_picture_that_never_came_is_owed(name: str) -> None:
    steps_known = 12  # B pictures are shown up to seven places from where they are sent
    for left_out in [n for n in LEFT_OUT if n >= steps_known]:
        seen = Seen(name, without=frozenset({left_out}))
        assert seen.total == PICTURES, f"without packet {left_out}"
        assert len(seen.believed) < PICTURES


@pytest.mark.parametrize("name", ["zero latency", "four slices", "H.265 zero latency"])
def test_the_second_picture_of_a_connection_is_owed_already(name: str) -> None:
    seen = Seen(name, without=frozenset({1}))
    assert seen.total == PICTURES


def test_pictures_are_believed_again_from_the_next_key_frame_on() -> None:
    seen = Seen("zero latency", without=frozenset({14}))
    assert sorted(seen.believed) == [*range(14), *range(20, PICTURES)]
    assert seen.causes == [NEVER_CAME, *["frame_num 5 came after 3"] * 5]
    lost_key = Seen("zero latency", without=frozenset({20}))
    assert sorted(lost_key.believed) == [*range(20), *range(30, PICTURES)]


def test_a_picture_that_nothing_is_drawn_from_costs_only_itself() -> None:
    seen = Seen("MJPEG", without=frozenset({14}))
    assert sorted(set(range(PICTURES)) - set(seen.believed)) == [14]
    assert seen.causes == [NEVER_CAME]


def test_a_refresh_in_parts_heals_a_stream_once_it_began_after_the_loss() -> None:
    seen = Seen("refresh in parts", without=frozenset({14}))
    first_again = min(pts for pts in seen.believed if pts > 14)
    assert 24 < first_again < PICTURES - 1  # the refresh under way at the loss does not count


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(["zero latency", "pyramid of B pictures", "H.265 open groups"]),
    st.frozensets(st.integers(1, PICTURES - 1), max_size=3),
)
def test_whatever_is_left_out_what_is_believed_is_what_was_sent(name, without) -> None:
    whole = Seen(name).believed
    seen = Seen(name, without=without)
    assert all(whole[pts] == shown for pts, shown in seen.believed.items())


def owed(steps: list[float], *, lost_before: int | None = None) -> int:
    """Pictures owed by a stream of stills with these steps between their time stamps."""
    ledger, at_ns, total = Owed(), 0, 0
    for number, step_s in enumerate([0.0, *steps]):
        at_ns += round(step_s * S)
        if number == lost_before:
            ledger.expect()
        moment = Moment(coded=Coded(), pts_ns=at_ns, captured_ns=at_ns)
        total += len(list(ledger.before(moment)))
    return total


def test_a_rate_owes_the_pictures_that_a_hole_has_room_for() -> None:
    steady = [0.2] * 6
    assert owed(steady) == 0
    assert owed([*steady, 0.4, *steady]) == 1
    assert owed([*steady, 1.0, *steady]) == 4
    assert owed([*steady, 0.4], lost_before=7) == 1, "RTP told of the loss: no need to wait"


def test_a_rate_that_halves_or_varies_owes_nothing() -> None:
    assert owed([0.2] * 8 + [0.4] * 20 + [0.2] * 20) == 0
    assert owed([0.2, 0.3, 0.1, 0.25, 0.4, 0.2, 0.13, 0.5] * 5) == 0
    assert owed([0.04, 0.04, 0.08] * 10) == 0
    assert owed([1.0, 7.0, 0.3, 12.0] * 6) == 0, "a camera with a trigger of its own"


def test_a_clock_that_was_set_owes_nothing() -> None:
    ledger, total = Owed(), 0
    for number in range(30):
        stamp_ns = number * S // 5 + (S if number == 15 else 0)
        moment = Moment(coded=Coded(), pts_ns=stamp_ns, captured_ns=number * S // 5)
        total += len(list(ledger.before(moment)))
    assert total == 0
