"""Makes a recipe of a product's file: pure."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import orjson

from inspector.core.basics import CameraId, Rect
from inspector.core.recipes import (
    ANOMALY,
    PART_CODES,
    CameraRecipe,
    Cropping,
    Differences,
    ExpectedPart,
    FusingRules,
    ModelName,
    Recipe,
    Reference,
    Zone,
)
from inspector.products.files import ExpectedParts, Product
from inspector.settings.sections import CameraSettings

_DECISIVE = {"region", "crop", "tile_overlap_px", "frames_per_unit", "trigger"}
"""The settings of a camera that decide over units."""

TAUGHT_ALONE = 0.6
"""The model of good units at one and a half times its limit. Beside a comparison that saw every
pixel and claims nothing, what is less unlike than that was a good unit (decision 0030)."""
REVISION_CHARACTERS = 8
"""How many characters of the settings' hash distinguish one state from the next."""


def recipe_of(
    product: Product,
    revision: str | None = None,
    reference: Reference | None = None,
    taught: ModelName | None = None,
) -> Recipe:
    """Everything that units of the product are judged by.

    `taught` is the model that was taught with the units of the reference. A product without a
    file has no revisions; its states are distinguished by the settings' hash.
    """
    said = product.said
    digest = _digest(product)
    # Without a reference there is nothing to compare with.
    golden = product.golden if reference is not None else None
    also = product.also if taught is None else (*product.also, taught)
    is_compared = golden is not None and said.reference.judge != "single"
    differences: Differences = said.reference.differences if is_compared else "ignored"
    names_anomalies = taught is not None or differences == "defects"
    more = (*([ANOMALY] if names_anomalies else []), *(PART_CODES if said.expect else []))
    codes = tuple(dict.fromkeys((*product.codes, *more)))
    return Recipe(
        product=product.name,
        revision=revision or digest[:REVISION_CHARACTERS],
        sha256=digest,
        codes=codes,
        rules=replace(
            _rules(product, codes, compared=golden is not None),
            least_alone=_least_alone(product, taught, differences),
        ),
        model=product.model,
        cameras={CameraId(name): _camera(camera) for name, camera in product.cameras.items()},
        zones=_zones(product),
        severities=dict(said.inspection.severities),
        dispositions=dict(said.inspection.dispositions),
        golden=golden,
        also=also,
        codes_of=_codes_of(product, also, codes),
        taught=taught,
        reference=reference,
        judge=said.reference.judge,
        differences=differences,
        expected=tuple(_expected(name, parts) for name, parts in said.expect.items()),
        least_likeness=said.reference.likeness,
        serial_pattern=product.serial_pattern,
    )


def _rules(product: Product, codes: Sequence[str], *, compared: bool) -> FusingRules:
    return FusingRules(
        thresholds=tuple(_threshold(product, code, compared=compared) for code in codes),
        min_frames_seen=product.inspection.min_frames_seen,
        min_size_px=product.inspection.min_size_px,
    )


def _least_alone(
    product: Product, taught: ModelName | None, differences: Differences
) -> dict[str, float]:
    """What the taught model has to be sure of where the comparison sees nothing.

    Nothing more than usual where nobody else looks for what no model knows, or where the file says
    itself from which confidence on an anomaly is one.
    """
    says_itself = ANOMALY in (product.said.inspection.thresholds or {})
    if taught is None or differences != "defects" or says_itself:
        return {}
    return {taught.name: TAUGHT_ALONE}


def _expected(name: str, parts: ExpectedParts) -> ExpectedPart:
    return ExpectedPart(
        name=name,
        count=len(parts.places) if parts.count is None else parts.count,
        places_px=tuple((x, y) for x, y in parts.places),
        tolerance_px=parts.tolerance_px,
    )


def _zones(product: Product) -> tuple[Zone, ...]:
    return tuple(
        Zone(
            name=zone.name,
            polygon_px=zone.polygon,
            ignore=zone.ignore,
            thresholds=dict(zone.thresholds),
        )
        for zone in product.said.zones
    )


def _codes_of(
    product: Product, also: Sequence[ModelName], codes: tuple[str, ...]
) -> dict[str, tuple[str, ...]]:
    """Empty if one model, and the one that compares with the reference, know all codes."""
    if not also and codes == product.inspection.codes:
        return {}
    inspection, golden = product.inspection, product.golden
    of_both = [product.model.name, *([golden.name] if golden else [])]
    return dict.fromkeys(of_both, inspection.codes) | {
        model.name: inspection.classes_of(model.name) for model in also
    }


def _threshold(product: Product, code: str, *, compared: bool) -> float:
    """The station's is one for a picture alone: not for a comparison, unless the file says so."""
    said = product.said
    its_own = said.inspection.threshold is not None or code in (said.inspection.thresholds or {})
    is_compared = compared and code in product.inspection.codes
    if is_compared and said.reference.judge == "reference" and not its_own:
        return said.reference.threshold
    return product.inspection.threshold_of(code)


def _camera(camera: CameraSettings) -> CameraRecipe:
    cropping = Cropping(
        rect=Rect(*(camera.region or (0, 0, *camera.size))),
        crop=camera.cropped_to,
        tile_overlap_px=camera.tile_overlap_px,
        keeps_scale=camera.crop == "auto",
    )
    return CameraRecipe(cropping=cropping, frames_of_unit=camera.frames_of_unit)


def _decisive(camera: CameraSettings) -> dict[str, Any]:
    said = camera.model_dump(mode="json", include=_DECISIVE)
    # As the key was called before: the same settings keep the revision that events have named.
    said["look"] = said.pop("crop")
    if camera.features:  # a key of later versions, as above
        said["features"] = dict(camera.features)
    return said


def _digest(product: Product) -> str:
    """Over the file, and what the settings add to it."""
    decisive = {
        "file": product.content_sha256,
        "inspection": {
            key: value
            for key, value in product.inspection.model_dump(mode="json").items()
            # A key of later versions: what it does not say changes no hash.
            if key != "codes_of" or value
        },
        "models": [product.inference.model, product.inference.version, product.inference.golden],
        **({"also": list(product.inference.also)} if product.also else {}),
        **({"good": list(product.inference.good)} if product.inference.good else {}),
        "cameras": {name: _decisive(camera) for name, camera in product.cameras.items()},
    }
    return hashlib.sha256(orjson.dumps(decisive, option=orjson.OPT_SORT_KEYS)).hexdigest()
