"""An industrial camera that speaks GigE Vision: lost, opened and measured many times.

`python -m tests.drills.industrial_camera --losses 100 --openings 10000 --seconds 20` runs in a
network of its own and prints one JSON object. The camera is Aravis' simulated one.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from threading import Thread

import numpy as np

from inspector.core.errors import CameraUnavailableError, FrameUnreadableError
from inspector.sources.genicam.camera import GenicamSource
from inspector.sources.opening import FeatureValue, Opening
from inspector.sources.registry import parse_source
from tests.kit.genicam_camera import FakeCamera

_IN_NETWORK = "--in-own-network"
_FURTHER_ADDRESSES = "for n in 2 3 4 5; do ip address add 127.0.0.$n/8 dev lo; done"
"""The simulated camera only takes an address that an interface has."""
_LARGE = (2048, 2048)
"""The largest picture that the simulated camera has: 4.2 megapixels."""
_WARM_UP = 20
_NS_PER_S = 1_000_000_000


def main() -> None:
    """Run the parts that are asked for."""
    if _IN_NETWORK not in sys.argv:
        inside = f'ip link set lo up; {_FURTHER_ADDRESSES}; exec "$@"'
        module = [sys.executable, "-m", "tests.drills.industrial_camera"]
        command = ["unshare", "--net", "sh", "-c", inside, "sh", *module, *sys.argv[1:]]
        os.execvp(command[0], [*command, _IN_NETWORK])
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--losses", type=int, default=0)
    parser.add_argument("--openings", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=0, help="of five cameras, and of cost")
    parser.add_argument(_IN_NETWORK, action="store_true")
    asked = parser.parse_args()
    found: dict[str, object] = {}
    if asked.losses:
        found["losses"] = losses(asked.losses)
    if asked.openings:
        found["openings"] = openings(asked.openings)
    if asked.seconds:
        found["five_cameras"] = five_cameras(asked.seconds)
        found["large_bayer"] = {
            "grabbed": cost_of_large_bayer(asked.seconds, converted=False),
            "grabbed_and_converted": cost_of_large_bayer(asked.seconds, converted=True),
        }
    print(json.dumps(found, indent=2))  # noqa: T201 - what the drill is run for


def losses(rounds: int) -> dict[str, object]:
    """Cut its power and have it hang in turns; how long until that is noticed, and it is back."""
    noticed_s, back_s = [], []
    with FakeCamera() as power:
        camera = _source("genicam:127.0.0.1", (640, 480))
        for number in range(rounds):
            camera.open()
            _read(camera, 3)
            is_cut = number % 2 == 0
            at_s = time.monotonic()
            (power.power_off if is_cut else power.hang)()
            _read_until_lost(camera)
            noticed_s.append(time.monotonic() - at_s)
            camera.close()
            (power.power_on if is_cut else power.go_on)()
            at_s = time.monotonic()
            _open_until_it_is_back(camera)
            back_s.append(time.monotonic() - at_s)
            camera.close()
    return {
        "rounds": rounds,
        "noticed_s": _spread(noticed_s),
        "back_s": _spread(back_s),
    }


def openings(rounds: int) -> dict[str, object]:
    """Open and close; what the process holds before, on the way, and after."""
    with FakeCamera():
        camera = _source("genicam:127.0.0.1", (640, 480))
        held = []
        for number in range(rounds + 1):
            if number in (_WARM_UP, rounds // 2, rounds):
                held.append({"after": number, **_held()})
            camera.open()
            camera.close()
    return {"rounds": rounds, "held": held}


def five_cameras(seconds: float) -> list[dict[str, object]]:
    """Five at once, each read by a thread of its own."""
    results: list[dict[str, object]] = []

    def read(address: str) -> None:
        camera = _source(f"genicam:{address}", (640, 480), PixelFormat="BayerRG8")
        camera.open()
        whole, unreadable = _read_for(camera, seconds, converted=True)
        camera.close()
        results.append({"camera": address, "whole": whole, "unreadable": unreadable})

    with ExitStack() as powered:
        addresses = [f"127.0.0.{number}" for number in range(1, 6)]
        for number, address in enumerate(addresses):
            powered.enter_context(FakeCamera(address=address, serial=f"GV{number}"))
        _together([lambda a=address: read(a) for address in addresses])  # type: ignore[misc]
    return sorted(results, key=lambda result: str(result["camera"]))


def cost_of_large_bayer(seconds: float, *, converted: bool) -> dict[str, object]:
    """Share of a core of this process, the library's own thread included."""
    with FakeCamera():
        features: dict[str, FeatureValue] = {"PixelFormat": "BayerRG8"}
        features["AcquisitionFrameRate"] = 20.0
        camera = _source("genicam:127.0.0.1?packet=8192", _LARGE, **features)
        camera.open()
        began_s, used_s = time.monotonic(), time.process_time()
        whole, unreadable = _read_for(camera, seconds, converted=converted)
        took_s, used_s = time.monotonic() - began_s, time.process_time() - used_s
        camera.close()
    frames = whole + unreadable
    return {
        "frames_per_s": round(frames / took_s, 1),
        "unreadable": unreadable,
        "cores": round(used_s / took_s, 3),
        "cpu_ms_per_frame": round(used_s / max(frames, 1) * 1000, 2),
    }


def _source(written: str, size: tuple[int, int], **features: FeatureValue) -> GenicamSource:
    opening = Opening(size=size, read_timeout_s=1.0, features=features)
    made = parse_source(written).make_source(opening)
    assert isinstance(made, GenicamSource)
    return made


def _read(camera: GenicamSource, frames: int) -> None:
    for _ in range(frames):
        camera.grab()


def _read_until_lost(camera: GenicamSource) -> None:
    try:
        while True:
            camera.grab()
    except CameraUnavailableError:
        return


def _open_until_it_is_back(camera: GenicamSource) -> None:
    while True:
        try:
            camera.open()
            camera.grab()
        except CameraUnavailableError:
            time.sleep(0.1)  # as the pace of a first reconnection
        else:
            return


def _read_for(camera: GenicamSource, seconds: float, *, converted: bool) -> tuple[int, int]:
    """How many frames came whole, and how many did not."""
    assert camera.size is not None
    image = np.zeros((camera.size[1], camera.size[0], 3), np.uint8)
    whole = unreadable = 0
    until_ns = time.monotonic_ns() + round(seconds * _NS_PER_S)
    while time.monotonic_ns() < until_ns:
        camera.grab()
        try:
            if converted:
                camera.retrieve_into(image)
        except FrameUnreadableError:
            unreadable += 1
        else:
            whole += 1
    return whole, unreadable


def _held() -> dict[str, int]:
    process = Path("/proc/self")
    pages = int((process / "statm").read_text(encoding="ascii").split()[1])
    return {
        "descriptors": len(list((process / "fd").iterdir())),
        "threads": len(list((process / "task").iterdir())),
        "resident_kb": pages * os.sysconf("SC_PAGE_SIZE") // 1024,
    }


def _together(bodies: list[Callable[[], None]]) -> None:
    threads = [Thread(target=body) for body in bodies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _spread(seconds: list[float]) -> dict[str, float]:
    median, most = float(np.median(seconds)), max(seconds)
    return {"median": round(median, 2), "most": round(most, 2)}


if __name__ == "__main__":
    main()
