"""`inspector model teach`: a model of good units, from the line or from pictures of them."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from inspector.commands.model.pictures import ENDINGS, read_pictures
from inspector.commands.model.working import report, say
from inspector.commands.products import Products
from inspector.core.errors import ConfigurationError
from inspector.core.records import Outline
from inspector.pipeline.products import model_teacher, taught_models
from inspector.products.model_teaching import ModelTeacher, TaughtModel
from inspector.products.reference import Learned, NotLearned, ShownUnit, Sight, learn
from inspector.products.store import ProductStore, TaughtReference
from inspector.products.stored import StoredReference
from inspector.products.teaching import taught_units, told
from inspector.service.servers import start_triton
from inspector.settings.settings import Settings


async def teach_from_pictures(
    settings: Settings, product: str, pictures: Sequence[Path], *, approve: bool, by: str
) -> None:
    """Make a version of the product's reference, and its model, from pictures of good units.

    Each picture shows one unit, upright and filling it, as evidence does.

    Raises:
        ConfigurationError: they make none; nothing was stored.
        InferenceUnavailableError: the server that sees what is in them is away.

    """
    products = Products.of(settings)
    await asyncio.to_thread(products.store.content, product)
    camera = next(iter(settings.cameras))
    units = shown_units(pictures)
    learned = await asyncio.to_thread(learn, units)
    if isinstance(learned, NotLearned):
        raise ConfigurationError(
            "; ".join([learned.sentence, *(told(one) for one in learned.left_out)])
        )
    async with AsyncExitStack() as stack:
        url = await start_triton(settings, stack, report=report)
        teacher = model_teacher(settings, url)
        if teacher is None:
            raise ConfigurationError(
                "products.features is empty; expected the model that sees what is in a picture"
            )
        stored = await asyncio.to_thread(
            _stored, products.store, product, (units, learned), teacher=teacher, said=(camera, by)
        )
    for left_out in learned.left_out:
        say(told(left_out))
    _say_taught(settings, product, stored)
    if approve:
        products.approve(product, stored.number, by)
    else:
        say(f"look at it, then: inspector product approve {product} {stored.number}")


def _say_taught(settings: Settings, product: str, stored: StoredReference) -> None:
    """What the model is like, and how a server with a repository of its own gets it."""
    assert stored.model is not None  # noqa: S101 - it was taught with the reference
    say(
        f"{stored.id}: taught from {stored.model.units} units, which differ from each other by up"
        f" to {stored.model.usual_times:.1f} times what is usual"
    )
    where = taught_models(settings)
    if not where.is_served:
        folder = where.directory / where.name_of(product, stored.number, stored.model.sha256).name
        say(
            f"{settings.inference.url} serves a repository of its own: with [reference] anomaly ="
            f" true in the product's file the model is put into {folder}; copy that folder there"
        )


def shown_units(pictures: Sequence[Path]) -> list[ShownUnit]:
    """Each picture as a unit that one frame shows.

    Raises:
        ConfigurationError: one of them cannot be read.

    """
    found = []
    files = [
        file
        for path in pictures
        for file in (
            sorted(one for one in path.iterdir() if one.suffix.lower() in ENDINGS)
            if path.is_dir()
            else [path]
        )
    ]
    for number, shown in enumerate(read_pictures(files), start=1):
        height_px, width_px = shown.image.shape[:2]
        outline = Outline(
            centre_x_px=width_px / 2,
            centre_y_px=height_px / 2,
            width_px=width_px,
            height_px=height_px,
            turn_deg=0.0,
        )
        sight = Sight(image=shown.image, outline=outline)
        found.append(ShownUnit(number=number, sights=(sight,)))
    return found


def _stored(
    store: ProductStore,
    product: str,
    taught: tuple[list[ShownUnit], Learned],
    *,
    teacher: ModelTeacher,
    said: tuple[str, str],
) -> StoredReference:
    units, learned = taught
    model: TaughtModel = teacher.teach(units, learned)
    camera, by = said
    return store.add_reference(
        product,
        TaughtReference(
            mean=learned.mean,
            deviation=learned.deviation,
            units=taught_units(learned, defaultdict(str)),
            camera=camera,
            revision="",
            made_by=by,
            model=model,
        ),
    )
