"""Evidence on disks that are small, full, hang, or lose their writer."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import cv2
import pytest

from tests.kit.evidence_disks import FLOOR_BYTES, PICTURES
from tests.kit.evidence_kit import SMALL, files_in, kept_in, subject

ROOT = Path(__file__).parents[2]
# Mounts of the namespace end with it, also when the test is killed.
NAMESPACE = ["unshare", "--mount"] + ([] if os.geteuid() == 0 else ["--map-root-user"])
NO_MOUNT = 77
SCRIPT = f"""
{{ %s ; }} || exit {NO_MOUNT}
"$1" -m tests.kit.evidence_disks "$2" "$3"
rc=$?
fsfreeze --unfreeze "$3" 2>/dev/null
exit $rc
"""


def on_disk(scenario: str, mount: str, directory: Path) -> dict[str, Any]:
    """Run a scenario on a file system of its own; skips where none can be mounted."""
    directory.mkdir()
    done = subprocess.run(
        [*NAMESPACE, "sh", "-c", SCRIPT % mount, "sh", sys.executable, scenario, directory],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    # 1 without a word of Python: unshare itself was refused.
    if done.returncode == NO_MOUNT or "unshare" in done.stderr:
        pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr[-3000:]
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def test_the_disk_floor_holds_while_10000_pictures_are_written(tmp_path: Path) -> None:
    seen = on_disk("floor", 'mount -t tmpfs -o size=4m none "$3"', tmp_path / "small")
    assert seen["least_free"] >= FLOOR_BYTES
    assert seen["least_free"] < FLOOR_BYTES + 100_000, "more was deleted than was needed"
    assert seen["failures"] == 0
    assert seen["changes"] == []
    kept = seen["failed"]
    assert len(kept) > 500
    assert kept == list(range(PICTURES))[::4][-len(kept) :], "the newest are kept, without a gap"
    assert seen["passed"] <= 3
    assert seen["gauge_bytes"] == (len(kept) + seen["passed"]) * 4096
    assert seen["most_kept"] < 3_300_000


def test_a_disk_out_of_inodes_makes_room_like_one_out_of_bytes(tmp_path: Path) -> None:
    mount = 'mount -t tmpfs -o size=64m,nr_inodes=60 none "$3"'
    seen = on_disk("no_names_left", mount, tmp_path / "small")
    assert seen["changes"] == []
    assert 30 < seen["files"] < 60


def test_a_full_disk_raises_a_fault_and_clears_it_and_nobody_waits(tmp_path: Path) -> None:
    seen = on_disk("somebody_else", 'mount -t tmpfs -o size=4m none "$3"', tmp_path / "small")
    assert seen["changes"] == [["disk", "evidence", True], ["disk", "evidence", False]]
    assert "must stay free" in seen["causes"][0]
    assert seen["files"] == 6, "five from before, one from after"
    assert seen["wait_s"] < 1


def test_a_disk_that_hangs_holds_up_nothing_and_keeps_nothing_unsaid(tmp_path: Path) -> None:
    if (mkfs := shutil.which("mkfs.ext4", path=f"{os.environ['PATH']}:/usr/sbin:/sbin")) is None:
        pytest.skip("no mkfs.ext4 on this machine")
    image = tmp_path / "disk.ext4"
    with image.open("wb") as file:
        file.truncate(16 << 20)
    subprocess.run([mkfs, "-q", "-F", image], check=True, capture_output=True)
    seen = on_disk("hangs", f'mount -o loop "{image}" "$3"', tmp_path / "hangs")
    assert max(seen["waits_s"]) < 1
    assert seen["waits_s"][-1] < 0.19, "a store that is full refuses at once, not after 200 ms"
    assert seen["longest_step_s"] < 0.5
    assert seen["files"] == seen["told"]


def wait_for_a_large_file(directory: Path) -> None:
    """Until a further one appears that has some of its bytes."""
    before = set(files_in(directory))
    give_up_s = time.monotonic() + 60
    while True:
        assert time.monotonic() < give_up_s
        for name in set(files_in(directory)) - before:
            with suppress(FileNotFoundError):  # it got another name meanwhile
                if (directory / name).stat().st_size > 100_000:
                    return


def test_killed_while_writing_no_half_picture_has_a_name(tmp_path: Path) -> None:
    script = "tests.kit.evidence_disks"
    command = [sys.executable, "-m", script, "endless", str(tmp_path)]
    told: dict[str, str] = {}
    for lives in range(2, 7):
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            for _ in range(lives):
                path, sha256 = json.loads(writer.stdout.readline())
                told[path] = sha256
            wait_for_a_large_file(tmp_path)
            writer.kill()
    unfinished = [name for name in files_in(tmp_path) if name.endswith(".part")]
    assert unfinished, "nobody was killed while writing"
    for path, sha256 in told.items():
        assert hashlib.sha256(Path(path).read_bytes()).hexdigest() == sha256
    pictures = [name for name in files_in(tmp_path) if not name.endswith(".part")]
    assert len(pictures) >= len(told)
    for name in pictures:
        content = (tmp_path / name).read_bytes()
        assert content.endswith(b"\xff\xd9"), f"{name} is cut off"
        assert cv2.imread(str(tmp_path / name)) is not None

    async def next_run() -> None:
        async with kept_in(tmp_path) as kept:
            assert await kept.store.keep(SMALL.copy(), subject()) is not None
            await kept.until(lambda: kept.store._folder.is_scanned)

    asyncio.run(next_run(), debug=True)
    assert not [name for name in files_in(tmp_path) if name.endswith(".part")]
    assert len(files_in(tmp_path)) == len(pictures) + 1
