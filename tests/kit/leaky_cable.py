"""Leaves pictures and packets out of RTSP over TCP, and stamps them anew: what cameras do wrong."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Self

_VIDEO_CHANNEL = 0


class LeakyCable:
    """Passes RTSP on to a port of this machine; takes out whole pictures or single RTP packets."""

    def __init__(self, to_port: int, *, renumbers: bool = False) -> None:
        """`renumbers`: as a proxy that packs anew does, so that sequence numbers have no gap."""
        self._to_port = to_port
        self._renumbers = renumbers
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._threads: list[threading.Thread] = []
        self._sockets: list[socket.socket] = []
        self._lock = threading.Lock()
        self._pictures_to_lose = self._packets_to_lose = 0
        self._losing: bytes | None = None
        self.stamp: Callable[[int], int] = int
        """From ticks since the first picture (90,000 a second) to those that are sent instead."""
        self.pictures_left_out = self.packets_left_out = 0

    def lose_picture(self) -> None:
        """Leave out all packets of the next picture."""
        with self._lock:
            self._pictures_to_lose += 1

    def lose_packet(self) -> None:
        """Leave out one packet of the next picture."""
        with self._lock:
            self._packets_to_lose += 1

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        with _closed_is_fine():
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._sockets:
            with _closed_is_fine():
                connection.shutdown(socket.SHUT_RDWR)
        for thread in list(self._threads):
            thread.join()
        for connection in self._sockets:
            connection.close()

    def _start(self, work: object, *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments, name="cable")  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with _closed_is_fine():
            while True:
                near, _ = self._listener.accept()
                try:
                    far = socket.create_connection(("127.0.0.1", self._to_port), timeout=2)
                except OSError:
                    near.close()
                    continue
                far.settimeout(None)
                self._sockets += [near, far]
                self._start(self._pass_on, near, far)
                self._start(self._pass_back, far, near)

    def _pass_on(self, source: socket.socket, sink: socket.socket) -> None:
        with _closed_is_fine():
            while received := source.recv(65_536):
                sink.sendall(received)
        with _closed_is_fine():
            sink.shutdown(socket.SHUT_RDWR)

    def _pass_back(self, source: socket.socket, sink: socket.socket) -> None:
        left_out = 0
        last_stamp = first_stamp = b""
        with _closed_is_fine(), source.makefile("rb") as stream:
            while head := stream.read(1):
                if head != b"$":
                    sink.sendall(head + stream.readline())  # of an answer, which is text
                    continue
                channel, size = stream.read(1), stream.read(2)
                payload = stream.read(int.from_bytes(size))
                if channel[0] == _VIDEO_CHANNEL:
                    stamp = payload[4:8]
                    is_lost = self._is_lost(stamp, begins=stamp != last_stamp)
                    last_stamp = stamp
                    if is_lost:
                        left_out += self._renumbers
                        continue
                    number = (int.from_bytes(payload[2:4]) - left_out) & 0xFFFF
                    first_stamp = first_stamp or stamp
                    first = int.from_bytes(first_stamp)
                    ticks = (int.from_bytes(stamp) - first) & 0xFFFF_FFFF
                    sent = (first + self.stamp(ticks)) & 0xFFFF_FFFF
                    payload = payload[:2] + number.to_bytes(2) + sent.to_bytes(4) + payload[8:]
                sink.sendall(head + channel + size + payload)
        with _closed_is_fine():
            sink.shutdown(socket.SHUT_RDWR)

    def _is_lost(self, stamp: bytes, *, begins: bool) -> bool:
        with self._lock:
            if begins:
                self._losing = None
                if self._pictures_to_lose:
                    self._pictures_to_lose -= 1
                    self.pictures_left_out += 1
                    self._losing = stamp
                elif self._packets_to_lose:
                    self._packets_to_lose -= 1
                    self.packets_left_out += 1
                    return True
            return self._losing == stamp


@contextmanager
def _closed_is_fine() -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError):
        return
