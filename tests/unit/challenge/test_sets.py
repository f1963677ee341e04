"""A set of known parts is read, or refused with its lines."""

from __future__ import annotations

import pytest

from inspector.challenge.sets import KnownSet, read_set, rivals
from inspector.core.errors import ConfigurationError

GOOD = """
products = ["4711"]

[[parts]]
name = "good"
result = "PASSED"

[[parts]]
name = "open"
serial = "GOLD-2"
result = "FAILED"
defects = [{ code = "open", bbox_px = [10, 20, 30, 40] }]
"""


def read(text: str, *, cameras: tuple[str, ...] = ("top",), name: str = "gold") -> KnownSet:
    codes = ("open", "short")
    return read_set(text.encode(), name=name, origin="gold.toml", cameras=cameras, codes=codes)


def test_a_set_says_what_is_known_of_each_part() -> None:
    known = read(GOOD)
    assert known.camera == "top"
    assert [part.name for part in known.parts] == ["good", "open"]
    assert known.parts[1].defects[0].bbox_px == (10, 20, 30, 40)
    assert known.is_for("4711")
    assert not known.is_for("4712")
    assert known.part_of_serial("GOLD-2") == 1
    assert known.part_of_serial("X") is None
    assert read(GOOD.replace('products = ["4711"]', "")).is_for("anything")


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("", "x = ", "gold.toml:13: not valid TOML"),
        ('result = "PASSED"', "", "gold.toml:4: parts.1.result: missing; expected a key"),
        ('"PASSED"', '"GOOD"', "gold.toml:6: parts.1.result: found 'GOOD'; expected 'PASSED' or"),
        ('code = "open"', 'code = "hole"', "found 'hole'; expected one of: open, short"),
        ('name = "good"', 'name = "open"', "gold.toml:9: parts.2.name: found 'open' twice"),
        ("products", 'camera = "side"\nproducts', "found 'side'; expected one of: top"),
        ("products", 'order = "any"\nproducts', "expected a serial for every part then"),
        ("products", "tolerance = 3\nproducts", 'unknown key "tolerance"; did you mean'),
        (GOOD, "", "gold.toml: it has neither parts nor pictures"),
        ('"FAILED"', '"PASSED"', "parts: all are good; expected one at least that FAILED"),
        ('"FAILED"', '"PASSED"', "parts.2.defects: a part that PASSED has no defects"),
        ("30, 40]", "30]", "gold.toml:12: parts.2.defects.1.bbox_px"),
    ],
)
def test_what_is_wrong_with_a_set_is_said_with_its_line(old: str, new: str, problem: str) -> None:
    text = GOOD.replace(old, new, 1) if old else GOOD + new
    with pytest.raises(ConfigurationError) as refused:
        read(text)
    assert problem in "\n".join(refused.value.problems)


def test_with_several_cameras_a_set_names_its_own() -> None:
    with pytest.raises(ConfigurationError, match=r"camera is missing; expected one of: top, side"):
        read(GOOD, cameras=("top", "side"))
    assert read('camera = "side"\n' + GOOD, cameras=("top", "side")).camera == "side"


def test_a_picture_lies_in_the_folder_of_its_set() -> None:
    text = '[[pictures]]\nfile = "../a.png"\nresult = "FAILED"\n'
    with pytest.raises(ConfigurationError, match="name of a file, without a folder"):
        read(text)
    assert read(text.replace("../", "")).said.pictures[0].file == "a.png"


def test_two_sets_of_one_product_at_one_camera_are_refused() -> None:
    one, other = read(GOOD), read(GOOD, name="b")
    (told,) = rivals([one, other], ("default", "4711"))
    assert "'gold' and 'b' both have parts of product '4711' at camera top; expected one" in told
    assert not rivals([one, read(GOOD.replace("4711", "4712"), name="b")], ("4711", "4712"))
    pictures = '[[pictures]]\nfile = "a.png"\nresult = "FAILED"\n'
    assert not rivals([one, read(pictures, name="b")], ("4711",)), "parts and pictures"
