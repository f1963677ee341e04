"""Changes to a product's file that leave the rest of it as a person wrote it."""

from __future__ import annotations

import tomllib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspector.core.errors import ConfigurationError
from inspector.products.editing import with_zones
from inspector.products.files import ProductFile, ZonePart

WRITTEN = b"""\
# drawing C-17, checked by the line
revision = "C"   # as on the drawing

[inspection]
threshold = 0.6

[[zones]]
name = "old"
polygon = [[0, 0], [9, 0], [9, 9]]
ignore = true

[reference]
use = false
"""


def zone(name: str = "label", **more: object) -> ZonePart:
    content = {"name": name, "polygon": [[1, 2], [30.5, 2], [30, 40]], "ignore": True, **more}
    return ZonePart.model_validate(content)


def test_the_zones_are_exchanged_and_all_else_stays() -> None:
    edited = with_zones(
        WRITTEN, [zone(), zone("fine", ignore=False, thresholds={"pin-hole": 0.4})], origin="x"
    )
    before, after = tomllib.loads(WRITTEN.decode()), tomllib.loads(edited.decode())
    assert [one["name"] for one in after.pop("zones")] == ["label", "fine"]
    before.pop("zones")
    assert after == before
    text = edited.decode()
    assert text.startswith(
        '# drawing C-17, checked by the line\nrevision = "C"   # as on the drawing'
    )
    assert "polygon = [[1, 2], [30.5, 2], [30, 40]]" in text


def test_without_zones_none_is_left() -> None:
    assert "zones" not in tomllib.loads(with_zones(WRITTEN, [], origin="x").decode())
    assert with_zones(b"", [], origin="x") == b""


def test_a_file_that_is_no_toml_is_named() -> None:
    with pytest.raises(ConfigurationError, match=r"a\.toml: not valid TOML"):
        with_zones(b"revision = ", [], origin="a.toml")


names = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=64
)
sides = st.floats(0, 5000).map(lambda side: round(side, 1))
shares = st.floats(0, 1)


@given(
    st.lists(
        st.tuples(names, st.dictionaries(names, shares, max_size=3), sides, sides), max_size=5
    ),
    st.sampled_from([WRITTEN, b"", b'[model]\ngolden = "g"\n']),
)
def test_what_was_drawn_is_what_is_read(
    drawn: list[tuple[str, dict[str, float], float, float]], content: bytes
) -> None:
    zones = [
        ZonePart(
            name=name,
            polygon=((x, y), (x + 10, y), (x, y + 10)),
            ignore=not thresholds,
            thresholds=thresholds,
        )
        for name, thresholds, x, y in drawn
    ]
    edited = with_zones(content, zones, origin="x")
    read = ProductFile.model_validate(tomllib.loads(edited.decode()))
    assert [(z.name, z.ignore, z.thresholds) for z in read.zones] == [
        (z.name, z.ignore, z.thresholds) for z in zones
    ]
    for found, wanted in zip(read.zones, zones, strict=True):
        assert np.allclose(found.polygon, wanted.polygon, atol=0.051)
