"""What a kind of sink is: a section of the settings that can build it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from inspector.core.ports import Sink
from inspector.core.records import Stream


@dataclass(frozen=True, slots=True, kw_only=True)
class SinkPlace:
    """The station and the name of a sink."""

    station_id: str
    """`<site>.<line>.<name>`."""
    name: str
    """`archive` of the section `[sinks.archive]`."""


class SinkKind(BaseModel):
    """The settings of one sink, checked before anything starts. A kind adds its own fields."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: str
    """Its name in the registry."""
    streams: Annotated[tuple[Stream, ...], Field(min_length=1)] = tuple(Stream)
    """The streams that it gets."""

    def make_sink(self, place: SinkPlace) -> Sink:
        """Build it; does not connect yet.

        Raises:
            ConfigurationError: it cannot be built with these settings on this machine.

        """
        raise NotImplementedError

    def secrets(self) -> Iterator[str]:
        """Passwords in plain text, for the log to star out: of every field that is a secret."""
        for name in type(self).model_fields:
            value = getattr(self, name)
            if isinstance(value, SecretStr):
                yield value.get_secret_value()
