"""Keeps products at hand for triggers, which cannot wait; reads them outside the event loop."""

from __future__ import annotations

import asyncio
from pathlib import Path

from inspector.core.errors import ConfigurationError
from inspector.core.newest import Newest
from inspector.core.recipes import DEFAULT_PRODUCT, Recipe
from inspector.products.catalogue import Catalogue
from inspector.products.change_over import Products, unknown_product

AT_HAND = 32
"""How many recipes are kept; each with a reference of one to a few megabytes."""

Stamp = tuple[tuple[int, int, int] | None, ...]


class KnownProducts(Products):
    """Products as they were read last. Event loop only."""

    def __init__(self, catalogue: Catalogue) -> None:
        """Read nothing yet."""
        self._catalogue = catalogue
        self._names: tuple[str, ...] = (DEFAULT_PRODUCT,)
        self._recipes: Newest[str, Recipe] = Newest(AT_HAND)
        self._stamps: dict[str, Stamp] = {}
        self._seen: dict[str, Stamp] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """As they were read last."""
        return self._names

    def change(self, catalogue: Catalogue) -> None:
        """Use other settings as the base of products."""
        self._catalogue = catalogue
        self._recipes.clear()
        self._stamps.clear()
        self._seen.clear()

    async def load(self) -> None:
        """Read all products that are right; a mistake is reported when its product is requested."""
        self._names = await asyncio.to_thread(self._read_names)
        for name in self._names[:AT_HAND]:
            try:
                await self.recipe(name)
            except ConfigurationError:
                continue

    async def recipe(self, name: str) -> Recipe:
        """Read its file and its reference again."""
        catalogue = self._catalogue

        def read() -> tuple[tuple[str, ...], Recipe | None]:
            names = self._read_names()
            return names, catalogue.recipe(name) if name in names else None

        self._names, recipe = await asyncio.to_thread(read)
        if recipe is None:
            self._recipes.pop(name, None)
            raise unknown_product(name, self._names)
        self._recipes[name] = recipe
        return recipe

    def at_hand(self, name: str) -> Recipe | None:
        """As it was read last."""
        if name not in self._names:
            raise unknown_product(name, self._names)
        return self._recipes.get(name)

    async def changed(self, names: set[str]) -> bool:
        """Whether the file or the approvals of one of these changed since the last call.

        A file that is the same at two calls is no longer being written.
        """
        stamps = await asyncio.to_thread(lambda: {name: self._stamp(name) for name in names})
        seen, self._seen = self._seen, stamps
        settled = {name for name, stamp in stamps.items() if seen.get(name) == stamp}
        differ = {n for n in settled if self._stamps.get(n, stamps[n]) != stamps[n]}
        self._stamps.update({name: stamps[name] for name in settled})
        return bool(differ)

    def _read_names(self) -> tuple[str, ...]:
        try:
            return self._catalogue.store.names()
        except ConfigurationError:
            # A wrong file beside them must not hide those that are right.
            return self._names

    def _stamp(self, name: str) -> Stamp:
        store = self._catalogue.store
        return tuple(_of(path) for path in (store.file_of(name), store.approvals_file(name)))


def _of(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns
