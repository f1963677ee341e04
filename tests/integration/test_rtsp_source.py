import contextlib
import itertools
import threading
import time
import traceback
import zlib
from pathlib import Path

import av
import numpy as np
import pytest

from inspector.core.errors import CameraUnavailableError
from inspector.core.records import CameraId
from inspector.sources.opening import Opening
from inspector.sources.registry import parse_source
from tests.kit.rtsp_server import RtspServer, Serving, make_certificate

LINE = (Path(__file__).parents[2] / "../shared/data/line/amber.mp4").resolve()
LINE_SIZE = (1280, 720)
PATTERN_SIZE = (640, 360)
PASSWORD = "s3cret:/@ü%"  # every kind of character that a URL has another use for
MS = 1_000_000

needs_line = pytest.mark.skipif(not LINE.exists(), reason="no line video beside the checkout")


@pytest.fixture(scope="module", autouse=True)
def _gstreamer():
    if (missing := RtspServer.missing()) is not None:
        pytest.skip(missing)


@contextlib.contextmanager
def opened(url, *, size=PATTERN_SIZE, read_timeout_s=1.0, connect_timeout_s=5.0, **more):
    camera = parse_source(url).make_source(
        Opening(
            camera_id=CameraId("left"),
            size=size,
            read_timeout_s=read_timeout_s,
            connect_timeout_s=connect_timeout_s,
            stop=threading.Event(),
            pace="recorded",
            **more,
        )
    )
    try:
        camera.open()
        yield camera
    finally:
        camera.close()


def fingerprint(frame):
    return zlib.crc32(np.ascontiguousarray(frame.to_ndarray(format="yuv420p")).tobytes())


def age_ms(grabbed):
    return (time.monotonic_ns() - grabbed.captured_mono_ns) / MS


def grab_until_lost(camera, limit_s=10.0):
    """(ages of the frames that still came, error, seconds it took)."""
    ages_ms = []
    started_s = time.monotonic()
    while time.monotonic() - started_s < limit_s:
        try:
            ages_ms.append(age_ms(camera.grab()))
        except CameraUnavailableError as error:
            return ages_ms, error, time.monotonic() - started_s
    pytest.fail("the lost camera was not noticed")


def everything_in(error):
    """Every text through which an exception could tell what it knows."""
    texts = ["".join(traceback.format_exception(error))]
    pending = [error]
    while pending:
        one = pending.pop()
        texts += [str(one), repr(one), repr(one.args), repr(vars(one))]
        pending += [e for e in (one.__cause__, one.__context__) if e is not None]
    return " ".join(texts)


@needs_line
def test_frames_arrive_on_time_and_bit_for_bit_as_the_camera_sent_them():
    with av.open(str(LINE)) as container:
        frames = itertools.islice(container.decode(video=0), 120)
        sent = [fingerprint(frame) for frame in frames]
    image = np.empty((720, 1280, 3), np.uint8)
    with RtspServer(Serving(video=LINE)) as server, opened(server.url(), size=LINE_SIZE) as camera:
        started_s = time.monotonic()
        received, ages_ms, captured_ns = [], [], []
        for _ in range(60):
            grabbed = camera.grab()
            ages_ms.append(age_ms(grabbed))
            captured_ns.append(grabbed.captured_mono_ns)
            camera.retrieve_into(image)
            received.append(fingerprint(camera._current.frame))
            assert abs(time.time_ns() - grabbed.captured_unix_ns) < 1000 * MS
        took_s = time.monotonic() - started_s
    first = sent.index(received[0])
    assert received == sent[first : first + 60]
    assert 1.5 < took_s < 4
    assert sorted(ages_ms)[30] < 100
    assert all(b > a for a, b in itertools.pairwise(captured_ns))
    assert image.std() > 20


@needs_line
def test_the_first_picture_does_not_wait_for_a_second_key_frame():
    with RtspServer(Serving(video=LINE)) as server:
        started_s = time.monotonic()
        with opened(server.url(), size=LINE_SIZE) as camera:
            grabbed = camera.grab()
            assert time.monotonic() - started_s < 2
            assert age_ms(grabbed) < 200


def test_a_killed_camera_is_noticed_at_once_and_comes_back():
    with RtspServer() as server, opened(server.url()) as camera:
        for _ in range(10):
            camera.grab()
        server.kill()
        _, error, took_s = grab_until_lost(camera)
        assert took_s < 1
        assert str(server.port) in str(error)
        with pytest.raises(CameraUnavailableError, match="nothing listens"):
            camera.open()
        server.start()
        camera.open()
        assert age_ms(camera.grab()) < 500


def test_a_frozen_camera_is_noticed_and_its_last_frame_shows_its_age():
    with RtspServer() as server, opened(server.url(), read_timeout_s=1.0) as camera:
        for _ in range(30):
            camera.grab()
        server.stop()
        ages_ms, error, took_s = grab_until_lost(camera)
        assert took_s < 2.6
        assert "nothing came" in str(error)
        # What FFmpeg held back comes at its first timeout: fresh by arrival, a second old in truth.
        assert ages_ms
        assert 800 < ages_ms[-1] < 1500
        camera.close()
        server.cont()
        camera.open()
        assert age_ms(camera.grab()) < 500


def test_a_camera_that_freezes_while_connecting_is_given_up():
    with RtspServer() as server:
        server.stop()
        started_s = time.monotonic()
        with (
            pytest.raises(CameraUnavailableError, match="no answer within 1 s"),
            opened(server.url(), connect_timeout_s=1.0),
        ):
            pass
        assert time.monotonic() - started_s < 3


def test_the_cameras_own_clock_tells_the_wall_time():
    with RtspServer() as server, opened(server.url()) as camera:
        deadline_s = time.monotonic() + 15
        while camera._connection._sender._report is None and time.monotonic() < deadline_s:
            camera.grab()
        grabbed = camera.grab()
        assert camera._connection._sender._report is not None
        report_pts_ns, report_unix_ns = camera._connection._sender._report
        # The same time of day, less its PTS: ours would differ by the way through the network.
        offset_ns = grabbed.captured_unix_ns - report_unix_ns + report_pts_ns
        frame = camera._current.frame
        assert abs(frame.pts * 1_000_000_000 * frame.time_base - offset_ns) < MS
        assert abs(time.time_ns() - grabbed.captured_unix_ns) < 1000 * MS


@pytest.mark.parametrize("digest", [True, False])
def test_a_login_is_accepted_in_the_url_and_beside_it(digest):
    serving = Serving(user="cam era", password=PASSWORD, digest=digest)
    with RtspServer(serving) as server:
        with opened(server.url(user="cam era", password=PASSWORD)) as camera:
            assert camera.grab().captured_mono_ns > 0
        with opened(server.url(user="cam era"), password=PASSWORD) as camera:
            assert camera.grab().captured_mono_ns > 0


@pytest.mark.parametrize("digest", [True, False])
def test_a_wrong_password_is_explained_and_shown_nowhere(digest, capfd):
    with RtspServer(Serving(user="cam", password=PASSWORD, digest=digest)) as server:
        for url, more in (
            (server.url(user="cam", password="wr0ng:/@"), {}),
            (server.url(user="cam"), {"password": "wr0ng:/@"}),
        ):
            with pytest.raises(CameraUnavailableError, match="401") as refusal, opened(url, **more):
                pass
            told = everything_in(refusal.value)
            assert "wr0ng" not in told
            assert f"rtsp://cam@127.0.0.1:{server.port}/camera" in told
    shown = "".join(capfd.readouterr())
    assert "wr0ng" not in shown
    assert "s3cret" not in shown


def test_a_password_is_shown_nowhere_when_the_camera_is_lost_or_sends_another_size():
    with RtspServer(Serving(user="cam", password=PASSWORD)) as server:
        url = server.url(user="cam", password=PASSWORD)
        with pytest.raises(CameraUnavailableError) as refusal, opened(url, size=(800, 600)):
            pass
        with opened(url) as camera:
            server.kill()
            _, error, _ = grab_until_lost(camera)
            with pytest.raises(CameraUnavailableError) as down:
                camera.open()
        for told in map(everything_in, (refusal.value, error, down.value)):
            assert "s3cret" not in told


def test_another_size_than_expected_is_refused_with_both_sizes():
    with (
        RtspServer() as server,
        pytest.raises(CameraUnavailableError, match=r"640x360.*1280x720"),
        opened(server.url(), size=(1280, 720)),
    ):
        pass


def test_a_size_that_changes_in_mid_stream_loses_the_camera():
    with (
        RtspServer(Serving(pattern_size=PATTERN_SIZE, resize_after_s=2.0)) as server,
        opened(server.url()) as camera,
    ):
        ages_ms, error, _ = grab_until_lost(camera)
    assert ages_ms
    assert "320x180" in str(error)
    assert "640x360" in str(error)


def test_the_size_of_a_camera_can_be_asked_for():
    with RtspServer() as server:
        assert parse_source(server.url()).probe_size(Opening()) == PATTERN_SIZE


def test_a_path_or_port_or_host_that_is_not_there_is_named():
    with RtspServer() as server:
        wrong = server.url().replace("/camera", "/nothing")
        with pytest.raises(CameraUnavailableError, match="404"), opened(wrong):
            pass
    with pytest.raises(CameraUnavailableError, match="nothing listens"), opened(server.url()):
        pass
    with (
        pytest.raises(CameraUnavailableError, match="host name"),
        opened("rtsp://no-such-host.invalid/x"),
    ):
        pass


def test_an_encrypted_camera_is_verified_by_its_authority(tmp_path):
    (tmp_path / "other").mkdir()
    certificate = make_certificate(tmp_path)
    stranger = make_certificate(tmp_path / "other")
    serving = Serving(user="cam", password=PASSWORD, certificate=certificate)
    with RtspServer(serving) as server:
        url = server.url(user="cam", password=PASSWORD)
        with opened(url, tls_ca=certificate) as camera:
            camera.grab()
        with (
            pytest.raises(CameraUnavailableError, match="certificate") as refusal,
            opened(url, tls_ca=stranger),
        ):
            pass
        assert "s3cret" not in everything_in(refusal.value)


def test_stopping_while_waiting_for_a_picture_ends_the_wait():
    stop = threading.Event()
    with RtspServer() as server:
        camera = parse_source(server.url()).make_source(
            Opening(
                camera_id=CameraId("left"),
                size=PATTERN_SIZE,
                read_timeout_s=1.0,
                connect_timeout_s=5.0,
                stop=stop,
                pace="recorded",
            )
        )
        camera.open()
        stop.set()
        ages_ms, error, _ = grab_until_lost(camera)
        camera.close()
    assert len(ages_ms) <= 2  # what was decoded before
    assert "stopped" in str(error)
