"""The folder that the embedded server reads as its model repository: links to models' files."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from threading import Lock

import structlog

from inspector.core.errors import ConfigurationError
from inspector.embedded.triton.graph_cache import OneGraph, state_of

_FOLLOW_S = 0.5
_SUFFIX = "models"

log = structlog.get_logger("triton")


class ServedRepository:
    """Shows the models of a repository, and some ensembles as one graph in place of their steps.

    What is added to the repository, taken out or changed is seen by the server as if it read the
    repository itself: an ensemble of which any file changes is an ensemble of steps again, until
    the server starts anew.
    """

    def __init__(self, repository: Path, prefix: str) -> None:
        """`prefix` begins the folder's name; `left_behind` finds it after a kill."""
        self._repository = repository.absolute()
        self._folder = Path(tempfile.gettempdir()) / f"{prefix}{_SUFFIX}"
        self._graphs: dict[str, OneGraph] = {}
        self._lock = Lock()

    @property
    def folder(self) -> Path:
        """What the server gets as its model repository."""
        return self._folder

    def lay(self, graphs: Mapping[str, OneGraph]) -> None:
        """Make the folder anew, with these ensembles as one graph.

        Raises:
            OSError: it cannot be written.

        """
        self.remove()
        with self._lock:
            self._folder.mkdir(mode=0o700)
            self._graphs = dict(graphs)
        self.bring_up_to_date()

    def bring_up_to_date(self) -> None:
        """Show the repository as it is now. On any thread.

        Raises:
            OSError: the folder cannot be written.

        """
        with self._lock:
            self._compare()

    async def follow(self) -> None:
        """Stay up to date until cancelled; returns at once if nothing was laid."""
        while await asyncio.to_thread(self._folder.is_dir):
            await asyncio.sleep(_FOLLOW_S)
            with suppress(OSError):  # of a model that is being put in place or taken out
                await asyncio.to_thread(self.bring_up_to_date)

    def remove(self) -> None:
        """Remove the folder; the models it shows stay."""
        with self._lock:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _compare(self) -> None:
        for name in [name for name in self._graphs if self._has_changed(name)]:
            del self._graphs[name]
            log.info("ensemble_in_steps", model=name, reason="one of its files has changed")
        shown = {path.name: path for path in self._models()}
        shown |= {name: graph.folder for name, graph in self._graphs.items()}
        for folder in list(self._folder.iterdir()):
            if folder.name not in shown:
                shutil.rmtree(folder)
        for name, model in shown.items():
            (self._folder / name).mkdir(exist_ok=True)
            _link(model, self._folder / name)

    def _models(self) -> list[Path]:
        return [path for path in self._repository.iterdir() if path.is_dir()]

    def _has_changed(self, name: str) -> bool:
        try:
            return state_of(self._repository, name) != self._graphs[name].made_of
        except (ConfigurationError, OSError):
            return True


def _link(model: Path, folder: Path) -> None:
    """Let a folder hold links to what a model's folder holds.

    Any change of the links makes the folder younger, by which the server sees that a model changed.
    """
    wanted = {path.name: path for path in model.iterdir()}
    for link in list(folder.iterdir()):
        if wanted.get(link.name) != link.readlink():
            link.unlink()
    for name in wanted.keys() - {link.name for link in folder.iterdir()}:
        (folder / name).symlink_to(wanted[name])


def left_behind(prefix: str) -> list[Path]:
    """What lies in the temporary folder under names that begin with `prefix`, in use or not."""
    return sorted(Path(tempfile.gettempdir()).glob(f"{prefix}*{_SUFFIX}"))
