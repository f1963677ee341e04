"""The products of a station, as its settings say where they are and what they are laid over."""

from __future__ import annotations

from inspector.core.paths import find
from inspector.inference.model_files import ModelFiles
from inspector.pipeline.terms import station_terms
from inspector.products.catalogue import Catalogue
from inspector.products.store import ProductStore
from inspector.settings.settings import Settings
from inspector.settings.types import EMBEDDED


def model_files(settings: Settings) -> ModelFiles:
    """The files of the models that the server serves, where this machine can read them.

    The embedded server's are here. Of another server nobody knows where its files are, unless the
    settings say so.
    """
    inference = settings.inference
    is_known = inference.url == EMBEDDED or "repository" in inference.model_fields_set
    return ModelFiles(find(inference.repository) if is_known else None)


def catalogue_of(settings: Settings, models: ModelFiles | None = None) -> Catalogue:
    """Every product. `models` remembers hashes: give it where this is asked again and again."""
    store = ProductStore(
        settings.products_directory, references_kept=settings.products.references_kept
    )
    files = models or model_files(settings)
    return Catalogue(store, station_terms(settings), model_sha256=files.sha256_of)
