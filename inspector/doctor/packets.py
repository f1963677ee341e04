"""Checks for some seconds whether the network carries a camera's pictures."""

from __future__ import annotations

import threading
from contextlib import suppress
from pathlib import Path

from inspector.core.errors import CameraUnavailableError
from inspector.core.packets import Packets
from inspector.core.ports import FrameSource, PacketSource
from inspector.core.records import CameraId
from inspector.doctor.findings import Finding, Mark

TRIAL_S = 3.0
ENOUGH_BUFFER_BYTES = 32_000_000
"""Some frames of 5 megapixels: what arrives while the reading thread has no core."""
JUMBO_BYTES = 8000
"""Of a packet: 600 instead of 3,600 of them for a frame of 5 megapixels."""
_RECEIVE_BUFFER = Path("/proc/sys/net/core/rmem_max")


def check_packets(
    camera_id: CameraId, source: FrameSource, stop: threading.Event
) -> Finding | None:
    """Read for `TRIAL_S`, and stop the source; None where no pictures come in packets."""
    before = source.packets if isinstance(source, PacketSource) else None
    if before is None or not isinstance(source, PacketSource):
        return None
    ending = threading.Timer(TRIAL_S, stop.set)
    ending.daemon = True
    ending.start()
    with suppress(CameraUnavailableError):  # what came until then was counted
        while not stop.is_set():
            source.grab()
    ending.cancel()
    after = source.packets
    buffer_bytes = int(_RECEIVE_BUFFER.read_text(encoding="ascii"))
    if after is None:
        return None
    seen = after.since(before)
    # A camera that waits for triggers may have sent none.
    return judge(camera_id, seen, buffer_bytes) if seen.received else None


def judge(camera_id: CameraId, packets: Packets, buffer_bytes: int) -> Finding:
    """What the packets of a trial say of the network; `buffer_bytes` is the kernel's limit."""
    what = f"packets {camera_id}"
    frames = packets.frames_whole + packets.frames_broken
    found = (
        f"{packets.size_bytes} bytes each, {packets.received} came,"
        f" {packets.frames_broken} of {frames} pictures not whole"
    )
    if packets.sent_again:
        found += f", {packets.sent_again} sent again"
    if not packets.frames_broken and not packets.sent_again:
        return Finding(what=what, mark=Mark.OK, found=found)
    mark = Mark.FAIL if packets.frames_broken else Mark.WARN
    advice = "; ".join(_advice(packets, buffer_bytes))
    return Finding(what=what, mark=mark, found=found, advice=advice)


def _advice(packets: Packets, buffer_bytes: int) -> list[str]:
    """What to change, in the order in which it costs least to try."""
    advice = []
    if buffer_bytes < ENOUGH_BUFFER_BYTES:
        advice.append(
            f"sysctl net.core.rmem_max={ENOUGH_BUFFER_BYTES} (it is {buffer_bytes}), kept in"
            " /etc/sysctl.d"
        )
    if packets.size_bytes < JUMBO_BYTES:
        advice.append("an MTU of 9000 on the camera, each switch, and this network card")
    advice.append(
        "see in /proc/interrupts that the network card's interrupts have a core that is not busy,"
        " and that no switch on the way is too slow"
    )
    return advice
