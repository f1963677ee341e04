"""Writes very small ONNX files, for tests that need a graph and not a network.

The few fields of onnx.proto that they need are encoded by hand, so that tests do not need the
`onnx` package. Numbers are those of onnx/onnx.proto.
"""

from __future__ import annotations

FLOAT, INT64, STRING = 1, 7, 8


def model(nodes: list[bytes], inputs: list[bytes], outputs: list[bytes]) -> bytes:
    """A ModelProto: opset 13, IR version 7."""
    graph = b"".join(_field(1, node) for node in nodes) + _field(2, b"tiny")
    graph += b"".join(_field(11, value) for value in inputs)
    graph += b"".join(_field(12, value) for value in outputs)
    return _number(1, 7) + _field(7, graph) + _field(8, _number(2, 13))


def node(kind: str, inputs: list[str], output: str, **attributes: int) -> bytes:
    """A NodeProto with whole numbers for attributes."""
    proto = b"".join(_field(1, name.encode()) for name in inputs)
    proto += _field(2, output.encode()) + _field(4, kind.encode())
    for name, value in attributes.items():
        proto += _field(5, _field(1, name.encode()) + _number(3, value) + _number(20, 2))
    return proto


def tensor(name: str, element: int, *dims: int | str) -> bytes:
    """A ValueInfoProto; a dimension that is a word may have any size."""
    shape = b"".join(
        _field(1, _number(1, d) if isinstance(d, int) else _field(2, d.encode())) for d in dims
    )
    return _field(1, name.encode()) + _field(2, _field(1, _number(1, element) + _field(2, shape)))


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _field(field: int, content: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(content)) + content
