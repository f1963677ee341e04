"""The products of a station, as its settings say where they are and what they are laid over."""

from __future__ import annotations

from inspector.inference.model_files import ModelFiles
from inspector.pipeline.terms import station_terms
from inspector.products.catalogue import Catalogue
from inspector.products.store import ProductStore
from inspector.settings.settings import Settings


def model_files(settings: Settings) -> ModelFiles:
    """The files of the models that the server serves, where this machine can read them."""
    return ModelFiles(settings.inference.known_repository)


def catalogue_of(settings: Settings, models: ModelFiles | None = None) -> Catalogue:
    """Every product. `models` remembers hashes: give it where this is asked again and again."""
    store = ProductStore(
        settings.products_directory, references_kept=settings.products.references_kept
    )
    files = models or model_files(settings)
    return Catalogue(store, station_terms(settings), model_sha256=files.sha256_of)
