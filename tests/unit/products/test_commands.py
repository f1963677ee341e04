from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspector.products.commands import (
    COMMANDS,
    LONGEST_CONTEXT_BYTES,
    Approve,
    Discard,
    RollBack,
    Said,
    SetProduct,
    Teach,
    read_request,
)


@pytest.mark.parametrize(
    ("fields", "command"),
    [
        (
            {b"command": b"set_product", b"product": b"4711", b"order": b"88", b"lot": b""},
            SetProduct(product="4711", said=Said(order="88")),
        ),
        (
            {"command": "set_product", "product": " 4711\r\n", "context": '{"pallet": 3}'},
            SetProduct(product="4711", said=Said(context='{"pallet": 3}')),
        ),
        ({"command": "teach", "units": 6}, Teach(product=None, units=6, approve=False)),
        (
            {"command": "teach", "product": "a", "units": "8", "approve": True},
            Teach(product="a", units=8, approve=True),
        ),
        ({"command": "approve"}, Approve(product=None, version=None)),
        ({"command": "approve", "version": "3"}, Approve(product=None, version=3)),
        ({"command": "discard"}, Discard(product=None, version=None)),
        ({"command": "rollback", "product": "a"}, RollBack(product="a")),
    ],
)
def test_flat_fields_say_what_is_to_be_done(fields: dict[Any, Any], command: object) -> None:
    request = read_request(fields)
    assert (request.command, request.problem) == (command, "")
    assert "command" not in request.fields


def test_who_sent_it_is_repeated() -> None:
    request = read_request({"command": "approve", "by": "shift leader"})
    assert (request.sender, request.problem) == ("shift leader", "")


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({}, "command is '', expected one of: set_product, teach"),
        ({"command": "set_prodct", "product": "a"}, "command is 'set_prodct', expected one of"),
        ({"command": "set_product"}, "product is missing, expected the name of one"),
        ({"command": "set_product", "product": " \0"}, "product is missing"),
        ({"command": "set_product", "product": "a\nb"}, "product: found"),
        (
            {"command": "set_product", "product": "a", "ordr": "8"},
            "'ordr' is no field of set_product, expected one of: product, order, lot, context, by",
        ),
        (
            {"command": "set_product", "product": "a", "context": "ä" * 513},
            "context is 1026 bytes long, expected at most 1024",
        ),
        ({"command": "set_product", "product": "a", "lot": "x" * 129}, "lot is 129 characters"),
        ({"command": "set_product", "product": "a", "order": "a\x07b"}, "order is 'a\\x07b'"),
        ({"command": "set_product", "product": b"\xff"}, "'product' is not UTF-8, expected text"),
        ({"command": "set_product", "product": {"name": "a"}}, "'product' is an object, expected"),
        ({"command": "teach", "units": "0"}, "units is '0', expected a number from 1 to 64"),
        ({"command": "teach", "units": "65"}, "expected a number from 1 to 64"),
        ({"command": "teach", "units": "²"}, "expected a number from 1 to 64"),
        (
            {"command": "teach", "approve": "perhaps"},
            "approve is 'perhaps', expected true or false",
        ),
        ({"command": "approve", "version": "newest"}, "version is 'newest', expected a number"),
    ],
)
def test_what_cannot_be_read_is_refused_in_one_sentence(
    fields: dict[Any, Any], problem: str
) -> None:
    request = read_request(fields)
    assert request.command is None
    assert problem in request.problem
    assert "\n" not in request.problem


texts = st.text(max_size=40) | st.binary(max_size=40)
values = texts | st.none() | st.booleans() | st.integers() | st.floats() | st.lists(st.integers())
names = st.sampled_from(["product", "order", "lot", "context", "units", "approve", "version", "by"])


@given(
    command=st.sampled_from(list(COMMANDS)) | texts,
    fields=st.dictionaries(names | texts, values, max_size=6),
)
def test_whatever_comes_is_read_or_refused(command: object, fields: dict[Any, Any]) -> None:
    request = read_request({**fields, "command": command})
    assert (request.command is None) == bool(request.problem)
    assert all(isinstance(text, str) for pair in request.fields.items() for text in pair)
    if isinstance(request.command, SetProduct):
        said = request.command.said
        assert request.command.product.isprintable()
        assert len((said.context or "").encode()) <= LONGEST_CONTEXT_BYTES
