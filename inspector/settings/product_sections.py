"""The settings section on the products of a station."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, field_validator

from inspector.core.product_names import product_name
from inspector.core.recipes import DEFAULT_PRODUCT
from inspector.settings.types import Section

ProductName = Annotated[str, AfterValidator(product_name)]


class ProductsSettings(Section):
    """The products of a station: a file for each, and what was learned about them."""

    directory: Path | None = None
    """The products' folder; None: `products` in the journal's directory. The service writes there
    too."""
    models: Path | None = None
    """The folder of the models that are taught, as a repository that the server serves too. None:
    `models` in the products' folder, which the embedded server serves."""
    features: str = "unit_features"
    """The model that extracts features for models that are taught; empty: none are taught."""
    initial: ProductName = DEFAULT_PRODUCT
    """In force until the first change-over; `default` is what these settings say."""
    unknown: Literal["lock", "keep"] = "lock"
    """What a change to an unknown product does: no unit is inspected until a known one is set, or
    the one in force stays."""
    by_serial: dict[ProductName, str] = Field(default_factory=dict)
    """A regular expression by product that the whole serial of its units matches."""
    teach_units: Annotated[int, Field(ge=3, le=64)] = 8
    """How many units a reference is made of, unless the command says."""
    references_kept: Annotated[int, Field(ge=2, le=1000)] = 20
    """How many references are kept by product; older ones are deleted, except the one in force and
    the one before."""

    @field_validator("by_serial")
    @classmethod
    def _patterns_compile(cls, patterns: dict[str, str]) -> dict[str, str]:
        for product, pattern in patterns.items():
            try:
                re.compile(pattern)
            except re.error as error:
                msg = f"the pattern {pattern!r} of {product!r} is no regular expression ({error})"
                raise ValueError(msg) from None
        return patterns
