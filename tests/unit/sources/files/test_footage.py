import itertools
import threading
import time

import av
import cv2
import numpy as np
import pytest

from inspector.core.errors import CameraUnavailableError
from inspector.sources.files.footage import Schedule
from tests.kit.recordings import FRAMES, SIZE, every_frame, source

S = 1_000_000_000


def test_a_folder_of_the_same_frames_gives_the_same_bytes(video, tmp_path):
    exported = tmp_path / "export"
    exported.mkdir()
    from_video = every_frame(source(video))
    for number, (_, pixels) in enumerate(from_video):
        image = np.frombuffer(pixels, np.uint8).reshape(SIZE[1], SIZE[0], 3)
        cv2.imwrite(str(exported / f"{number}.png"), image)
    from_folder = every_frame(source(exported))
    assert [pixels for _, pixels in from_folder] == [pixels for _, pixels in from_video]


def test_a_looped_video_goes_on_with_rising_time_stamps(video):
    footage = source(video, query="?loop=1")
    frames = every_frame(footage, limit=2 * FRAMES + 3)
    assert len(frames) == 2 * FRAMES + 3
    assert frames[FRAMES : 2 * FRAMES] == frames[:FRAMES]
    footage.open()
    positions = []
    for _ in range(2 * FRAMES + 3):
        footage.grab()
        assert footage._footage is not None
        positions.append(footage._footage.position_ns)
    footage.close()
    assert {b - a for a, b in itertools.pairwise(positions)} == {S // 25}


def test_a_looped_folder_starts_over(folder):
    labels = [label for label, _ in every_frame(source(folder, query="?loop=1"), limit=6)]
    assert labels[4:] == ["Shot1.png", "Shot9.png"]


def test_recorded_pace_takes_as_long_as_the_recording(video):
    started_s = time.monotonic()
    frames = every_frame(source(video, pace="recorded"))
    assert len(frames) == FRAMES
    assert time.monotonic() - started_s >= (FRAMES - 1) / 25


def test_the_uri_overrides_the_pace_and_the_rate(folder, video):
    started_s = time.monotonic()
    every_frame(source(video, pace="recorded", query="?pace=max"))
    every_frame(source(video, pace="recorded", query="?fps=500"))
    every_frame(source(folder, pace="recorded", query="?fps=500"))
    assert time.monotonic() - started_s < (FRAMES - 1) / 25


def test_stopping_ends_the_wait_for_the_next_frame(folder):
    stop = threading.Event()
    footage = source(folder, pace="recorded", query="?fps=0.01", stop=stop)
    footage.open()
    footage.grab()
    threading.Timer(0.05, stop.set).start()
    started_s = time.monotonic()
    footage.grab()
    footage.close()
    assert time.monotonic() - started_s < 10


def test_a_late_reader_moves_the_schedule_instead_of_causing_a_burst():
    schedule = Schedule()
    assert schedule.wait_s(0, 5 * S) == 0
    assert schedule.wait_s(1 * S, 5 * S) == 1
    assert schedule.wait_s(2 * S, 9 * S) == 0  # two seconds late
    assert schedule.wait_s(3 * S, 9 * S) == 1


def test_the_size_is_found_where_none_is_expected(video, folder):
    for path in (video, folder):
        footage = source(path, size=None)
        assert footage.size is None
        footage.open()
        assert footage.size == SIZE
        footage.close()


def test_footage_that_is_not_there_or_no_footage_is_refused(tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    text = tmp_path / "text.mp4"
    text.write_text("no video")
    hollow = tmp_path / "hollow.mp4"
    hollow.touch()
    sound = record_sound(tmp_path / "sound.wav")
    for path, reason in (
        (tmp_path / "nowhere.mp4", "no such file"),
        (empty, "no pictures"),
        (text, "not a video"),
        (hollow, "not a video"),
        (sound, "no video"),
    ):
        with pytest.raises(CameraUnavailableError, match=reason):
            source(path).open()


def record_sound(path):
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        stream.layout = "mono"
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), "s16", "mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path
