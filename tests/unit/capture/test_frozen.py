from __future__ import annotations

import time

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from inspector.capture.frozen import FrozenDetector, fingerprint

S = 1_000_000_000
FRAME_NS = S // 30


class Camera:
    def __init__(self, after_s: float = 5.0) -> None:
        self.detector = FrozenDetector(after_ns=round(after_s * S))
        self.now_ns = 0
        self.picture = 0
        self.stamp_ns = 0

    def live(self, seconds: float, *, stamps: bool = True) -> bool:
        for _ in range(round(seconds * 30)):
            self.picture += 1
            self.stamp_ns += FRAME_NS * stamps
            self.now_ns += FRAME_NS
            self.detector.see(self.picture, self.now_ns, self.stamp_ns)
        return self.detector.is_frozen

    def still(self, seconds: float) -> bool:
        for _ in range(round(seconds * 30)):
            self.now_ns += FRAME_NS
            self.stamp_ns += FRAME_NS
            self.detector.see(self.picture, self.now_ns, self.stamp_ns)
        return self.detector.is_frozen


def test_the_same_picture_again_and_again_is_noticed_after_the_set_time() -> None:
    camera = Camera()
    camera.live(2)
    assert not camera.still(4.8)
    assert camera.still(0.4)


def test_standing_time_stamps_are_noticed_even_if_pictures_change() -> None:
    camera = Camera()
    camera.live(2)
    assert camera.live(5.2, stamps=False)


def test_a_stutter_of_a_second_is_no_alarm() -> None:
    camera = Camera()
    for _ in range(20):
        assert not camera.still(1)
        assert not camera.live(0.1)


def test_a_frozen_camera_is_live_again_only_after_pictures_kept_changing() -> None:
    camera = Camera()
    camera.live(1)
    assert camera.still(6)
    assert camera.live(0.2)
    assert camera.still(0.5)
    assert camera.live(0.4)
    assert not camera.live(0.3)


def test_a_gap_without_frames_is_not_a_standing_picture() -> None:
    camera = Camera()
    camera.live(1)
    camera.now_ns += 60 * S
    assert not camera.still(0.5)


def test_a_lost_camera_is_judged_anew() -> None:
    camera = Camera()
    camera.live(1)
    assert camera.still(6)
    camera.detector.reset()
    assert not camera.detector.is_frozen
    assert not camera.still(4)


def test_it_can_be_switched_off() -> None:
    camera = Camera(after_s=0)
    camera.live(1)
    assert not camera.still(3600)


@given(st.lists(st.booleans(), max_size=300))
def test_it_is_never_frozen_without_the_same_picture_for_so_long(changes: list[bool]) -> None:
    detector, same = FrozenDetector(after_ns=S), 0
    picture = 0
    for index, changes_now in enumerate(changes):
        picture += changes_now
        same = 0 if changes_now else same + 1
        was_frozen = detector.is_frozen
        frozen = detector.see(picture, index * FRAME_NS)
        assert was_frozen or not frozen or same * FRAME_NS >= S - FRAME_NS


def test_a_black_picture_with_a_sensors_noise_is_live() -> None:
    rng = np.random.default_rng(1)
    detector = FrozenDetector(after_ns=S)
    for index in range(90):
        noise = (rng.random((120, 160, 3)) < 0.02).astype(np.uint8)
        assert not detector.see(fingerprint(noise), index * FRAME_NS)


def test_the_fingerprint_tells_pictures_apart_and_is_the_same_for_the_same() -> None:
    rng = np.random.default_rng(2)
    picture = rng.integers(0, 255, (720, 1280, 3), np.uint8)
    assert fingerprint(picture) == fingerprint(picture.copy())
    moved = np.roll(picture, 1, axis=1)
    assert fingerprint(moved) != fingerprint(picture)


def test_the_fingerprint_is_cheap() -> None:
    picture = np.zeros((720, 1280, 3), np.uint8)
    costs_s = []
    for _ in range(50):
        before_s = time.thread_time()
        fingerprint(picture)
        costs_s.append(time.thread_time() - before_s)
    assert min(costs_s) < 0.0005
