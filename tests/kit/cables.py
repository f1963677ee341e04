"""TCP between a camera and the service, and what goes wrong on its way."""

from __future__ import annotations

import random
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Self

_VIDEO_CHANNEL = 0
Send = Callable[[socket.socket, socket.socket], None]


class Cable:
    """Passes TCP on to a port of this machine, byte for byte, until it is closed."""

    def __init__(self, to_port: int) -> None:
        self._to_port = to_port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._threads: list[threading.Thread] = []
        self._sockets: list[socket.socket] = []

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

    def _start(self, work: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments, name="cable")
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
                self._start(self._pass, near, far, self._sent_on)
                self._start(self._pass, far, near, self._sent_back)

    def _pass(self, source: socket.socket, sink: socket.socket, send: Send) -> None:
        with _closed_is_fine():
            send(source, sink)
        with _closed_is_fine():
            sink.shutdown(socket.SHUT_RDWR)

    def _sent_on(self, source: socket.socket, sink: socket.socket) -> None:
        while received := source.recv(65_536):
            sink.sendall(received)

    def _sent_back(self, source: socket.socket, sink: socket.socket) -> None:
        self._sent_on(source, sink)


class LeakyCable(Cable):
    """Passes RTSP on to a port of this machine; takes out whole pictures or single RTP packets."""

    def __init__(self, to_port: int, *, renumbers: bool = False) -> None:
        """`renumbers`: as a proxy that packs anew does, so that sequence numbers have no gap."""
        super().__init__(to_port)
        self._renumbers = renumbers
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

    def _sent_back(self, source: socket.socket, sink: socket.socket) -> None:
        left_out = 0
        last_stamp = first_stamp = b""
        with source.makefile("rb") as stream:
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


class BadCable(Cable):
    """Passes TCP on, and flips a bit in every so many bytes of what comes back."""

    def __init__(self, to_port: int, chance: random.Random) -> None:
        super().__init__(to_port)
        self._random = chance
        self.flips_every_bytes = 0
        """0: none."""
        self.flipped = 0

    def _sent_back(self, source: socket.socket, sink: socket.socket) -> None:
        while received := source.recv(65_536):
            every = self.flips_every_bytes
            sink.sendall(self._damaged(received, every) if every else received)

    def _damaged(self, received: bytes, every: int) -> bytes:
        damaged = bytearray(received)
        for _ in range(max(1, len(damaged) // every)):
            damaged[self._random.randrange(len(damaged))] ^= 1 << self._random.randrange(8)
            self.flipped += 1
        return bytes(damaged)


@contextmanager
def _closed_is_fine() -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError):
        return
