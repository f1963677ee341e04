"""A real systemd as the first process of its own namespaces, with our unit installed.

Needs root, systemd, and a cgroup2 hierarchy to make a child in. Everything is on a throw-away
copy of this machine's root; when the machine is switched off, nothing of it is left.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from tests.kit.line import wait_for
from tests.kit.processes import descendants

ROOT = Path(__file__).parents[3]
BOOT = Path(__file__).with_name("boot.sh")
UNIT = "inspector.service"
SYSTEMD = Path("/lib/systemd/systemd")
BOOTED_WITHIN_S = 60.0
COMMAND_WITHIN_S = 60.0

# The real program, from the interpreter at its other place. SIGUSR1 blocks the thread of the event
# loop for good, which nothing in the product can be asked to do.
LAUNCHER = """#!/bin/sh
export PYTHONPATH=/opt/faults:/opt/inspector:/opt/inspector/site-packages
export LD_LIBRARY_PATH=/opt/python/lib PYTHONDONTWRITEBYTECODE=1
exec /opt/python/bin/{python} -m inspector "$@"
"""
BLOCKING = """
import signal, time
def block_the_event_loop(*_):
    time.sleep(100_000)
signal.signal(signal.SIGUSR1, block_the_event_loop)
"""


def missing() -> str | None:
    """Why this machine cannot run it, for a skip; None where it can."""
    if os.geteuid() != 0:
        return "namespaces with a systemd of their own need root"
    if not SYSTEMD.exists() or shutil.which("nsenter") is None:
        return "no systemd, or no nsenter"
    return None if _cgroup2() else "no cgroup2 hierarchy"


def _cgroup2() -> Path | None:
    for line in Path("/proc/mounts").read_text().splitlines():
        _, where, kind, options, *_ = line.split()
        if kind == "cgroup2" and "rw" in options.split(","):
            return Path(where)
    return None


class Machine:
    """Booted inside a `with`; its commands run as its root."""

    def __init__(self, scratch: Path, *, secret: str, drop_in: str) -> None:
        """`scratch/etc` becomes /etc/inspector. `drop_in` goes over the unit as it is shipped."""
        self.scratch = scratch
        self.etc = scratch / "etc"
        self.etc.mkdir(parents=True)
        (scratch / "secret").write_text(secret + "\n")
        (scratch / "test.conf").write_text(drop_in)
        python = f"python{sys.version_info.major}.{sys.version_info.minor}"
        (scratch / "inspector").write_text(LAUNCHER.format(python=python))
        (scratch / "sitecustomize.py").write_text(BLOCKING)
        cgroup2 = _cgroup2()
        assert cgroup2 is not None
        self._cgroup = cgroup2 / f"inspector-test-{os.getpid()}"
        self._outer: subprocess.Popen[bytes] | None = None
        self._init = 0

    def __enter__(self) -> Self:
        self._cgroup.mkdir()
        try:
            self._boot()
        except BaseException:
            self._switch_off()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._switch_off()

    def _boot(self) -> None:
        join = f'echo $$ >"{self._cgroup}/cgroup.procs" && exec "$@"'
        namespaces = ["--pid", "--mount", "--uts", "--ipc", "--cgroup", "--fork", "--kill-child"]
        paths = [str(self.scratch), str(ROOT), sys.base_prefix, sysconfig.get_path("platlib")]
        with (self.scratch / "boot.log").open("wb") as log:
            self._outer = subprocess.Popen(
                ["sh", "-c", join, "sh", "unshare", *namespaces, str(BOOT), *paths],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        outer = self._outer

        def init() -> int:
            assert outer.poll() is None, (self.scratch / "boot.log").read_text()
            found = [pid for pid, name in descendants(outer.pid).items() if name == "systemd"]
            return found[0] if found else 0

        self._init = wait_for(init, within_s=BOOTED_WITHIN_S, what="systemd started")
        wait_for(
            lambda: (
                self.command("systemctl", "is-system-running").stdout.strip()
                in {"running", "degraded"}
            ),
            within_s=BOOTED_WITHIN_S,
            what="the system is up",
        )

    def _switch_off(self) -> None:
        if self._outer is not None:
            for pid in (self._init, self._outer.pid):
                if pid and Path(f"/proc/{pid}").exists():
                    os.kill(pid, signal.SIGKILL)  # the namespace's first process: all of it ends
            self._outer.wait(timeout=20)
        wait_for(self._cgroup_is_gone, within_s=20, what="nothing runs in the machine any more")

    def _cgroup_is_gone(self) -> bool:
        folders = [*(Path(folder) for folder, _, _ in os.walk(self._cgroup, topdown=False))]
        try:
            for folder in folders:
                folder.rmdir()
        except OSError:
            return False
        return True

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a command in the machine to its end."""
        inside = ["nsenter", "-t", str(self._init), "-p", "-m", "-u", "-i", "-C", "-r", "-w"]
        return subprocess.run(
            [*inside, *words], capture_output=True, text=True, timeout=COMMAND_WITHIN_S, check=False
        )

    def systemctl(self, verb: str, *options: str) -> str:
        """Run `systemctl VERB inspector.service`, which must succeed; returns what it printed."""
        done = self.command("systemctl", verb, *options, UNIT)
        assert done.returncode == 0, f"{done.stderr}\n{self.log_tail()}"
        return done.stdout

    def show(self, *names: str) -> dict[str, str]:
        """Properties of the unit."""
        printed = self.systemctl("show", "--property", ",".join(names))
        return dict(line.split("=", 1) for line in printed.splitlines())

    def main_pid(self) -> int:
        """As numbered inside; a unit without a process fails the test."""
        pid = int(self.show("MainPID")["MainPID"])
        assert pid > 1, self.log_tail()
        return pid

    def log(self) -> list[dict[str, Any]]:
        """What the service said, all lives, oldest first."""
        return [json.loads(text) for text in self.messages() if text.startswith("{")]

    def messages(self) -> list[str]:
        """Every line of the unit in systemd's journal."""
        done = self.command("journalctl", "-u", UNIT, "-o", "cat", "--no-pager", "-a")
        return done.stdout.splitlines()

    def log_tail(self) -> str:
        """For people."""
        return "\n".join(self.messages()[-25:])


@contextmanager
def booted(scratch: Path, *, secret: str, drop_in: str = "") -> Iterator[Machine]:
    """A machine that is up, with our unit installed and not started."""
    with Machine(scratch, secret=secret, drop_in=drop_in) as machine:
        yield machine
