"""Installing the embedded Triton, for real: interrupted, raced, repeated, refused."""

import asyncio
import os
import time

import pytest

from inspector.core.errors import FatalError
from inspector.embedded.triton.environment import environment_key, prepare_environment


def test_an_interrupted_installation_is_never_used_and_two_at_once_install_once(tmp_path):
    home = tmp_path / f"triton-{environment_key()}"

    async def interrupted() -> None:
        downloading = asyncio.Event()

        def note(text: str) -> None:
            if "downloading" in text:
                downloading.set()

        building = asyncio.create_task(prepare_environment(note, cache=tmp_path))
        await downloading.wait()
        building.cancel()
        await asyncio.gather(building, return_exceptions=True)
        assert building.cancelled()
        assert not home.exists()
        # What SIGKILL in the middle leaves, when nobody could clean up.
        (tmp_path / f"{home.name}.killed.part/venv/bin").mkdir(parents=True)

    async def two_at_once() -> None:
        said: list[list[str]] = [[], []]
        first, second = await asyncio.gather(
            *(prepare_environment(texts.append, cache=tmp_path) for texts in said)
        )
        assert first == second
        assert sum("installed" in " ".join(texts) for texts in said) == 1
        assert sum("waiting for another process" in " ".join(texts) for texts in said) == 1
        assert first.server.is_file()
        assert os.access(first.server, os.X_OK)
        assert (first.backends / "onnxruntime/model.py").is_file()
        assert not (first.backends / "python/libtriton_python.so").is_symlink()
        assert (first.backends / "python/triton_python_backend_stub").resolve().is_file()
        assert [path.name for path in tmp_path.glob("*.part")] == []

    async def again() -> float:
        said: list[str] = []
        started = time.monotonic()
        await prepare_environment(said.append, cache=tmp_path)
        assert said == []
        return time.monotonic() - started

    asyncio.run(interrupted(), debug=True)
    asyncio.run(two_at_once(), debug=True)
    assert asyncio.run(again()) < 1


def test_an_installation_that_fails_says_what_pip_said_and_leaves_nothing(monkeypatch, tmp_path):
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    with pytest.raises(FatalError) as failed:
        asyncio.run(prepare_environment(cache=tmp_path), debug=True)
    assert "No matching distribution found for numpy==" in str(failed.value)
    assert "\n" not in str(failed.value)
    assert [path.suffix for path in tmp_path.iterdir()] == [".lock"]


def test_a_cache_that_cannot_be_written_is_named(tmp_path):
    occupied = tmp_path / "cache"
    occupied.write_text("a file where the folder should be")
    with pytest.raises(FatalError, match=r"cannot be installed in .*cache: .*INSPECTOR_CACHE"):
        asyncio.run(prepare_environment(cache=occupied), debug=True)
