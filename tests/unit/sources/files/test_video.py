import threading
from pathlib import Path

import av
import numpy as np
import pytest

from inspector.core.errors import CameraUnavailableError, EndOfFootageError
from inspector.sources.files.footage import FootageSource
from inspector.sources.files.uri import FileUri
from tests.kit.recordings import FRAMES, SIZE, every_frame, source, still


def test_every_frame_of_a_video_comes_once_and_in_order(video):
    frames = every_frame(source(video))
    assert len(frames) == FRAMES
    for number, (label, pixels) in enumerate(frames):
        assert label is None
        image = np.frombuffer(pixels, np.uint8).reshape(SIZE[1], SIZE[0], 3)
        assert np.abs(image.astype(int) - still(number)).mean() < 12


def test_replaying_a_video_gives_the_same_bytes_every_time(video):
    footage = source(video)
    assert every_frame(footage) == every_frame(footage) == every_frame(source(video))


def test_damage_inside_a_video_costs_frames_but_not_the_rest(video):
    damaged = bytearray(video.read_bytes())
    with av.open(str(video)) as container:
        victim = [p for p in container.demux(video=0) if p.size][11]
        assert victim.pos is not None
        damaged[victim.pos : victim.pos + victim.size] = bytes(victim.size)
    video.write_bytes(damaged)
    frames = every_frame(source(video))
    assert len(frames) >= FRAMES - 1
    assert isinstance(frames[-1][1], bytes)


@pytest.mark.parametrize("size", [(120, 160), (320, 240)])
def test_a_video_of_another_size_is_refused_with_both_sizes(video, size):
    with pytest.raises(CameraUnavailableError, match=rf"160x120.*{size[0]}x{size[1]}"):
        source(video, size=size).open()


def test_a_source_can_be_opened_again_after_the_end(video):
    footage = source(video)
    assert len(every_frame(footage)) == len(every_frame(footage)) == FRAMES


def test_grabbing_from_closed_footage_says_so(video):
    with pytest.raises(CameraUnavailableError, match="not open"):
        source(video).grab()


def test_the_example_line_video_is_read_to_its_end():
    line = Path(__file__).parents[4] / "../shared/data/line/amber.mp4"
    if not line.exists():
        pytest.skip("no line video beside the checkout")
    footage = source(line.resolve(), size=(1280, 720))
    footage.open()
    for _ in range(1268):
        footage.grab()
    with pytest.raises(EndOfFootageError):
        footage.grab()
    footage.close()


def test_several_videos_in_a_file_are_said(tmp_path):
    path = tmp_path / "two.mkv"
    with av.open(str(path), "w") as container:
        streams = [container.add_stream("mpeg4", rate=25) for _ in range(2)]
        for stream in streams:
            stream.width, stream.height = SIZE
            stream.pix_fmt = "yuv420p"
        for number in range(5):
            for stream in streams:
                frame = av.VideoFrame.from_ndarray(still(number), format="bgr24")
                container.mux(stream.encode(frame))
        for stream in streams:
            container.mux(stream.encode())
    footage = source(path)
    footage.open()
    assert footage.notes == ("the file holds 2 videos: only the first is inspected",)
    footage.close()


def test_an_interlaced_video_is_said(tmp_path):
    path = tmp_path / "fields.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg2video", rate=25, options={"flags": "+ilme+ildct"})
        stream.width, stream.height = (160, 128)
        stream.pix_fmt = "yuv420p"
        for number in range(5):
            frame = av.VideoFrame.from_ndarray(still(number, (160, 128)), format="bgr24")
            frame = frame.reformat(format="yuv420p")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    footage = source(path, size=(160, 128))
    footage.open()
    assert "interlaced" in " ".join(footage.notes)
    footage.close()


@pytest.mark.parametrize(
    "name",
    [
        "10:30.mp4",
        "cam1:line.mp4",
        "what?.mp4",
        "100%.mp4",
        "a%20b.mp4",
        "shot%03d.mp4",
        "g\udcfcn.mp4",
    ],
)
def test_a_video_may_be_called_anything(video, name, monkeypatch):
    monkeypatch.chdir(video.parent)
    video.rename(name)
    footage = FootageSource(FileUri(path=Path(name)), size=SIZE, pace="max", stop=threading.Event())
    assert len(every_frame(footage)) == FRAMES
