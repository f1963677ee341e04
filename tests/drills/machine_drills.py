"""What may happen to the machine: its power, its disk, its clock, its shared memory."""

from __future__ import annotations

import fcntl
import os
import struct
import subprocess
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Self

from tests.drills.redis_drills import let_pass
from tests.drills.stand import (
    DEADLINE_S,
    CannotDrillError,
    Stand,
    has_fault,
    has_no_fault,
    since,
    triton_down,
)
from tests.drills.triton_drills import is_ready
from tests.drills.witness import Witness
from tests.kit.line import Line, wait_for
from tests.kit.redis_server import RedisServer
from tests.kit.triton_server import embedded_triton_in_background

EXT4_SHUTDOWN = 0x8004587D
WITHOUT_FLUSH = 2
"""What is not on the disk yet never gets there, as in a power cut."""
FAKETIME = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1")
FULL_S = 6.0
HOUR = 3600
DAY = 24 * HOUR
DISK_MB = 64


class Disk:
    """A small ext4 file system of its own, on a file; runs inside a `with`."""

    def __init__(self, folder: Path, name: str) -> None:
        self._image = folder / f"{name}.ext4"
        self.mount_point = folder / name
        self.mount_point.mkdir()

    def __enter__(self) -> Self:
        if os.geteuid() != 0:
            raise CannotDrillError("mounting needs root")
        with self._image.open("wb") as image:
            image.truncate(DISK_MB << 20)
        _run("mkfs.ext4", "-q", "-F", str(self._image))
        self.mount()
        return self

    def __exit__(self, *_: object) -> None:
        self.unmount()

    def mount(self) -> None:
        _run("mount", "-o", "loop", str(self._image), str(self.mount_point))

    def unmount(self) -> None:
        subprocess.run(["umount", "-l", str(self.mount_point)], check=False, capture_output=True)

    def cut_power(self) -> None:
        """From now on nothing reaches the disk."""
        folder = os.open(self.mount_point, os.O_RDONLY)
        try:
            fcntl.ioctl(folder, EXT4_SHUTDOWN, struct.pack("I", WITHOUT_FLUSH))
        finally:
            os.close(folder)

    def power_up(self) -> None:
        """The file system's own journal is read, and what was not there yet is gone."""
        _run("umount", str(self.mount_point))
        self.mount()


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise CannotDrillError(f"{' '.join(command)}: {done.stderr.strip()}")


def power_cut(stand: Stand) -> None:
    """State folder and Redis lose power together, at a random moment."""
    disk = stand.stack.enter_context(Disk(stand.folder, "disk"))
    redis = RedisServer("redis-server", disk.mount_point / "redis")
    stand.stack.push(redis.__exit__)
    redis.start()
    stand.use_redis(redis)
    line = stand.line(journal={"directory": str(disk.mount_point / "state")})
    witness = stand.stack.enter_context(Witness(redis.port))
    for _ in range(stand.repetitions):
        line.start()
        stand.recovered(witness)
        let_pass(stand.random.uniform(0.0, 3.0))
        disk.cut_power()
        line.kill()
        redis.kill()
        disk.power_up()
        redis.start()
    line.start()
    stand.recovered(witness)
    stand.wait_inspecting(witness)
    stand.close(line, witness, lives=True)
    stand.tally.repetitions = stand.repetitions


def disk_full(stand: Stand) -> None:
    """Another program fills the disk that the journal is on, and gives it back."""
    disk = stand.stack.enter_context(Disk(stand.folder, "disk"))
    state = disk.mount_point / "state"
    line, witness = stand.running(
        journal={"directory": str(state)}, evidence={"free_floor_gb": 0.0, "quota_gb": 0.005}
    )
    for _ in range(stand.repetitions):
        stand.wait_inspecting(witness, units=2)
        began_s, _unix_s = since()
        filler = disk.mount_point / "filler"
        _fill(filler)
        stand.detected("the fault disk", has_fault(line, "disk"), began_s)
        let_pass(FULL_S)
        filler.unlink()
        wait_for(has_no_fault(line, "disk"), within_s=30, what="no fault any more")
        stand.recovered(witness)
    stand.close(line, witness)
    stand.tally.repetitions = stand.repetitions


def _fill(filler: Path) -> None:
    with filler.open("wb", buffering=0) as file:
        for size in (1 << 20, 4096):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError:
                continue


def state_read_only(stand: Stand) -> None:
    """The file system goes read-only while it runs, as after a disk error; then it is mended."""
    disk = stand.stack.enter_context(Disk(stand.folder, "disk"))
    state = disk.mount_point / "state"
    line, witness = stand.running(journal={"directory": str(state)}, evidence={"enabled": False})
    for _ in range(stand.repetitions):
        stand.wait_inspecting(witness, units=2)
        began_s, _unix_s = since()
        _run("mount", "-o", "remount,abort", str(disk.mount_point))
        stand.detected("the fault disk", has_fault(line, "disk"), began_s)
        let_pass(FULL_S)
        line.kill()
        _run("umount", str(disk.mount_point))
        disk.mount()
        line.start()
        stand.recovered(witness)
    line.stop(within_s=20)
    _run("mount", "-o", "remount,ro", str(disk.mount_point))
    line.start()
    code = line.wait_end(60)
    if code != 78:
        stand.tally.problems.append(f"a read-only state folder at start: exit {code}, expected 78")
    _run("mount", "-o", "remount,rw", str(disk.mount_point))
    line.start()
    stand.recovered(witness)
    stand.close(line, witness, lives=True)
    stand.tally.repetitions = stand.repetitions + 1


def corrupt_journal(stand: Stand) -> None:
    """Its pages are overwritten: set aside, never deleted, and numbering goes on from Redis."""
    line, witness = stand.running()
    for _ in range(stand.repetitions):
        stand.wait_inspecting(witness, units=5)
        line.stop(within_s=20)
        journal = line.state / "journal.sqlite"
        with journal.open("r+b") as file:
            for page in range(1, max(2, journal.stat().st_size // 4096)):
                file.seek(page * 4096)
                file.write(stand.random.randbytes(4096))
        began_s, _unix_s = since()
        line.start()
        stand.detected(
            "journal_set_aside",
            lambda: any(said["event"] == "journal_set_aside" for said in line.log()),
            began_s,
        )
        stand.recovered(witness)
    aside = list(line.state.glob("journal.sqlite.damaged-*"))
    kept = [path for path in aside if not path.name.endswith(("-wal", "-shm"))]
    if len(kept) != stand.repetitions:
        stand.tally.problems.append(f"set aside: {kept}")
    stand.close(line, witness, lives=True)
    stand.tally.repetitions = stand.repetitions


def journal_removed(stand: Stand) -> None:
    """Its files are deleted under it while Redis is away; then it is killed, and comes again.

    At last they are deleted while it does not run: what Redis had is all there is then.
    """
    line, witness = stand.running()
    for _ in range(stand.repetitions):
        stand.wait_inspecting(witness, units=5)
        stand.redis.stop()
        _remove_journal(line)
        began_s, _unix_s = since()
        stand.detected("journal_put_back", _has_logged(line, "journal_put_back"), began_s)
        wait_for(partial(_owes, line, 10), within_s=60, what="verdicts while Redis is away")
        owed = line.scrape().total("inspector_journal_pending_events")
        line.kill()
        before = len(witness.read)
        stand.redis.start()
        line.start()
        stand.recovered(witness)
        if len(witness.read) - before < owed:
            stand.tally.problems.append(f"{owed:.0f} events were owed, fewer came")
    line.stop(within_s=20)
    _remove_journal(line)
    line.start()
    wait_for(_has_logged(line, "the journal was lost"), within_s=60, what="it says so")
    stand.recovered(witness)
    if ("disk", "journal", "raised") not in witness.faults():
        stand.tally.problems.append("the health stream does not tell of it")
    stand.close(line, witness, lives=True)
    stand.tally.repetitions = stand.repetitions + 1


def _owes(line: Line, events: int) -> bool:
    return line.scrape().total("inspector_journal_pending_events") >= events


def _remove_journal(line: Line) -> None:
    for path in line.state.glob("journal.sqlite*"):
        path.unlink()


def _has_logged(line: Line, event: str) -> Callable[[], bool]:
    return lambda: any(said["event"] == event for said in line.log())


def _wall_clock(stand: Stand) -> tuple[Path, dict[str, str]]:
    """A file that sets a process's wall clock, and the environment for it."""
    if not FAKETIME.exists():
        raise CannotDrillError("libfaketime is not installed")
    steps = stand.folder / "clock"
    steps.write_text("+0\n")
    return steps, {
        "LD_PRELOAD": str(FAKETIME),
        "FAKETIME_TIMESTAMP_FILE": str(steps),
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "FAKETIME_NO_CACHE": "1",
    }


def clock_months_off(stand: Stand) -> None:
    """The wall clock is a month ahead, then a year behind, also at a start; then it is right.

    After each, Redis loses all it has: what the journal deleted because of the clock is missing.
    """
    steps, environment = _wall_clock(stand)
    line, witness = stand.running(environment=environment)
    for _ in range(stand.repetitions):
        for offset_s in (30 * DAY, -400 * DAY):
            began_s, _unix_s = since()
            steps.write_text(f"{offset_s:+d}\n")
            stand.detected("the fault clock", has_fault(line, "clock"), began_s)
            _ten_more(witness)
            line.stop(within_s=20)
            line.start()
            _ten_more(witness)
            if not has_fault(line, "clock")():
                stand.tally.problems.append("the fault clock was forgotten by a restart")
            with stand.redis.client() as client:
                client.flushall()
            _ten_more(witness)
        steps.write_text("+0\n")
        wait_for(has_no_fault(line, "clock"), within_s=60, what="the clock is believed again")
        stand.recovered(witness)
    stand.close(line, witness, lives=True)
    stand.tally.repetitions = 3 * stand.repetitions


def _ten_more(witness: Witness) -> None:
    seen = len(witness.units())
    wait_for(partial(_has_units, witness, seen + 10), within_s=60, what="ten more units")


def clock_steps(stand: Stand) -> None:
    """The wall clock steps an hour forward and back again; the monotonic clock does not."""
    steps, environment = _wall_clock(stand)
    line, witness = stand.running(environment=environment)
    for offset_s in (HOUR, 0, -HOUR, 0) * stand.repetitions:
        steps.write_text(f"{offset_s:+d}\n")
        seen = len(witness.units())
        wait_for(
            partial(_has_units, witness, seen + 10),
            within_s=30,
            what="ten more units after the clock stepped",
        )
        newest = witness.units()[-1].seen_unix_s - time.time()
        if abs(newest - offset_s) > 60:
            stand.tally.problems.append(f"a unit's time is {newest:.0f} s off, not {offset_s}")
    stand.close(line, witness)
    stand.tally.repetitions = 4 * stand.repetitions


def _has_units(witness: Witness, units: int) -> bool:
    return len(witness.units()) >= units


def shared_memory_full(stand: Stand) -> None:
    """/dev/shm is full when it starts and when Triton comes back: tensors go inline."""
    filler = Path("/dev/shm/drill-filler")
    size_mb = 300
    namespace = ["unshare", "--mount", "--fork", "--kill-child", "sh", "-c"]
    script = (
        f"mount -t tmpfs -o size={size_mb}m tmpfs /dev/shm && "
        f'dd if=/dev/zero of={filler} bs=1M status=none 2>/dev/null; exec "$@"'
    )
    with embedded_triton_in_background() as triton:
        line, witness = stand.running(triton=triton.grpc_url, prefix=[*namespace, script, "sh"])
        told = [said for said in line.log() if said["event"] == "tensors go inline"]
        if not told:
            stand.tally.problems.append("it did not say that tensors go inline")
        pid = triton.process_id
        assert pid is not None
        began_s, began_unix_s = since()
        os.kill(pid, 9)
        stand.detected("triton_up 0", triton_down(line), began_s)
        wait_for(lambda: is_ready(triton.http_url), within_s=90, what="Triton is back")
        stand.nobody_looks(began_unix_s + 0.05, time.time() - DEADLINE_S)
        stand.recovered(witness)
        stand.close(line, witness)
