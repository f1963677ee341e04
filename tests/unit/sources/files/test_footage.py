import contextlib
import itertools
import re
import struct
import threading
import time
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspector.core.errors import CameraUnavailableError, EndOfFootageError, FrameUnreadableError
from inspector.sources.files.folder import natural_order
from inspector.sources.files.footage import FootageSource, Schedule
from inspector.sources.files.uri import FileUri
from inspector.sources.registry import parse_source

SIZE = (160, 120)
FRAMES = 25
S = 1_000_000_000


def still(number, size=SIZE):
    width, height = size
    canvas = np.zeros((height, width, 3), np.uint8)
    canvas[:, :, 1] = np.linspace(0, 255, width).astype(np.uint8)
    cv2.putText(canvas, str(number), (20, 80), cv2.FONT_HERSHEY_SIMPLEX, 2, (255, 255, 255), 3)
    return canvas


def record(path, frames=FRAMES, size=SIZE, codec="mpeg4", options=None):
    with av.open(str(path), "w", options=options or {}) as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height = size
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.codec_context.gop_size = 5
        for number in range(frames):
            frame = av.VideoFrame.from_ndarray(still(number, size), format="bgr24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


@pytest.fixture
def video(tmp_path):
    return record(tmp_path / "line.mp4")


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "shots"
    folder.mkdir()
    for number in (10, 9, 100, 1):
        cv2.imwrite(str(folder / f"Shot{number}.png"), still(number))
    (folder / "notes.txt").write_text("not a picture")
    return folder


def source(path, *, size=SIZE, pace="max", query="", stop=None):
    uri = parse_source(f"file:{path}{query}")
    assert isinstance(uri, FileUri)
    return FootageSource(uri, size=size, pace=pace, stop=stop or threading.Event())


def every_frame(footage, limit=1000):
    """(label, pixels or the reason there are none) until the end."""
    frames: list[tuple[str | None, bytes | str]] = []
    footage.open()
    try:
        for _ in range(limit):
            grabbed = footage.grab()
            image = np.full((SIZE[1], SIZE[0], 3), 7, np.uint8)
            try:
                footage.retrieve_into(image)
                frames.append((grabbed.label, image.tobytes()))
            except FrameUnreadableError as unreadable:
                frames.append((grabbed.label, str(unreadable)))
    except EndOfFootageError:
        pass
    finally:
        footage.close()
    return frames


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


def test_a_folder_of_the_same_frames_gives_the_same_bytes(video, tmp_path):
    exported = tmp_path / "export"
    exported.mkdir()
    from_video = every_frame(source(video))
    for number, (_, pixels) in enumerate(from_video):
        image = np.frombuffer(pixels, np.uint8).reshape(SIZE[1], SIZE[0], 3)
        cv2.imwrite(str(exported / f"{number}.png"), image)
    from_folder = every_frame(source(exported))
    assert [pixels for _, pixels in from_folder] == [pixels for _, pixels in from_video]


def test_pictures_come_in_the_order_a_person_expects_with_their_names(folder):
    frames = every_frame(source(folder))
    assert [label for label, _ in frames] == ["Shot1.png", "Shot9.png", "Shot10.png", "Shot100.png"]
    assert frames[1][1] == still(9).tobytes()


def test_natural_order_sorts_digits_by_value():
    names = ["b10", "b9", "a", "B1", "10", "2", "x²", "b09"]
    assert sorted(names, key=natural_order) == ["2", "10", "a", "B1", "b09", "b9", "b10", "x²"]


words = st.text("aAbB_- .²é", max_size=3)
parts = words | st.sampled_from(["0", "1", "9", "09", "10", "010"])
names = st.lists(parts, max_size=4).map("".join) | st.text(max_size=8)


@given(st.lists(names, unique=True), st.randoms())
def test_pictures_have_one_order_however_the_folder_lists_them(listed, shuffling):
    ordered = sorted(listed, key=natural_order)
    shuffling.shuffle(listed)
    assert sorted(listed, key=natural_order) == ordered
    keys = [natural_order(name) for name in ordered]
    assert all(before < after for before, after in itertools.pairwise(keys)), "no two are equal"


@given(
    before=words,
    numbers=st.dictionaries(st.integers(0, 10**6), st.integers(0, 7), min_size=1),
    after=words,
)
def test_numbered_pictures_are_in_the_order_of_their_numbers_with_zeros_or_without(
    before, numbers, after
):
    listed = {number: f"{before}{number:0{width}}{after}" for number, width in numbers.items()}
    assert sorted(listed.values(), key=natural_order) == [listed[n] for n in sorted(numbers)]


@given(st.lists(words))
def test_words_are_in_the_order_of_a_dictionary(listed):
    folded = [name.casefold() for name in sorted(listed, key=natural_order)]
    assert folded == sorted(folded)


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


def test_a_damaged_picture_is_named_and_the_next_one_comes(folder):
    whole = (folder / "Shot9.png").read_bytes()
    (folder / "Shot9.png").write_bytes(whole[: len(whole) // 2])
    (folder / "Shot10.png").write_bytes(b"")
    frames = every_frame(source(folder))
    assert frames[0][1] == still(1).tobytes()
    assert "Shot9.png" in str(frames[1][1])
    assert "Shot10.png" in str(frames[2][1])
    assert frames[3][1] == still(100).tobytes()


def test_a_jpeg_cut_short_is_unreadable_rather_than_half_grey(tmp_path):
    encoded = cv2.imencode(".jpg", still(1))[1].tobytes()
    (tmp_path / "cut.jpg").write_bytes(encoded[: len(encoded) * 2 // 3])
    assert "cut.jpg" in str(every_frame(source(tmp_path))[0][1])


def test_a_picture_of_another_size_is_named_with_both_sizes(folder):
    cv2.imwrite(str(folder / "Shot9.png"), still(9, (80, 60)))
    message = str(every_frame(source(folder))[1][1])
    assert "Shot9.png" in message
    assert "80x60" in message
    assert "160x120" in message


def test_a_picture_that_vanishes_is_unreadable(folder):
    footage = source(folder)
    footage.open()
    (folder / "Shot1.png").unlink()
    footage.grab()
    with pytest.raises(FrameUnreadableError, match="Shot1"):
        footage.retrieve_into(np.zeros((SIZE[1], SIZE[0], 3), np.uint8))


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


def test_the_size_is_found_where_none_is_expected(video, folder):
    for path in (video, folder):
        footage = source(path, size=None)
        assert footage.size is None
        footage.open()
        assert footage.size == SIZE
        footage.close()


@pytest.mark.parametrize("size", [(120, 160), (320, 240)])
def test_a_video_of_another_size_is_refused_with_both_sizes(video, size):
    with pytest.raises(CameraUnavailableError, match=rf"160x120.*{size[0]}x{size[1]}"):
        source(video, size=size).open()


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


def turned(path, matrix):
    """The same MP4 with another display matrix in its video track's header."""
    content = bytearray(path.read_bytes())
    at = content.index(b"tkhd") + 4 + 40
    struct.pack_into(">9i", content, at, *(value << 16 for value in matrix[:8]), 1 << 30)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("matrix", "shown"),
    [
        ((0, 1, 0, -1, 0, 0, 0, 0), lambda stored: np.rot90(stored, -1)),
        ((-1, 0, 0, 0, -1, 0, 0, 0), lambda stored: np.rot90(stored, 2)),
        ((0, -1, 0, 1, 0, 0, 0, 0), lambda stored: np.rot90(stored, 1)),
        ((-1, 0, 0, 0, 1, 0, 0, 0), lambda stored: stored[:, ::-1]),
        ((1, 0, 0, 0, -1, 0, 0, 0), lambda stored: stored[::-1]),
        ((0, 1, 0, 1, 0, 0, 0, 0), lambda stored: stored.transpose(1, 0, 2)),
    ],
    ids=["90", "180", "270", "mirrored", "upside down in a mirror", "transposed"],
)
def test_a_video_is_shown_as_it_says(video, matrix, shown):
    def first(footage):
        footage.open()
        footage.grab()
        image = np.zeros((footage.size[1], footage.size[0], 3), np.uint8)
        footage.retrieve_into(image)
        notes = footage.notes
        footage.close()
        return image, notes

    stored, said = first(source(video, size=None))
    assert said == ()
    image, said = first(source(turned(video, matrix), size=None))
    assert np.array_equal(image, shown(stored))
    [note] = said
    a, b, _, c, d, *_ = matrix
    assert ("mirror" in note) == (a * d - b * c < 0)


def test_a_video_shown_slanted_is_refused(video):
    with pytest.raises(CameraUnavailableError, match="slanted or stretched"):
        source(turned(video, (1, 1, 0, 0, 1, 0, 0, 0))).open()


def test_a_portrait_video_whose_first_picture_is_torn_is_shown_upright(video):
    with av.open(str(video)) as container:
        first = next(container.demux(video=0))
        assert first.pos is not None
        torn = slice(first.pos + 20, first.pos + first.size)
    turned(video, (0, 1, 0, -1, 0, 0, 0, 0))
    content = bytearray(video.read_bytes())
    content[torn] = bytes(torn.stop - torn.start)
    video.write_bytes(content)
    footage = source(video, size=(SIZE[1], SIZE[0]))
    footage.open()
    assert footage.size == (SIZE[1], SIZE[0])
    image = np.zeros((SIZE[0], SIZE[1], 3), np.uint8)
    readable = []
    with contextlib.suppress(EndOfFootageError):
        for number in range(FRAMES + 10):
            footage.grab()
            with contextlib.suppress(FrameUnreadableError):
                footage.retrieve_into(image)
                readable.append(number)
    footage.close()
    assert readable == list(range(5, FRAMES)), "what is drawn from a torn key frame is torn"
    shown = np.rot90(still(FRAMES - 1), -1)
    assert np.abs(image.astype(int) - shown).mean() < 12


def test_the_size_of_a_turned_video_is_that_shown(shared):
    path = shared / "cases/cam/video-rotation/rp_90.mp4"
    footage = source(path, size=(1280, 360))
    footage.open()
    assert footage.size == (1280, 360)
    footage.close()
    with pytest.raises(CameraUnavailableError, match="1280x360 pixels, expected 360x1280"):
        source(path, size=(360, 1280)).open()


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
    assert footage.notes == ("the file holds 2 videos: only the first is looked at",)
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


def test_a_name_that_is_no_utf8_is_shown_with_a_replacement_character(folder):
    (folder / "Shot9.png").rename(folder / "Sh\udcfct9.png")
    (folder / "Shot10.png").write_bytes(b"damaged")
    (folder / "Shot10.png").rename(folder / "Shot10\udcff\x1b[2J\n.png")
    frames = every_frame(source(folder))
    labels = [label for label, _ in frames]
    assert "Sh\ufffdt9.png" in labels
    assert "Shot10\ufffd\ufffd[2J .png" in labels
    for label, pixels in frames:
        str(label).encode()
        if isinstance(pixels, str):
            pixels.encode()


def test_hidden_files_are_no_pictures_and_other_kinds_are_said(folder):
    for name in ("._Shot1.png", ".DS_Store", "Thumbs.db", "new.webp", "other.heic", ".hidden.webp"):
        (folder / name).write_bytes(b"whatever")
    footage = source(folder)
    footage.open()
    [note] = footage.notes
    assert "2 files of other kinds are left out" in note
    assert ".webp" in note
    footage.close()
    assert len(every_frame(footage)) == 4


def test_each_page_of_a_tiff_comes_with_its_number(tmp_path):
    pages = [still(1), still(2), still(3)]
    assert cv2.imwritemulti(str(tmp_path / "b.tif"), pages)
    cv2.imwrite(str(tmp_path / "a.tif"), still(7))
    frames = every_frame(source(tmp_path))
    assert [label for label, _ in frames] == [
        "a.tif",
        "b.tif page 1",
        "b.tif page 2",
        "b.tif page 3",
    ]
    assert [pixels for _, pixels in frames] == [still(n).tobytes() for n in (7, 1, 2, 3)]


def record_sound(path):
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        stream.layout = "mono"
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), "s16", "mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path
