"""What systemd hears, through a real socket."""

from __future__ import annotations

import os
import socket
from contextlib import suppress

import pytest

from inspector.service.systemd import Notifier


@pytest.fixture(params=["path", "abstract"])
def systemd(request, tmp_path, monkeypatch):
    """A socket that listens as systemd does, named in the environment."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.settimeout(5)
        if request.param == "path":
            listening.bind(str(tmp_path / "notify"))
            monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        else:
            listening.bind("")  # the kernel chooses an abstract name
            name = listening.getsockname()
            monkeypatch.setenv("NOTIFY_SOCKET", "@" + name[1:].decode())
        yield listening


def sends_quietly(notifier: Notifier) -> bool:
    try:
        notifier.send("WATCHDOG=1")
    except OSError:
        return False
    return True


def test_systemd_hears_of_start_progress_and_end(systemd):
    notifier = Notifier()
    notifier.send("READY=1", "STATUS=inspecting")
    notifier.send("WATCHDOG=1")
    notifier.send("STOPPING=1")
    heard = [systemd.recv(4096) for _ in range(3)]
    assert heard == [b"READY=1\nSTATUS=inspecting", b"WATCHDOG=1", b"STOPPING=1"]


def test_without_systemd_nothing_is_sent(monkeypatch):
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)

    def refuse(*_: object) -> None:
        pytest.fail("a socket was made")

    notifier = Notifier()
    monkeypatch.setattr(socket, "socket", refuse)
    assert sends_quietly(notifier)


@pytest.mark.parametrize("address", ["/nowhere/notify", "x" * 200, "vsock:2:1234"])
def test_a_socket_nobody_listens_at_does_no_harm(monkeypatch, address):
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    assert sends_quietly(Notifier())


def test_a_systemd_that_reads_nothing_holds_nothing_up(systemd):
    notifier = Notifier()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as filling:
        filling.setblocking(False)
        with suppress(BlockingIOError):
            for _ in range(100_000):
                filling.sendto(b"x", systemd.getsockname())
            pytest.fail("the socket never filled up")
        assert not notifier.send("READY=1"), "it says so instead of waiting"
        assert not notifier.is_ready_told
    systemd.recv(1)
    assert notifier.send("READY=1")
    assert notifier.is_ready_told


def test_the_watchdog_beats_as_often_as_systemd_asks(monkeypatch):
    monkeypatch.setenv("WATCHDOG_USEC", "2500000")
    monkeypatch.delenv("WATCHDOG_PID", raising=False)
    assert Notifier().watchdog_interval_s == 2.5
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
    assert Notifier().watchdog_interval_s == 2.5


def test_the_watchdog_of_another_process_is_not_ours(monkeypatch):
    monkeypatch.setenv("WATCHDOG_USEC", "2500000")
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid() + 1))
    assert Notifier().watchdog_interval_s is None


@pytest.mark.parametrize("microseconds", [None, "", "soon", "-1"])
def test_without_a_watchdog_there_is_no_beat(monkeypatch, microseconds):
    monkeypatch.delenv("WATCHDOG_PID", raising=False)
    monkeypatch.delenv("WATCHDOG_USEC", raising=False)
    if microseconds is not None:
        monkeypatch.setenv("WATCHDOG_USEC", microseconds)
    assert Notifier().watchdog_interval_s is None


def test_a_text_with_line_breaks_stays_one_assignment(systemd):
    Notifier().send("READY=1", "STATUS=a\nWATCHDOG=trigger\r\nb")
    assert systemd.recv(200) == b"READY=1\nSTATUS=a WATCHDOG=trigger b"
