"""Changes a product's file and keeps the rest as a person wrote it: pure."""

from __future__ import annotations

from collections.abc import Sequence

import tomlkit
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import InlineTable

from inspector.core.errors import ConfigurationError
from inspector.products.files import ZonePart


def with_zones(content: bytes, zones: Sequence[ZonePart], *, origin: str) -> bytes:
    """The file with these zones in place of its own; comments and order elsewhere stay.

    `zones` are checked by themselves; whether they fit the product is checked by the reader.

    Raises:
        ConfigurationError: the file is no TOML; a line for people, which begins with `origin`.

    """
    try:
        document = tomlkit.parse(content.decode("utf-8-sig"))
    except (TOMLKitError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{origin}: not valid TOML: {error}") from None
    document.pop("zones", None)
    if zones:
        tables = tomlkit.aot()
        for zone in zones:
            tables.append(_table(zone))
        document.append("zones", tables)
    return tomlkit.dumps(document).encode()


def _table(zone: ZonePart) -> tomlkit.items.Table:
    table = tomlkit.table()
    table.append("name", zone.name)
    table.append("polygon", [[_short(x), _short(y)] for x, y in zone.polygon])
    if zone.ignore:
        table.append("ignore", tomlkit.boolean("true"))
    if zone.thresholds:
        thresholds: InlineTable = tomlkit.inline_table()
        for code, threshold in zone.thresholds.items():
            thresholds.append(code, threshold)
        table.append("thresholds", thresholds)
    return table


def _short(pixels: float) -> float | int:
    """Write a whole number as one, because people read these files."""
    return int(pixels) if pixels == int(pixels) else round(pixels, 1)
