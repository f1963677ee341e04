"""What may happen to the service's own process."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from tests.drills.camera_drills import camera, settings_for
from tests.drills.redis_drills import let_pass
from tests.drills.stand import STEADY, Stand, redis_down, since
from tests.drills.witness import Witness
from tests.kit.line import Line, wait_for, write_locked
from tests.kit.processes import memory_bytes
from tests.kit.systemd_socket import Systemd

LONGEST_LIFE_S = 5.0
"""A start takes two to three: some are killed before they run."""
WATCHDOG_S = 2.0
SQUEEZED_S = 6.0
IDLE_CONNECTIONS = 1100
BUSY = STEADY | {"source": "sim:?fps=40&seed=3"}
"""More than a CPU inspects: something is under way at any moment."""

BLOCKING = """
import signal, time
signal.signal(signal.SIGUSR1, lambda *_: time.sleep(100_000))
"""


def killed_at_random_moments(stand: Stand) -> None:
    """SIGKILL under load, also while it starts."""
    line = stand.line(cameras={"top": BUSY})
    witness = stand.stack.enter_context(Witness(stand.redis.port))
    for _ in range(stand.repetitions):
        line.start()
        let_pass(stand.random.uniform(0.0, LONGEST_LIFE_S))
        line.kill()
    line.start()
    stand.recovered(witness)
    stand.wait_inspecting(witness)
    stand.close(line, witness, lives=True)
    stand.tally.repetitions = stand.repetitions


def terminated_under_load(stand: Stand) -> None:
    """SIGTERM with frames under way: each of them has its verdict before the process ends."""
    line = stand.line(cameras={"top": BUSY})
    witness = stand.stack.enter_context(Witness(stand.redis.port))
    verdicts = 0
    for _ in range(stand.repetitions):
        line.start()
        stand.wait_inspecting(witness, units=10)
        line.stop(within_s=20)
        stopped = line.said("stopped")
        if stopped["captured"] != stopped["verdicts"]:
            stand.tally.problems.append(f"frames without a verdict: {stopped}")
        verdicts += stopped["verdicts"]
    stand.tally.add(witness.audit(verdicts=verdicts))
    stand.tally.repetitions = stand.repetitions


def stage_hangs(stand: Stand) -> None:
    """The journal's disk answers nothing: it says that it makes no progress and is replaced."""
    line, witness = stand.running(
        inference={"reply_timeout_s": 2.0}, health={"stalled_after_s": 3.0}
    )
    for _ in range(stand.repetitions):
        stand.wait_inspecting(witness, units=2)
        with write_locked(line.state / "journal.sqlite"):
            began_s, _unix_s = since()
            stand.detected("/healthz 503", lambda: line.get("/healthz")[0] == 503, began_s)
            line.send(signal.SIGABRT)  # as the watchdog does, or whoever is called
            line.wait_end(10)
        line.start()
        stand.recovered(witness)
    stand.close(line, witness, lives=True)
    stand.tally.repetitions = stand.repetitions


def event_loop_blocked(stand: Stand) -> None:
    """The loop's thread never returns: no sign of life any more, the watchdog replaces it."""
    faults = stand.folder / "faults"
    faults.mkdir()
    (faults / "sitecustomize.py").write_text(BLOCKING)
    systemd = Systemd(stand.folder)
    stand.stack.callback(systemd.close)
    line, witness = stand.running(
        environment={
            "PYTHONPATH": os.pathsep.join([str(faults), os.environ.get("PYTHONPATH", "")]),
            "NOTIFY_SOCKET": systemd.address,
            "WATCHDOG_USEC": str(round(WATCHDOG_S * 1e6)),
        }
    )
    for _ in range(stand.repetitions):
        stand.wait_inspecting(witness, units=2)
        began_s, _unix_s = since()
        line.send(signal.SIGUSR1)
        stand.detected(
            "no sign of life for WatchdogSec",
            lambda: systemd.silent_s("WATCHDOG=1") > WATCHDOG_S,
            began_s,
        )
        line.send(signal.SIGABRT)
        line.wait_end(10)
        line.start()
        stand.recovered(witness)
    stand.close(line, witness, lives=True)
    stand.tally.repetitions = stand.repetitions


def memory_limit(stand: Stand) -> None:
    """It gets no memory any more. It may end, and then starts anew; it may not lie."""
    line, witness = stand.running(cameras={"top": BUSY})
    for _ in range(stand.repetitions):
        stand.wait_inspecting(witness, units=2)
        limit = memory_bytes(line.pid, "VmSize")
        resource.prlimit(line.pid, resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))
        let_pass(SQUEEZED_S)
        _go_on(line, resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        stand.recovered(witness)
    stand.close(line, witness, lives=True)
    stand.tally.repetitions = stand.repetitions


def idle_connections(stand: Stand) -> None:
    """More TCP connections than systemd gives descriptors, and not a byte on any of them."""
    line, witness = stand.running(prefix=["bash", "-c", 'ulimit -Sn 1024; "$@"; exit $?', "bash"])
    host, _, port = line.address.rpartition(":")
    for _ in range(stand.repetitions):
        _began_s, unix_s = since()
        with contextlib.ExitStack() as held:
            for _ in range(IDLE_CONNECTIONS):
                held.enter_context(socket.create_connection((host, int(port)), 5))
            stand.wait_inspecting(witness, units=20)
            stand.tally.problems += _not_inspected(witness, unix_s)
        stand.recovered(witness)
    stand.close(line, witness)
    stand.tally.repetitions = stand.repetitions


def log_nobody_reads(stand: Stand) -> None:
    """Whoever takes standard error stops reading, while there is much to say."""
    pipe = stand.folder / "log.pipe"
    os.mkfifo(pipe)
    held = f'exec 3<>"{pipe}"; "$@" 2>&3; exit $?'
    line, witness = stand.running(prefix=["bash", "-c", held, "bash"])
    _began_s, unix_s = since()
    with line.config.open("a") as settings:
        # Refused at each look, in a line of some 100 kB.
        settings.write("".join(f'no_such_key_{n:05} = "{n:050}"\n' for n in range(1000)))

    def are_lost() -> bool:
        line.send(signal.SIGHUP)
        return line.scrape().total("inspector_log_lines_lost_total") > 0

    wait_for(are_lost, within_s=60, what="more was said than can wait")
    stand.wait_inspecting(witness, units=20)
    stand.tally.problems += _not_inspected(witness, unix_s)
    stand.close(line, witness, lives=True)


def log_that_is_full(stand: Stand) -> None:
    """The log lies on a full disk, at the start already."""
    line, witness = stand.running(prefix=["bash", "-c", '"$@" 2>/dev/full; exit $?', "bash"])
    stand.redis.kill()
    stand.detected("redis_up 0", redis_down(line), since()[0])
    stand.redis.start()
    stand.recovered(witness)
    stand.close(line, witness, lives=True)


def _not_inspected(witness: Witness, from_unix_s: float) -> list[str]:
    seen = [u for u in witness.units() if u.seen_unix_s > from_unix_s]
    return [str(unit) for unit in seen if unit.result not in {"PASSED", "FAILED"}]


def no_descriptors(stand: Stand) -> None:
    """No file can be opened any more while camera and Redis go and come back."""
    server = camera(stand)
    line, witness = stand.running(cameras=settings_for(server))
    usual = resource.prlimit(line.pid, resource.RLIMIT_NOFILE)
    for _ in range(stand.repetitions):
        stand.wait_inspecting(witness, units=2)
        resource.prlimit(line.pid, resource.RLIMIT_NOFILE, (3, usual[1]))
        began_s, _unix_s = since()
        server.kill()
        stand.redis.kill()
        stand.detected("camera_up 0", _either(line), began_s)
        server.start()
        stand.redis.start()
        let_pass(SQUEEZED_S)
        _go_on(line, resource.RLIMIT_NOFILE, usual)
        stand.recovered(witness)
    stand.close(line, witness, lives=True)
    stand.tally.repetitions = stand.repetitions


def _either(line: Line):
    """Its own HTTP side cannot accept without a descriptor: the log says it too."""
    return lambda: any(said["event"] in {"camera down", "redis down"} for said in line.log())


def _go_on(line: Line, what: int, limits: tuple[int, int]) -> None:
    """Lift the limit, or start anew what has ended by it."""
    if line.is_alive:
        with contextlib.suppress(ProcessLookupError):
            resource.prlimit(line.pid, what, limits)
    if not line.is_alive:
        line.start()


def leftover_memory(stand: Stand) -> None:
    """A killed predecessor left a shared memory segment: the next start takes it away."""
    line, witness = stand.running()
    for _ in range(stand.repetitions):
        stand.wait_inspecting(witness, units=2)
        left = list(Path("/dev/shm").glob(f"inspector-{line.pid}-*"))
        assert left, "it has no shared memory"
        line.kill()
        for segment in left:  # what is younger may be in the making
            os.utime(segment, (time.time() - 60, time.time() - 60))
        line.start()
        stand.recovered(witness)
        if any(segment.exists() for segment in left):
            stand.tally.problems.append(f"still there: {left}")
    stand.close(line, witness, lives=True)
    stand.tally.repetitions = stand.repetitions


def second_instance(stand: Stand) -> None:
    """Another process for the same station is refused with one line; the first goes on."""
    line, witness = stand.running()
    began_s, _unix_s = since()
    command = [sys.executable, "-m", "inspector", "run", "--config", str(line.config)]
    second = subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=False, cwd=line.config.parent
    )
    stand.tally.detect_s.append(time.monotonic() - began_s)
    told = [text for text in second.stderr.splitlines() if text.startswith("inspector: ")]
    if second.returncode != 1 or len(told) != 1 or str(line.pid) not in told[0]:
        stand.tally.problems.append(f"exit {second.returncode}: {second.stderr[-300:]}")
    stand.wait_inspecting(witness)
    stand.close(line, witness)
