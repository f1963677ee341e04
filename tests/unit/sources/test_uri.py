import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspector.sources.files.uri import FileUri
from inspector.sources.registry import named_source, parse_source
from inspector.sources.rtsp.uri import RtspUri
from inspector.sources.simulated.uri import SimulatedUri
from inspector.sources.uri import redact
from inspector.sources.v4l2.uri import V4l2Uri

SECRET = "s3cret:/@"
ENCODED = "s3cret%3A%2F%40"


def test_a_network_camera_is_taken_apart_and_put_together_again():
    camera = parse_source(f"rtsp://cam:{ENCODED}@10.0.0.7:8554/h264?ch=1")
    assert camera == RtspUri(
        scheme="rtsp",
        host="10.0.0.7",
        port=8554,
        target="/h264?ch=1",
        user="cam",
        password=SECRET,
    )
    assert isinstance(camera, RtspUri)
    assert camera.url() == f"rtsp://cam:{ENCODED}@10.0.0.7:8554/h264?ch=1"


def test_a_camera_prints_without_its_password():
    camera = parse_source(f"rtsps://cam:{ENCODED}@host/live")
    assert str(camera) == "rtsps://cam@host:322/live"
    assert "s3cret" not in repr(camera) + str(camera)


def test_an_address_may_be_ipv6_and_have_no_path():
    camera = parse_source("rtsp://[fe80::1]")
    assert isinstance(camera, RtspUri)
    assert camera.url() == "rtsp://[fe80::1]:554/"


@given(user=st.text(min_size=1), password=st.text())
def test_every_login_survives_the_way_into_the_url(user, password):
    camera = RtspUri(scheme="rtsp", host="h", port=554, target="/", user=user, password=password)
    again = parse_source(camera.url())
    assert isinstance(again, RtspUri)
    assert (again.user, again.password) == (user, password)


def test_a_usb_camera_has_a_device_and_options():
    assert parse_source("v4l2:/dev/video0?fourcc=MJPG&fps=30") == V4l2Uri(
        device=Path("/dev/video0"), fourcc="MJPG", fps=30.0
    )
    assert parse_source("v4l2:/dev/v4l/by-id/usb-0") == V4l2Uri(device=Path("/dev/v4l/by-id/usb-0"))


@pytest.mark.parametrize(
    ("uri", "footage"),
    [
        ("file:line.mp4", FileUri(path=Path("line.mp4"))),
        ("file:/a b/100%25.mp4", FileUri(path=Path("/a b/100%25.mp4"))),
        ("file:///a%20b/line.mp4", FileUri(path=Path("/a b/line.mp4"))),
        ("file://localhost/x", FileUri(path=Path("/x"))),
        (
            "file:shots?loop=1&pace=max&fps=2.5",
            FileUri(path=Path("shots"), loop=True, pace="max", fps=2.5),
        ),
        ("FILE:x?loop=0&pace=recorded", FileUri(path=Path("x"), pace="recorded")),
    ],
)
def test_footage_has_a_path_and_options(uri, footage):
    assert parse_source(uri) == footage


def test_the_simulations_options_are_passed_on():
    assert parse_source("sim:?seed=7&fps=20") == SimulatedUri(options={"seed": "7", "fps": "20"})
    assert parse_source("sim:") == SimulatedUri(options={})


@pytest.mark.parametrize(
    ("uri", "names"),
    [
        ("", ["''", "rtsp://", "sim:"]),
        ("camera1", ["'camera1'", "file:PATH"]),
        ("http://10.0.0.7/video", ["'http://***'", "rtsp://"]),
        ("gige:x", ["gige:x", "v4l2:"]),
        ("rtsp:/10.0.0.7/x", ["host"]),
        ("rtsp://", ["host"]),
        ("rtsp://:554/x", ["host"]),
        ("rtsp://host:port/x", ["host[:port]"]),
        ("rtsp://host:/x", ["host[:port]"]),
        ("rtsp://host:70000/x", ["host[:port]"]),
        ("rtsp://host:0/x", ["host[:port]"]),
        ("rtsp://ho st/x", ["host"]),
        ("rtsp://[::1/x", ["host"]),
        ("v4l2:0", ["'v4l2:0'", "/dev/video0"]),
        ("v4l2:/dev/video0?fourcc=MJPEG", ["fourcc", "four letters"]),
        ("v4l2:/dev/video0?fps=fast", ["fps"]),
        ("v4l2:/dev/video0?fps=0", ["fps"]),
        ("v4l2:/dev/video0?fps=nan", ["fps"]),
        ("v4l2:/dev/video0?width=640", ["width", "fourcc, fps"]),
        ("file:", ["path"]),
        ("file:?loop=1", ["path"]),
        ("file://server/share/x.mp4", ["this machine"]),
        ("file:x?loop=yes", ["loop=1"]),
        ("file:x?pace=slow", ["pace=recorded"]),
        ("file:x?loop", ["name=value"]),
        ("file:x?loop=1&loop=0", ["once"]),
        ("sim:seed=7", ["question mark"]),
    ],
)
def test_a_wrong_source_is_refused_in_one_sentence(uri, names):
    with pytest.raises(ValueError, match="is not a camera source") as refusal:
        parse_source(uri)
    assert "\n" not in str(refusal.value)
    for name in names:
        assert name in str(refusal.value)


@pytest.mark.parametrize(
    "uri",
    [
        f"rtsp://cam:{SECRET}@10.0.0.7/x",
        "rtsp://cam:s3cret@ho st/x",
        "rtsp://cam:s3cret@h:99999/x",
        "rtsp://cam:se@s3cret@10.0.0.7/x",
        "rtsp://cam:[s3cret@10.0.0.7/x",
        "http://cam:s3cret@10.0.0.7/x",
        "rtps://10.0.0.7/x?user=a&password=s3cret&ch=1",
        "rtps://10.0.0.7/user=a_password=s3cret_channel=1.sdp",
    ],
)
def test_a_refusal_shows_no_password(uri):
    with pytest.raises(ValueError, match="is not a camera source") as refusal:
        parse_source(uri)
    assert "s3cret" not in str(refusal.value)
    assert refusal.value.__context__ is None or "s3cret" not in str(refusal.value.__context__)


def test_redacting_keeps_what_is_no_secret():
    assert (
        redact("rtsp://10.0.0.7:554/live?ch=1 refused") == "rtsp://10.0.0.7:554/live?ch=1 refused"
    )
    assert redact("opening rtsp://cam:x@h/live now") == "opening rtsp://cam:***@h/live now"
    assert redact("rtsp://h/?pwd=x&ch=2") == "rtsp://h/?pwd=***&ch=2"


@pytest.mark.parametrize(
    ("uri", "realtime", "simulated", "replayed"),
    [
        ("rtsp://h/x", True, False, False),
        ("v4l2:/dev/video0", True, False, False),
        ("file:x.mp4", False, False, True),
        ("sim:", True, True, False),
    ],
)
def test_events_can_say_where_a_frame_came_from(uri, realtime, simulated, replayed):
    found = parse_source(uri).traits
    assert (found.realtime, found.simulated, found.replayed) == (realtime, simulated, replayed)


def test_settings_can_check_a_source_without_loading_opencv_or_pyav():
    code = (
        "import sys, inspector.sources.registry\n"
        "sys.exit(bool({'cv2', 'av', 'numpy'} & sys.modules.keys()))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    "text",
    ["x" * 300_000, "a://" * 75_000, "a://u:" * 50_000, "pwd=" * 75_000, "rtsp://" + "u" * 300_000],
)
def test_redacting_long_text_takes_no_time(text):
    """A line of the log that took minutes would hold up every verdict."""
    before_s = time.process_time()
    redact(text)
    assert time.process_time() - before_s < 20  # a fraction of a second; it was minutes


UNENCODED = [
    "12#34",
    "12/34",
    "12?34",
    "12#3/4",
    "12/3#4",
    "1:2/34",
    "#1234",
    "/1234",
    "?1234",
    "12/3@4",
]


@pytest.mark.parametrize("password", UNENCODED)
@pytest.mark.parametrize("host", ["192.0.2.1", "cam.local", "cam", "[fe80::1]", "192.0.2.1:8554"])
def test_a_password_that_was_not_encoded_is_refused_and_nothing_of_it_shown(password, host):
    with pytest.raises(ValueError, match="the password percent-encoded") as refusal:
        parse_source(f"rtsp://admin:{password}@{host}/stream")
    assert str(refusal.value).startswith("'rtsp://***' is not a camera source")
    assert "12" not in str(refusal.value)


@pytest.mark.parametrize(
    "uri",
    [
        "rtsp://admin:p@ss/word@192.0.2.1/stream",
        "rtsp://admin:p@ss#word@cam/stream",
        "rtsp://admin:p@ss?word@cam.local/stream",
        "rtsp://user/na:me@host/x",
    ],
)
def test_a_password_of_which_a_part_reads_as_the_host_is_refused(uri):
    with pytest.raises(ValueError, match=r"rtsp://\*\*\*"):
        parse_source(uri)


@pytest.mark.parametrize(
    ("uri", "host", "target"),
    [
        ("rtsp://192.0.2.1:554/live/a@b", "192.0.2.1", "/live/a@b"),
        ("rtsp://cam/live/a@b", "cam", "/live/a@b"),
        ("rtsp://cam:s3cret@cam.local/live/ch@2", "cam.local", "/live/ch@2"),
        ("rtsp://cam.local:554/user=a_password=b_channel=1.sdp", "cam.local", None),
        ("rtsp://[fe80::1]:554/a@b", "fe80::1", "/a@b"),
        ("rtsp://cam:554/live?time=10:30", "cam", "/live?time=10:30"),
        ("rtsp://cam/live#t=10", "cam", "/live"),
    ],
)
def test_an_at_sign_of_the_cameras_own_path_is_left_alone(uri, host, target):
    camera = parse_source(uri)
    assert isinstance(camera, RtspUri)
    assert camera.host == host
    assert target in {None, camera.target}


@pytest.mark.parametrize(
    "name",
    ["10:30.mp4", "cam1:line.mp4", "file:cam1:line.mp4", "what?.mp4", "sim:", "rtsp:x", "a%3Fb"],
)
def test_a_file_that_is_there_is_meant_as_it_is_called(name):
    assert named_source(name, exists=True) == FileUri(path=Path(name))


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("10:30.mp4", FileUri(path=Path("10:30.mp4"))),
        ("./cam1:line.mp4", FileUri(path=Path("cam1:line.mp4"))),
        ("file:cam1:line.mp4", FileUri(path=Path("cam1:line.mp4"))),
        ("file:///dir/what%3F.mp4", FileUri(path=Path("/dir/what?.mp4"))),
        ("file:pictures?fps=30&loop=1", FileUri(path=Path("pictures"), fps=30.0, loop=True)),
        ("pictures?fps=30", FileUri(path=Path("pictures"), fps=30.0)),
        ("sim:?seed=1", SimulatedUri(options={"seed": "1"})),
    ],
)
def test_else_a_uri_is_read_and_everything_else_is_a_path(text, meant):
    assert named_source(text, exists=False) == meant


def test_another_protocol_is_refused():
    with pytest.raises(ValueError, match="is not a camera source"):
        named_source("http://10.0.0.7/line.mp4", exists=False)
