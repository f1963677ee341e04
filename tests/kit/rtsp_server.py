"""A real RTSP camera for tests: GStreamer's server, in a process of its own.

Run by Debian's Python, which has GStreamer's bindings (`python3 rtsp_server.py --help`), so the
part that serves imports nothing of ours. Packages: python3-gi, gir1.2-gst-rtsp-server-1.0,
gstreamer1.0-plugins-base, gstreamer1.0-plugins-good, gstreamer1.0-plugins-ugly (x264enc, for the
pattern only), glib-networking (TLS only).
"""

from __future__ import annotations

import argparse
import os
import select
import signal
import socket
import subprocess
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

SYSTEM_PYTHON = "/usr/bin/python3"
_READY_WITHIN_S = 20.0


@dataclass(frozen=True, kw_only=True)
class Serving:
    """What the camera shows and whom it lets in."""

    video: Path | None = None
    """An H.264 file, sent as it is, over and over; None shows a moving pattern."""
    pattern_size: tuple[int, int] = (640, 360)
    pattern: str = "ball"
    """Of GStreamer's videotestsrc; smpte, black and others stand still."""
    fps: int = 30
    codec: str = "h264"
    """h264 or mjpeg, of the pattern."""
    resize_after_s: float | None = None
    """Halves the pattern's size in the middle of the stream."""
    user: str | None = None
    password: str = ""
    digest: bool = True
    certificate: Path | None = None
    """PEM with certificate and key: serves rtsps."""


class RtspServer:
    """One camera on loopback that a test starts, kills, freezes and starts again.

    The port stays the same over restarts. Every client gets the footage from its start, which is
    a key frame; time stamps go on over the loop, as a camera's do.
    """

    def __init__(self, serving: Serving | None = None) -> None:
        self.serving = serving or Serving()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self._process: subprocess.Popen[str] | None = None

    @staticmethod
    def missing() -> str | None:
        """Why this machine cannot run it, for a skip; None where it can."""
        code = (
            "import gi\n"
            "gi.require_version('GstRtspServer', '1.0')\n"
            "from gi.repository import Gst, GstRtspServer\n"
            "Gst.init(None)\n"
            "names = ('qtdemux', 'rtph264pay', 'x264enc')\n"
            "raise SystemExit(not all(map(Gst.ElementFactory.find, names)))"
        )
        if not Path(SYSTEM_PYTHON).exists():
            return f"no {SYSTEM_PYTHON}"
        tried = subprocess.run(
            [SYSTEM_PYTHON, "-c", code], env=_environment(), capture_output=True, check=False
        )
        return None if tried.returncode == 0 else "GStreamer's RTSP server is not installed"

    def url(self, *, user: str | None = None, password: str | None = None) -> str:
        """Where the camera is; with login, percent-encoded, where `user` is given."""
        scheme = "rtsps" if self.serving.certificate else "rtsp"
        login = ""
        if user is not None:
            login = quote(user, safe="")
            login += "@" if password is None else f":{quote(password, safe='')}@"
        return f"{scheme}://{login}127.0.0.1:{self.port}/camera"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        """Serve; returns when the port is open."""
        assert self._process is None, "already running"
        self._process = subprocess.Popen(
            [SYSTEM_PYTHON, __file__, str(self.port), *self._arguments()],
            env=_environment(),
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        readable, _, _ = select.select([self._process.stdout], [], [], _READY_WITHIN_S)
        if not readable or not self._process.stdout.readline():
            self.kill()
            message = "the RTSP server did not start"
            raise RuntimeError(message)

    def kill(self) -> None:
        """End it at once (SIGKILL): the connections break."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            assert process.stdout is not None
            process.stdout.close()

    def stop(self) -> None:
        """Freeze it (SIGSTOP): connections stay and nothing comes, like a pulled cable."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def cont(self) -> None:
        """Let it go on after `stop`."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def restart(self, serving: Serving | None = None) -> None:
        """Kill it and serve again on the same port, something else where `serving` is given."""
        self.kill()
        self.serving = serving or self.serving
        self.start()

    def _arguments(self) -> list[str]:
        serving = self.serving
        width, height = serving.pattern_size
        arguments = ["--width", str(width), "--height", str(height)]
        arguments += ["--pattern", serving.pattern, "--fps", str(serving.fps)]
        arguments += ["--codec", serving.codec]
        if serving.video is not None:
            arguments += ["--video", str(serving.video)]
        if serving.resize_after_s is not None:
            arguments += ["--resize-after-s", str(serving.resize_after_s)]
        if serving.user is not None:
            kind = "digest" if serving.digest else "basic"
            arguments += ["--auth", kind, "--user", serving.user]
            arguments += ["--password", serving.password]
        if serving.certificate is not None:
            arguments += ["--certificate", str(serving.certificate)]
        return arguments


def make_certificate(folder: Path) -> Path:
    """A new self-signed certificate for 127.0.0.1, with its key, as one PEM; needs openssl."""
    key, certificate, both = (folder / name for name in ("key.pem", "cert.pem", "both.pem"))
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-keyout", str(key), "-out", str(certificate), "-subj", "/CN=127.0.0.1"),
            *("-addext", "subjectAltName=IP:127.0.0.1"),
        ],
        check=True,
        capture_output=True,
    )
    both.write_text(certificate.read_text() + key.read_text())
    return both


def _environment() -> dict[str, str]:
    """Ours without what would lead the system's Python into our packages."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}


# From here on: the child process.

_NS_PER_S = 1_000_000_000
_BEHIND_NS = _NS_PER_S // 10


def _serve(arguments: argparse.Namespace) -> None:
    import gi  # noqa: PLC0415 - only the system's Python has it

    for name in ("Gst", "GstApp", "GstRtsp", "GstRtspServer"):
        gi.require_version(name, "1.0")
    from gi.repository import GLib, Gst, GstRtspServer  # noqa: PLC0415

    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(str(arguments.port))
    factory = GstRtspServer.RTSPMediaFactory()
    if arguments.video:
        source = "appsrc name=units is-live=true format=time block=true max-buffers=4"
        units = _access_units(arguments.video)
        factory.connect("media-configure", lambda _, media: _send_footage(media, units))
    else:
        encoder = {
            "h264": "x264enc tune=zerolatency speed-preset=ultrafast key-int-max=15 threads=1",
            "mjpeg": "jpegenc",
        }[arguments.codec]
        source = (
            f"videotestsrc is-live=true pattern={arguments.pattern} ! capsfilter name=size "
            f"caps={_pattern_caps(arguments.width, arguments.height, arguments.fps)} ! {encoder}"
        )
        if arguments.resize_after_s:
            factory.connect("media-configure", lambda _, media: _resize_later(media, arguments))
    # The pattern's size may change, so its parameter sets travel in the stream. Footage with more
    # than one slice per picture would be torn by that: GStreamer 1.22 puts them before every
    # slice of a key frame, and FFmpeg takes each for a new picture. There the SDP carries them.
    interval = 0 if arguments.video else -1
    payloader = f"rtph264pay name=pay0 pt=96 config-interval={interval}"
    if arguments.codec == "mjpeg":
        payloader = "rtpjpegpay name=pay0 pt=26"
    factory.set_launch(f"( {source} ! {payloader} )")
    _require_login(server, factory, arguments)
    server.get_mount_points().add_factory("/camera", factory)
    if not server.attach(None):
        message = "the port is taken"
        raise SystemExit(message)
    print("ready", flush=True)  # noqa: T201 - the parent waits for it
    GLib.MainLoop().run()


def _pattern_caps(width: int, height: int, fps: int) -> str:
    return f"video/x-raw,format=I420,width={width},height={height},framerate={fps}/1"


def _access_units(video: str) -> list[Any]:
    """Every access unit of the file as GStreamer samples, in the file's own encoding."""
    from gi.repository import Gst  # noqa: PLC0415

    pipeline = Gst.parse_launch(
        "filesrc name=file ! qtdemux ! video/x-h264 ! appsink name=sink sync=false"
    )
    pipeline.get_by_name("file").set_property("location", video)
    sink = pipeline.get_by_name("sink")
    pipeline.set_state(Gst.State.PLAYING)
    samples = list(iter(lambda: sink.emit("pull-sample"), None))
    pipeline.set_state(Gst.State.NULL)
    if not samples:
        message = f"{video} holds no H.264"
        raise SystemExit(message)
    return samples


def _send_footage(media: Any, units: list[Any]) -> None:
    """Feed one client's stream from a thread, at the footage's own pace, until it ends."""
    source = media.get_element().get_by_name("units")
    gone = threading.Event()
    media.connect("unprepared", lambda _: gone.set())
    threading.Thread(target=_push, args=(source, units, gone), daemon=True).start()


def _push(source: Any, units: list[Any], gone: threading.Event) -> None:
    from gi.repository import Gst  # noqa: PLC0415

    interval_ns = units[0].get_buffer().duration
    source.set_property("caps", units[0].get_caps())
    number, due_ns = 0, 0
    while not gone.is_set():
        clock = source.get_clock()
        now_ns = clock.get_time() - source.get_base_time() if clock else due_ns
        if due_ns > now_ns:
            gone.wait((due_ns - now_ns) / _NS_PER_S)
        elif now_ns - due_ns > _BEHIND_NS:
            due_ns = now_ns  # frozen or not played yet: a camera does not catch up
        unit = units[number % len(units)].get_buffer().copy()
        unit.pts = unit.dts = due_ns
        if source.emit("push-buffer", unit) != Gst.FlowReturn.OK:
            return
        number, due_ns = number + 1, due_ns + interval_ns


def _resize_later(media: Any, arguments: argparse.Namespace) -> None:
    from gi.repository import GLib, Gst  # noqa: PLC0415

    size = media.get_element().get_by_name("size")
    half = (arguments.width // 2, arguments.height // 2)
    caps = Gst.Caps.from_string(_pattern_caps(*half, arguments.fps))

    def resize() -> bool:
        size.set_property("caps", caps)
        return False

    GLib.timeout_add(round(arguments.resize_after_s * 1000), resize)


def _require_login(server: Any, factory: Any, arguments: argparse.Namespace) -> None:
    from gi.repository import Gio, GstRtsp, GstRtspServer  # noqa: PLC0415

    if not (arguments.auth or arguments.certificate):
        return
    auth = GstRtspServer.RTSPAuth()
    if arguments.certificate:
        auth.set_tls_certificate(Gio.TlsCertificate.new_from_file(arguments.certificate))
    if arguments.auth:
        token = GstRtspServer.RTSPToken()
        token.set_string("media.factory.role", "viewer")
        if arguments.auth == "basic":
            auth.set_supported_methods(GstRtsp.RTSPAuthMethod.BASIC)
            basic = GstRtspServer.RTSPAuth.make_basic(arguments.user, arguments.password)
            auth.add_basic(basic, token)
        else:
            auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
            auth.add_digest(arguments.user, arguments.password, token)
        permissions = GstRtspServer.RTSPPermissions()
        for right in ("access", "construct"):
            permissions.add_permission_for_role("viewer", f"media.factory.{right}", True)
        factory.set_permissions(permissions)
    server.set_auth(auth)


def _main() -> None:
    parser = argparse.ArgumentParser(description="serves rtsp://127.0.0.1:PORT/camera")
    parser.add_argument("port", type=int)
    parser.add_argument("--video")
    parser.add_argument("--width", type=int, default=640)
    parser.add_argument("--height", type=int, default=360)
    parser.add_argument("--pattern", default="ball")
    parser.add_argument("--fps", type=int, default=30)
    parser.add_argument("--codec", choices=("h264", "mjpeg"), default="h264")
    parser.add_argument("--resize-after-s", type=float)
    parser.add_argument("--auth", choices=("basic", "digest"))
    parser.add_argument("--user")
    parser.add_argument("--password", default="")
    parser.add_argument("--certificate")
    _serve(parser.parse_args())


if __name__ == "__main__":
    _main()
