"""Combines what the station knows about a product: its file, its revision, its reference.

Synchronous file I/O: never on the event loop.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import replace

from inspector.core.errors import ConfigurationError
from inspector.core.recipes import DEFAULT_PRODUCT, ModelName, Recipe, Reference
from inspector.products.files import Product, StationTerms, corner_outside, read_product
from inspector.products.recipes import recipe_of
from inspector.products.store import ProductStore, Revision
from inspector.products.stored import StoredReference
from inspector.products.taught_models import TaughtModels
from inspector.settings.renamed import OldName
from inspector.settings.sections import CameraSettings

OUTLINE_JITTER_PX = 4.0
"""How much the size of a unit's picture varies from frame to frame."""


class Catalogue:
    """Every product of a station: its folder, laid over its settings."""

    def __init__(
        self,
        store: ProductStore,
        station: StationTerms,
        *,
        model_sha256: Callable[[str, str], str] = lambda _name, _version: "",
        models: TaughtModels | None = None,
    ) -> None:
        """`model_sha256` is called with name and version; it hashes the model's files, if it can.

        `models`: where taught models are put; None: they are not used.
        """
        self.store = store
        self.station = station
        self._model_sha256 = model_sha256
        self._models = models

    def recipe(self, name: str) -> Recipe:
        """The recipe of the product's next units; the content of its file becomes a revision.

        Raises:
            ConfigurationError: there is no such product, its file is wrong, or its reference is
                damaged or does not fit; with a line for each mistake.

        """
        content = self.store.content(name)
        product = self._product(name, content)
        reference = self._reference(product)
        taught = self._taught(product)
        if not content and name == DEFAULT_PRODUCT:
            return self._with_hashes(recipe_of(product, None, reference, taught))
        # Nothing is kept of a refused product.
        revision = self.store.note_revision(name, content)
        return self._with_hashes(recipe_of(product, revision.text, reference, taught))

    def product(self, name: str) -> tuple[Product, Revision]:
        """The product by its file, and the revision that this is or would be.

        Raises:
            ConfigurationError: there is no such product, or its file is wrong.

        """
        content = self.store.content(name)
        return self._product(name, content), self.store.revision_of(name, content)

    def product_at(self, name: str, revision: Revision) -> Product:
        """The product by an earlier revision of its file, over today's settings.

        Raises:
            ConfigurationError: that does not fit the settings any more.

        """
        return read_product(
            self.store.revision_content(name, revision),
            name=name,
            origin=f"{name}, revision {revision.text}",
            station=self.station,
        )

    def chosen_reference(self, product: Product) -> int | None:
        """The version with which its units are compared; None: none.

        Raises:
            ConfigurationError: the file names one that does not exist or was never approved.

        """
        said, approvals = product.said.reference, self.store.approvals(product.name)
        if not said.use:
            return None
        if said.version is None:
            return approvals.in_force
        self.store.reference(product.name, said.version)
        if approvals.of(said.version) is None:
            raise ConfigurationError(
                f"{self.store.file_of(product.name)}: reference.version: nobody has approved"
                f" reference {product.name}/{said.version}"
            )
        return said.version

    def unknown(self, initial: str, by_serial: Iterable[str]) -> list[str]:
        """Unknown products that the settings name, one line each."""
        known = self.store.names()
        named = [("products.initial", initial), *(("products.by_serial", p) for p in by_serial)]
        return [
            f'{key} names "{name}"; known products are: {", ".join(known)}'
            for key, name in named
            if name not in known
        ]

    def problems_of_files(self) -> list[str]:
        """Every mistake in the files of all products, one line each; references are not read."""
        problems: list[str] = []
        for name in self.store.names():
            try:
                self.product(name)
            except ConfigurationError as error:
                problems += error.problems
        return problems

    def old_names(self) -> list[OldName]:
        """Keys that people should rename in the files of all products; wrong files are left out."""
        found: list[OldName] = []
        for name in self.store.names():
            with suppress(ConfigurationError):
                found += self.product(name)[0].old_names
        return found

    def problems(self, name: str) -> list[str]:
        """Every mistake in the file, references and models of a product, one line each."""
        try:
            product, _revision = self.product(name)
        except ConfigurationError as error:
            return list(error.problems)
        problems: list[str] = []
        for number in self.store.reference_numbers(name):
            try:
                self.store.load_reference(name, number)
            except ConfigurationError as error:
                problems += error.problems
        try:
            self._reference(product)
        except ConfigurationError as error:
            problems += (told for told in error.problems if told not in problems)
        return problems

    def _taught(self, product: Product) -> ModelName | None:
        """Put the model that was taught with the reference in force where the server finds it."""
        number, said = self.chosen_reference(product), product.said.reference.anomaly
        if number is None or self._models is None or said is False:
            return None
        if said is None and not self._models.is_served:
            return None
        graph = self.store.taught_model(self.store.reference(product.name, number))
        if graph is not None:
            model = self._models.installed(product.name, number, graph)
            self._remove_left(self._models)
            return model
        if said:
            raise ConfigurationError(
                f"{self.store.file_of(product.name)}: reference.anomaly: no model was taught with"
                f" reference {product.name}/{number}; expected one: teach it again"
            )
        return None

    def _remove_left(self, models: TaughtModels) -> None:
        """Remove the models of references that are gone: too old to be kept, or gone with a crash.

        From the station's own folder only: one that the settings name may hold those of others.
        What cannot be read or removed stays: no change-over fails for it.
        """
        if models.directory.parent != self.store.directory:
            return
        with suppress(ConfigurationError):
            known = [
                models.name_of(name, stored.number, stored.model.sha256)
                for name in self.store.names()
                for stored in self.store.references(name)
                if stored.model is not None
            ]
            models.remove(models.others_than(known))

    def forget(self, name: str, number: int | None = None) -> None:
        """Remove a version of the reference, or the whole product, with the models it was taught.

        Raises:
            ConfigurationError: there is no such version or product, the version is in force, or a
                folder cannot be written to.

        """
        numbers = self.store.reference_numbers(name) if number is None else (number,)
        taught = [] if self._models is None else self._taught_with(name, numbers)
        if number is None:
            self.store.forget(name)
        else:
            self.store.forget_reference(name, number)
        if self._models is not None:
            self._models.remove(taught)

    def _taught_with(self, name: str, numbers: Iterable[int]) -> list[ModelName]:
        """The models of these versions; a damaged version can be forgotten, too."""
        assert self._models is not None  # noqa: S101 - the only caller asked
        found = []
        for number in numbers:
            with suppress(ConfigurationError):
                model = self.store.reference(name, number).model
                if model is not None:
                    found.append(self._models.name_of(name, number, model.sha256))
        return found

    def _with_hashes(self, recipe: Recipe) -> Recipe:
        return replace(
            recipe,
            model=self._hashed(recipe.model),
            golden=None if recipe.golden is None else self._hashed(recipe.golden),
            also=tuple(self._hashed(model) for model in recipe.also),
        )

    def _hashed(self, model: ModelName) -> ModelName:
        return replace(model, file_sha256=self._model_sha256(model.name, model.version))

    def _product(self, name: str, content: bytes) -> Product:
        origin = str(self.store.file_of(name))
        return read_product(content, name=name, origin=origin, station=self.station)

    def _reference(self, product: Product) -> Reference | None:
        number = self.chosen_reference(product)
        if number is None:
            return None
        reference = self.store.load_reference(product.name, number)
        stored = self.store.reference(product.name, number)
        problems = list(misfits(product, stored, origin=str(self.store.file_of(product.name))))
        if problems:
            raise ConfigurationError(*problems)
        return reference


def misfits(product: Product, stored: StoredReference, *, origin: str) -> Iterator[str]:
    """Why units of a product cannot be compared with a reference, one line each."""
    size = f"{stored.width_px}x{stored.height_px}"
    camera = product.cameras.get(stored.camera)
    if camera is None:
        yield (
            f"{origin}: reference {stored.id} was taught at camera {stored.camera}; there are:"
            f" {', '.join(product.cameras)}"
        )
        return
    wide, high, exactly = _unit_px(camera)
    fits = (
        (stored.width_px, stored.height_px) == (wide, high)
        if exactly
        else max(stored.width_px, stored.height_px) <= max(wide, high)
    )
    if not fits:
        wanted = f"{wide:g}x{high:g}" if exactly else f"at most {max(wide, high):g} on a side"
        yield (
            f"{origin}: reference {stored.id} is {size} pixels; expected {wanted}, as units are at"
            f" {stored.camera}"
        )
    for number, zone in enumerate(product.said.zones, start=1):
        width_px, height_px = stored.width_px, stored.height_px
        outside = corner_outside(
            zone.polygon, width_px + OUTLINE_JITTER_PX, height_px + OUTLINE_JITTER_PX
        )
        if outside is not None:
            yield (
                f"{origin}: zones.{number}.polygon: the corner {list(outside)} is outside the unit;"
                f" expected x from 0 to {width_px} and y from 0 to {height_px}, as reference"
                f" {stored.id} shows it"
            )


def _unit_px(camera: CameraSettings) -> tuple[float, float, bool]:
    """Width and height of a unit's picture, and whether they are exact or a maximum."""
    if camera.cropped_to == "unit":
        longest = (camera.size.width_px**2 + camera.size.height_px**2) ** 0.5
        return longest, longest, False
    if camera.cropped_to == "tiles":
        return *camera.size, True
    width_px, height_px = camera.region[2:] if camera.region else camera.size
    return width_px, height_px, True
