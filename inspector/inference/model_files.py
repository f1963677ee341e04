"""Hashes the files of a model in a Triton model repository that this machine can read.

Two stations can compare the hashes of their models, and an event identifies the files that decided:
a version number stays the same when a file is replaced.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

from inspector.core.errors import ConfigurationError

CONFIG = "config.pbtxt"
_COMMENT = re.compile(r"#[^\n]*")
_STEP = re.compile(r'\bmodel_name\s*:\s*"([^"]+)"')
_ABOUT_IT = (".md", ".evaluation.json")
"""Endings of files that are for people and not for Triton."""
_CHUNK_BYTES = 1_048_576


class ModelFiles:
    """The hashes of the models of a repository, each read again only when a file of it changed.

    Any thread.
    """

    def __init__(self, repository: Path | None) -> None:
        """None: the server's files are on another machine."""
        self._repository = repository
        self._known: dict[tuple[str, str], tuple[object, str]] = {}

    def sha256_of(self, model: str, version: str = "") -> str:
        """The hash of a model; empty if its files cannot be read."""
        if self._repository is None:
            return ""
        try:
            found = [
                path.stat() for _, path in _files(self._repository, model, version, seen=set())
            ]
            state = [(at.st_ino, at.st_size, at.st_mtime_ns) for at in found]
            known = self._known.get((model, version))
            if known is None or known[0] != state:
                known = (state, model_sha256(self._repository, model, version))
                self._known[model, version] = known
        except (ConfigurationError, OSError):
            return ""
        return known[1]


def model_sha256(repository: Path, model: str, version: str = "") -> str:
    """The hash over the files of a model, and of every model that it is an ensemble of.

    An empty version is the newest. Reads the files: some milliseconds for each ten megabytes.

    Raises:
        ConfigurationError: the repository has no such model or version, or it cannot be read.

    """
    digest = hashlib.sha256(b"inspector.model/1")
    try:
        for name, path in _files(repository, model, version, seen=set()):
            digest.update(f"{name}\n{path.stat().st_size}\n".encode())
            with path.open("rb") as file:
                while chunk := file.read(_CHUNK_BYTES):
                    digest.update(chunk)
    except OSError as error:
        raise ConfigurationError(
            f"model {model}: {error.filename} cannot be read: {error.strerror}"
        ) from None
    return digest.hexdigest()


def files_of(repository: Path, model: str, version: str = "") -> Iterator[tuple[str, Path]]:
    """Every file of a model and of its steps, named `<model>/<file>`; an empty version: the newest.

    Raises:
        ConfigurationError: the repository has no such model or version.

    """
    return _files(repository, model, version, seen=set())


def _files(
    repository: Path, model: str, version: str, *, seen: set[str]
) -> Iterator[tuple[str, Path]]:
    """Every file with its relative name, in the same order on every machine."""
    if model in seen:
        return
    seen.add(model)
    folder = repository / model
    config = folder / CONFIG
    if Path(model).name != model or not folder.is_dir():
        raise ConfigurationError(f"model {model}: {repository} has no such model")
    text = ""
    if config.is_file():
        text = _COMMENT.sub("", config.read_text(encoding="utf-8"))
        yield f"{model}/{CONFIG}", config
    number = version or _newest(folder)
    if not (folder / number).is_dir():
        raise ConfigurationError(f"model {model}: {folder} has no version {number}")
    for path in sorted((folder / number).rglob("*")):
        if path.is_file() and not path.name.endswith(_ABOUT_IT) and path.name[0] != ".":
            yield f"{model}/{path.relative_to(folder / number)}", path
    for step in sorted(set(_STEP.findall(text))):
        yield from _files(repository, step, "", seen=seen)


def _newest(folder: Path) -> str:
    versions = [int(path.name) for path in folder.iterdir() if path.name.isdecimal()]
    if not versions:
        raise ConfigurationError(f"model {folder.name}: {folder} has no version")
    return str(max(versions))
