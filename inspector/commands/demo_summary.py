"""The demo's summary: verdicts, compared with what the simulated line knows."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterator

from rich.table import Table

from inspector.commands.demo_mes import CAMERA, LinePlan
from inspector.core.recipes import DEFAULT_PRODUCT
from inspector.events.consumer import ReceivedEvent
from inspector.settings.settings import Settings
from inspector.simulation.belt import SimulatedView
from inspector.simulation.board import number_of
from inspector.simulation.options import parse_options
from inspector.sources.simulated.uri import SimulatedUri

STYLES = {"PASSED": "green", "FAILED": "red", "NOT_INSPECTED": "yellow", "ERROR": "magenta"}
_TEACHING = "teaching"


class Summary:
    """The events of a consumer, compared with what the simulated line knows."""

    def __init__(self, settings: Settings) -> None:
        self._results: Counter[str] = Counter()
        self._reasons: Counter[str] = Counter()
        self._details: Counter[str] = Counter()
        self._codes: Counter[str] = Counter()
        self._latency_ms: list[float] = []
        self._truth = Truth.of(settings)

    @property
    def total(self) -> int:
        """Units so far."""
        return self._results.total()

    def add(self, event: ReceivedEvent) -> None:
        """Count one unit."""
        self._results[event.result] += 1
        self._codes.update(d["code"] for d in event.body["defects"])
        if event.body["reason"]:
            self._reasons[event.body["reason"]] += 1
            self._details[event.body["detail"]] += 1
        else:
            self._latency_ms.append(event.body["timing_ms"]["trigger_to_verdict"])
        if self._truth is not None:
            self._truth.compare(event)

    def failure(self) -> str:
        """Why not a single unit was inspected; empty if one was, or if none came."""
        meant = self._reasons[_TEACHING]
        if self._reasons.total() == meant or self._reasons.total() < self.total:
            return ""
        [(reason, number)] = self._reasons.most_common(1)
        [(detail, _)] = self._details.most_common(1)
        told = f"none of {self.total} units was inspected: {reason} ({number})"
        return f"{told}, {detail}" if detail else told

    def table(self, frames_captured: int) -> Table:
        """The summary for people."""
        table = Table(title="summary", title_justify="left")
        table.add_column("what")
        table.add_column("number", justify="right")
        table.add_row("frames captured", str(frames_captured))
        table.add_row("units with a verdict", str(self.total))
        for result, style in STYLES.items():
            if self._results[result]:
                table.add_row(f"  [{style}]{result}[/{style}]", str(self._results[result]))
        for reason, number in self._reasons.most_common():
            table.add_row(f"  not inspected: {reason}", str(number))
        for code, number in self._codes.most_common():
            table.add_row(f"defect: {code}", str(number))
        if len(self._latency_ms) > 1:
            cuts = statistics.quantiles(self._latency_ms, n=20)
            table.add_row("trigger to verdict, p50 / p95", f"{cuts[9]:.0f} / {cuts[18]:.0f} ms")
        if self._truth is not None:
            for what, figure in self._truth.rows():
                table.add_row(what, figure)
        return table


class Truth:
    """Compares verdicts with what was drawn; boards are identified by the serial on them."""

    def __init__(self, view: SimulatedView, plan: LinePlan | None) -> None:
        self._view = view
        self._plan = plan
        self._units: Counter[str] = Counter()
        self._taught: Counter[str] = Counter()
        self._judged: dict[tuple[str, str], Counter[str]] = {}
        """Counts by product and reference: `good` and `bad` boards, and how many were `… right`."""
        self._as_another = 0

    @classmethod
    def of(cls, settings: Settings) -> Truth | None:
        """The truth of the line that these settings name; None for any other source."""
        camera = settings.cameras[CAMERA]
        if not isinstance(camera.source, SimulatedUri):
            return None
        view = SimulatedView(parse_options(camera.source.options), camera.size)
        return cls(view, LinePlan.of(settings))

    def compare(self, event: ReceivedEvent) -> None:
        """Take one unit into account."""
        board = number_of(event.unit_id)
        if board is None:
            return
        product = (event.body.get("product") or {}).get("name", DEFAULT_PRODUCT)
        self._units[product] += 1
        self._taught[product] += event.body["reason"] == _TEACHING
        if event.result not in ("PASSED", "FAILED"):
            return
        if self._plan is not None and self._plan.product_of(board) != product:
            self._as_another += 1
        reference = (event.body.get("reference") or {}).get("id", "")
        counts = self._judged.setdefault((product, reference), Counter())
        is_bad = bool(self._view.board(board).truth)
        counts["bad" if is_bad else "good"] += 1
        if is_bad == (event.result == "FAILED"):
            counts["bad right" if is_bad else "good right"] += 1

    def rows(self) -> Iterator[tuple[str, str]]:
        """Rows of the table: what, and how many."""
        for product, units in self._units.items():
            if self._plan is not None:
                yield f"{product}: units", str(units)
                if self._taught[product]:
                    yield "  to teach what a good one looks like", str(self._taught[product])
            for (judged, reference), counts in self._judged.items():
                if judged != product:
                    continue
                by = f"compared with {reference}" if reference else "by one picture alone"
                for kind in ("good", "bad"):
                    if counts[kind]:
                        right = f"{counts[f'{kind} right']} of {counts[kind]}"
                        yield f"  drawn {kind}, {by}: judged right", right
        if self._plan is not None:
            yield "judged as another product than was drawn", str(self._as_another)
