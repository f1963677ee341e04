"""Aravis, the free library for GenICam cameras, by its C interface.

Only what `camera` and `discovery` need, one Python function per C function, with the library's
errors as exceptions. No GObject bindings: they would have to be built for this Python. Aravis is
LGPL and comes from the system's packages; without it `genicam:` sources say how to install it.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import IntEnum
from functools import cache
from typing import Any, NewType

from inspector.core.errors import CameraUnavailableError

Handle = NewType("Handle", int)
"""An object of the library: a camera, a device, a stream, a buffer or a feature."""

INSTALL = "apt install libaravis-0.8-0"
_NAMES = ("libaravis-0.8.so.0", "libaravis-0.10.so.0")


class BufferStatus(IntEnum):
    """`ArvBufferStatus`: what became of a frame."""

    UNKNOWN = -1
    SUCCESS = 0
    CLEARED = 1
    TIMEOUT = 2
    MISSING_PACKETS = 3
    WRONG_PACKET_ID = 4
    SIZE_MISMATCH = 5
    FILLING = 6
    ABORTED = 7
    PAYLOAD_NOT_SUPPORTED = 8


class AravisError(CameraUnavailableError):
    """The library refused or failed; its own words."""


class AravisMissingError(CameraUnavailableError):
    """The library is not installed on this machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """A camera that answered a discovery."""

    id: str
    vendor: str
    model: str
    serial: str
    address: str
    physical_id: str
    """MAC address of a network camera."""
    protocol: str
    """`GigEVision` or `USB3Vision`."""


class _Error(ctypes.Structure):
    _fields_ = [  # type: ignore[mutable-override]
        ("domain", ctypes.c_uint32),
        ("code", ctypes.c_int),
        ("message", ctypes.c_char_p),
    ]


_OBJECT = ctypes.c_void_p
_TEXT = ctypes.c_char_p
_ERROR = ctypes.POINTER(ctypes.POINTER(_Error))
_INT64 = ctypes.POINTER(ctypes.c_int64)
_DOUBLE = ctypes.POINTER(ctypes.c_double)


@cache
def aravis() -> Aravis:
    """The library, loaded once.

    Raises:
        AravisMissingError: it is not installed.

    """
    for name in _NAMES:
        try:
            return Aravis(
                ctypes.CDLL(name),
                ctypes.CDLL("libgobject-2.0.so.0"),
                ctypes.CDLL("libglib-2.0.so.0"),
            )
        except OSError:
            continue
    raise AravisMissingError(f"GenICam cameras need the library Aravis: {INSTALL}")


class Aravis:
    """The functions of the library; any thread, one camera by one thread at a time."""

    def __init__(self, library: ctypes.CDLL, objects: ctypes.CDLL, glib: ctypes.CDLL) -> None:
        self._library = library
        self._unref = objects.g_object_unref
        self._unref.restype, self._unref.argtypes = None, [_OBJECT]
        self._type_name = objects.g_type_name_from_instance
        self._type_name.restype, self._type_name.argtypes = _TEXT, [_OBJECT]
        self._free = glib.g_free
        self._free.restype, self._free.argtypes = None, [ctypes.c_void_p]
        self._free_error = glib.g_error_free
        self._free_error.restype, self._free_error.argtypes = None, [ctypes.POINTER(_Error)]
        self._functions: dict[str, Callable[..., Any]] = {}

    def _call(self, name: str, result: Any, types: Iterable[Any], *given: Any) -> Any:
        """Call a function that cannot fail."""
        function = self._functions.get(name)
        if function is None:
            function = self._functions[name] = getattr(self._library, name)
            function.restype, function.argtypes = result, list(types)
        return function(*given)

    def _try(self, name: str, result: Any, types: Iterable[Any], *given: Any) -> Any:
        """Call a function that reports errors through its last argument.

        Raises:
            AravisError: it did.

        """
        error = ctypes.POINTER(_Error)()
        found = self._call(name, result, [*types, _ERROR], *given, ctypes.byref(error))
        if ctypes.cast(error, ctypes.c_void_p).value is not None:
            message = (error.contents.message or b"").decode(errors="replace")
            self._free_error(error)
            raise AravisError(message)
        return found

    def release(self, thing: Handle) -> None:
        """Give an object back; what it holds ends with it."""
        self._unref(thing)

    def devices(self) -> list[Device]:
        """Every camera that answers now; takes about a second, and broadcasts on each network."""
        self._call("arv_update_device_list", None, [])
        count = self._call("arv_get_n_devices", ctypes.c_uint, [])

        def text(what: str, index: int) -> str:
            found = self._call(f"arv_get_device_{what}", _TEXT, [ctypes.c_uint], index)
            return (found or b"").decode(errors="replace")

        return [
            Device(
                id=text("id", index),
                vendor=text("vendor", index),
                model=text("model", index),
                serial=text("serial_nbr", index),
                address=text("address", index),
                physical_id=text("physical_id", index),
                protocol=text("protocol", index),
            )
            for index in range(count)
        ]

    def camera(self, name: str | None) -> Handle:
        """Open a camera by its address, serial number, MAC address, user name or id.

        None opens the first that answers.
        """
        given = None if name is None else name.encode()
        opened = self._try("arv_camera_new", _OBJECT, [_TEXT], given)
        if not opened:
            raise AravisError("no camera answers")
        return Handle(opened)

    def device_of(self, camera: Handle) -> Handle:
        """The device behind a camera; lives as long as it."""
        return Handle(self._call("arv_camera_get_device", _OBJECT, [_OBJECT], camera))

    def is_network_camera(self, camera: Handle) -> bool:
        """Whether it speaks GigE Vision."""
        return bool(self._call("arv_camera_is_gv_device", ctypes.c_int, [_OBJECT], camera))

    def is_ours(self, device: Handle) -> bool:
        """Whether we control a network camera: nobody else does, and it answered of late."""
        return bool(self._call("arv_gv_device_is_controller", ctypes.c_int, [_OBJECT], device))

    def register(self, device: Handle, address: int) -> int:
        """One 32-bit register."""
        value = ctypes.c_uint32()
        types = [_OBJECT, ctypes.c_uint64, ctypes.POINTER(ctypes.c_uint32)]
        self._try(
            "arv_device_read_register", ctypes.c_int, types, device, address, ctypes.byref(value)
        )
        return value.value

    def auto_packet_size(self, camera: Handle) -> int:
        """Try how large packets get through, and use that size."""
        self._try("arv_camera_gv_auto_packet_size", ctypes.c_uint, [_OBJECT], camera)
        return self.packet_size(camera)

    def packet_size(self, camera: Handle) -> int:
        """Bytes of a packet of the stream, headers included."""
        found: int = self._try("arv_camera_gv_get_packet_size", ctypes.c_uint, [_OBJECT], camera)
        return found

    def set_packet_size(self, camera: Handle, size: int) -> None:
        """Bytes of a packet of the stream, headers included."""
        self._try("arv_camera_gv_set_packet_size", None, [_OBJECT, ctypes.c_int], camera, size)

    def payload(self, camera: Handle) -> int:
        """Bytes of a frame."""
        found: int = self._try("arv_camera_get_payload", ctypes.c_uint, [_OBJECT], camera)
        return found

    def stream(self, camera: Handle) -> Handle:
        """A stream of this camera; a thread of the library fills its buffers."""
        types = [_OBJECT, ctypes.c_void_p, ctypes.c_void_p]
        made = self._try("arv_camera_create_stream", _OBJECT, types, camera, None, None)
        if not made:
            raise AravisError("no stream can be made")
        return Handle(made)

    def add_buffers(self, stream: Handle, count: int, size: int) -> None:
        """Lend the stream so many buffers of its own, `size` bytes each."""
        for _ in range(count):
            made = self._call("arv_buffer_new_allocate", _OBJECT, [ctypes.c_size_t], size)
            self.lend(stream, Handle(made))

    def lend(self, stream: Handle, buffer: Handle) -> None:
        """Let the stream fill this buffer (again)."""
        self._call("arv_stream_push_buffer", None, [_OBJECT, _OBJECT], stream, buffer)

    def take(self, stream: Handle, timeout_s: float) -> Handle | None:
        """The next filled buffer, whole or not; None where none comes in time."""
        types = [_OBJECT, ctypes.c_uint64]
        found = self._call(
            "arv_stream_timeout_pop_buffer", _OBJECT, types, stream, int(timeout_s * 1e6)
        )
        return Handle(found) if found else None

    def counter(self, stream: Handle, name: str) -> int:
        """One of the stream's statistics, `n_missing_packets` for instance."""
        found: int = self._call(
            "arv_stream_get_info_uint64_by_name",
            ctypes.c_uint64,
            [_OBJECT, _TEXT],
            stream,
            name.encode(),
        )
        return found

    def start(self, camera: Handle) -> None:
        """Let it send."""
        self._try("arv_camera_start_acquisition", None, [_OBJECT], camera)

    def stop(self, camera: Handle) -> None:
        """Let it send no more."""
        self._try("arv_camera_stop_acquisition", None, [_OBJECT], camera)

    def fire(self, camera: Handle) -> None:
        """Trigger one frame of a camera whose trigger source is its software."""
        self._try("arv_camera_software_trigger", None, [_OBJECT], camera)

    def status(self, buffer: Handle) -> BufferStatus:
        """What became of the frame in it."""
        found = self._call("arv_buffer_get_status", ctypes.c_int, [_OBJECT], buffer)
        try:
            return BufferStatus(found)
        except ValueError:
            return BufferStatus.UNKNOWN

    def frame_id(self, buffer: Handle) -> int:
        """The camera's number of the frame."""
        found: int = self._call("arv_buffer_get_frame_id", ctypes.c_uint64, [_OBJECT], buffer)
        return found

    def stamp_ns(self, buffer: Handle) -> int:
        """The camera's time stamp; 0 where it has no clock."""
        found: int = self._call("arv_buffer_get_timestamp", ctypes.c_uint64, [_OBJECT], buffer)
        return found

    def picture(self, buffer: Handle) -> tuple[int, int, int]:
        """Width and height in pixels, and the pixel format's number."""
        ask = self._call
        return (
            ask("arv_buffer_get_image_width", ctypes.c_int, [_OBJECT], buffer),
            ask("arv_buffer_get_image_height", ctypes.c_int, [_OBJECT], buffer),
            ask("arv_buffer_get_image_pixel_format", ctypes.c_uint32, [_OBJECT], buffer),
        )

    def content(self, buffer: Handle) -> memoryview:
        """Its bytes; valid until the buffer is lent again."""
        size = ctypes.c_size_t()
        types = [_OBJECT, ctypes.POINTER(ctypes.c_size_t)]
        where = self._call(
            "arv_buffer_get_image_data", ctypes.c_void_p, types, buffer, ctypes.byref(size)
        )
        if not where:
            return memoryview(b"")
        return memoryview((ctypes.c_ubyte * size.value).from_address(where)).cast("B")

    def feature(self, device: Handle, name: str) -> Handle | None:
        """A feature of the camera by its name; None where it has no such. Lives with the device."""
        found = self._call(
            "arv_device_get_feature", _OBJECT, [_OBJECT, _TEXT], device, name.encode()
        )
        return Handle(found) if found else None

    def is_available(self, device: Handle, name: str) -> bool:
        """Whether a feature may be used as the camera is set now."""
        types = [_OBJECT, _TEXT]
        return bool(
            self._try("arv_device_is_feature_available", ctypes.c_int, types, device, name.encode())
        )

    def kind_of(self, feature: Handle) -> str:
        """Its kind in the camera's description: `Enumeration`, `Float`, `IntReg`, …."""
        found: bytes = self._type_name(feature) or b""
        return found.decode().removeprefix("ArvGc")

    def value(self, feature: Handle) -> str:
        """Its value as text, read from the camera."""
        found = self._try("arv_gc_feature_node_get_value_as_string", _TEXT, [_OBJECT], feature)
        return (found or b"").decode(errors="replace")

    def set_value(self, feature: Handle, value: str) -> None:
        """Write its value, given as text."""
        types = [_OBJECT, _TEXT]
        self._try("arv_gc_feature_node_set_value_from_string", None, types, feature, value.encode())

    def float_bounds(self, device: Handle, name: str) -> tuple[float, float]:
        """The smallest and the largest value of a number with fractions."""
        low, high = ctypes.c_double(), ctypes.c_double()
        self._try(
            "arv_device_get_float_feature_bounds", None, [_OBJECT, _TEXT, _DOUBLE, _DOUBLE],
            device, name.encode(), ctypes.byref(low), ctypes.byref(high),
        )  # fmt: skip
        return low.value, high.value

    def integer_bounds(self, device: Handle, name: str) -> tuple[int, int]:
        """The smallest and the largest value of a whole number."""
        low, high = ctypes.c_int64(), ctypes.c_int64()
        self._try(
            "arv_device_get_integer_feature_bounds", None, [_OBJECT, _TEXT, _INT64, _INT64],
            device, name.encode(), ctypes.byref(low), ctypes.byref(high),
        )  # fmt: skip
        return low.value, high.value

    def choices(self, device: Handle, name: str) -> list[str]:
        """What an enumeration may be as the camera is set now."""
        count = ctypes.c_uint()
        types = [_OBJECT, _TEXT, ctypes.POINTER(ctypes.c_uint)]
        found = self._try(
            "arv_device_dup_available_enumeration_feature_values_as_strings",
            ctypes.POINTER(_TEXT), types, device, name.encode(), ctypes.byref(count),
        )  # fmt: skip
        texts = [found[n].decode(errors="replace") for n in range(count.value)]
        self._free(ctypes.cast(found, ctypes.c_void_p))
        return texts
