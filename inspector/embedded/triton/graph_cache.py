"""Keeps ensembles as one graph each, made once per content of their files."""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import structlog

from inspector.core.errors import ConfigurationError
from inspector.core.paths import default_cache
from inspector.embedded.triton.ensembles import ensembles_in
from inspector.embedded.triton.environment import EmbeddedEnvironment
from inspector.embedded.triton.onnx_files import require_same_answers
from inspector.inference.model_files import files_of

_HERE = Path(__file__).parent
_MAKERS = ("one_graph.py", "ensembles.py", "joining.py")
_WHY_NOT = "why_not.txt"
_STEPS, _SHOWN = "steps.json", "shown.onnx"
_KEPT_DAYS = 90
_DAY_S = 86_400.0
_JOINING_S = 300.0

log = structlog.get_logger("triton")

FilesState = tuple[tuple[str, int, int, int], ...]
"""Name, inode, size in bytes and time of change in nanoseconds of each file."""


@dataclass(frozen=True, slots=True)
class OneGraph:
    """An ensemble that is served as one graph."""

    folder: Path
    """A model's folder: config.pbtxt and one version."""
    made_of: FilesState
    """The ensemble's files and its steps' when they were read."""


async def as_one_graph(
    environment: EmbeddedEnvironment, repository: Path, *, cache: Path | None = None
) -> Mapping[str, OneGraph]:
    """The ensembles of a repository that can be served as one graph, by name.

    The first time this takes about two seconds for each. A graph is used only if it answered, on
    pictures of noise, what the steps answered, to the last bit. Whatever goes wrong leaves an
    ensemble in steps.
    """
    home = (default_cache() if cache is None else cache).absolute() / "graphs"
    found: dict[str, OneGraph] = {}
    for name in await asyncio.to_thread(lambda: list(ensembles_in(repository))):
        try:
            state = await asyncio.to_thread(state_of, repository, name)
            key = await asyncio.to_thread(_key, repository, name)
            folder = home / f"{name}-{key}"
            if not folder.is_dir():
                await _make(environment, repository, name, folder)
            if (folder / _WHY_NOT).is_file():
                why = (folder / _WHY_NOT).read_text(encoding="utf-8")
                log.info("ensemble_in_steps", model=name, reason=why)
            else:
                found[name] = OneGraph(folder, state)
            # Beside it: to the server, a folder whose time changes is a model that has changed.
            await asyncio.to_thread(_used(folder).touch)
        except (ConfigurationError, OSError) as error:
            log.info("ensemble_in_steps", model=name, reason=str(error))
    await asyncio.to_thread(_remove_old, home)
    return found


def state_of(repository: Path, ensemble: str) -> FilesState:
    """Changes whenever a file of the ensemble or of one of its steps does.

    Raises:
        ConfigurationError: there is no such model, or a step does not exist.
        OSError: a file cannot be read.

    """
    return tuple(_state(name, path) for name, path in files_of(repository, ensemble))


def _state(name: str, path: Path) -> tuple[str, int, int, int]:
    about = path.stat()
    return name, about.st_ino, about.st_size, about.st_mtime_ns


def _key(repository: Path, ensemble: str) -> str:
    """Sixteen hex digits of what goes into the graph, and of the code that makes it."""
    digest = hashlib.sha256()
    for file in _MAKERS:
        digest.update((_HERE / file).read_bytes())
    for name, path in files_of(repository, ensemble):
        content = path.read_bytes()
        digest.update(f"{name}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()[:16]


async def _make(
    environment: EmbeddedEnvironment, repository: Path, name: str, folder: Path
) -> None:
    """Make a folder, all or nothing, that holds either the graph or why there is none."""
    await asyncio.to_thread(folder.parent.mkdir, parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f"{folder.name}.", suffix=".part"))
    try:
        why = await _joined(repository, name, unfinished)
        if not why:
            why = await _difference(environment, unfinished)
        for done in (_STEPS, _SHOWN):
            (unfinished / done).unlink(missing_ok=True)
        if why:
            (unfinished / _WHY_NOT).write_text(why, encoding="utf-8")
        await asyncio.to_thread(_take_place, unfinished, folder)
    finally:
        await asyncio.to_thread(shutil.rmtree, unfinished, ignore_errors=True)


async def _difference(environment: EmbeddedEnvironment, folder: Path) -> str:
    """In what the graph answers otherwise than the steps; nothing if it is the same."""
    [graph] = await asyncio.to_thread(lambda: list(folder.glob("*/model.onnx")))
    try:
        await require_same_answers(environment, graph, folder / _STEPS)
    except ConfigurationError as differs:
        return str(differs).removeprefix(f"{graph}: ")
    return ""


async def _joined(repository: Path, name: str, folder: Path) -> str:
    """Write the graph; returns why there is none, or nothing."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "inspector.embedded.triton.joining"),
        *(str(repository), name, str(folder)),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(_JOINING_S):
            _, errors = await process.communicate()
    except TimeoutError:
        return f"it was not made within {_JOINING_S:g} s"
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode == 0:
        return ""
    lines = errors.decode(errors="replace").strip().splitlines() or ["no message"]
    return lines[-1]


def _take_place(unfinished: Path, folder: Path) -> None:
    os.sync()
    with suppress(FileExistsError):
        unfinished.chmod(0o755)
        unfinished.rename(folder)


def _used(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.used")


def _remove_old(home: Path) -> None:
    """Remove what no start has used for a season, and what a kill left unfinished."""
    now_s = time.time()
    for path in home.glob("*"):
        with suppress(OSError):
            age_s = now_s - path.stat().st_mtime
            if path.suffix == ".part" and age_s > _DAY_S:
                shutil.rmtree(path)
            elif path.suffix == ".used" and age_s > _KEPT_DAYS * _DAY_S:
                shutil.rmtree(path.with_suffix(""), ignore_errors=True)
                path.unlink()
