"""Which industrial cameras answer in this machine's networks and on its USB."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

from inspector.sources.found import FoundCamera
from inspector.sources.genicam.camera import holder_of
from inspector.sources.genicam.library import Aravis, AravisError, Device, Handle, aravis


def found_cameras() -> list[FoundCamera]:
    """Ask on every network, for a second; each that answers is opened to see who holds it.

    Raises:
        AravisMissingError: the library is not installed.

    """
    library = aravis()
    return [_described(library, device) for device in library.devices()]


def _described(library: Aravis, device: Device) -> FoundCamera:
    known = FoundCamera(
        source=f"genicam:{device.serial or device.address or device.id}",
        vendor=device.vendor,
        model=device.model,
        serial=device.serial,
        address=", ".join(filter(None, (device.address, device.physical_id))),
    )
    try:
        camera = library.camera(device.id)
    except AravisError as error:
        return replace(known, state=f"cannot be opened: {error}")
    try:
        return _opened(library, camera, known)
    finally:
        library.release(camera)


def _opened(library: Aravis, camera: Handle, known: FoundCamera) -> FoundCamera:
    device = library.device_of(camera)
    state = "free"
    if library.is_network_camera(camera) and not library.is_ours(device):
        state = f"held by another program{holder_of(library, device)}"
    formats: list[str] = []
    with suppress(AravisError):
        formats = sorted(library.choices(device, "PixelFormat"))
    sides = [_whole(library, device, name) for name in ("Width", "Height")]
    return replace(
        known,
        state=state,
        formats=tuple(formats),
        size=None if None in sides else (sides[0] or 0, sides[1] or 0),
    )


def _whole(library: Aravis, device: Handle, name: str) -> int | None:
    with suppress(AravisError, ValueError):
        feature = library.feature(device, name)
        return None if feature is None else int(library.value(feature))
    return None
