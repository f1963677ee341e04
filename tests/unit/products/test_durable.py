from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from inspector.products import durable
from inspector.products.store import ProductStore
from tests.kit.taught_references import taught_reference

ROOT = Path(__file__).parents[3]


class PowerCutError(Exception):
    """Nothing after it is done."""


def cut_at(monkeypatch, step: int) -> None:
    """The power goes at the so many-th thing that is done to the disk."""
    done = 0

    def counted(real):
        def call(*args, **kwargs):
            nonlocal done
            done += 1
            if done >= step:
                raise PowerCutError
            return real(*args, **kwargs)

        return call

    for owner, name in (
        (os, "fsync"), (Path, "rename"), (Path, "replace"), (Path, "mkdir"), (Path, "unlink"),
        (shutil, "rmtree"),
    ):  # fmt: skip
        monkeypatch.setattr(owner, name, counted(getattr(owner, name)))


def test_a_power_cut_anywhere_leaves_whole_versions_only(tmp_path):
    finished, step = False, 0
    while not finished:
        step += 1
        store = ProductStore(tmp_path / str(step))
        store.add_reference("a", taught_reference(80))
        store.approve("a", 1, by="x")
        store.note_revision("a", b"# one\n")
        with pytest.MonkeyPatch.context() as patched:
            cut_at(patched, step)
            try:
                store.add_reference("a", taught_reference(90))
                store.approve("a", 2, by="x")
                store.note_revision("a", b"# two\n")
                store.roll_back("a")
                store.forget_reference("a", 2)
                finished = True
            except PowerCutError:
                pass
        after = ProductStore(tmp_path / str(step))
        for number in after.reference_numbers("a"):
            assert after.load_reference("a", number).mean[0, 0, 0] == {1: 80, 2: 90}[number]
        in_force = after.approvals("a").in_force
        assert in_force in {1, 2}
        assert after.load_reference("a", in_force).id == f"a/{in_force}"
        assert [r.number for r in after.revisions("a")] in ([1], [1, 2])
        # It goes on, and nothing that was left is in its way.
        assert after.add_reference("a", taught_reference(100)).number in {2, 3}
        left = [
            p for p in after.directory.rglob(f"{durable.UNFINISHED}*") if "versions/a/" in str(p)
        ]
        assert not left
    assert step > 30


ADDING = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from inspector.products.store import ProductStore
from tests.kit.taught_references import taught_reference
store = ProductStore(Path(sys.argv[1]), references_kept=1000)
print("up", flush=True)
for shade in range(256):
    number = store.add_reference("a", taught_reference(shade)).number
    store.approve("a", number, by="x")
    print(number, flush=True)
"""


@pytest.mark.parametrize("lines_before", [1, 7, 20])
def test_a_killed_writer_leaves_whole_versions_only(tmp_path, lines_before):
    arguments = [sys.executable, "-c", ADDING, tmp_path, ROOT]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        for _ in range(lines_before):
            writer.stdout.readline()
        writer.send_signal(signal.SIGKILL)
    store = ProductStore(tmp_path, references_kept=1000)
    numbers = store.reference_numbers("a")
    assert len(numbers) >= lines_before - 1
    for number in numbers:
        assert store.load_reference("a", number).id == f"a/{number}"
    assert store.approvals("a").in_force in (numbers[-2:] or (None,))
    assert store.add_reference("a", taught_reference()).number == max(numbers, default=0) + 1


def _add(directory: Path, shade: int) -> int:
    return ProductStore(directory).add_reference("a", taught_reference(shade)).number


def test_two_processes_give_no_number_twice(tmp_path):
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        numbers = pool.starmap(_add, [(tmp_path, shade) for shade in range(9)])
    assert sorted(numbers) == list(range(1, 10))
