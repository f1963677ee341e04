"""The types of settings, and the base of all sections."""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    InstanceOf,
    PlainSerializer,
    SecretStr,
    WithJsonSchema,
)

from inspector.sources.registry import parse_source
from inspector.sources.uri import SourceUri

Seconds = Annotated[float, Field(gt=0, le=86_400)]
Milliseconds = Annotated[float, Field(gt=0, le=600_000)]
Share = Annotated[float, Field(ge=0, le=1)]

IDENTIFIER = r"^[a-z0-9][a-z0-9_-]{0,31}$"
DIGITS = r"^\d*$"
FURTHER_MODEL = r"^[^/\s]+(/[1-9][0-9]*)?$"
HEADER = r"^[a-z0-9][a-z0-9._-]{0,63}$"
PATTERNS = {
    IDENTIFIER: "lower-case letters, digits, - and _, at most 32, a letter or digit first",
    DIGITS: "a number, or nothing for the newest",
    FURTHER_MODEL: 'the name of a model, or "name/version"',
    HEADER: "the name of a gRPC header: lower-case letters, digits, -, _ and .",
}
"""What each pattern means, for people."""

Identifier = Annotated[str, Field(pattern=IDENTIFIER)]
"""Lower case, because environment variables carry it too; becomes a Redis key and a label."""

FeatureName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,63}$")]
"""The name of a feature by the camera or its driver: `ExposureTime`, `exposure_time_absolute`."""

Secret = Annotated[SecretStr, Field(min_length=1)]
"""An empty one is a mistake: an empty secret file, say, would otherwise switch a check off."""

Transport = Literal["stream", "unary"]
"""One bidirectional gRPC stream, or one call per request."""

Tensors = Literal["auto", "shared_memory", "inline"]
"""`auto` takes shared memory when the server can open ours, and inline bytes otherwise."""

EMBEDDED = "embedded"
REGION_NUMBERS = 4
MIN_PICTURE_PX = 16
MAX_PICTURE_PX = 16_384
PORTS = 65_536


class Size(NamedTuple):
    """The size of a picture."""

    width_px: int
    height_px: int

    def __str__(self) -> str:
        return f"{self.width_px}x{self.height_px}"


def _parse_size(value: object) -> object:
    if isinstance(value, Size):
        return value
    width, cross, height = str(value).partition("x")
    if not (cross and width.isdecimal() and height.isdecimal()):
        msg = 'expected WIDTHxHEIGHT in pixels, such as "1280x720"'
        raise ValueError(msg)
    size = Size(int(width), int(height))
    if not all(MIN_PICTURE_PX <= side <= MAX_PICTURE_PX for side in size):
        msg = f"expected each side between {MIN_PICTURE_PX} and {MAX_PICTURE_PX} pixels"
        raise ValueError(msg)
    return size


PictureSize = Annotated[
    Size,
    BeforeValidator(_parse_size, json_schema_input_type=str),
    PlainSerializer(str, return_type=str),
]


def _parse_camera(value: object) -> SourceUri:
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    if isinstance(value, SourceUri):
        return value
    if isinstance(value, str):
        return parse_source(value)
    msg = 'expected text in quotes, such as "v4l2:/dev/video0"'
    raise ValueError(msg)


Source = Annotated[
    InstanceOf[SourceUri],
    BeforeValidator(_parse_camera),
    PlainSerializer(str, return_type=str, when_used="json"),
    # A secret in the JSON schema, because a URL may carry a password.
    WithJsonSchema({"type": "string", "format": "password", "writeOnly": True}),
]
"""The camera itself, parsed once; its `str` and `repr` hold no password."""


class Section(BaseModel):
    """The base of all sections: no unknown keys, no changes after start."""

    model_config = ConfigDict(extra="forbid", frozen=True)
