"""A journal whose file goes while it is open."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from inspector.core.errors import FatalError
from inspector.journal.file import FILE_NAME, FolderLock
from inspector.page.archive import Archive
from inspector.page.archive_rows import UnitQuery
from tests.kit.groups import group
from tests.unit.journal.test_journal import event, in_loop, open_journal, unit_number
from tests.unit.journal.test_journal_limits import Faults


def remove_all(folder: Path) -> None:
    for path in folder.glob(f"{FILE_NAME}*"):
        path.unlink()


def remove_the_file(folder: Path) -> None:
    (folder / FILE_NAME).unlink()


def remove_the_log(folder: Path) -> None:
    (folder / f"{FILE_NAME}-wal").unlink()


def remove_the_folder(folder: Path) -> None:
    shutil.rmtree(folder)


def move_the_folder(folder: Path) -> None:
    folder.rename(folder.with_name("elsewhere"))


def replace_by_a_copy(folder: Path) -> None:
    shutil.copy(folder / FILE_NAME, folder / "copy")
    (folder / "copy").replace(folder / FILE_NAME)


def replace_by_rubbish(folder: Path) -> None:
    (folder / "rubbish").write_bytes(b"x" * 10_000)
    (folder / "rubbish").replace(folder / FILE_NAME)


HARM = [
    remove_all,
    remove_the_file,
    remove_the_log,
    remove_the_folder,
    move_the_folder,
    replace_by_a_copy,
    replace_by_rubbish,
]


@pytest.mark.parametrize("harm", HARM, ids=lambda harm: harm.__name__)
def test_a_file_that_is_removed_or_replaced_is_told_and_nothing_is_lost(
    tmp_path: Path, harm: Callable[[Path], None]
):
    folder = tmp_path / "state"

    async def main() -> None:
        faults = Faults()
        journal = open_journal(folder, on_fault=faults, counters_of=unit_number)
        await journal.append([group(event(n)) for n in range(50)])
        await journal.main.mark_published(await journal.main.pending(20))
        archive = Archive(folder)
        assert len((await archive.units(UnitQuery(limit=100))).units) == 50
        for more in (50, 51, 52):
            harm(folder)
            await journal.append([group(event(more))])
            # What append returned for is in a file with a name again.
            with closing(sqlite3.connect(folder / FILE_NAME)) as seen:
                assert seen.execute("SELECT count(*) FROM events").fetchone() == (more + 1,)
            if harm is move_the_folder:
                shutil.rmtree(folder.with_name("elsewhere"))
        assert [cause is None for cause in faults.said] == [False, True] * 3
        assert "was removed or replaced while it was open" in str(faults.said[0])
        assert len((await archive.units(UnitQuery(limit=100))).units) == 53
        archive.close()
        with pytest.raises(FatalError, match="another inspector runs"):
            FolderLock(folder)
        journal.close()
        journal = open_journal(folder)
        assert [row.seq for row in await journal.main.pending(100)] == list(range(21, 54))
        assert journal.counter("unit") == 52
        journal.close()
        found = [p for p in folder.glob(f"{FILE_NAME}.found-*") if not p.name.endswith("-shm")]
        assert bool(found) == harm.__name__.startswith("replace")

    in_loop(main)


def test_where_it_cannot_be_put_back_the_line_goes_on_and_the_fault_stands(tmp_path: Path):
    folder = tmp_path / "state"

    async def main() -> None:
        faults = Faults()
        journal = open_journal(folder, on_fault=faults)
        await journal.append([group(event(1))])
        shutil.rmtree(folder)
        folder.write_text("in the way")  # as root no permission is
        for number in range(2, 6):
            await journal.append([group(event(number))])
        assert [cause is None for cause in faults.said] == [False]
        assert [row.seq for row in await journal.main.pending(100)] == [1, 2, 3, 4, 5]
        journal.close()

    in_loop(main)


def test_where_only_its_lock_cannot_be_had_again_the_line_goes_on(tmp_path: Path):
    async def main() -> None:
        faults = Faults()
        journal = open_journal(tmp_path, on_fault=faults)
        (tmp_path / "lock").unlink()
        (tmp_path / "lock").mkdir()  # as root no permission is in the way
        for number in range(4):
            await journal.append([group(event(number))])
        assert [cause is None for cause in faults.said] == [False]
        assert [row.seq for row in await journal.main.pending(100)] == [1, 2, 3, 4]
        journal.close()

    in_loop(main)


def test_another_process_that_took_the_folder_meanwhile_ends_this_one(tmp_path: Path):
    async def main() -> None:
        journal = open_journal(tmp_path)
        await journal.append([group(event(1))])
        (tmp_path / "lock").unlink()
        other = FolderLock(tmp_path)
        with pytest.raises(FatalError, match="another inspector runs"):
            await journal.append([group(event(2))])
        other.release()
        journal.close()

    in_loop(main)
