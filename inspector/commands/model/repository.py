"""The folders of a model repository: what is in it, put in whole, taken out. Does file I/O.

A model is made beside its place and moved there by renaming, so that whatever interrupts us leaves
nothing half-written for a server to load.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from google.protobuf import text_format  # type: ignore[import-untyped]
from tritonclient.grpc import model_config_pb2

from inspector.core.errors import ConfigurationError
from inspector.inference.exporter_notes import notes_in_file, notes_of
from inspector.inference.file_notes import notes_in_files
from inspector.inference.model_files import CONFIG

_UNFINISHED = ".inspector-"
"""The prefix of folders that must not be loaded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A model of a repository, by its files."""

    name: str
    versions: tuple[str, ...]
    backend: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    steps: tuple[str, ...]
    parameters: Mapping[str, str]
    classes: tuple[str, ...]
    problem: str = ""
    """Why its configuration cannot be read."""

    def as_dict(self) -> dict[str, Any]:
        """For programs."""
        return {
            "name": self.name,
            "versions": list(self.versions),
            "backend": self.backend,
            "inputs": list(self.inputs),
            "outputs": list(self.outputs),
            "steps": list(self.steps),
            "parameters": dict(self.parameters),
            "classes": list(self.classes),
            "problem": self.problem,
        }


def listed(repository: Path) -> list[Listed]:
    """Every model of a repository, by name.

    Raises:
        ConfigurationError: it is no folder.

    """
    if not repository.is_dir():
        raise ConfigurationError(f"{repository}: is no folder; expected a model repository")
    folders = sorted(p for p in repository.iterdir() if p.is_dir() and p.name[0] != ".")
    return [_listed(folder) for folder in folders if _versions(folder)]


def one_listed(repository: Path, name: str) -> Listed:
    """One model.

    Raises:
        ConfigurationError: there is none of that name.

    """
    found = {model.name: model for model in listed(repository)}
    if name not in found:
        have = ", ".join(found) or "no model at all"
        raise ConfigurationError(f'{repository}: has no model "{name}"; it has: {have}')
    return found[name]


def _versions(folder: Path) -> tuple[str, ...]:
    found = [p.name for p in folder.iterdir() if p.is_dir() and p.name.isdecimal()]
    return tuple(sorted(found, key=int))


def _listed(folder: Path) -> Listed:
    config, problem = model_config_pb2.ModelConfig(), ""
    path = folder / CONFIG
    if path.is_file():
        try:
            text_format.Parse(path.read_text(encoding="utf-8"), config)
        except (OSError, UnicodeDecodeError, text_format.ParseError) as error:
            problem = f"{path}: {error}"
    parameters = {key: value.string_value for key, value in config.parameters.items()}
    return Listed(
        name=folder.name,
        versions=_versions(folder),
        backend=config.backend or config.platform or ("" if path.is_file() else "no config.pbtxt"),
        inputs=tuple(map(_told, config.input)),
        outputs=tuple(map(_told, config.output)),
        steps=tuple(dict.fromkeys(s.model_name for s in config.ensemble_scheduling.step)),
        parameters=parameters,
        classes=_classes(folder, parameters),
        problem=problem,
    )


def _told(tensor: Any) -> str:
    kind = model_config_pb2.DataType.Name(tensor.data_type).removeprefix("TYPE_")
    return f"{tensor.name} {kind} {list(tensor.dims)}"


def _classes(folder: Path, parameters: Mapping[str, str]) -> tuple[str, ...]:
    if told := parameters.get("classes"):
        return tuple(part.strip() for part in told.split(","))
    if names := notes_of(parameters).names:
        return names
    for metadata in notes_in_files(folder.parent, folder.name).values():
        if told := metadata.get("classes"):
            return tuple(part.strip() for part in told.split(","))
        if names := notes_in_file(metadata).names:
            return names
    return ()


def require_free(repository: Path, name: str) -> None:
    """Refuse a name that is taken.

    Raises:
        ConfigurationError: it is.

    """
    if (repository / name).exists():
        raise ConfigurationError(
            f'{repository}: has a model "{name}" already; give this one another --name, or take '
            f"that one out: inspector model remove {name}"
        )


def write_model(folder: Path, file: Path, config: str) -> None:
    """Make a model's folder with one version; the file is copied, with its external weights."""
    version = folder / "1"
    version.mkdir(parents=True)
    (folder / CONFIG).write_text(config, encoding="utf-8")
    shutil.copyfile(file, version / "model.onnx")
    # Weights above 2 GB, or exported so, lie in files beside it that it names.
    for beside in file.parent.glob(f"{file.name}.data"):
        shutil.copyfile(beside, version / beside.name)


@contextmanager
def unfinished(repository: Path) -> Iterator[Path]:
    """A folder beside the models, on the same disk; its remaining content is removed at the end.

    Raises:
        ConfigurationError: nothing can be written there.

    """
    try:
        repository.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(dir=repository, prefix=_UNFINISHED))
    except OSError as error:
        raise ConfigurationError(f"{repository}: cannot be written: {error.strerror}") from None
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def put_in_place(made: Path, repository: Path) -> None:
    """Move each finished model to its place: all of them, or none.

    Raises:
        ConfigurationError: a name was taken meanwhile, or the disk refuses.

    """
    moved: list[Path] = []
    # The server must be able to read it, unlike a private temporary folder.
    for path in (made, *made.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    os.sync()
    try:
        for folder in sorted(p for p in made.iterdir() if p.is_dir()):
            place = repository / folder.name
            if place.exists():
                raise ConfigurationError(f'{repository}: has a model "{folder.name}" already')  # noqa: TRY301
            folder.rename(place)
            moved.append(place)
    except (OSError, ConfigurationError) as error:
        for place in moved:
            shutil.rmtree(place, ignore_errors=True)
        if isinstance(error, ConfigurationError):
            raise
        raise ConfigurationError(f"{repository}: cannot be written: {error.strerror}") from None


def take_out(repository: Path, name: str) -> None:
    """Remove a model: first hide it from the server, then delete it.

    Raises:
        ConfigurationError: there is none, an ensemble needs it, or the disk refuses.

    """
    one_listed(repository, name)
    needing = [model.name for model in listed(repository) if name in model.steps]
    if needing:
        raise ConfigurationError(
            f'model "{name}" is a step of {", ".join(needing)}; take that out first'
        )
    with unfinished(repository) as folder:
        try:
            (repository / name).rename(folder / name)
        except OSError as error:
            raise ConfigurationError(
                f"{repository / name}: cannot be removed: {error.strerror}"
            ) from None
