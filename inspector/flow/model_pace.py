"""Decides how much to ask of the model at once, so that verdicts stay fresh: pure, no clock."""

from __future__ import annotations

from inspector.core.recipes import ModelName

FRESH_NS = 100_000_000
"""How long a request may take. If a full request takes longer, the model gets smaller requests; if
even one region takes longer, it gets one request at a time, so that fresher frames can replace
those that wait. A slow model gains nothing from batches: on a CPU a request of four regions takes
four times as long as a request of one."""
PROBE_EVERY = 16
"""A model that gets one request at a time still gets a second one behind it this often: otherwise a
distant server, which answers late but often, would seem slow."""
_SMOOTHING = 0.3


class ModelPace:
    """Learns from answers; batching and inference ask it. Event loop only."""

    def __init__(self, *, keeps_fresh: bool) -> None:
        """`keeps_fresh` False: always the limits as set, for recordings, which can wait."""
        self._keeps_fresh = keeps_fresh
        self.instances = 1
        """How many requests the model works on at once."""
        self._region_ns = 0.0
        self._answers = 0

    def answered(self, regions: int, serving_ns: int, *, alone: bool) -> None:
        """Report how long a request of this many regions took.

        The time counts from when it was sent, or from the previous answer if that came later.
        `alone`: no other was in flight when it was sent, so its time includes the round trip.
        """
        self._answers += 1
        taken_ns = serving_ns * self.instances / max(1, regions)
        if alone and (not self._region_ns or taken_ns > self._region_ns):
            return
        before_ns = self._region_ns or taken_ns
        self._region_ns = before_ns + _SMOOTHING * (taken_ns - before_ns)

    def regions_at_once(self, limit: int) -> int:
        """How many regions to put into a request, 1 to `limit`."""
        if not self._keeps_fresh or not self._region_ns:
            return limit
        return min(limit, max(1, int(FRESH_NS / self._region_ns)))

    def requests_at_once(self, limit: int) -> int:
        """How many requests to have in flight, 1 to `limit`."""
        slow = self._keeps_fresh and self._region_ns > FRESH_NS
        if not slow or self._answers % PROBE_EVERY == 0:
            return limit
        return min(limit, self.instances)


class ModelPaces:
    """One pace for each model in use. Event loop only."""

    def __init__(self, *, keeps_fresh: bool) -> None:
        """See `ModelPace`."""
        self._keeps_fresh = keeps_fresh
        self._of: dict[ModelName, ModelPace] = {}

    def of(self, model: ModelName) -> ModelPace:
        """The pace of this model; a new one has no measurements."""
        pace = self._of.get(model)
        if pace is None:
            pace = self._of[model] = ModelPace(keeps_fresh=self._keeps_fresh)
        return pace
