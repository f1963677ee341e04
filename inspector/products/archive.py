"""A product in one file, to be taken to another station: its file, references, models' hashes.

A zip file with `manifest.json`, which names everything else in it with its SHA-256. Anything that
contradicts the manifest, or does not fit this station, is refused before anything is written.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal, TypeVar

from pydantic import Field, ValidationError

from inspector.core.errors import ConfigurationError
from inspector.products.catalogue import Catalogue, misfits
from inspector.products.files import read_product
from inspector.products.pictures import from_png
from inspector.products.store import MODEL_FILE, reference_sha256
from inspector.products.stored import Sha256, StoredReference
from inspector.settings.product_sections import ProductName
from inspector.settings.types import Section
from inspector.settings.wording import sentence

MANIFEST = "manifest.json"
FILE = "product.toml"
LARGEST_BYTES = 2_000_000_000
"""The limit for everything in an archive, unpacked."""
_MOST_MEMBERS = 10_000
_BEGINNING_OF_TIME = (1980, 1, 1, 0, 0, 0)
"""A fixed time, so that the same product always makes the same file."""

_NO_ARCHIVE = (
    *(zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, ValueError),
)
"""What zipfile raises for a file that is no archive, is cut short, or is encrypted."""
_Note = TypeVar("_Note", bound=Section)


class PackedModel(Section):
    """A model that inspects the product."""

    name: str
    version: str = ""
    sha256: Sha256 | None = None
    """The hash of its files; None if the packing station could not read them."""


class Manifest(Section):
    """The manifest of an archive."""

    format: Literal["inspector.product/1"] = "inspector.product/1"
    product: ProductName
    revision: str
    in_force: Annotated[int, Field(ge=1)] | None = None
    """The reference that was in force where it was packed."""
    models: tuple[PackedModel, ...] = ()
    members: dict[str, Sha256]


@dataclass(frozen=True, slots=True, kw_only=True)
class Unpacked:
    """An archive that was read and is complete."""

    manifest: Manifest
    content: bytes
    """The hash of the product's file."""
    references: Mapping[int, tuple[StoredReference, dict[str, bytes]]]


def packed(
    catalogue: Catalogue, name: str, *, every_reference: bool, models: tuple[PackedModel, ...]
) -> bytes:
    """The archive of a product: its file, and the reference in force, or every one.

    Raises:
        ConfigurationError: there is no such product, or something of it is wrong.

    """
    store = catalogue.store
    product, revision = catalogue.product(name)
    in_force = catalogue.chosen_reference(product)
    present = store.reference_numbers(name)
    numbers = present if every_reference else ((in_force,) if in_force else ())
    members = {FILE: store.content(name)}
    for number in numbers:
        store.load_reference(name, number)
        stored, folder = store.reference(name, number), store.reference_folder(name, number)
        for path in ("reference.json", "mean.png", "deviation.png"):
            members[f"references/{number}/{path}"] = (folder / path).read_bytes()
        if (graph := store.taught_model(stored)) is not None:
            members[f"references/{number}/{MODEL_FILE}"] = graph
        for unit in stored.units:
            if unit.picture is not None:
                picture = store.unit_picture(name, number, unit)
                members[f"references/{number}/{unit.picture}"] = picture
    manifest = Manifest(
        product=name,
        revision=revision.text,
        in_force=in_force,
        models=models,
        members={path: hashlib.sha256(member).hexdigest() for path, member in members.items()},
    )
    return _zipped({MANIFEST: manifest.model_dump_json(indent=1).encode(), **members})


def unpacked(content: bytes, *, origin: str) -> Unpacked:
    """The content of an archive.

    Raises:
        ConfigurationError: it is not an archive, is damaged, or contains something that its
            manifest does not name.

    """
    members = _members(content, origin)
    manifest = _parsed(members.pop(MANIFEST, b""), Manifest, f"{origin}: {MANIFEST}")
    if missing := sorted(manifest.members.keys() - members.keys()):
        raise ConfigurationError(f"{origin}: {missing[0]} is missing; expected the whole archive")
    if strange := sorted(members.keys() - manifest.members.keys()):
        raise ConfigurationError(f"{origin}: {strange[0]} is not named by its {MANIFEST}")
    for path, member in members.items():
        if hashlib.sha256(member).hexdigest() != manifest.members[path]:
            raise ConfigurationError(f"{origin}: {path} is damaged: its SHA-256 is another one")
    references = {}
    for path in sorted(members):
        folder, _slash, file = path.rpartition("/")
        number = folder.removeprefix("references/")
        if file == "reference.json" and number.isdecimal():
            stored = _parsed(members[path], StoredReference, f"{origin}: {path}")
            references[int(number)] = _whole(stored, members, folder, origin)
    return Unpacked(manifest=manifest, content=members.get(FILE, b""), references=references)


def objections(archive: Unpacked, catalogue: Catalogue, *, name: str, origin: str) -> list[str]:
    """Why this station cannot import the product, one line each."""
    try:
        product = read_product(
            archive.content, name=name, origin=f"{origin}: {FILE}", station=catalogue.station
        )
    except ConfigurationError as error:
        return list(error.problems)
    return [
        told
        for stored, _files in archive.references.values()
        for told in misfits(product, stored, origin=origin)
    ]


def _zipped(members: Mapping[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for path, content in members.items():
            # Pictures are compressed already.
            kind = zipfile.ZIP_STORED if path.endswith(("png", "jpg")) else zipfile.ZIP_DEFLATED
            info = zipfile.ZipInfo(path, _BEGINNING_OF_TIME)
            info.external_attr = 0o644 << 16
            archive.writestr(info, content, compress_type=kind)
    return out.getvalue()


def _members(content: bytes, origin: str) -> dict[str, bytes]:
    """The members by name; nothing is written, so names cannot lead anywhere."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            infos = archive.infolist()
            total = sum(info.file_size for info in infos)
            if total > LARGEST_BYTES or len(infos) > _MOST_MEMBERS:
                raise ConfigurationError(
                    f"{origin}: holds {len(infos)} files of {total} bytes; expected at most"
                    f" {_MOST_MEMBERS} of {LARGEST_BYTES}"
                )
            names = [info.filename for info in infos]
            if len(set(names)) < len(names):
                raise ConfigurationError(f"{origin}: holds two files of one name")
            return {info.filename: archive.read(info) for info in infos}
    except _NO_ARCHIVE as error:
        raise ConfigurationError(
            f"{origin}: is no archive of a product ({error}); expected what `inspector product"
            " export` wrote"
        ) from None


def _whole(
    stored: StoredReference, members: Mapping[str, bytes], folder: str, origin: str
) -> tuple[StoredReference, dict[str, bytes]]:
    """A reference and its files, checked like one of our own."""
    wanted = ["mean.png", "deviation.png", *(u.picture for u in stored.units if u.picture)]
    if stored.model is not None:
        wanted.append(MODEL_FILE)
    files = {path: members.get(f"{folder}/{path}", b"") for path in wanted}
    mean = from_png(files["mean.png"], colour=True)
    deviation = from_png(files["deviation.png"], colour=False)
    size = (stored.height_px, stored.width_px)
    pictures = {unit.picture: unit.picture_sha256 for unit in stored.units if unit.picture}
    is_whole = (
        all(hashlib.sha256(files[path]).hexdigest() == pictures[path] for path in pictures)
        and mean is not None
        and deviation is not None
        and mean.shape[:2] == size == deviation.shape
        and reference_sha256(mean, deviation) == stored.sha256
        and (
            stored.model is None
            or hashlib.sha256(files[MODEL_FILE]).hexdigest() == stored.model.sha256
        )
    )
    if not is_whole:
        raise ConfigurationError(f"{origin}: {folder} is damaged: expected a whole reference")
    return stored, files


def _parsed(content: bytes, kind: type[_Note], origin: str) -> _Note:
    try:
        return kind.model_validate_json(content, strict=True)
    except ValidationError as error:
        [first, *_] = error.errors(include_url=False)
        where = [str(part) for part in first["loc"]]
        told = sentence(first, where or [""], kind)
        raise ConfigurationError(
            f"{origin}: {'.'.join(where)}: {told}".replace(": : ", ": ")
        ) from None
