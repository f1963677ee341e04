"""A sink in memory, that can be away, slow, set back, or cut off before it answers."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from inspector.core.entries import NO_STREAM, JournalRow, StreamId, Tip
from inspector.core.errors import SinkUnavailableError
from inspector.core.ports import Sink
from inspector.core.records import Stream


class MemorySink(Sink):
    def __init__(self) -> None:
        self.rows: list[JournalRow] = []
        self.away = ""
        self.is_cut_off = False
        """It takes rows, and the answer is lost."""
        self.gate = asyncio.Event()
        self.gate.set()
        """While it is clear, nothing is answered."""
        self.trimmed: dict[Stream, StreamId] = {}

    def of(self, stream: Stream) -> list[JournalRow]:
        return [row for row in self.rows if row.stream is stream]

    async def tips(self) -> Mapping[Stream, Tip]:
        await self._answer()
        return {stream: self._tip(stream) for stream in Stream}

    async def append(
        self, rows: Sequence[JournalRow], ends: Mapping[Stream, StreamId], published_at: str
    ) -> bool:
        del published_at
        await self._answer()
        if any(self._tip(row.stream).last_id != ends[row.stream] for row in rows):
            return False
        self.rows += rows
        if self.is_cut_off:
            raise SinkUnavailableError("the answer was lost")
        return True

    async def trim(self, stream: Stream, below: StreamId) -> int:
        self.trimmed[stream] = below
        return 0

    async def _answer(self) -> None:
        await self.gate.wait()
        if self.away:
            raise SinkUnavailableError(self.away)

    def _tip(self, stream: Stream) -> Tip:
        rows = self.of(stream)
        if not rows:
            return NO_STREAM
        return Tip(last_id=rows[-1].entry_id, event_id=rows[-1].event_id, seq=rows[-1].seq)
