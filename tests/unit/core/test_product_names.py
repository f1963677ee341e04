"""What a product may be called, and that its files stay in their folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspector.core.product_names import name_of, product_name, stem_of


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("4711", "4711"),
        ("board a", "board a"),
        ("../../etc/passwd", "%2E.%2F..%2Fetc%2Fpasswd"),
        (".hidden", "%2Ehidden"),
        ("100%", "100%25"),
        ("a\\b", "a%5Cb"),
        ("Ä-7", "Ä-7"),
    ],
)
def test_a_name_becomes_a_file_of_the_folder(name, stem):
    assert stem_of(name) == stem
    assert name_of(stem) == name


@given(st.text(max_size=70))
def test_whatever_is_a_name_is_one_file_and_comes_back(text):
    try:
        name = product_name(text)
    except ValueError:
        return
    file = Path("/products") / f"{stem_of(name)}.toml"
    assert file.parent == Path("/products")
    assert len(file.name.encode()) <= 255
    assert file.resolve() == file
    assert name_of(stem_of(name)) == name


@pytest.mark.parametrize("text", ["", " a", "a ", "a\nb", "a\0", "x" * 65, "界" * 67, "\u202eabc"])
def test_what_cannot_be_shown_or_is_too_long_is_no_name(text):
    with pytest.raises(ValueError, match="expected a product's name"):
        product_name(text)


def test_one_name_in_two_spellings_is_one_product():
    assert product_name("A\u0308") == product_name("\u00c4")


@pytest.mark.parametrize("stem", ["a%2fb", "%41", ".a", "%", "a%"])
def test_a_file_that_no_name_leads_to_is_no_products(stem):
    with pytest.raises(ValueError, match="found"):
        name_of(stem)
