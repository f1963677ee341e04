"""What may happen to a camera: GStreamer's RTSP server, sometimes with a bad cable in between."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from tests.drills.redis_drills import let_pass
from tests.drills.stand import (
    CannotDrillError,
    Stand,
    camera_down,
    camera_up,
    has_cause,
    lost_again,
    since,
)
from tests.drills.witness import Witness
from tests.kit.cables import BadCable, LeakyCable
from tests.kit.line import Line, wait_for
from tests.kit.rtsp_server import RtspServer, Serving

FPS = 8
SIZE = (640, 360)
MOVING = Serving(pattern_size=SIZE, fps=FPS)
LATENCY_S = 1.5
"""From capture to the line, and what an encoder may still hold: not the fault's frames yet."""
FAULTY_S = 6.0


def camera(stand: Stand, serving: Serving = MOVING) -> RtspServer:
    """A camera that serves from now on."""
    if (why := RtspServer.missing()) is not None:
        raise CannotDrillError(why)
    return stand.stack.enter_context(RtspServer(serving))


def settings_for(server: RtspServer, **more: Any) -> dict[str, Any]:
    width, height = SIZE
    return {"top": {"source": server.url(), "size": f"{width}x{height}", **more}}


def _lost_and_back(stand: Stand, break_it: str, repair: str) -> None:
    server = camera(stand)
    line, witness = stand.running(cameras=settings_for(server))
    for _ in range(stand.repetitions):
        stand.wait_inspecting(witness, units=3)
        began_s, began_unix_s = since()
        getattr(server, break_it)()
        stand.detected("camera_up 0", camera_down(line), began_s)
        let_pass(2.0)
        stand.nobody_looks(began_unix_s + LATENCY_S, time.time())
        getattr(server, repair)()
        stand.recovered(witness)
    stand.close(line, witness)
    stand.tally.repetitions = stand.repetitions


def killed(stand: Stand) -> None:
    """SIGKILL, and started again."""
    _lost_and_back(stand, "kill", "start")


def frozen_process(stand: Stand) -> None:
    """SIGSTOP: the connection stays, like a pulled cable."""
    _lost_and_back(stand, "stop", "cont")


def absent_at_start(stand: Stand) -> None:
    """The service starts first; the camera is switched on later."""
    server = camera(stand)
    server.kill()
    line = stand.line(cameras=settings_for(server))
    began_s, _unix_s = since()
    line.start()
    witness = stand.stack.enter_context(Witness(stand.redis.port))
    wait_for(lambda: line.get("/healthz")[0] == 200, within_s=60, what="it runs")
    stand.detected("camera fault in the stream", lambda: _raised(witness), time.monotonic())
    assert line.is_alive
    let_pass(max(0.0, 3.0 - (time.monotonic() - began_s)))
    server.start()
    stand.recovered(witness)
    stand.close(line, witness)


def _causes(witness: Witness) -> str:
    return " ".join(e.event["cause"] for e in witness.read if e.stream == "health")


def _raised(witness: Witness) -> bool:
    return ("camera", "top", "raised") in witness.faults()


def wrong_password(stand: Stand) -> None:
    """The camera refuses the login until its password is set right."""
    wrong = replace(MOVING, user="viewer", password="other")
    server = camera(stand, wrong)
    source = {"source": server.url(user="viewer", password="right")}
    line = stand.line(cameras=settings_for(server, **source))
    line.start()
    witness = stand.stack.enter_context(Witness(stand.redis.port))
    wait_for(lambda: line.get("/healthz")[0] == 200, within_s=60, what="it runs")
    stand.detected("camera fault in the stream", lambda: _raised(witness), time.monotonic())
    if "password" not in _causes(witness):
        stand.tally.problems.append(f"the cause is not told: {_causes(witness)}")
    server.restart(replace(wrong, password="right"))
    stand.recovered(witness)
    stand.close(line, witness)


def black(stand: Stand) -> None:
    """The picture is black: lamp off, lens cap on."""
    server = camera(stand)
    line, witness = stand.running(cameras=settings_for(server))
    for _ in range(stand.repetitions):
        stand.wait_inspecting(witness, units=3)
        server.restart(replace(MOVING, pattern="black"))
        began_s, began_unix_s = since()
        stand.detected("a dark unit", partial(_dark_after, witness, began_unix_s), began_s)
        wait_for(lambda: "dark" in _causes(witness), within_s=10, what="the fault is told")
        let_pass(FAULTY_S)
        stand.nobody_looks(began_unix_s, time.time())
        server.restart(MOVING)
        stand.recovered(witness)
    stand.close(line, witness)
    stand.tally.repetitions = stand.repetitions


def _dark_after(witness: Witness, unix_s: float) -> bool:
    return any(
        u.event["reason"] == "camera_dark" and u.seen_unix_s > unix_s for u in witness.units()
    )


def frozen_picture(stand: Stand) -> None:
    """The same picture again and again: nobody knows before `frozen_after_s` is up."""
    server = camera(stand)
    line, witness = stand.running(cameras=settings_for(server, frozen_after_s=2.0))
    for _ in range(stand.repetitions):
        stand.wait_inspecting(witness, units=3)
        # The camera is away for a moment, which is not the fault that is looked for.
        is_lost_again = lost_again(line)
        server.restart(replace(MOVING, pattern="smpte100", codec="mjpeg"))
        wait_for(is_lost_again, within_s=30, what="the line notices that it is away")
        wait_for(camera_up(line), within_s=30, what="the still picture arrives")
        began_s, _unix_s = since()
        stand.detected("the same picture", has_cause(line, "the same picture"), began_s)
        detected_unix_s = time.time()
        let_pass(FAULTY_S)
        stand.nobody_looks(detected_unix_s, time.time())
        server.restart(MOVING)
        stand.recovered(witness)
    stand.close(line, witness)
    stand.tally.repetitions = stand.repetitions


def other_codec(stand: Stand) -> None:
    """It comes back with MJPEG instead of H.264, and later with H.264 again: both are read."""
    server = camera(stand)
    line, witness = stand.running(cameras=settings_for(server))
    for number in range(2 * stand.repetitions):
        stand.wait_inspecting(witness, units=3)
        server.restart(replace(MOVING, codec="h264" if number % 2 else "mjpeg"))
        stand.recovered(witness)
    stand.close(line, witness)
    stand.tally.repetitions = 2 * stand.repetitions


def other_size(stand: Stand) -> None:
    """The size changes in the middle of the stream; the agreed one comes back later."""
    after_s = 6.0
    server = camera(stand, replace(MOVING, resize_after_s=after_s))
    line, witness = stand.running(cameras=settings_for(server))
    # A camera that is opened anew shows the agreed size once more, until it changes again.
    wait_for(
        lambda: "640x360" in _causes(witness) and "320x180" in _causes(witness),
        within_s=60,
        what="the other size is refused, and both are named",
    )
    server.restart(replace(MOVING, pattern_size=(320, 180)))
    began_s, began_unix_s = since()
    stand.detected("camera_up 0", camera_down(line), began_s)
    let_pass(FAULTY_S)
    stand.nobody_looks(began_unix_s, time.time())
    server.restart(MOVING)
    stand.recovered(witness)
    stand.close(line, witness)


def five_times_the_rate(stand: Stand) -> None:
    """It sends five times as many pictures as agreed: load is shed, and every one has a verdict."""
    server = camera(stand)
    line, witness = stand.running(cameras=settings_for(server))
    stand.wait_inspecting(witness, units=5)
    server.restart(replace(MOVING, fps=5 * FPS))
    stand.wait_inspecting(witness, units=10)
    let_pass(FAULTY_S)
    server.restart(MOVING)
    stand.recovered(witness)
    stand.close(line, witness)


def corrupted_packets(stand: Stand) -> None:
    """Bits flip on the way: damaged pictures are not inspected, or the connection is made anew."""
    server = camera(stand)
    with BadCable(server.port, stand.random) as cable:
        width, height = SIZE
        source = server.url().replace(str(server.port), str(cable.port))
        cameras = {"top": {"source": source, "size": f"{width}x{height}"}}
        line, witness = stand.running(cameras=cameras)
        for _ in range(stand.repetitions):
            stand.wait_inspecting(witness, units=3)
            began_s, began_unix_s = since()
            cable.flips_every_bytes = 3_000
            stand.detected(
                "a unit that is not inspected, or the camera lost",
                partial(_is_noticed, line, witness, began_unix_s),
                began_s,
            )
            let_pass(FAULTY_S)
            cable.flips_every_bytes = 0
            stand.recovered(witness)
        stand.close(line, witness)
        assert cable.flipped > 0
    stand.tally.repetitions = stand.repetitions


def _is_noticed(line: Line, witness: Witness, since_unix_s: float) -> bool:
    unseen = any(
        u.seen_unix_s > since_unix_s and u.result == "NOT_INSPECTED" for u in witness.units()
    )
    return unseen or camera_down(line)()


def pictures_left_out(stand: Stand) -> None:
    """A picture never arrives: it is a unit, and nothing is inspected before the next key frame."""
    _left_out(stand, LeakyCable.lose_picture, renumbers=False)


def pictures_left_out_unseen(stand: Stand) -> None:
    """The same behind a proxy that numbers its packets anew: only the pictures tell of it."""
    _left_out(stand, LeakyCable.lose_picture, renumbers=True)


def packets_left_out(stand: Stand) -> None:
    """A packet of a picture never arrives: the rest of it looks like a whole one."""
    _left_out(stand, LeakyCable.lose_packet, renumbers=False)


def _left_out(stand: Stand, lose: Callable[[LeakyCable], None], *, renumbers: bool) -> None:
    server = camera(stand)
    with LeakyCable(server.port, renumbers=renumbers) as cable:
        width, height = SIZE
        source = server.url().replace(str(server.port), str(cable.port))
        cameras = {"top": {"source": source, "size": f"{width}x{height}"}}
        line, witness = stand.running(cameras=cameras)
        for _ in range(stand.repetitions):
            stand.wait_inspecting(witness, units=3)
            began_s, began_unix_s = since()
            lose(cable)
            stand.detected(
                "a unit whose picture cannot be used",
                partial(_is_unreadable, witness, began_unix_s),
                began_s,
            )
            stand.recovered(witness)
        stand.close(line, witness)
        assert cable.pictures_left_out + cable.packets_left_out == stand.repetitions
    stand.tally.repetitions = stand.repetitions


def clock_is_wrong(stand: Stand) -> None:
    """Its time stamps run slow, then fast, go back, jump ahead once: no picture is older for it."""
    server = camera(stand)
    with LeakyCable(server.port) as cable:
        width, height = SIZE
        source = server.url().replace(str(server.port), str(cable.port))
        cameras = {"top": {"source": source, "size": f"{width}x{height}"}}
        line, witness = stand.running(cameras=cameras)
        stand.wait_inspecting(witness, units=5)
        _began_s, began_unix_s = since()
        offsets = itertools.chain((90_000 * 7 // 10,), itertools.repeat(0))
        for stamp in (lambda ticks: ticks + next(offsets), lambda ticks: ticks - 72_000):
            cable.stamp = stamp
            let_pass(FAULTY_S)
        began_s, _unix_s = since()
        cable.stamp = lambda ticks: ticks * 5 // 6
        stand.detected("the camera's clock is told", lambda: _tells_clock(witness), began_s)
        let_pass(FAULTY_S)
        stale = [u for u in witness.units() if u.event["reason"] == "stale"]
        # Where a stamp changes by more than a picture's time, one may be taken for late.
        if len([u for u in stale if u.seen_unix_s > began_unix_s]) > FPS:
            stand.tally.problems.append(f"{len(stale)} units are stale")
        cable.stamp = int
        stand.recovered(witness)
        stand.close(line, witness)


def _tells_clock(witness: Witness) -> bool:
    return ("clock", "camera top", "raised") in witness.faults()


def _is_unreadable(witness: Witness, since_unix_s: float) -> bool:
    return any(
        u.seen_unix_s > since_unix_s - LATENCY_S and u.event["reason"] == "frame_unreadable"
        for u in witness.units()
    )
