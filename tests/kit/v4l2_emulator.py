"""An emulated V4L2 camera: runs a command that finds it at /dev/video0.

    umockdev-wrapper /usr/bin/python3 v4l2_emulator.py [options] -- command …

This is an emulator of ours, not the kernel: umockdev catches the command's ioctls on the device,
and the class below answers the ones that a capture program sends. It shows that our
source agree with the V4L2 interface as we read it; the kernel's own driver is tested in
tests/system. `select` on the emulated device is always readable, so a driver that says nothing
cannot be shown here, only one that is late.

Packages: umockdev, gir1.2-umockdev-1.0, python3-gi.
"""

from __future__ import annotations

import argparse
import errno
import json
import os
import shutil
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

SYSTEM_PYTHON = "/usr/bin/python3"
DEVICE = "/dev/video0"
FPS = 30
BUFFERS = 4

# The low byte of the ioctl numbers in <linux/videodev2.h>.
QUERYCAP, ENUM_FMT, G_FMT, S_FMT, REQBUFS, QUERYBUF, QBUF, DQBUF = 0, 2, 4, 5, 8, 9, 15, 17
STREAMON, STREAMOFF, G_PARM, S_PARM, ENUMINPUT, G_INPUT, S_INPUT, TRY_FMT = (
    *(18, 19, 21, 22, 26, 38, 39, 64),
)
CAPTURE, MMAP, FIELD_NONE = 1, 1, 1
FLAG_MAPPED, FLAG_QUEUED, FLAG_DONE, FLAG_ERROR, FLAG_MONOTONIC = 0x1, 0x2, 0x4, 0x40, 0x2000

_PLUG = """\
P: /devices/pci0000:00/usb1/1-1/video4linux/video0
N: video0
E: DEVNAME=/dev/video0
E: SUBSYSTEM=video4linux
E: MAJOR=81
E: MINOR=0
A: name=Emulated camera\\n
"""


def missing() -> str | None:
    """Why this machine cannot run the emulator, for a skip; None where it can."""
    if shutil.which("umockdev-wrapper") is None or not Path(SYSTEM_PYTHON).exists():
        return "umockdev is not installed"
    code = "import gi; gi.require_version('UMockdev', '1.0'); from gi.repository import UMockdev"
    tried = subprocess.run([SYSTEM_PYTHON, "-c", code], capture_output=True, check=False)
    return None if tried.returncode == 0 else "gir1.2-umockdev-1.0 or python3-gi is not installed"


def run_with_camera(command: list[str], *options: str, timeout_s: float) -> str:
    """What `command` printed while it ran with the emulated camera."""
    emulator = ["umockdev-wrapper", SYSTEM_PYTHON, __file__, *options, "--", *command]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    return subprocess.run(
        emulator, env=environment, check=True, stdout=subprocess.PIPE, text=True, timeout=timeout_s
    ).stdout


class _Camera:
    """The driver's side: answers ioctls, and puts a rising grey level into each frame."""

    def __init__(self, node: Path, arguments: argparse.Namespace) -> None:
        self._node = node
        self._width, self._height = arguments.width, arguments.height
        self._picture_bytes = arguments.width * arguments.height * 2
        self._unplug_at, self._fail_at = arguments.unplug_at, arguments.fail_at
        self._late_at, self._late_s = arguments.late_at, arguments.late_s
        self._unplugged = False
        self._queue: list[int] = []
        self._sequence = self._shown_total = 0
        self._taken_s = 0.0
        script = json.loads(arguments.script.read_text()) if arguments.script else {}
        self._fourcc = int.from_bytes(script.get("fourcc", "YUYV").encode(), "little")
        self._fps = script.get("fps", FPS)
        self._row_bytes = script.get("row_bytes", arguments.width * 2)
        self._picture_bytes = max(self._picture_bytes, self._row_bytes * arguments.height)
        self._script: list[dict[str, Any]] = script.get("frames", [])
        with node.open("wb") as memory:
            memory.truncate(self._picture_bytes * BUFFERS)

    def answer(self, client: Any) -> bool:
        """Serve one ioctl; the callback of umockdev."""
        request = client.get_request()
        number, size_bytes = request & 0xFF, request >> 16 & 0x3FFF
        if self._unplugged:
            client.complete(-1, errno.ENODEV)
            return True
        argument = client.get_arg().resolve(0, size_bytes)
        memory = bytearray(argument.retrieve())
        error = self._serve(number, memory)
        if error == 0:
            argument.update(0, bytes(memory))
        client.complete(-1 if error else 0, error)
        return True

    def _serve(self, number: int, memory: bytearray) -> int:
        """Write the answer into the ioctl's structure; returns errno or 0."""
        answers = {
            QUERYCAP: self._capabilities,
            ENUM_FMT: self._enumerate_format,
            G_FMT: self._format,
            S_FMT: self._format,
            TRY_FMT: self._format,
            REQBUFS: self._request_buffers,
            QUERYBUF: self._query_buffer,
            QBUF: self._enqueue,
            DQBUF: self._dequeue,
            STREAMON: self._stream_on,
            STREAMOFF: self._stream_off,
            G_PARM: self._parameters,
            S_PARM: self._parameters,
            ENUMINPUT: self._enumerate_input,
            G_INPUT: self._input,
            S_INPUT: self._input,
        }
        answer = answers.get(number)
        return errno.ENOTTY if answer is None else answer(memory)

    def _capabilities(self, memory: bytearray) -> int:
        struct.pack_into("16s32s32s", memory, 0, b"emulator", b"Emulated camera", b"usb-emulated-1")
        struct.pack_into("<III", memory, 80, 0x60100, 0x85200001, 0x05200001)
        return 0

    def _enumerate_format(self, memory: bytearray) -> int:
        if struct.unpack_from("<I", memory)[0]:
            return errno.EINVAL
        struct.pack_into("<32sI", memory, 12, b"Its one format", self._fourcc)
        return 0

    def _format(self, memory: bytearray) -> int:
        """Whatever is asked: the camera has one format and one size, as V4L2 allows."""
        struct.pack_into("<I", memory, 0, CAPTURE)
        shape = (self._width, self._height, self._fourcc, FIELD_NONE, self._row_bytes)
        struct.pack_into("<8I", memory, 8, *shape, self._picture_bytes, 8, 0)
        return 0

    def _request_buffers(self, memory: bytearray) -> int:
        struct.pack_into("<I", memory, 0, min(struct.unpack_from("<I", memory)[0], BUFFERS))
        self._queue.clear()
        return 0

    def _query_buffer(self, memory: bytearray) -> int:
        self._describe(memory, struct.unpack_from("<I", memory)[0], 0)
        return 0

    def _enqueue(self, memory: bytearray) -> int:
        index = struct.unpack_from("<I", memory)[0]
        self._queue.append(index)
        self._describe(memory, index, FLAG_QUEUED)
        return 0

    def _dequeue(self, memory: bytearray) -> int:
        if not self._queue:
            return errno.EAGAIN
        due_s = self._taken_s + 1 / self._fps
        time.sleep(max(0.0, due_s - time.monotonic()))
        self._taken_s = max(due_s, time.monotonic() - 1 / self._fps)
        self._sequence += 1
        if self._sequence == self._unplug_at:
            self._unplugged = True
            return errno.ENODEV
        if self._sequence == self._fail_at:
            return errno.EIO
        captured_s = time.monotonic()
        if self._sequence == self._late_at:
            time.sleep(self._late_s)
        index = self._queue.pop(0)
        step = self._script[self._shown_total % len(self._script)] if self._script else {}
        self._shown_total += 1
        self._sequence += step.get("skipped", 0)
        self._fill(index, step)
        flags = FLAG_DONE | (FLAG_ERROR if step.get("error") else 0)
        used_bytes = step.get("used_bytes", self._picture_bytes)
        self._describe(memory, index, flags, captured_s=captured_s, used_bytes=used_bytes)
        return 0

    def _fill(self, index: int, step: dict[str, Any]) -> None:
        """A file of the script, or a rising grey level: only the bytes that are said to come."""
        level = step.get("level", self._sequence * 4 % 256)
        content = bytes((level, 128)) * (self._picture_bytes // 2)
        if "file" in step:
            content = Path(step["file"]).read_bytes()
            step["used_bytes"] = len(content)
        with self._node.open("r+b", buffering=0) as memory_file:
            memory_file.seek(index * self._picture_bytes)
            memory_file.write(content[: step.get("used_bytes", self._picture_bytes)])

    def _describe(
        self,
        memory: bytearray,
        index: int,
        flags: int,
        *,
        captured_s: float = 0.0,
        used_bytes: int = 0,
    ) -> None:
        """Fill in a `struct v4l2_buffer`."""
        flags |= FLAG_MAPPED | FLAG_MONOTONIC
        struct.pack_into("<5I", memory, 0, index, CAPTURE, used_bytes, flags, FIELD_NONE)
        struct.pack_into("<qq", memory, 24, int(captured_s), int(captured_s % 1 * 1e6))
        struct.pack_into("<II", memory, 56, self._sequence, MMAP)
        struct.pack_into("<I", memory, 64, index * self._picture_bytes)
        struct.pack_into("<I", memory, 72, self._picture_bytes)

    def _stream_on(self, _memory: bytearray) -> int:
        self._taken_s = time.monotonic()
        return 0

    def _stream_off(self, _memory: bytearray) -> int:
        self._queue.clear()
        return 0

    def _parameters(self, memory: bytearray) -> int:
        struct.pack_into("<5I", memory, 0, CAPTURE, 0x1000, 0, 1, FPS)
        return 0

    def _enumerate_input(self, memory: bytearray) -> int:
        if struct.unpack_from("<I", memory)[0]:
            return errno.EINVAL
        struct.pack_into("<32sI", memory, 4, b"Camera 1", 2)
        return 0

    def _input(self, memory: bytearray) -> int:
        struct.pack_into("<I", memory, 0, 0)
        return 0


def _run(arguments: argparse.Namespace) -> int:
    import gi  # noqa: PLC0415 - only the system's Python has it

    gi.require_version("UMockdev", "1.0")
    from gi.repository import GLib, UMockdev  # noqa: PLC0415

    testbed = UMockdev.Testbed.new()
    testbed.add_from_string(_PLUG)
    node = Path(testbed.get_root_dir() + DEVICE)
    node.unlink(missing_ok=True)  # a plain file in its place can be mapped into memory
    camera = _Camera(node, arguments)

    class Ioctls(UMockdev.IoctlBase):  # type: ignore[misc] # gi has no types
        def do_handle_ioctl(self, client: Any) -> bool:
            return camera.answer(client)

    handler = Ioctls()
    testbed.attach_ioctl(DEVICE, handler)
    loop = GLib.MainLoop()
    threading.Thread(target=loop.run, daemon=True).start()
    # UMockdev sets this in C's environment, which Python's os.environ does not see.
    environment = os.environ | {"UMOCKDEV_DIR": testbed.get_root_dir()}
    return subprocess.run(arguments.command, env=environment, check=False).returncode


def _main() -> int:
    parser = argparse.ArgumentParser(description="runs a command with an emulated /dev/video0")
    parser.add_argument("--width", type=int, default=640)
    parser.add_argument("--height", type=int, default=480)
    parser.add_argument("--unplug-at", type=int, help="the frame that never comes: ENODEV")
    parser.add_argument("--fail-at", type=int, help="the frame whose transfer fails: EIO")
    parser.add_argument("--late-at", type=int, help="the frame that the driver holds back")
    parser.add_argument("--late-s", type=float, default=1.0)
    parser.add_argument("--script", type=Path, help="JSON: fourcc, row_bytes, frames one by one")
    parser.add_argument("command", nargs="+")
    return _run(parser.parse_args())


if __name__ == "__main__":
    sys.exit(_main())
