"""What is written to standard error: JSON lines for machines, colour for people, secrets never."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
import threading
from http.client import HTTPConnection

import pytest

from tests.kit.inspector_command import (
    environment,
    settings_file,
    started,
    watched_on_terminal,
)

CANARIES = {
    "the URL of a camera": "canary-camera-url",
    "the path of a camera": "canary-camera-path",
    "the password of a camera": "canary-camera-key",
    "the URL of Redis": "canary-redis-url",
    "the password of Redis": "canary-redis-key",
    "the token of Triton": "canary-triton",
    "the token of the HTTP side": "canary-http",
}

SPEAKING = """
import logging, sys, warnings
from pathlib import Path
import structlog
from inspector.ops.log import configure_logging
from inspector.settings.sections import LogSettings

configure_logging(LogSettings(level="debug", format=sys.argv[1]), {"canary-1", "canary-canary-1"})
log = structlog.get_logger("test")
log.info("plain", number=1, text="Lötstelle \\n \\x1b[31m", path=Path("/x"), name="\\udcff")
log.info("large", number=2**70)
log.info("canary-1 in the event", key="value canary-1", bytes=b"canary-1")
log.warning("nested", deep={"list": ["canary-canary-1", ("canary-1",)], "n": None})
log.warning("url", url="rtsp://viewer:canary-1@h/x", other="redis://:canary-2@h")
log.error("broken", error=ValueError("canary-1"))
try:
    raise RuntimeError("rtsp://viewer:canary-2@h and canary-1")
except RuntimeError:
    log.exception("raised")
logging.getLogger("library").warning("canary-1 of %s", "a library")
logging.getLogger("library").info("a library's chatter")
try:
    1 / 0
except ZeroDivisionError:
    logging.getLogger("library").exception("a library's failure")
warnings.warn("a warning of canary-1")
"""


def spoken(form: str) -> list[str]:
    ended = subprocess.run(
        [sys.executable, "-c", SPEAKING, form],
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert ended.stdout == ""
    assert "canary" not in ended.stderr
    return ended.stderr.splitlines()


@pytest.mark.parametrize("form", ["auto", "json"])
def test_every_line_in_a_pipe_is_json_whatever_was_said_and_by_whom(form):
    lines = [json.loads(line) for line in spoken(form)]
    events = [line["event"] for line in lines]
    assert events.pop(1) == "large"
    assert events[:6] == ["plain", "*** in the event", "nested", "url", "broken", "raised"]
    assert lines[0]["text"] == "Lötstelle \n \x1b[31m"
    assert (lines[0]["path"], lines[0]["name"]) == ("/x", "?")
    assert lines.pop(1)["number"] == str(2**70)
    assert (lines[1]["key"], lines[1]["bytes"]) == ("value ***", "***")
    assert lines[2]["deep"] == {"list": ["***", ["***"]], "n": None}
    assert lines[3]["url"] == "rtsp://viewer:***@h/x"
    assert lines[4]["error"] == "***"
    assert lines[5]["exception"].endswith("RuntimeError: rtsp://viewer:***@h and ***")
    assert "*** of a library" in events
    assert "a library's chatter" not in events
    assert "ZeroDivisionError" in lines[events.index("a library's failure")]["exception"]
    assert "a warning of ***" in events[-1]
    for line in lines:
        assert line["level"] in ("info", "warning", "error")
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", line["timestamp"])


def test_the_console_form_is_for_people_and_plain_in_a_pipe():
    lines = spoken("console")
    assert any("[info     ] plain" in line for line in lines)
    assert not any(line.startswith("{") for line in lines)


def test_on_a_terminal_the_form_is_for_people():
    exit_code, shown = watched_on_terminal([sys.executable, "-c", SPEAKING, "auto"])
    assert exit_code == 0
    assert "\x1b[" in shown
    assert "plain" in shown
    assert '"event"' not in shown
    assert "canary" not in shown


def test_no_secret_leaves_the_service_by_any_way(tmp_path):
    """Everything is away, so that everything complains."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))  # and nobody listens
        away = f"127.0.0.1:{bound.getsockname()[1]}"
        camera = (
            f'[cameras.one]\nsource = "rtsp://viewer:{CANARIES["the URL of a camera"]}@{away}/x"\n'
            'size = "64x64"\n'
            f'[cameras.two]\nsource = "rtsp://viewer@{away}/user=a&'
            f'password={CANARIES["the path of a camera"]}"\nsize = "64x64"\n'
            f'password = "{CANARIES["the password of a camera"]}"\n'
        )
        more = (
            f'[inference]\nurl = "{away}"\ntoken = "{CANARIES["the token of Triton"]}"\n'
            f'[redis]\nurl = "redis://u:{CANARIES["the URL of Redis"]}@{away}/0"\n'
            f'password = "{CANARIES["the password of Redis"]}"\n'
            f'[http]\nport = 0\ntoken = "{CANARIES["the token of the HTTP side"]}"\n'
            '[log]\nlevel = "debug"\n'
        )
        file = settings_file(tmp_path, more, camera=camera)
        with started("run", "--config", file, cwd=tmp_path) as service:
            log, shown = _until_all_is_down(service)
            service.send_signal(signal.SIGTERM)
            rest, errors = service.communicate(timeout=30)
        assert service.returncode == 0, errors
        log += errors.splitlines()
    assert rest == ""
    lines = [json.loads(line) for line in log]
    assert lines[-1]["event"] == "stopped"
    kept = b"".join(path.read_bytes() for path in (tmp_path / "state").rglob("*") if path.is_file())
    assert b"camera" in kept, "the journal holds what is wrong"
    for place, canary in CANARIES.items():
        assert canary not in "\n".join(log), f"{place} in the log"
        assert canary not in shown, f"{place} in the HTTP side"
        assert canary.encode() not in kept, f"{place} in the journal"


def _until_all_is_down(service: subprocess.Popen[str]) -> tuple[list[str], str]:
    """The log up to then, and all that the HTTP side shows."""
    assert service.stderr is not None
    giving_up = threading.Timer(60, service.kill)
    giving_up.start()
    log: list[str] = []
    missing, url = {("camera", 2), ("triton", 1), ("redis", 1)}, ""
    for line in service.stderr:
        log.append(line.rstrip())
        said = json.loads(line)
        url = said.get("http", url)
        events = [json.loads(earlier)["event"] for earlier in log]
        if url and all(events.count(f"{part} down") >= number for part, number in missing):
            break
    giving_up.cancel()
    assert url, log
    return log, "".join(_shown(url, path) for path in ("/", "/metrics", "/readyz", "/api/status"))


def _shown(url: str, path: str) -> str:
    connection = HTTPConnection(url.removeprefix("http://"), timeout=10)
    token = CANARIES["the token of the HTTP side"]
    connection.request("GET", path, headers={"Authorization": f"Bearer {token}"})
    reply = connection.getresponse()
    body = reply.read().decode()
    connection.close()
    assert reply.status in (200, 503)
    return body


def test_a_secret_too_short_to_be_told_from_words_does_not_blank_them():
    from inspector.ops.log import _Redaction  # noqa: PLC0415 - the rule, without a process

    clean = _Redaction({"in", "", "longer"})
    assert clean(None, "info", {"event": "in the log, longer"}) == {"event": "in the log, ***"}
