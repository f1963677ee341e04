"""Industrial cameras (GigE Vision, USB3 Vision) through Aravis."""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Callable
from contextlib import suppress
from threading import Lock, Thread

from inspector.core.errors import CameraUnavailableError, FrameUnreadableError
from inspector.core.packets import Packets
from inspector.core.records import Grabbed, Image
from inspector.sources.genicam.features import write_feature, write_features
from inspector.sources.genicam.frame_ids import FrameIds
from inspector.sources.genicam.library import (
    Aravis,
    AravisError,
    BufferStatus,
    Device,
    Handle,
    aravis,
)
from inspector.sources.genicam.pixels import LAYOUTS, NAMES, PixelLayout, write_frame
from inspector.sources.genicam.uri import GenicamUri
from inspector.sources.opening import Opening
from inspector.sources.stream_clock import StreamClock
from inspector.sources.unreadable import UnreadableFrames, require_whole_frame

_NS_PER_S = 1_000_000_000
_BUFFERS = 6
"""Lent to the stream: what it can receive while one is being read."""
_LOSS_ADVICE = (
    "let the network carry its packets (MTU, net.core.rmem_max, no switch that is too slow), or"
    " ask for smaller ones with ?packet=1400"
)
_POLL_S = 0.1
_POLL_TRIGGERED_S = 0.005
"""Where we trigger it: a picture that is asked for is taken this much later at most."""
_FIRED_AGAIN_AFTER_NS = _NS_PER_S // 2
"""A camera may overlook a trigger that comes while it is still sending the frame before."""
_PING_EVERY_NS = _NS_PER_S // 2
"""How often a camera that waits for a trigger is asked whether it is still there."""
_CONTROL_PRIVILEGE = 0x0A00
_PRIMARY_APPLICATION_IP = 0x0A14
"""Registers of the GigE Vision bootstrap."""


class GenicamSource:
    """An industrial camera as a `FrameSource`; one thread.

    Every feature of the settings is written at each connection: a camera forgets them at a power
    cut. Frames that it numbered and that did not come, and frames of which packets are missing,
    come as unreadable ones: they were due. What waits for triggers is asked, while none comes,
    whether it is still there (`heard_mono_ns`).
    """

    def __init__(self, uri: GenicamUri, opening: Opening) -> None:
        self._uri = uri
        self._opening = opening
        self._size = opening.size
        self._library: Aravis | None = None
        self._camera: Handle | None = None
        self._stream: Handle | None = None
        self._layout: PixelLayout | None = None
        self._format = 0
        self._current: Handle | None = None
        self._next: Handle | None = None
        """Fetched already; frames that are missing before it come first."""
        self._missing: list[int] = []
        self._ids = FrameIds()
        self._clock = StreamClock()
        self._newest_ns = 0
        self._unreadable = UnreadableFrames(str(uri), advice=_LOSS_ADVICE)
        self._packets_lost = 0
        self._waits_for_triggers = False
        self._is_fired_by_us = False
        self._asked_for = 0
        """Pictures that are still to be taken."""
        self._asking = Lock()
        self._fired_ns: int | None = None
        """When the picture under way was asked of the camera."""
        self._pinged_ns = 0
        self._is_gone = False
        self._letting_go: Thread | None = None
        """Gives back a camera that no longer answers."""
        self.heard_mono_ns: int | None = None
        """When the camera last showed that it is there, by a frame or an answer. Any thread."""

    @property
    def size(self) -> tuple[int, int] | None:
        """Width and height in pixels; None before `open` where none was asked for."""
        return self._size

    def open(self) -> None:
        """Take control of the camera, write its features, and wait for a first whole frame.

        One that waits for triggers has none to show: there its answers are the proof.
        """
        self.close()
        self._let_go_before()
        self._library = aravis()
        self._is_gone = False
        try:
            self._camera = self._controlled(self._library)
            self._configure(self._library, self._camera)
            self._stream = self._started(self._library, self._camera)
            self.heard_mono_ns = time.monotonic_ns()
            if not self._waits_for_triggers:
                require_whole_frame(self, self._size, advice=_LOSS_ADVICE)
        except CameraUnavailableError as error:
            self.close()
            if isinstance(error, AravisError):
                raise CameraUnavailableError(f"{self._uri}: {error}") from error
            raise

    def grab(self) -> Grabbed:
        """Wait for the next frame; the camera's own clock says when it was captured."""
        self._give_back()
        asked_ns = time.monotonic_ns()
        if self._next is None and not self._missing:
            self._fetch()
        now_ns = time.monotonic_ns()
        if self._missing:
            return self._times(self._missing.pop(0))
        self._current, self._next = self._next, None
        stamp_ns = self._stamp_ns()
        self._clock.arrived(stamp_ns, now_ns, waited_ns=now_ns - asked_ns)
        captured_ns = self._clock.captured_mono_ns(stamp_ns, now_ns)
        self._clock.take_news()
        return self._times(captured_ns, stamp_ns=stamp_ns)

    def retrieve_into(self, image: Image) -> None:
        """Convert the grabbed frame straight from the stream's buffer into `image`."""
        try:
            with self._unreadable.counted():
                self._write(image)
        finally:
            self._give_back()

    def close(self) -> None:
        """Let go of the camera."""
        library, camera, stream = self._library, self._camera, self._stream
        self._give_back()
        if self._next is not None and library is not None and stream is not None:
            library.lend(stream, self._next)
        self._library = self._camera = self._stream = self._next = None
        self._missing = []
        self._ids = FrameIds()
        self._clock = StreamClock()
        self._unreadable.reset()
        self._packets_lost = 0
        self.heard_mono_ns = None
        with self._asking:
            self._is_fired_by_us = False
            self._asked_for = 0
        self._fired_ns = None
        self._size = self._opening.size
        if library is None or camera is None:
            return
        if not self._is_gone:
            _let_go(library, camera, stream, stop=True)()
            return
        # The library asks a camera that is gone again and again before it gives up, for 10 s.
        let_go = _let_go(library, camera, stream, stop=False)
        self._letting_go = Thread(target=let_go, name="camera/letting-go", daemon=True)
        self._letting_go.start()

    def _let_go_before(self) -> None:
        """Wait until the connection before is given back: it would take the new one's control."""
        while self._letting_go is not None and self._letting_go.is_alive():
            self._letting_go.join(_POLL_S)
            if self._opening.stop.is_set():
                raise CameraUnavailableError(f"{self._uri}: stopped")
        self._letting_go = None

    def ask_for(self, frames: int) -> None:
        """See `FiringSource`; pictures asked of a camera that is not there are forgotten."""
        with self._asking:
            if self._is_fired_by_us:
                self._asked_for += frames

    @property
    def packets(self) -> Packets | None:
        """See `PacketSource`; USB has none."""
        library, camera, stream = self._library, self._camera, self._stream
        if library is None or camera is None or stream is None:
            return None
        if not library.is_network_camera(camera):
            return None
        return Packets(
            size_bytes=library.packet_size(camera),
            received=library.counter(stream, "n_received_packets"),
            sent_again=library.counter(stream, "n_resent_packets"),
            frames_whole=library.counter(stream, "n_completed_buffers"),
            # Not n_missing_packets: all that follow a frame's first lost packet count there.
            frames_broken=library.counter(stream, "n_failures"),
        )

    def _controlled(self, library: Aravis) -> Handle:
        camera = library.camera(self._library_name(library))
        if library.is_network_camera(camera):
            device = library.device_of(camera)
            if not library.is_ours(device):
                holder = holder_of(library, device)
                library.release(camera)
                msg = f"{self._uri}: the camera is controlled by another program{holder}"
                raise CameraUnavailableError(msg)
        return camera

    def _library_name(self, library: Aravis) -> str:
        """What the library opens it by; it does not know serial numbers alone."""
        name = self._uri.name
        with suppress(ValueError):
            return str(ipaddress.ip_address(name))
        found = library.devices()
        for device in found:
            if name.lower() in _names_of(device):
                return device.id
        # The library knows user-given names, which a discovery does not list.
        try:
            library.release(library.camera(name))
        except AravisError:
            seen = ", ".join(sorted(d.serial or d.id for d in found)) or "none"
            msg = f"{self._uri}: no such camera answers (found: {seen})"
            raise CameraUnavailableError(msg) from None
        return name

    def _configure(self, library: Aravis, camera: Handle) -> None:
        device, told = library.device_of(camera), str(self._uri)
        features = dict(self._opening.features)
        if self._opening.size is not None:
            for name, pixels in zip(("Width", "Height"), self._opening.size, strict=True):
                if features.setdefault(name, pixels) != pixels:
                    msg = f"{told}: features.{name} is {features[name]}, but size says {pixels}"
                    raise CameraUnavailableError(msg)
            # A part that begins elsewhere may be too small for this size.
            for name in ("OffsetX", "OffsetY"):
                if name not in features and library.feature(device, name) is not None:
                    with suppress(CameraUnavailableError):
                        write_feature(library, device, name, 0, camera=told)
        write_features(library, device, features, camera=told)
        self._size = (self._whole(device, "Width"), self._whole(device, "Height"))
        trigger = [self._text(device, name) for name in ("TriggerMode", "TriggerSource")]
        self._waits_for_triggers = trigger[0] == "On"
        with self._asking:
            self._asked_for = 0
            self._is_fired_by_us = trigger == ["On", "Software"]
        if library.is_network_camera(camera):
            if self._uri.packet is not None:
                library.set_packet_size(camera, self._uri.packet)
            else:
                with suppress(AravisError):  # then what the camera is set to
                    library.auto_packet_size(camera)

    def _text(self, device: Handle, name: str) -> str | None:
        library = self._library
        feature = None if library is None else library.feature(device, name)
        return None if library is None or feature is None else library.value(feature)

    def _whole(self, device: Handle, name: str) -> int:
        library = self._library
        feature = None if library is None else library.feature(device, name)
        if library is None or feature is None:
            raise CameraUnavailableError(f"{self._uri}: the camera does not say its {name}")
        return int(library.value(feature))

    def _started(self, library: Aravis, camera: Handle) -> Handle:
        device = library.device_of(camera)
        pixel_format = library.feature(device, "PixelFormat")
        name = "" if pixel_format is None else library.value(pixel_format)
        if name not in NAMES:
            msg = (
                f"{self._uri}: the camera's PixelFormat is {name}, which is not read; expected one"
                f" of {', '.join(sorted(set(NAMES) & set(library.choices(device, 'PixelFormat'))))}"
            )
            raise CameraUnavailableError(msg)
        self._format = next(number for number, known in LAYOUTS.items() if known.name == name)
        self._layout = LAYOUTS[self._format]
        stream = library.stream(camera)
        try:
            library.add_buffers(stream, _BUFFERS, library.payload(camera))
            library.start(camera)
        except AravisError:
            library.release(stream)
            raise
        return stream

    def _fetch(self) -> None:
        """Wait for the next frame; note those that are missing before it."""
        library, stream = self._library, self._stream
        asked_ns = time.monotonic_ns()
        poll_s = _POLL_TRIGGERED_S if self._is_fired_by_us else _POLL_S
        while library is not None and stream is not None and not self._opening.stop.is_set():
            if self._is_fired_by_us:
                self._fire(library, time.monotonic_ns())
            buffer = library.take(stream, poll_s)
            now_ns = time.monotonic_ns()
            if buffer is not None:
                self._fired_ns = None
                self._next = buffer
                self.heard_mono_ns = now_ns
                self._missing = self._ids.missing_before(library.frame_id(buffer), now_ns)
                return
            self._require_alive(library, now_ns)
            waited_s = (now_ns - asked_ns) / _NS_PER_S
            if not self._waits_for_triggers and waited_s > self._opening.read_timeout_s:
                msg = f"{self._uri}: no frame, the camera is silent for {waited_s:.1f} s"
                raise CameraUnavailableError(msg)
        state = "not open" if library is None else "stopped"
        raise CameraUnavailableError(f"{self._uri}: {state}")

    def _fire(self, library: Aravis, now_ns: int) -> None:
        """Take the next picture that was asked for, one at a time."""
        if self._fired_ns is not None:
            is_due = now_ns - self._fired_ns > _FIRED_AGAIN_AFTER_NS
        else:
            with self._asking:
                is_due = self._asked_for > 0
                self._asked_for -= is_due
        if not is_due or self._camera is None:
            return
        try:
            library.fire(self._camera)
        except AravisError as error:
            self._is_gone = True
            msg = f"{self._uri}: the camera cannot be triggered: {error}"
            raise CameraUnavailableError(msg) from error
        self._fired_ns = now_ns

    def _require_alive(self, library: Aravis, now_ns: int) -> None:
        """Whether a camera that sends nothing is still there, and ours."""
        if self._camera is None or now_ns - self._pinged_ns < _PING_EVERY_NS:
            return
        device = library.device_of(self._camera)
        try:
            if library.is_network_camera(self._camera):
                library.register(device, _CONTROL_PRIVILEGE)
                if not library.is_ours(device):
                    self._is_gone = True
                    holder = holder_of(library, device)
                    msg = f"{self._uri}: control of the camera was lost{holder}"
                    raise CameraUnavailableError(msg)
            else:
                self._whole(device, "Width")
        except AravisError as error:
            self._is_gone = True
            msg = f"{self._uri}: the camera does not answer: {error}"
            raise CameraUnavailableError(msg) from error
        self._pinged_ns = time.monotonic_ns()
        if self._waits_for_triggers:
            self.heard_mono_ns = self._pinged_ns

    def _write(self, image: Image) -> None:
        library, buffer, layout = self._library, self._current, self._layout
        if library is None or layout is None:
            raise FrameUnreadableError("not open")
        if buffer is None:
            raise FrameUnreadableError("the camera counted a frame that did not arrive")
        status = library.status(buffer)
        if status is not BufferStatus.SUCCESS:
            raise FrameUnreadableError(f"a frame is not whole: {self._loss(library, status)}")
        width, height, pixel_format = library.picture(buffer)
        if (width, height) != (image.shape[1], image.shape[0]) or pixel_format != self._format:
            found = LAYOUTS.get(pixel_format)
            msg = (
                f"{self._uri}: the camera delivers {width}x{height} pixels"
                f" {hex(pixel_format) if found is None else found.name},"
                f" expected {image.shape[1]}x{image.shape[0]} {layout.name}"
            )
            raise CameraUnavailableError(msg)
        write_frame(library.content(buffer), layout, image)

    def _loss(self, library: Aravis, status: BufferStatus) -> str:
        """How many packets of the frame are missing, as far as the stream says it.

        The library counts those that follow the first lost one, whether they came or not: with
        2 of 1000 packets lost it counted 3,620 beside 17,292 that came.
        """
        stream, before = self._stream, self._packets_lost
        if stream is None:
            return status.name.lower()
        self._packets_lost = library.counter(stream, "n_missing_packets")
        lost = self._packets_lost - before
        return f"up to {lost} packets of it were lost" if lost > 0 else status.name.lower()

    def _stamp_ns(self) -> int | None:
        library, buffer = self._library, self._current
        stamp_ns = 0 if library is None or buffer is None else library.stamp_ns(buffer)
        return stamp_ns or None

    def _times(self, captured_ns: int, *, stamp_ns: int | None = None) -> Grabbed:
        """Later than the frame before: a missing one is dated by those around it."""
        self._newest_ns = max(captured_ns, self._newest_ns + 1)
        return Grabbed(
            captured_mono_ns=self._newest_ns,
            captured_unix_ns=time.time_ns() - (time.monotonic_ns() - self._newest_ns),
            stamp_ns=stamp_ns,
            clock_trouble=self._clock.trouble,
        )

    def _give_back(self) -> None:
        """Let the stream have the current frame's buffer again."""
        buffer, self._current = self._current, None
        if buffer is not None and self._library is not None and self._stream is not None:
            self._library.lend(self._stream, buffer)


def _let_go(
    library: Aravis, camera: Handle, stream: Handle | None, *, stop: bool
) -> Callable[[], None]:
    """What gives a camera and its stream back; `stop` first has it send no more."""

    def let_go() -> None:
        if stream is not None:
            if stop:
                with suppress(AravisError):
                    library.stop(camera)
            library.release(stream)
        library.release(camera)

    return let_go


def _names_of(device: Device) -> set[str]:
    named = (device.serial, device.physical_id, device.address, device.id)
    return {name.lower() for name in named if name}


def holder_of(library: Aravis, device: Handle) -> str:
    """Which host controls a camera, as far as the camera says it."""
    with suppress(AravisError):
        address = library.register(device, _PRIMARY_APPLICATION_IP)
        if address:
            return f" at {ipaddress.ip_address(address)}"
    return ""
