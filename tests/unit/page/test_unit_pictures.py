"""Pictures of units: what an event names, if it lies in the evidence folder, and nothing else."""

import asyncio
from pathlib import Path
from urllib.parse import quote

import cv2
import numpy as np
import pytest

from inspector.page.unit_pictures import THUMB_WIDTH_PX, UnitPictureFiles

DAY = "2026-11-22"


@pytest.fixture
def folder(tmp_path):
    day = tmp_path / "evidence" / DAY
    day.mkdir(parents=True)
    picture = np.full((480, 640, 3), 120, np.uint8)
    cv2.imwrite(str(day / "unit.jpg"), picture)
    (tmp_path / "secret.jpg").write_bytes(b"secret")
    (day / "notes.txt").write_text("secret")
    (day / "out.jpg").symlink_to(tmp_path / "secret.jpg")
    (day / "folder.jpg").mkdir()
    return tmp_path / "evidence"


def picture(folder: Path, uri: str) -> bytes | None:
    return asyncio.run(UnitPictureFiles(folder).picture(uri))


def test_a_picture_is_what_lies_under_its_name(folder):
    file = folder / DAY / "unit.jpg"
    assert picture(folder, file.as_uri()) == file.read_bytes()


def test_a_picture_says_how_wide_and_how_high_it_is(folder):
    files = UnitPictureFiles(folder)
    assert asyncio.run(files.size((folder / DAY / "unit.jpg").as_uri())) == (640, 480)
    assert asyncio.run(files.size((folder / DAY / "gone.jpg").as_uri())) is None
    (folder / DAY / "cut.jpg").write_bytes((folder / DAY / "unit.jpg").read_bytes()[:40])
    assert asyncio.run(files.size((folder / DAY / "cut.jpg").as_uri())) is None


@pytest.mark.parametrize("path", [
    f"{DAY}/../../secret.jpg", "../secret.jpg", f"{DAY}/notes.txt", f"{DAY}/out.jpg",
    f"{DAY}/folder.jpg", f"{DAY}/gone.jpg", f"{DAY}", "", f"{DAY}/deeper/unit.jpg",
    f"{DAY}/%2e%2e/%2e%2e/secret.jpg",
])  # fmt: skip
def test_nothing_else_is_served(folder, path):
    assert picture(folder, f"{folder.as_uri()}/{path}") is None
    assert picture(folder, f"{folder.as_uri()}/{quote(path)}") is None


@pytest.mark.parametrize("scheme", ["http://127.0.0.1", "ftp://x", "", "file:/"])
def test_only_files_are(folder, scheme):
    path = (folder / DAY / "unit.jpg").as_posix()
    assert picture(folder, f"{scheme}{path[1:] if scheme == 'file:/' else path}" + "x") is None


def test_a_thumbnail_is_small_and_knows_the_size_of_the_picture(folder):
    async def main() -> None:
        files = UnitPictureFiles(folder)
        uri = (folder / DAY / "unit.jpg").as_uri()
        thumb = await files.thumb(uri)
        assert thumb is not None
        small = cv2.imdecode(np.frombuffer(thumb.jpeg, np.uint8), cv2.IMREAD_COLOR)
        assert small is not None
        assert small.shape[1] == THUMB_WIDTH_PX
        assert (thumb.width_px, thumb.height_px) == (640, 480)
        (folder / DAY / "unit.jpg").unlink()
        assert await files.thumb(uri) is thumb  # remembered
        assert await files.picture(uri) is None

    asyncio.run(main())
