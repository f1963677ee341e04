"""What a camera answers is told in words, with its number; and it is not asked too often."""

import threading

import pytest

from inspector.core.errors import CameraUnavailableError, LoginRefusedError
from inspector.core.records import CameraId
from inspector.sources.opening import Opening
from inspector.sources.registry import parse_source
from inspector.sources.rtsp.camera import RtspSource
from inspector.sources.rtsp.probe import first_refusal
from inspector.sources.rtsp.uri import RtspUri
from tests.kit.scripted_camera import ScriptedCamera

MD5 = 'Digest realm="cam", nonce="n1"'
MD5_QOP = 'Digest realm="cam", nonce="n1", qop="auth", opaque="o"'
SHA_256 = 'Digest realm="cam", nonce="n2", algorithm="SHA-256"'
BASIC = 'Basic realm="cam"'


def refused(camera, login="", **more):
    source = parse_source(camera.url(login)).make_source(
        Opening(
            camera_id=CameraId("top"),
            size=(320, 240),
            read_timeout_s=1.0,
            connect_timeout_s=5.0,
            stop=threading.Event(),
            pace="max",
            **more,
        )
    )
    assert isinstance(source, RtspSource)
    with pytest.raises(CameraUnavailableError) as refusal:
        source.open()
    source.close()
    return refusal.value


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ("400 Bad Request", "is the path right"),
        ("403 Forbidden", "forbids this user"),
        ("404 Stream Not Found", "no stream of this path"),
        ("415 Unsupported Media Type", "in another form"),
        ("451 Parameter Not Understood", "parameter"),
        ("453 Not Enough Bandwidth", "too many viewers"),
        ("454 Session Not Found", "restarted"),
        ("500 Internal Server Error", "internal error"),
        ("503 Service Unavailable", "still starting"),
        ("599 Strange", "refused"),
        ("477 Tea \x1b[2J pot", "refused"),
    ],
)
@pytest.mark.parametrize("method", ["DESCRIBE", "SETUP"])
def test_an_answer_is_told_in_words_with_its_number(answer, words, method):
    with ScriptedCamera(answers={method: answer}) as camera:
        told = str(refused(camera))
    assert words in told
    assert answer[:3] in told
    assert "\x1b" not in told
    assert "host name" not in told


def test_a_camera_that_sends_over_udp_only_is_told_so():
    with ScriptedCamera(answers={"SETUP": "461 Unsupported Transport"}) as camera:
        told = str(refused(camera))
    assert "over TCP (461)" in told
    assert "host name" not in told


@pytest.mark.parametrize("challenge", [MD5, MD5_QOP, BASIC])
def test_an_answer_behind_a_right_login_is_found(challenge):
    with ScriptedCamera(
        answers={"DESCRIBE": "453 Not Enough Bandwidth"}, challenges=(challenge,)
    ) as camera:
        told = str(refused(camera, "cam:right@"))
    assert "453" in told


@pytest.mark.parametrize("challenges", [(SHA_256,), (MD5, SHA_256), (BASIC, SHA_256)])
def test_a_login_that_ffmpeg_cannot_do_is_told_so(challenges):
    with ScriptedCamera(challenges=challenges) as camera:
        error = refused(camera, "cam:right@")
    assert "Digest SHA-256" in str(error)
    assert "FFmpeg cannot do" in str(error)
    assert "401" in str(error)
    assert isinstance(error, LoginRefusedError)


def test_a_wrong_password_is_sent_once_and_not_again_to_learn_why():
    with ScriptedCamera(challenges=(MD5,)) as camera:
        error = refused(camera, "cam:wr0ng@")
        assert len(camera.logins) == 1
    assert "refused user name or password (401)" in str(error)
    assert isinstance(error, LoginRefusedError)


def test_a_password_without_a_user_is_told_so():
    with ScriptedCamera(challenges=(MD5,)) as camera:
        told = str(refused(camera, password="s3cret"))
        nothing = str(refused(camera))
        assert camera.logins == []
    assert "names no user" in told
    assert "401" in told
    assert "s3cret" not in told
    assert "the source has none" in nothing


@pytest.mark.parametrize("challenge", [MD5, MD5_QOP, SHA_256])
def test_the_question_itself_logs_in_with_every_kind_of_digest(challenge):
    with ScriptedCamera(
        answers={"DESCRIBE": "454 Session Not Found"}, challenges=(challenge,)
    ) as camera:
        uri = parse_source(camera.url("cam:right@"))
        assert isinstance(uri, RtspUri)
        answer = first_refusal(uri, timeout_s=5.0, log_in=True)
        assert answer is not None
        assert answer.status == 454
        without = first_refusal(uri, timeout_s=5.0, log_in=False)
        assert without is not None
        assert without.status == 401


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"RTSP/1.0 abc\r\n\r\n",
        b"\xff\xfe" * 40_000,
        b"RTSP/1.0 200 OK\r\nContent-Length: 99999999999\r\n\r\n" + b"x" * 70_000,
        b"RTSP/1.0 200 OK\r\nContent-Length: -5\r\n\r\nm=video\r\na=control:\r\n",
        b"RTSP/1.0 200 OK\r\nContent-Length: 26\r\n\r\nm=video 0 \r\na=control:[::\r\n",
    ],
)
def test_whatever_answers_ends_in_a_sentence(raw):
    with ScriptedCamera(raw=raw) as camera:
        uri = parse_source(camera.url("cam:right@"))
        assert isinstance(uri, RtspUri)
        assert first_refusal(uri, timeout_s=1.0, log_in=True) is None
        error = refused(camera)
    assert str(error).isprintable()
