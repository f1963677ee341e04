"""Reads the products of a station from the place in its settings, over its settings."""

from __future__ import annotations

from pathlib import Path

from inspector.core.paths import find
from inspector.inference.features import TritonFeatures
from inspector.inference.model_files import ModelFiles
from inspector.pipeline.terms import station_terms
from inspector.products.catalogue import Catalogue
from inspector.products.model_teaching import ModelTeacher
from inspector.products.store import ProductStore
from inspector.products.taught_models import TaughtModels
from inspector.settings.settings import Settings
from inspector.settings.types import EMBEDDED


def model_files(settings: Settings) -> ModelFiles:
    """The files of the server's models, if this machine can read them."""
    return ModelFiles(settings.inference.known_repository)


def catalogue_of(settings: Settings, models: ModelFiles | None = None) -> Catalogue:
    """Every product. `models` remembers hashes: pass it in for repeated calls."""
    store = ProductStore(
        settings.products_directory, references_kept=settings.products.references_kept
    )
    files = models or model_files(settings)
    return Catalogue(
        store,
        station_terms(settings),
        model_sha256=files.sha256_of,
        models=taught_models(settings),
    )


def taught_models(settings: Settings) -> TaughtModels:
    """The folder of taught models."""
    is_served = settings.inference.url == EMBEDDED or settings.products.models is not None
    return TaughtModels(settings.taught_models_directory, is_served=is_served)


def model_teacher(settings: Settings, triton_url: str) -> ModelTeacher | None:
    """Teaches models with the server's features of pictures; None if the settings say so."""
    name = settings.products.features
    if not name:
        return None
    repositories = [find(settings.inference.repository), find(Path("model_repository"))]
    return ModelTeacher(
        TritonFeatures(triton_url, settings.inference, model=name, repositories=repositories)
    )
