import contextlib
import re
import threading

import pytest

from inspector.core.errors import EndOfFootageError
from inspector.sources.files.footage import FootageSource
from inspector.sources.files.uri import FileUri
from tests.kit.recordings import FRAMES, every_frame, record, source


def states(frames):
    return "".join("." if isinstance(pixels, bytes) else "x" for _, pixels in frames)


@pytest.mark.parametrize(
    ("name", "codec", "options", "counted"),
    [
        ("index_first.mp4", "mpeg4", {"movflags": "faststart"}, True),
        ("fragments.mp4", "mpeg4", {"movflags": "frag_keyframe+empty_moov"}, False),
        ("line.mkv", "mpeg4", {}, True),
        ("line.avi", "mjpeg", {}, False),
        ("jpegs.mov", "mjpeg", {"movflags": "faststart"}, True),
    ],
)
def test_the_pictures_of_a_file_that_broke_off_are_missed(tmp_path, name, codec, options, counted):
    path = record(tmp_path / name, codec=codec, options=options)
    assert states(every_frame(source(path))) == "." * FRAMES
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    frames = every_frame(source(path))
    seen = states(frames)
    assert re.fullmatch(r"\.+x+", seen)
    assert "broke off" in str(frames[-1][1])
    if counted:
        assert len(frames) == pytest.approx(FRAMES, abs=1)


def test_a_looped_file_that_broke_off_misses_the_same_pictures_each_time(tmp_path):
    path = record(tmp_path / "line.mp4", options={"movflags": "faststart"})
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    once = every_frame(source(path))
    twice = every_frame(source(path, query="?loop=1"), limit=2 * len(once))
    assert states(twice) == states(once) * 2


def test_a_broken_off_copy_has_as_many_pictures_as_the_whole(shared):
    def seen(name):
        folder = shared / "cases/cam/video-cut-short"
        footage = FootageSource(
            FileUri(path=folder / name), size=None, pace="max", stop=threading.Event()
        )
        footage.open()
        count = 0
        with contextlib.suppress(EndOfFootageError):
            while True:
                footage.grab()
                count += 1
        footage.close()
        return count

    assert seen("fs.mp4") == seen("fs_cut.mp4") == 40
