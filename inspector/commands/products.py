"""What `inspector product` does with the products' folder."""

from __future__ import annotations

import asyncio
import getpass
import os
import socket
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import grpc
import orjson
from rich.console import Console
from rich.table import Table
from rich.text import Text
from tritonclient.utils import InferenceServerException

from inspector.commands.running_service import RunningService
from inspector.core.errors import ConfigurationError, InferenceUnavailableError
from inspector.core.paths import find
from inspector.core.product_names import product_name
from inspector.core.recipes import DEFAULT_PRODUCT, NOTHING_STATED, ModelName
from inspector.inference.connection import connect_to
from inspector.inference.describing import describe_model
from inspector.inference.model_check import check_model
from inspector.inference.model_files import model_sha256
from inspector.journal.file import read_note
from inspector.pipeline.products import catalogue_of, model_files
from inspector.pipeline.terms import model_terms
from inspector.products import archive
from inspector.products.catalogue import Catalogue
from inspector.products.files import Product
from inspector.products.kept import JOBS_NOTE, read_kept
from inspector.products.store import ProductStore, Revision
from inspector.products.stored import StoredReference
from inspector.settings.settings import Settings
from inspector.settings.types import EMBEDDED


@dataclass(frozen=True, slots=True)
class Products:
    """The products of a station, for commands."""

    settings: Settings
    catalogue: Catalogue

    @classmethod
    def of(cls, settings: Settings) -> Products:
        """Those that the settings name."""
        return cls(settings, catalogue_of(settings))

    @property
    def store(self) -> ProductStore:
        """Their folder."""
        return self.catalogue.store

    # list

    def print_list(self, *, as_json: bool) -> None:
        """One line for each product."""
        in_force = self._in_force()
        rows = [{**self._row(name), "line": in_force.get(name, {})} for name in self.store.names()]
        if as_json:
            _print_json(rows)
            return
        for row in rows:
            row["line"] = ", ".join(f"{camera} {state}" for camera, state in row["line"].items())
        columns = ("product", "line", "revision", "model", "reference", "mistakes")
        _print_table(columns, [[str(row[column]) for column in columns] for row in rows])

    def _in_force(self) -> dict[str, dict[str, str]]:
        """The cameras that inspect a product, and what they do with its units, by product."""
        kept = read_kept(read_note(self.settings.journal.directory, JOBS_NOTE))
        found: dict[str, dict[str, str]] = {}
        for camera, job in kept.cameras.items() if kept else ():
            if camera in self.settings.cameras:
                found.setdefault(job.product, {})[camera] = job.state.value.replace("_", " ")
        return found

    def _row(self, name: str) -> dict[str, Any]:
        problems = self.catalogue.problems(name)
        row: dict[str, Any] = {
            "product": name, "revision": "", "model": "", "reference": "none",
            "file": str(self.store.file_of(name)), "mistakes": len(problems),
        }  # fmt: skip
        with suppress(ConfigurationError):
            product, revision = self.catalogue.product(name)
            row["revision"] = self._revision(name, revision)
            row["model"] = product.model.name
        with suppress(ConfigurationError):
            row["reference"] = self._reference(name)
        return row

    def _revision(self, name: str, revision: Revision) -> str:
        if name == DEFAULT_PRODUCT and not self.store.content(name):
            return "the settings"
        return revision.text if revision.number else f"{revision.text} (not in force yet)"

    def _reference(self, name: str) -> str:
        approvals, numbers = self.store.approvals(name), self.store.reference_numbers(name)
        waiting = [n for n in numbers if n > (approvals.in_force or 0)]
        told = "none" if approvals.in_force is None else str(approvals.in_force)
        return f"{told} ({waiting[-1]} is not approved)" if waiting else told

    # check

    def check(self, names: Sequence[str]) -> None:
        """Check the products, and print a line for each that is right.

        Raises:
            ConfigurationError: something is wrong; with a line for every mistake.

        """
        known, products = self.store.names(), self.settings.products
        problems = self.catalogue.unknown(products.initial, products.by_serial)
        for name in names or known:
            found = self.catalogue.problems(name)
            if not found:
                product, _revision = self.catalogue.product(name)
                found = self._model_problems(product)
            problems += found
            if not found:
                sys.stdout.write(f"ok    {name}\n")
        if problems:
            raise ConfigurationError(*problems)

    def _model_problems(self, product: Product) -> list[str]:
        """How the models contradict the product, as far as they can be asked."""
        origin = self.store.file_of(product.name)
        try:
            if self.settings.inference.url == EMBEDDED:
                for model in self._models(product):
                    model_sha256(find(self.settings.inference.repository), *_named(model))
            else:
                asyncio.run(_compare(self.settings, product, self._models(product)))
        except ConfigurationError as error:
            return [f"{origin}: {told}" for told in error.problems]
        except InferenceUnavailableError as error:
            _notices().print(f"{origin}: its models were not compared: {error}", style="yellow")
        return []

    def _models(self, product: Product) -> tuple[ModelName, ...]:
        """The models that its units are shown to."""
        has_reference = self.catalogue.chosen_reference(product) is not None
        golden = product.golden if has_reference or product.said.model.golden else None
        return (product.model, *filter(None, [golden]), *product.also)

    def _packed_model(self, model: ModelName) -> archive.PackedModel:
        """The model with its hash, if its files are on this machine."""
        sha256 = model_files(self.settings).sha256_of(model.name, model.version)
        return archive.PackedModel(name=model.name, version=model.version, sha256=sha256 or None)

    # show, diff

    def print_product(self, wanted: str, *, as_json: bool) -> None:
        """Print what a product's units are judged by, and what is known about it."""
        name, product, revision = self._at(wanted)
        content = {
            "product": name,
            "revision": self._revision(name, revision),
            "file": str(self.store.file_of(name)),
            **_judged_by(product),
            **self._known(name),
        }
        if as_json:
            _print_json(content)
            return
        for key, value in _flat(content):
            sys.stdout.write(f"{key} = {_shown(value)}\n")

    def _known(self, name: str) -> dict[str, Any]:
        approvals = self.store.approvals(name)
        return {
            "revisions": {
                revision.text: revision.sha256[:12] for revision in self.store.revisions(name)
            },
            "references": {
                str(stored.number): _reference_told(stored)
                | {"approved": approval.by + ", " + approval.at if approval else "not approved"}
                for stored in self.store.references(name)
                for approval in (approvals.of(stored.number),)
            },
            "in_force": approvals.in_force or "none",
        }

    def print_difference(self, one: str, other: str | None) -> None:
        """Print how two products, or two revisions of one, decide differently."""
        if other is None:
            one, other = self._last_two(one)
        before, after = (dict(_flat(_judged_by(self._at(w)[1]))) for w in (one, other))
        lines = 0
        for key in sorted(before.keys() | after.keys()):
            if before.get(key) != after.get(key):
                lines += 1
                was, now = (_shown(found.get(key)) for found in (before, after))
                sys.stdout.write(f"{key}: {was} -> {now}\n")
        if not lines:
            _notices().print(f"{one} and {other}: nothing that decides differs")

    def _last_two(self, name: str) -> tuple[str, str]:
        """The present file, and the revision that was in force before it."""
        _product, now = self.catalogue.product(name)
        before = [r for r in self.store.revisions(name) if r.sha256 != now.sha256]
        if not before:
            raise ConfigurationError(f"{name} has one revision only; expected a second product")
        return f"{name}@{before[-1].text}", name

    def _at(self, wanted: str) -> tuple[str, Product, Revision]:
        """A product as NAME, or NAME@REVISION as events call it."""
        if wanted in self.store.names() or "@" not in wanted:
            product, revision = self.catalogue.product(wanted)
            return wanted, product, revision
        name, _at, text = wanted.rpartition("@")
        for revision in self.store.revisions(name):
            if revision.text == text:
                return name, self.catalogue.product_at(name, revision), revision
        texts = ", ".join(r.text for r in self.store.revisions(name)) or "none"
        raise ConfigurationError(f"{name} has no revision {text}; there are: {texts}")

    # export, import

    def export(self, name: str, out: Path | None, *, every_reference: bool) -> Path:
        """Pack a product into one file."""
        product, _revision = self.catalogue.product(name)
        models = tuple(map(self._packed_model, self._models(product)))
        content = archive.packed(
            self.catalogue, name, every_reference=every_reference, models=models
        )
        target = out or Path(f"{self.store.file_of(name).stem}.product.zip")
        try:
            target.write_bytes(content)
        except OSError as error:
            raise ConfigurationError(
                f"--out {target}: cannot be written: {error.strerror}"
            ) from None
        sys.stdout.write(f"{target}: {len(content)} bytes\n")
        return target

    def take_in(self, file: Path, name: str | None, *, replace: bool, approve: bool) -> None:
        """Unpack a product that another station packed; all of it or nothing.

        Raises:
            ConfigurationError: it is damaged, or does not fit this station.

        """
        try:
            content = file.read_bytes()
        except OSError as error:
            raise ConfigurationError(f"{file}: cannot be read: {error.strerror}") from None
        found = archive.unpacked(content, origin=str(file))
        ours = name or found.manifest.product
        problems = archive.objections(found, self.catalogue, name=ours, origin=str(file))
        problems += self._other_models(found, str(file))
        known = ours in self.store.names() and bool(self.store.content(ours))
        if known and not replace and self.store.content(ours) != found.content:
            problems.append(
                f"{file}: product {ours} is here already, with another file; expected --replace,"
                " or another name with --as"
            )
        if problems:
            raise ConfigurationError(*problems)
        present = {stored.sha256: stored.number for stored in self.store.references(ours)}
        for number, (stored, files) in found.references.items():
            kept = present.get(stored.sha256)
            if kept is None:
                kept = self.store.adopt_reference(ours, stored, files).number
            sys.stdout.write(f"reference {ours}/{kept}: {stored.units_used} units\n")
            if approve and number == found.manifest.in_force:
                self.store.approve(ours, kept, by=whoever())
        self.store.write(ours, found.content)
        sys.stdout.write(f"{self.store.file_of(ours)}: from {found.manifest.product}\n")

    def _other_models(self, found: archive.Unpacked, origin: str) -> Iterator[str]:
        """Models of the same name that are different here."""
        files = model_files(self.settings)
        for model in found.manifest.models:
            ours = files.sha256_of(model.name, model.version)  # not here: `check` says so
            if ours and model.sha256 and ours != model.sha256:
                yield (
                    f"{origin}: model {model.name} is another one here: its files hash to"
                    f" {ours[:12]}…; expected {model.sha256[:12]}…, as where it was packed"
                )

    # teach, approve, roll back, forget

    def teach(self, name: str, units: int | None, *, approve: bool, by: str | None) -> None:
        """Teach the running service from the next units what a good one looks like.

        Raises:
            CommandRefusedError: it does not.
            ConfigurationError: no service of this station runs here.

        """
        service = RunningService.of(self.settings)
        if service is None:
            raise ConfigurationError(
                f"no service of station {self.settings.station.id} answers at"
                f" {self.settings.http.host}:{self.settings.http.port}; units are taught while it"
                " runs, or from a recording with inspector replay --commands"
            )
        told = {"command": "teach", "product": name, "by": by or whoever()}
        if units is not None:
            told["units"] = str(units)
        if approve:
            told["approve"] = "true"
        answer = service.command(told)
        cameras = [f"{number} of {camera}" for camera, number in answer["effective"].items()]
        sys.stdout.write(f"{name} is taught from unit {', '.join(cameras)} on\n")

    def approve(self, name: str, number: int | None, by: str | None) -> None:
        """Put a reference in force; the running service does so from its next unit on."""
        self._require(name)
        service = RunningService.of(self.settings)
        if service is not None:
            told = {"command": "approve", "product": name, "by": by or whoever()}
            if number is not None:
                told["version"] = str(number)
            service.command(told)
            in_force = self.store.approvals(name).in_force
            sys.stdout.write(f"reference {name}/{in_force} is in force, and the service knows\n")
            return
        approval = self.store.approve(name, number, by=by or whoever())
        sys.stdout.write(f"reference {name}/{approval.number} is in force\n")

    def roll_back(self, name: str) -> None:
        """Put the previous reference in force again; as `approve`."""
        self._require(name)
        service = RunningService.of(self.settings)
        if service is not None:
            service.command({"command": "rollback", "product": name, "by": whoever()})
            in_force = self.store.approvals(name).in_force
            sys.stdout.write(f"reference {name}/{in_force} is in force, and the service knows\n")
            return
        sys.stdout.write(f"reference {name}/{self.store.roll_back(name)} is in force again\n")

    def forget(self, name: str, number: int | None, *, sure: bool) -> None:
        """Remove a reference, or the whole product."""
        if number is not None:
            self.catalogue.forget(name, number)
            sys.stdout.write(f"reference {name}/{number} is gone\n")
            return
        if name not in self.store.names():
            self.store.content(name)
        if not sure:
            raise ConfigurationError(
                f"{self.store.file_of(name)}: its revisions and references would be gone, too;"
                " expected --yes"
            )
        self.catalogue.forget(name)
        sys.stdout.write(f"product {name} is gone\n")

    def _require(self, name: str) -> None:
        """Require a product of this station."""
        self.store.content(name)


def checked_name(text: str) -> str:
    """A product's name as a person typed it.

    Raises:
        ConfigurationError: it is none.

    """
    try:
        return product_name(text)
    except ValueError as error:
        raise ConfigurationError(f"product: {error}") from None


async def _compare(settings: Settings, product: Product, models: Sequence[ModelName]) -> None:
    """Ask the server whether it has these models of the product, and whether they fit."""
    url, inference = settings.inference.url, settings.inference
    client = connect_to(url, inference)
    of_product = {"inspection": product.inspection, "inference": product.inference}
    terms = model_terms(settings.model_copy(update=of_product))
    needs = terms.needs
    try:
        for model in models:
            described = await describe_model(client, inference, model)
            if model == product.model:
                check_model(described, needs)
            elif model in terms.also:
                check_model(described, terms.also[model])
            else:  # the settings' input belongs to the other model
                check_model(described, replace(needs, is_for_reference=True, stated=NOTHING_STATED))
    except (InferenceServerException, grpc.RpcError) as error:
        raise InferenceUnavailableError(f"Triton at {url}: {error}") from error
    finally:
        with suppress(Exception):
            await client.close()


def _named(model: ModelName) -> tuple[str, str]:
    return model.name, model.version


def _judged_by(product: Product) -> dict[str, Any]:
    """Everything that decides, by section, in the form of a product's file."""
    said = product.said
    return {
        "model": {
            "name": product.model.name,
            "version": product.model.version or "newest",
            "golden": product.golden.name if product.golden else "none",
            "also": list(product.inference.also),
        },
        "inspection": {
            "codes": list(product.codes),
            "thresholds": {c: product.inspection.threshold_of(c) for c in product.codes},
            "min_frames_seen": product.inspection.min_frames_seen,
            "min_size_px": product.inspection.min_size_px,
            "severities": said.inspection.severities,
            "dispositions": said.inspection.dispositions,
        },
        "cameras": {
            name: {
                "region": list(camera.region) if camera.region else "all",
                "crop": camera.cropped_to,
                "frames_per_unit": camera.frames_of_unit,
            }
            for name, camera in product.cameras.items()
        },
        "serial_pattern": product.serial_pattern or "any",
        "zones": {zone.name: zone.model_dump(mode="json", exclude={"name"}) for zone in said.zones},
        "reference": {"use": said.reference.use, "version": said.reference.version or "approved"},
    }


def _reference_told(stored: StoredReference) -> dict[str, Any]:
    return {
        "sha256": stored.sha256[:12],
        "size": f"{stored.width_px}x{stored.height_px}",
        "made": f"{stored.made_by}, {stored.made_at}",
        "camera": stored.camera,
        "units": [unit.number for unit in stored.units if unit.used],
        "left_out": {str(unit.number): unit.why for unit in stored.units if not unit.used},
    }


def _flat(content: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The values by dotted key."""
    for key, value in content.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _shown(value: object) -> str:
    return "nothing" if value is None else orjson.dumps(value).decode()


def whoever() -> str:
    """The current user, for the record."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user that has no name
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"


def _print_json(content: object) -> None:
    sys.stdout.buffer.write(orjson.dumps(content, option=orjson.OPT_INDENT_2) + b"\n")


def _print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    console = Console(highlight=False)
    if console.is_terminal:
        table = Table(*columns)
        for row in rows:
            # Text, because a product's name may look like markup.
            table.add_row(*map(Text, row))
        console.print(table)
        return
    widths = [max(len(row[n]) for row in (columns, *rows)) for n in range(len(columns))]
    for row in (columns, *rows):
        line = "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True))
        sys.stdout.write(line.rstrip() + "\n")


def _notices() -> Console:
    return Console(stderr=True, highlight=False, markup=False, emoji=False, soft_wrap=True)
