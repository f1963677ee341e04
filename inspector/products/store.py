"""The products' folder on the disk: their files, every revision seen, and their references.

    products/
      controller.toml                     what a person edits
      versions/controller/
        revisions/1.toml, 2.toml          each content that was ever in force, never changed
        references/1/                     a version of what a good unit looks like, never changed
          reference.json                  its hash, when and by whom it was made, of which units
          mean.png, deviation.png
          model.onnx                      what was taught with the same units, if any
          optics.json                     what the pictures were like
          units/12.jpg                    the units it was made of, and those left out
        approvals.json                    which reference is in force, by whom, and which before

Synchronous file I/O: never on the event loop. Any thread, any process; writers take turns.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from inspector.core.basics import Image, Rect
from inspector.core.errors import ConfigurationError
from inspector.core.optics import OpticsBaseline
from inspector.core.product_names import name_of, stem_of
from inspector.core.recipes import DEFAULT_PRODUCT, Reference
from inspector.products import durable
from inspector.products.files import Product, StationTerms, read_product
from inspector.products.model_teaching import TaughtModel
from inspector.products.pictures import as_jpeg, as_png, from_png
from inspector.products.stored import (
    Approval,
    Approvals,
    StoredModel,
    StoredOptics,
    StoredReference,
    StoredUnit,
)
from inspector.settings.toml_files import LARGEST_FILE_BYTES
from inspector.settings.types import Section
from inspector.settings.wording import sentence

VERSIONS = "versions"
MODEL_FILE = "model.onnx"
OPTICS = "optics.json"
_LARGEST_NOTE_BYTES = 1_000_000
_LARGEST_PICTURE_BYTES = 200_000_000
_Note = TypeVar("_Note", bound=Section)


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """One content of a product's file."""

    number: int
    """The number among contents that were in force, from 1; 0: this one was not yet."""
    text: str
    """Its name in events: the file's own `revision`, or the number; unique for each content."""
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TaughtUnit:
    """A unit that a reference is made of, or that was left out."""

    number: int
    """Its `unit.number`."""
    picture: Image | None
    """As it lies on the reference, for people: BGR."""
    id: str = ""
    used: bool = True
    why: str = ""
    likeness: float = 1.0
    places: tuple[Rect, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TaughtReference:
    """A reference that is not stored yet."""

    mean: Image
    deviation: NDArray[np.uint8]
    units: Sequence[TaughtUnit]
    camera: str
    revision: str
    made_by: str
    model: TaughtModel | None = None
    optics: OpticsBaseline | None = None
    """What the pictures were like; None if they were not measured."""


class ProductStore:
    """The products' folder."""

    def __init__(self, directory: Path, *, references_kept: int = 20) -> None:
        self.directory = directory
        self._references_kept = references_kept

    # Files.

    def names(self) -> tuple[str, ...]:
        """The names of the products that have a file, and `default`.

        Raises:
            ConfigurationError: a file's name is no product's; with a line for each.

        """
        names, problems = {DEFAULT_PRODUCT}, []
        for file in self._listed(self.directory):
            if file.suffix == ".toml" and not file.name.startswith("."):
                try:
                    names.add(name_of(file.stem))
                except ValueError as error:
                    problems.append(f"{file}: the name of the file: {error}")
        if problems:
            raise ConfigurationError(*problems)
        return tuple(sorted(names))

    def file_of(self, name: str) -> Path:
        """Where the product's file is, or would be."""
        return self.directory / f"{stem_of(name)}.toml"

    def content(self, name: str) -> bytes:
        """The present content of the product's file; empty for `default` without one.

        Raises:
            ConfigurationError: there is no such product, or its file cannot be read.

        """
        file = self.file_of(name)
        try:
            return _read(file, LARGEST_FILE_BYTES)
        except FileNotFoundError:
            if name == DEFAULT_PRODUCT:
                return b""
            known = ", ".join(self.names())
            raise ConfigurationError(f"{file}: no such product; known are: {known}") from None

    def read(self, name: str, station: StationTerms) -> Product:
        """The product by its present file, over the station's settings.

        Raises:
            ConfigurationError: as `content`, or the file is wrong.

        """
        return read_product(
            self.content(name), name=name, origin=str(self.file_of(name)), station=station
        )

    def write(self, name: str, content: bytes) -> None:
        """Put this in place of the product's file."""
        with self._writing(name):
            durable.write_file(self.file_of(name), content)

    # Revisions.

    def revisions(self, name: str) -> tuple[Revision, ...]:
        """Every content that was in force, in order."""
        found: list[Revision] = []
        for number, file in self._numbered(self._folder(name) / "revisions", ".toml"):
            content = _read(file, LARGEST_FILE_BYTES)
            found.append(_revision(number, content, found))
        return tuple(found)

    def revision_content(self, name: str, revision: Revision) -> bytes:
        """The content of that revision's file."""
        return _read(self._revision_file(name, revision.number), LARGEST_FILE_BYTES)

    def revision_of(self, name: str, content: bytes) -> Revision:
        """The revision of this content; one that was never in force has the number 0."""
        return self._revision_of(content, self.revisions(name))

    def note_revision(self, name: str, content: bytes) -> Revision:
        """Keep this content as a revision, because it comes into force now.

        A content that was in force before keeps its revision.
        """
        with self._writing(name):
            known = self.revisions(name)
            found = self._revision_of(content, known)
            if found.number:
                return found
            approvals = self.approvals(name)
            number = max((approvals.last_revision, *(r.number for r in known))) + 1
            durable.write_file(self._revision_file(name, number), content)
            self._note(name, approvals.model_copy(update={"last_revision": number}))
            return _revision(number, content, known)

    @staticmethod
    def _revision_of(content: bytes, known: Sequence[Revision]) -> Revision:
        sha256 = hashlib.sha256(content).hexdigest()
        same = next((revision for revision in known if revision.sha256 == sha256), None)
        if same is not None:
            return same
        coming = _revision(max((r.number for r in known), default=0) + 1, content, known)
        return Revision(number=0, text=coming.text, sha256=sha256)

    # References.

    def references(self, name: str) -> tuple[StoredReference, ...]:
        """Every version of the product's reference that is whole, the oldest first.

        Raises:
            ConfigurationError: what stands beside one is damaged.

        """
        return tuple(self.reference(name, number) for number in self.reference_numbers(name))

    def reference_numbers(self, name: str) -> tuple[int, ...]:
        """The versions of the product's reference that are there, the oldest first."""
        folder = self._folder(name) / "references"
        return tuple(number for number, _ in self._numbered(folder, ""))

    def reference(self, name: str, number: int) -> StoredReference:
        """The record of a version of the reference.

        Raises:
            ConfigurationError: there is no such version, or it is damaged.

        """
        file = self.reference_folder(name, number) / "reference.json"
        try:
            stored = _noted(file, StoredReference)
        except FileNotFoundError:
            numbers = [str(n) for n in self.reference_numbers(name)] or ["none"]
            raise ConfigurationError(
                f"{file.parent}: {name} has no reference {number}; there are: {', '.join(numbers)}"
            ) from None
        if (stored.product, stored.number) != (name, number):
            raise ConfigurationError(
                f"{file}: found reference {stored.id}; expected {name}/{number}"
            )
        return stored

    def load_reference(self, name: str, number: int) -> Reference:
        """A version of the reference with its pixels, checked against its hash.

        Raises:
            ConfigurationError: as `reference`.

        """
        stored = self.reference(name, number)
        folder = self.reference_folder(name, number)
        mean = from_png(_pixels(folder / "mean.png"), colour=True)
        deviation = from_png(_pixels(folder / "deviation.png"), colour=False)
        for file, found in (("mean.png", mean), ("deviation.png", deviation)):
            expected = (stored.height_px, stored.width_px)
            if found is None or found.shape[:2] != expected:
                what = "no picture" if found is None else f"{found.shape[1]}x{found.shape[0]}"
                raise ConfigurationError(
                    f"{folder / file}: found {what}; expected {stored.width_px}x{stored.height_px}"
                    f" pixels, as {stored.id} was stored"
                )
        assert mean is not None and deviation is not None  # noqa: S101, PT018 - told above
        sha256 = reference_sha256(mean, deviation)
        if sha256 != stored.sha256:
            raise ConfigurationError(
                f"{folder}: reference {stored.id} is damaged: its pixels hash to {sha256[:12]}…;"
                f" expected {stored.sha256[:12]}…, as it was stored"
            )
        optics = self._optics(folder)
        return Reference(id=stored.id, sha256=sha256, mean=mean, deviation=deviation, optics=optics)

    @staticmethod
    def _optics(folder: Path) -> OpticsBaseline | None:
        """What the pictures were like; None if that is unknown, as for another station's."""
        try:
            return _noted(folder / OPTICS, StoredOptics).baseline()
        except FileNotFoundError:
            return None

    def reference_folder(self, name: str, number: int) -> Path:
        """The folder of that version."""
        return self._folder(name) / "references" / str(number)

    def unit_picture(self, name: str, number: int, unit: StoredUnit) -> bytes:
        """The JPEG of a unit that a reference was taught with.

        Raises:
            ConfigurationError: there is none, or it is damaged.

        """
        file = self.reference_folder(name, number) / (unit.picture or "units/none.jpg")
        content = _pixels(file)
        if hashlib.sha256(content).hexdigest() != unit.picture_sha256:
            raise ConfigurationError(f"{file}: damaged: expected the picture that was stored")
        return content

    def taught_model(self, stored: StoredReference) -> bytes | None:
        """The file of the model that was taught with a reference; None: none was.

        Raises:
            ConfigurationError: it is gone, or damaged.

        """
        if stored.model is None:
            return None
        file = self.reference_folder(stored.product, stored.number) / MODEL_FILE
        content = _pixels(file)
        if hashlib.sha256(content).hexdigest() != stored.model.sha256:
            raise ConfigurationError(f"{file}: damaged: expected the model that was stored")
        return content

    def add_reference(self, name: str, taught: TaughtReference) -> StoredReference:
        """Keep a reference as the next version, not approved yet."""
        pictures = {
            f"units/{unit.number}.jpg": as_jpeg(unit.picture)
            for unit in taught.units
            if unit.picture is not None
        }
        height_px, width_px = taught.deviation.shape
        with self._writing(name):
            number = self._next_reference(name)
            stored = StoredReference(
                product=name,
                number=number,
                sha256=reference_sha256(taught.mean, taught.deviation),
                width_px=width_px,
                height_px=height_px,
                camera=taught.camera,
                revision=taught.revision,
                made_at=_now(),
                made_by=taught.made_by,
                units=tuple(_unit(unit, pictures) for unit in taught.units),
                model=None if taught.model is None else _stored_model(taught.model),
            )
            others = {} if taught.model is None else {MODEL_FILE: taught.model.graph}
            self._put_reference(
                stored,
                as_png(taught.mean),
                as_png(taught.deviation),
                others=pictures | others | _optics_file(taught.optics),
            )
        return stored

    def adopt_reference(
        self, name: str, stored: StoredReference, files: dict[str, bytes]
    ) -> StoredReference:
        """Keep a reference of another store as the next version, not approved yet."""
        with self._writing(name):
            number = self._next_reference(name)
            ours = stored.model_copy(update={"product": name, "number": number})
            mean, deviation = files["mean.png"], files["deviation.png"]
            self._put_reference(ours, mean, deviation, others=files)
        return ours

    def _put_reference(
        self, stored: StoredReference, mean: bytes, deviation: bytes, *, others: dict[str, bytes]
    ) -> None:
        name, number = stored.product, stored.number
        folder = self.reference_folder(name, number)
        # First the number, so that no later version gets it even when this one is forgotten.
        self._note(name, self.approvals(name).model_copy(update={"last_number": number}))
        note = stored.model_dump_json(indent=1).encode()
        durable.write_folder(
            folder,
            {**others, "mean.png": mean, "deviation.png": deviation, "reference.json": note},
        )
        self._remove_old(name, newest=number)

    def _next_reference(self, name: str) -> int:
        return max((self.approvals(name).last_number, *self.reference_numbers(name))) + 1

    def _remove_old(self, name: str, *, newest: int) -> None:
        approvals = self.approvals(name)
        keep = {approvals.in_force, approvals.before, newest}
        present = self.reference_numbers(name)
        going = [n for n in present if n not in keep]
        for number in going[: max(0, len(present) - self._references_kept)]:
            self._forget(name, number)

    # Approvals.

    def approvals(self, name: str) -> Approvals:
        """The reference in force, and those before.

        Raises:
            ConfigurationError: the file that says so is damaged.

        """
        try:
            return _noted(self.approvals_file(name), Approvals)
        except FileNotFoundError:
            return Approvals()

    def approve(self, name: str, number: int | None, *, by: str) -> Approval:
        """Put a version of the reference in force, the newest unless one is named.

        Raises:
            ConfigurationError: there is no such version, or it is damaged.

        """
        with self._writing(name):
            if number is None:
                numbers = self.reference_numbers(name)
                if not numbers:
                    raise ConfigurationError(f"{name} has no reference; teach it first")
                number = numbers[-1]
            self.load_reference(name, number)
            approval = Approval(number=number, by=by, at=_now())
            self._note(name, self.approvals(name).with_approved(approval))
            return approval

    def roll_back(self, name: str) -> int:
        """Put the previous reference in force again; returns its number.

        Raises:
            ConfigurationError: there was none before, or it is damaged.

        """
        with self._writing(name):
            approvals = self.approvals(name)
            before = approvals.before
            if before is None:
                now = "none" if approvals.in_force is None else f"only {approvals.in_force}"
                raise ConfigurationError(
                    f"{name} has no earlier reference to go back to; approved: {now}"
                )
            self.load_reference(name, before)
            self._note(name, approvals.rolled_back())
            return before

    def forget_reference(self, name: str, number: int) -> None:
        """Remove a version of the reference; its number is not given again.

        Raises:
            ConfigurationError: there is no such version, or it is in force.

        """
        with self._writing(name):
            folder = self.reference_folder(name, number)
            if not folder.is_dir():
                self.reference(name, number)
            if self.approvals(name).in_force == number:
                raise ConfigurationError(
                    f"reference {name}/{number} is in force; approve another one or roll back first"
                )
            self._forget(name, number)

    def forget(self, name: str) -> None:
        """Remove a product: its file, revisions and references. Their numbers are not given again.

        Raises:
            ConfigurationError: there is no such product.

        """
        with self._writing(name):
            file, folder = self.file_of(name), self._folder(name)
            if not (file.exists() or folder.exists()):
                self.content(name)
            approvals, revisions = self.approvals(name), self.revisions(name)
            left = Approvals(
                last_number=max((approvals.last_number, *self.reference_numbers(name))),
                last_revision=max((approvals.last_revision, *(r.number for r in revisions))),
            )
            for path in (file, folder):
                if path.exists():
                    durable.remove(path)
            self._note(name, left)

    def _forget(self, name: str, number: int) -> None:
        approvals = self.approvals(name)
        if approvals.of(number) is not None:
            self._note(name, approvals.without(number))
        durable.remove(self.reference_folder(name, number))

    # On the disk.

    def _folder(self, name: str) -> Path:
        return self.directory / VERSIONS / stem_of(name)

    def _revision_file(self, name: str, number: int) -> Path:
        return self._folder(name) / "revisions" / f"{number}.toml"

    def approvals_file(self, name: str) -> Path:
        """The file of the approvals."""
        return self._folder(name) / "approvals.json"

    def _note(self, name: str, approvals: Approvals) -> None:
        content = approvals.model_dump_json(indent=1).encode()
        durable.write_file(self.approvals_file(name), content)

    def _listed(self, folder: Path) -> list[Path]:
        try:
            return sorted(folder.iterdir())
        except OSError as error:
            is_nowhere = isinstance(error, NotADirectoryError) and not folder.exists()
            if is_nowhere or isinstance(error, FileNotFoundError):
                # A state folder that cannot be made is named by the journal's own sentence.
                return []
            raise ConfigurationError(f"{folder}: cannot be read: {error.strerror}") from None

    def _numbered(self, folder: Path, ending: str) -> list[tuple[int, Path]]:
        """The numbered entries of a folder, without unfinished ones."""
        found = []
        for path in self._listed(folder):
            number = path.name.removesuffix(ending)
            if number.isdecimal() and path.name == f"{int(number)}{ending}":
                found.append((int(number), path))
        return sorted(found)

    @contextmanager
    def _writing(self, name: str) -> Iterator[None]:
        """One writer at a time, of all processes.

        Raises:
            ConfigurationError: the folder cannot be written to.

        """
        try:
            durable.make_folder(self.directory / VERSIONS)
            # Only opened: a lock file that root made must work for the service, too.
            flags = os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC
            lock = self.directory / VERSIONS / ".lock"
            with open(os.open(lock, flags, 0o644), "rb") as held:  # noqa: PTH123 - needs the flags
                fcntl.flock(held, fcntl.LOCK_EX)
                folder = self._folder(name)
                for place in ("", "revisions", "references"):
                    durable.tidy(folder / place)
                durable.tidy(self.directory)
                yield
        except OSError as error:
            raise ConfigurationError(
                f"product {name}: {error.filename or self.directory} cannot be written:"
                f" {error.strerror}"
            ) from error


def reference_sha256(mean: Image, deviation: NDArray[np.uint8]) -> str:
    """The hash of a reference: over sizes and pixels, independent of a file's compression."""
    digest = hashlib.sha256(b"inspector.reference/1")
    for pixels in (mean, deviation):
        digest.update(repr(pixels.shape).encode())
        digest.update(np.ascontiguousarray(pixels).data)
    return digest.hexdigest()


def _stored_model(model: TaughtModel) -> StoredModel:
    return StoredModel(
        sha256=hashlib.sha256(model.graph).hexdigest(),
        units=model.units,
        usual_times=round(model.usual_times, 3),
    )


def _unit(unit: TaughtUnit, pictures: dict[str, bytes]) -> StoredUnit:
    path = f"units/{unit.number}.jpg"
    picture = pictures.get(path)
    return StoredUnit(
        number=unit.number,
        id=unit.id,
        used=unit.used,
        why=unit.why,
        likeness=round(unit.likeness, 4),
        places=tuple((r.x_px, r.y_px, r.width_px, r.height_px) for r in unit.places),
        picture=path if picture is not None else None,
        picture_sha256=hashlib.sha256(picture).hexdigest() if picture is not None else None,
    )


def _revision(number: int, content: bytes, before: Sequence[Revision]) -> Revision:
    """The name of a content: its own, made distinct from earlier ones with the same."""
    try:
        told = str(tomllib.loads(content.decode("utf-8-sig")).get("revision") or number)
    except ValueError:  # damaged since; its name stays
        told = str(number)
    taken = {revision.text for revision in before}
    text, times = told, 1
    while text in taken:
        times += 1
        text = f"{told}.{times}"
    return Revision(number=number, text=text, sha256=hashlib.sha256(content).hexdigest())


def _noted(file: Path, kind: type[_Note]) -> _Note:
    content = _read(file, _LARGEST_NOTE_BYTES)
    try:
        return kind.model_validate_json(content, strict=True)
    except ValidationError as error:
        [first, *_] = error.errors(include_url=False)
        where = [str(part) for part in first["loc"]]
        told = sentence(first, where or [""], kind)
        raise ConfigurationError(f"{file}: damaged: {'.'.join(where)}: {told}") from None


def _optics_file(optics: OpticsBaseline | None) -> dict[str, bytes]:
    if optics is None:
        return {}
    # An older version, which knows no `settled`, can still read it.
    stored = StoredOptics.of(optics).model_dump_json(indent=1, exclude={"settled"})
    return {OPTICS: stored.encode()}


def _pixels(file: Path) -> bytes:
    try:
        return _read(file, _LARGEST_PICTURE_BYTES)
    except FileNotFoundError:
        raise ConfigurationError(f"{file}: no such file; the reference is not whole") from None


def _read(file: Path, largest_bytes: int) -> bytes:
    """The content, with one byte more than allowed if it is too long.

    Raises:
        FileNotFoundError: there is none.
        ConfigurationError: it cannot be read.

    """
    try:
        with file.open("rb") as opened:
            return opened.read(largest_bytes + 1)
    except FileNotFoundError:
        raise
    except NotADirectoryError:
        # An error is reported where the folder is listed or made.
        raise FileNotFoundError(file) from None
    except OSError as error:
        raise ConfigurationError(f"{file}: cannot be read: {error.strerror}") from None


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
