"""What optics the shipped networks bear alone, and what a station with its guard makes of them.

    python -m benchmarks.optics --figures FILE.json [--seconds 150] [--url HOST:PORT]

Goes on where the file of figures ends, for so many seconds; prints the report's tables.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.optics.boards import MARK_PX, PRODUCTS, Spoilt
from benchmarks.optics.running import OFF, Showing, tally
from inspector.core.background import background
from inspector.embedded.triton.server import EmbeddedTriton

REPOSITORY = Path("model_repository").resolve()
NETWORKS = {
    "single": Showing(golden=False),
    "single, vouched for": Showing(golden=False, vouched=True),
    "golden": Showing(golden=True),
}
"""By name: the network, and whether somebody vouched for what is usual; a taught product is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """Boards through one kind of optics."""

    name: str
    spoilt: Spoilt
    guarded: bool
    bad: int
    good: int
    """Of each of the `PRODUCTS` designs."""
    is_first: bool = False
    """Nothing was shown to the station before."""


FIRST_GREY = "evenly grey, before anything else"
ALONE = {
    "as taught": Spoilt(),
    **{f"blur, sigma {s} px": Spoilt(sigma_px=s) for s in (1.5, 2, 2.5, 3, 3.5, 4, 4.5, 6)},
    **{f"light x {g}": Spoilt(gain=g) for g in (0.25, 0.35, 0.4, 0.5, 0.6, 0.7, 1.5, 2, 3)},
    **{f"noise + {n} levels": Spoilt(noise=n) for n in (12, 25, 35)},
    "blue x 0.4": Spoilt(tint=(0.4, 1.0, 1.0)),
    "green x 0.4": Spoilt(tint=(1.0, 0.4, 1.0)),
    "red x 0.4": Spoilt(tint=(1.0, 1.0, 0.4)),
    **{f"moved by {x} px": Spoilt(shift_px=(x, 0)) for x in (10, 20, 30)},
    "evenly grey": Spoilt(level=128),
    "white": Spoilt(level=255),
}
GUARDED = {
    "as taught": Spoilt(),
    "blur, sigma 6 px": Spoilt(sigma_px=6),
    "blur, sigma 10 px": Spoilt(sigma_px=10),
    "white": Spoilt(level=255),
    "evenly grey": Spoilt(level=128),
    FIRST_GREY: Spoilt(level=128),
    "overexposed threefold": Spoilt(gain=3),
    "moved by 10 px": Spoilt(shift_px=(8, 6)),
    "30 % less light": Spoilt(gain=0.7),
    "50 % less light": Spoilt(gain=0.5),
}
TRIALS = (
    *(Trial(name=n, spoilt=s, guarded=False, bad=10, good=5) for n, s in ALONE.items()),
    *(
        Trial(name=n, spoilt=s, guarded=True, bad=50, good=5, is_first=n == FIRST_GREY)
        for n, s in GUARDED.items()
    ),
)


def main() -> int:
    """Show what is still to be shown, then print all that is known."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--figures", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=3600)
    parser.add_argument("--only", default="", help="guarded trials whose names begin so")
    parser.add_argument("--url", help="a Triton server's HOST:PORT; without it, the embedded one")
    options = parser.parse_args()
    figures = json.loads(options.figures.read_text()) if options.figures.exists() else {}
    asyncio.run(_show(figures, options))
    print("\n".join(_tables(figures)))  # noqa: T201 - what it is for
    return 0


async def _show(figures: dict[str, Any], options: argparse.Namespace) -> None:
    until_s = time.monotonic() + options.seconds
    async with _server(options.url) as url:
        for network, shown in NETWORKS.items():
            for trial in TRIALS:
                if options.only and not (trial.guarded and trial.name.startswith(options.only)):
                    continue
                if shown.vouched and not trial.guarded:
                    continue
                key = f"{network}, {'guarded' if trial.guarded else 'alone'}: {trial.name}"
                if key in figures or time.monotonic() > until_s:
                    continue
                optics = {"mark": MARK_PX} if trial.guarded else OFF
                how = replace(shown, is_first=trial.is_first)
                found = await tally(url, trial.spoilt, optics, how, bad=trial.bad, good=trial.good)
                figures[key] = dict(sorted(found.results.items())) | {
                    "noticed": found.noticed,
                    "passed": found.passed,
                }
                options.figures.write_text(json.dumps(figures, indent=1) + "\n")


@asynccontextmanager
async def _server(url: str | None) -> AsyncIterator[str]:
    if url:
        yield url
        return
    server = EmbeddedTriton(REPOSITORY, report=lambda _text: None)
    async with background(server.run(), name="triton"):
        await server.wait_ready(120)
        yield server.grpc_url


def _tables(figures: dict[str, Any]) -> Iterator[str]:
    yield f"Boards of {PRODUCTS} designs. Bad: FAILED / PASSED / not inspected."
    yield "Good: PASSED / FAILED / not inspected."
    for guarded in ("alone", "guarded"):
        yield f"\n| {guarded} | " + " | ".join(NETWORKS) + " |\n|---|" + "---|" * len(NETWORKS)
        for name in ALONE if guarded == "alone" else GUARDED:
            cells = [_cell(figures.get(f"{n}, {guarded}: {name}")) for n in NETWORKS]
            yield f"| {name} | " + " | ".join(cells) + " |"


def _cell(found: dict[str, Any] | None) -> str:
    if found is None:
        return "?"
    counts = Counter({key: n for key, n in found.items() if key not in {"noticed", "passed"}})
    told = []
    for kind, results in (("bad", ("FAILED", "PASSED")), ("good", ("PASSED", "FAILED"))):
        known = [counts[f"{kind} {result}"] for result in results]
        all_of = sum(n for key, n in counts.items() if key.startswith(kind))
        told.append(" / ".join(map(str, [*known, all_of - sum(known)])))
    noticed = found["noticed"]
    if noticed is not None:
        told.append(f"noticed at unit {noticed}")
    return "; ".join(told)


if __name__ == "__main__":
    raise SystemExit(main())
